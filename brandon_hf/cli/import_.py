"""`brandon import`: turn a checkpoint of the original implementation, or a blob, into a native model folder."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `import`."""
    parser.add_argument(
        "source",
        metavar="SRC",
        help="folder with config.json and safetensors, a .pt file, or a .gguf of brandon export",
    )
    parser.add_argument("destination", metavar="DST", help="folder to write; must not exist or be empty")
    parser.add_argument(
        "--dtype",
        choices=("auto", "float32", "bfloat16"),
        default="auto",
        help="of the weights (default: %(default)s, as in the checkpoint; float32 from a .gguf)",
    )
    parser.add_argument(
        "--tokenizer", metavar="FILE", help="SentencePiece model (default: tokenizer.model in SRC or beside it)"
    )


def run(args: argparse.Namespace) -> int:
    """Import and print what was written."""
    if Path(args.source).suffix == ".gguf":
        return _import_blob(args)
    from brandon_hf.hub import import_checkpoint

    print(import_checkpoint(args.source, args.destination, dtype=args.dtype, tokenizer=args.tokenizer))
    return 0


def _import_blob(args: argparse.Namespace) -> int:
    from .export import require_gguf

    if args.tokenizer:
        raise ValueError(f"--tokenizer {args.tokenizer}: a .gguf brings its own tokenizer")
    require_gguf()
    from brandon_hf.export import import_blob

    files = import_blob(args.source, args.destination, dtype="float32" if args.dtype == "auto" else args.dtype)
    print(f"{args.destination}: {sum(files.values()):,} bytes")
    for name, size in files.items():
        print(f"  {size:>12,}  {name}")
    return 0
