"""`brandon run`: a whole recipe, from text to a chat model and its report."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

OUT_OF_TIME = 75  # exit status of a run that its time limit stopped: EX_TEMPFAIL, "try again"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of all commands that carry out a recipe."""
    parser.epilog = "The same command again continues where it was stopped."
    parser.add_argument("--recipe", default="demo", help="name, folder or YAML file (default: %(default)s)")
    parser.add_argument("--name", help="name of the run (default: the recipe's)")
    parser.add_argument("--output", type=Path, default=Path("runs"), help="folder of runs (default: %(default)s)")
    parser.add_argument("--minutes", type=float, help="stop after so long, with a checkpoint and exit status 75")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="such as pretrain.max_steps=100")


def run(args: argparse.Namespace) -> int:
    """Carry out the recipe, then print the figures of its report."""
    from brandon_hf.pipeline import write_report

    training, final = carry_out(args, args.overrides)
    if final is None:
        return OUT_OF_TIME
    training.samples()
    if training.state.is_main_process:
        print(write_report(training.folder))
        print(f"model: {final}\nreport: {training.folder / 'report.html'}")
    return 0


def carry_out(
    args: argparse.Namespace, overrides: Sequence[str], phases: Sequence[str] | None = None
) -> tuple[Any, Path | None]:
    """The run of the command's arguments and the last model's folder; None for that if its time ran out.

    Raises:
        ValueError, OSError: as `Run`.
    """
    from brandon_hf.pipeline import OutOfTime, Run, load_recipe

    if args.minutes is not None and not 0 < args.minutes < float("inf"):
        raise ValueError(f"--minutes {args.minutes} must be above 0, and finite")
    recipe = load_recipe(args.recipe, overrides)
    training = Run(recipe, args.output / (args.name or recipe.name))
    if training.state.is_main_process:
        print(f"{training.folder}: {training.plan(phases)}", file=sys.stderr)
    try:
        return training, training.execute(phases, args.minutes)
    except OutOfTime as stop:
        if training.state.is_main_process:
            print(f"{stop}; the same command continues", file=sys.stderr)
        return training, None
