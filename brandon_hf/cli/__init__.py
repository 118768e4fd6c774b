"""The `brandon` command. Each subcommand is a module here with `add_arguments` and `run`, imported only when called."""

import argparse
import importlib
import sys
from collections.abc import Sequence

from brandon_hf import __version__

# name: (module, what `brandon --help` says of it)
COMMANDS = {
    "run": ("run", "train a model by a recipe: tokenizer, teacher, phases, samples, report"),
    "pretrain": ("phase", "phase 1 of a recipe: next-token prediction on text"),
    "distill": ("phase", "phase 2 of a recipe: learn from a teacher"),
    "sft": ("phase", "phase 3 of a recipe: instruction tuning on chats"),
    "prefer": ("phase", "optional phase 4 of a recipe: DPO or GRPO against repetition"),
    "make-chats": ("make_chats", "make chats for instruction tuning from plain text and from tables"),
    "import": ("import_", "turn an exported file, or a checkpoint of the original implementation, into a model folder"),
    "export": ("export", "write a model as one file for the engine, or as llama.cpp loads it"),
    "inspect": ("inspect_", "show what an exported file holds"),
    "chat": ("chat", "talk to a model in the terminal"),
    "eval": ("eval_", "measure a model: benchmarks, generated text, speed"),
    "serve": ("serve", "answer OpenAI-style requests with a model folder"),
    "compare": ("compare", "put models side by side: tables with intervals on differences, plots"),
    "demo": ("demo", "talk to models in the browser, or write a Space that does"),
    "card": ("card", "write the model card of a model folder from its files"),
    "push": ("push", "publish a model folder on the Hub"),
    "push-data": ("push_data", "publish a folder of data on the Hub"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run `brandon` with the given arguments, by default those of the process.

    Returns:
        The exit status: that of the subcommand, 2 if it raised `ValueError`, `OSError` or `FloatingPointError` (printed
        as one line), 130 if it was interrupted.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="brandon", description="Small instruction-following language models.")
    parser.add_argument("--version", action="version", version=f"brandon-hf {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (module, summary) in COMMANDS.items():
        called = name in arguments[:1]
        description = f"{summary[0].upper()}{summary[1:]}."
        subparser = subparsers.add_parser(name, help=summary, description=description, add_help=called)
        if called:
            command = importlib.import_module(f".{module}", __name__)
            command.add_arguments(subparser)
            subparser.set_defaults(run=command.run)
    args, others = parser.parse_known_args(arguments)
    if others and (not hasattr(args, "overrides") or any(other.startswith("-") for other in others)):
        parser.error(f"unrecognized arguments: {' '.join(others)}")
    if others:  # argparse takes positional arguments in one piece only
        args.overrides += others
    try:
        return args.run(args)
    except (ValueError, OSError, FloatingPointError) as error:
        print(f"brandon {args.command}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"brandon {args.command}: interrupted", file=sys.stderr)
        return 130
