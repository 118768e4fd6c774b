"""`brandon run`: a whole recipe, from text to a chat model and its report."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of all commands that carry out a recipe."""
    parser.epilog = "The same command again continues where it was stopped."
    parser.add_argument("--recipe", default="demo", help="name, folder or YAML file (default: %(default)s)")
    parser.add_argument("--name", help="name of the run (default: the recipe's)")
    parser.add_argument("--output", type=Path, default=Path("runs"), help="folder of runs (default: %(default)s)")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="such as pretrain.max_steps=100")


def run(args: argparse.Namespace) -> int:
    """Carry out the recipe, then print the figures of its report."""
    from brandon_hf.pipeline import Run, load_recipe, write_report

    recipe = load_recipe(args.recipe, args.overrides)
    training = Run(recipe, args.output / (args.name or recipe.name))
    final = training.execute()
    training.samples()
    if training.state.is_main_process:
        print(write_report(training.folder))
        print(f"model: {final}\nreport: {training.folder / 'report.html'}")
    return 0
