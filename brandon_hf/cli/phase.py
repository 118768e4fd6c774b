"""`brandon pretrain`, `distill`, `sft`, `prefer`: one phase of a recipe, in the directory of its run."""

import argparse

from . import run as whole


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the four commands."""
    whole.add_arguments(parser)
    parser.add_argument(
        "--model", metavar="MODEL", help="start from this model (base_model=MODEL), not from another phase"
    )


def run(args: argparse.Namespace) -> int:
    """Carry out the phase that the command is named after."""
    base = [f"base_model={args.model}"] if args.model else []
    if args.model and args.command == "pretrain":
        base.append("phases=[pretrain]")  # of a recipe with more, they would start from that model
    training, final = whole.carry_out(args, [*args.overrides, *base], [args.command])
    if final is None:
        return whole.OUT_OF_TIME
    if training.state.is_main_process:
        print(f"model: {final}")
    return 0
