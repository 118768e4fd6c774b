"""`brandon inspect`: show what a blob holds, its checksum verified."""

import argparse

from .export import measure_memory, require_gguf


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `inspect`."""
    parser.add_argument("file", metavar="FILE", help="a .gguf of brandon export")
    parser.add_argument("--tensors", action="store_true", help="list all tensors")
    parser.add_argument("--context", type=int, metavar="N", help="of the memory budget (default: the model's)")


def run(args: argparse.Namespace) -> int:
    """Print it."""
    require_gguf()
    from brandon_hf.export.reading import read_blob
    from brandon_hf.export.report import describe_blob

    blob = read_blob(args.file)
    measure = measure_memory(blob.path, args.context)
    print(describe_blob(blob, with_tensors=args.tensors, context=args.context, measure=measure))
    return 0
