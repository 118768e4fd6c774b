"""`brandon import`: turn a checkpoint of the original implementation into a native model folder."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `import`."""
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


def run(args: argparse.Namespace) -> int:
    """Import and print what was written."""
    from brandon_hf.hub import import_checkpoint

    print(import_checkpoint(args.source, args.destination, dtype=args.dtype, tokenizer=args.tokenizer))
    return 0
