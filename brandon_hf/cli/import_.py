"""`brandon import`: turn a checkpoint of the original implementation into a native model folder."""

import argparse
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Add `import` to the command line."""
    parser = subparsers.add_parser(
        "import",
        help="turn a checkpoint of the original implementation into a native model folder",
        description="Write config, weights, code and tokenizer of an original checkpoint as a transformers folder.",
    )
    parser.add_argument("source", metavar="SRC", help="folder with config.json and safetensors, or a .pt file")
    parser.add_argument("destination", metavar="DST", help="folder to write; must not exist or be empty")
    parser.add_argument(
        "--dtype",
        choices=("auto", "float32", "bfloat16"),
        default="auto",
        help="of the weights (default: %(default)s, as in the checkpoint)",
    )
    parser.add_argument(
        "--tokenizer", metavar="FILE", help="SentencePiece model (default: tokenizer.model in SRC or beside it)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Import and print what was written."""
    from brandon_hf.hub import import_checkpoint

    print(import_checkpoint(args.source, args.destination, dtype=args.dtype, tokenizer=args.tokenizer))
    return 0
