"""`brandon compare`: several models side by side, with intervals on their differences and plots."""

import argparse
from functools import partial
from pathlib import Path

from brandon_hf.evaluation.comparison import evaluated_folders, write_comparison

from .eval_ import add_options, evaluate


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `compare`."""
    parser.epilog = "The first model is the baseline. Models are evaluated as `brandon eval` does it, results are read."
    parser.add_argument(
        "models",
        nargs="+",
        metavar="[NAME=]MODEL",
        help="results folder, model folder, .gguf file, or name on the Hub; NAME is what tables and plots call it",
    )
    parser.add_argument("--output", type=Path, default=Path("comparison"), metavar="DIR", help="default: %(default)s")
    add_options(parser.add_argument_group("evaluation of models without results (see `brandon eval --help`)"))


def run(args: argparse.Namespace) -> int:
    """Evaluate what has no results yet, write the comparison, print its tables.

    Raises:
        ValueError, OSError: a model or its results are wrong, or were not evaluated on the same examples.
    """
    folders = evaluated_folders(args.models, args.output, partial(evaluate, args))
    print(write_comparison(folders, args.output))
    print(f"comparison: {args.output / 'index.html'}")
    return 0
