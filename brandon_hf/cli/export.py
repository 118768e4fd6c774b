"""`brandon export`: write a model folder as one file for the engine, or in forms that other programs load."""

import argparse
import importlib.util
import os
from pathlib import Path
from typing import Any

from brandon_hf.pretrained import known_model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `export`."""
    parser.add_argument("model", metavar="MODEL", type=known_model, help="model folder with its tokenizer")
    parser.add_argument(
        "-o", "--output", metavar="OUT", required=True, help="file to write (a folder with the last form)"
    )
    parser.add_argument(
        "--format",
        choices=("brandon", "llama"),
        default="brandon",
        help="brandon: the blob of docs/blob-format.md, which the engine runs; llama: what llama.cpp loads, for models "
        "without the options that it does not know (default: %(default)s)",
    )
    parser.add_argument(
        "--registers-as-tokens",
        action="store_true",
        help="write a model folder whose registers are extra tokens, for servers that cannot prepend them",
    )
    parser.add_argument(
        "--bits",
        type=int,
        choices=(8, 4, 2),
        help="of the weights in blocks of a blob (default: 2 for ternary models, 8 for others)",
    )
    parser.add_argument("--text", metavar="FILE", help="text to measure the perplexity on (default: a short story)")
    parser.add_argument("--context", type=int, metavar="N", help="of the memory budget (default: the model's)")
    parser.add_argument("--json", metavar="FILE", help="write the printed numbers to FILE too")


def run(args: argparse.Namespace) -> int:
    """Export and print what it cost."""
    require_gguf()
    output = Path(args.output)
    if args.registers_as_tokens or args.format == "llama":
        _refuse_blob_options(args)
        if args.registers_as_tokens:
            from brandon_hf.export.registers_as_tokens import registers_as_tokens

            registers_as_tokens(args.model, output)
        else:
            from brandon_hf.export.llama import write_llama

            check_writable("-o", output)
            write_llama(args.model, output)
        print(f"wrote {output}")
        return 0
    from brandon_hf.export import read_blob
    from brandon_hf.export.blob import load_folder, write_model
    from brandon_hf.export.memory import check_context
    from brandon_hf.export.report import export_report, text_windows
    from brandon_hf.export.sample_text import SAMPLE_TEXT

    check_writable("-o", output)
    if args.json:
        check_writable("--json", Path(args.json))
    text = SAMPLE_TEXT if args.text is None else Path(args.text).read_text("utf-8")
    model, tokenizer = load_folder(args.model)
    check_context(model.config, args.context)
    text_windows(tokenizer, text, model.config.max_position_embeddings)  # says now if the text is too short
    write_model(model, tokenizer, output, args.bits, name=Path(args.model).resolve().name)
    engine, refusal = open_engine(output)
    report = export_report(
        model,
        tokenizer,
        read_blob(output),
        text,
        args.context,
        score=engine and engine.score,
        measure_ram=engine and measure_memory(output, args.context),
        no_engine=refusal,
    )
    print(report)
    if args.text is None:
        print("measured on a short story that the model need not know; --text FILE takes a text of yours")
    if args.json:
        report.write_json(Path(args.json))
    return 0


def open_engine(path: Path) -> tuple[Any, str]:
    """The compiled engine with a blob; or `None`, and why it is not built or does not run this one."""
    from brandon_hf.runtime import Engine

    try:
        return Engine(path), ""
    except (OSError, ValueError, MemoryError) as error:
        return None, str(error)


def measure_memory(path: Path, context: int | None) -> Any:
    """What an engine takes that runs a blob, as `brandon_hf.export.memory.Measure`."""
    from brandon_hf.runtime import Engine

    return lambda kv, kernel: Engine(path, context=context, kv=kv, kernel=kernel).info.ram


def check_writable(option: str, path: Path) -> None:
    """Raise what writing a file would, before the work that leads to it."""
    if path.is_dir():
        raise ValueError(f"{path} is a folder; {option} names the file to write")
    parent = next(parent for parent in path.absolute().parents if parent.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise PermissionError(f"{option} {path} cannot be written: {parent} is no folder that you may write to")


def require_gguf() -> None:
    """Raise `ValueError` with the remedy if gguf-py is not installed."""
    if importlib.util.find_spec("gguf") is None:
        raise ValueError("this needs gguf: pip install 'brandon-hf[export]'")


def _refuse_blob_options(args: argparse.Namespace) -> None:
    form = "--registers-as-tokens" if args.registers_as_tokens else "--format llama"
    if args.registers_as_tokens and args.format == "llama":
        raise ValueError("--registers-as-tokens writes a model folder, --format llama a file: choose one")
    for name in ("bits", "text", "context", "json"):
        if getattr(args, name) is not None:
            raise ValueError(f"--{name} has no meaning with {form}")
