"""`brandon eval`: measure a model by the field's benchmarks, by what it writes, and by its speed."""

import argparse
from importlib.util import find_spec
from pathlib import Path

from brandon_hf.evaluation.comparison import named, write_comparison
from brandon_hf.evaluation.evaluate import PROTOCOLS, Settings, evaluate_model
from brandon_hf.evaluation.judge import endpoint_judge

from .card import make_card, write_card
from .chat import check_folder
from .export import require_gguf

EPILOG = f"""protocols and their tasks:
{chr(10).join(f"  {name:10}{', '.join(tasks)}" for name, tasks in PROTOCOLS.items())}
Single paradigms of BLiMP are blimp_<uid>, subjects of MMLU mmlu_<subject>; MMLU runs when its file is there.
The same command continues an evaluation that was interrupted."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `eval`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument("model", metavar="MODEL", help="model folder, name on the Hub, or file of brandon export")
    parser.add_argument("--output", type=Path, metavar="DIR", help="for the results (default: evaluation/<model>)")
    parser.add_argument("--card", action="store_true", help="write the model card there too, as README.md")
    parser.add_argument("--licence", metavar="ID", help="of the model, for its card: apache-2.0, mit, ...")
    add_options(parser)


def add_options(parser: argparse._ActionsContainer) -> None:
    """Add what says how to evaluate; `evaluate` reads it."""
    parser.add_argument("--data", type=Path, metavar="DIR", help="files of the benchmarks (default: from the Hub)")
    parser.add_argument("--protocol", default="standard", metavar="NAMES", help="some, with commas, or all")
    parser.add_argument("--tasks", metavar="NAMES", help="some, with commas (default: all of each protocol)")
    parser.add_argument(
        "--limit", type=int, metavar="N", help="examples of each task, and of each part of BLiMP: a quick look"
    )
    parser.add_argument("--dtype", choices=("auto", "float32", "bfloat16", "float16"), default="auto")
    parser.add_argument("--device", help="default: the accelerator, if there is one")
    parser.add_argument("--batch-size", type=int, metavar="ROWS", help="default: by number of tokens")
    parser.add_argument(
        "--bos",
        choices=("tokenizer", "always", "never"),
        default="tokenizer",
        help="whether a text with a context begins with bos (default: as the tokenizer does it)",
    )
    parser.add_argument(
        "--judge", metavar="URL", help="OpenAI-style endpoint that marks texts (default: none is asked)"
    )
    parser.add_argument("--judge-model", metavar="NAME", help="that it is asked for")
    parser.add_argument("--judge-key", metavar="VARIABLE", help="of the environment, that holds its key")
    parser.add_argument("--seed", type=int, default=0, help="of sampled texts")
    parser.add_argument("--trust-remote-code", action="store_true", help="run code that comes with the model")


def run(args: argparse.Namespace) -> int:
    """Evaluate, write the page and the card, print the tables.

    Raises:
        ValueError, OSError: an option, a file or the model is wrong; or lm-eval is not installed.
    """
    name, args.model = named(args.model)
    output = args.output or Path("evaluation") / name
    if args.card and not Path(args.model).is_dir():
        raise ValueError(f"--card is made from the files of a model folder, {args.model} is none")
    evaluate(args, args.model, output)
    print(write_comparison({name: output}, output))
    print(f"results: {output / 'index.html'}")
    if args.card:
        print(f"card: {write_card(make_card(Path(args.model), output, licence=args.licence), output / 'README.md')}")
    return 0


def evaluate(args: argparse.Namespace, model: str, output: Path) -> None:
    """Evaluate a model as the options of `add_options` say.

    Raises:
        ValueError, OSError: as `run`.
    """
    if find_spec("lm_eval") is None:
        raise ValueError("this needs lm-evaluation-harness: pip install 'brandon-hf[eval]'")
    if args.batch_size is not None and args.batch_size < 1:
        raise ValueError(f"--batch-size {args.batch_size} must be at least 1")
    if (args.judge is None) != (args.judge_model is None):
        raise ValueError("--judge URL and --judge-model NAME belong together")
    if Path(model).is_file():
        _check_blob_options(args)
    else:
        check_folder(model)
    settings = Settings(
        dtype=args.dtype,
        device=args.device,
        batch_size=args.batch_size,
        bos={"tokenizer": None, "always": True, "never": False}[args.bos],
        limit=args.limit,
        seed=args.seed,
        trust_remote_code=args.trust_remote_code,
    )
    evaluate_model(
        model,
        output,
        protocols=list(PROTOCOLS) if args.protocol == "all" else args.protocol.split(","),
        tasks=args.tasks.split(",") if args.tasks else None,
        data=args.data,
        settings=settings,
        judge=endpoint_judge(args.judge, args.judge_model, api_key_env=args.judge_key) if args.judge else None,
    )


def _check_blob_options(args: argparse.Namespace) -> None:
    """Raise if an option means nothing for a blob."""
    require_gguf()
    if args.dtype != "auto":
        raise ValueError(f"--dtype {args.dtype} is for model folders: a blob has the weights it was exported with")
    if args.device not in (None, "cpu"):
        raise ValueError(f"--device {args.device} is for model folders: a blob runs on the CPU")
    if args.batch_size is not None:
        raise ValueError("--batch-size is for model folders: the engine takes one text at a time")
