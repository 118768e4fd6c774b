"""How far a model is from what a 10M model should reach, from the results of `brandon eval`.

    python benchmarks/goals.py docs/benchmarks/brandon-tiny-5m

The folder holds the protocols standard, original and strict. "published" is what the report of the first Brandon-Tiny
states, scored as protocol `original` does; the goals of that protocol are to pass it, those of the others are what
this project aims at. Writes goals.md into the folder.
"""

import argparse
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from brandon_hf.evaluation.published import PUBLISHED_PARADIGMS
from brandon_hf.evaluation.reading import read_results

Results = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Goal:
    name: str
    protocol: str
    read: Callable[[Results], float]
    goal: float
    published: float | None = None
    percent: bool = True
    lower: bool = False  # is better


def accuracy(task: str, metric: str = "acc") -> Callable[[Results], float]:
    return lambda results: results[task][metric]


def paradigms_of_the_report(results: Results) -> float:
    return statistics.mean(results[f"blimp_{name}"]["acc"] for name in PUBLISHED_PARADIGMS)


def loops(results: Results) -> float:
    return round(results["free"]["sequence_loops"] * results["free"]["n"])


GOALS = (
    Goal("BLiMP, 24 paradigms", "original", accuracy("blimp"), 0.74, 0.733),
    Goal("HellaSwag", "original", accuracy("hellaswag"), 0.325, 0.324),
    Goal("ARC-Easy", "original", accuracy("arc_easy"), 0.31, 0.306),
    Goal("PIQA", "original", accuracy("piqa"), 0.55, 0.547),
    Goal("Winogrande", "original", accuracy("winogrande"), 0.505, 0.503),
    Goal("LAMBADA, first token", "original", accuracy("lambada_openai"), 0.12, 0.088),
    Goal(
        "WikiText-2, bits per byte",
        "original",
        accuracy("wikitext", "bits_per_byte"),
        1.75,
        1.947,
        percent=False,
        lower=True,
    ),
    Goal("loops in 20 free texts", "original", loops, 0, 0, percent=False, lower=True),
    Goal("instructions, keyword", "original", accuracy("instructions", "keyword"), 0.85, 0.80),
    Goal("answers that end", "original", accuracy("instructions", "stop_rate"), 0.90),
    Goal("BLiMP, 24 paradigms", "standard", paradigms_of_the_report, 0.78),
    Goal("BLiMP, all 67", "standard", accuracy("blimp"), 0.74),
    Goal("HellaSwag, by length", "standard", accuracy("hellaswag", "acc_norm"), 0.29),
    Goal("ARC-Easy", "standard", accuracy("arc_easy"), 0.36),
    Goal("PIQA", "standard", accuracy("piqa"), 0.58),
    Goal("Winogrande", "standard", accuracy("winogrande"), 0.51),
    Goal("LAMBADA, whole word", "standard", accuracy("lambada_openai"), 0.12),
    Goal(
        "WikiText-2, bits per byte", "standard", accuracy("wikitext", "bits_per_byte"), 1.62, percent=False, lower=True
    ),
    Goal("loops in 20 free texts", "strict", loops, 0, percent=False, lower=True),
    Goal("instructions, strict", "strict", accuracy("instructions", "strict"), 0.60),
    Goal("answers that end", "strict", accuracy("instructions", "stop_rate"), 0.97),
)


def page(folder: Path) -> str:
    """The goals as a table."""
    protocols = read_results(folder.name, folder).protocols
    lines = [
        f"# {folder.name} beside the goals for 10M parameters",
        "",
        "Written by `python benchmarks/goals.py` from the results in this folder. The prompts of `strict` are in no "
        "training data, but which sorts of request it scores was known when the derived [chats](../../chats.md) were "
        "made. Why goals are missed: [decisions](../../decisions.md#the-model-that-comes-with-the-package).",
        "",
        "| benchmark | protocol | published 10M | goal | this model | distance | |",
        "|---|---|--:|--:|--:|--:|---|",
    ]
    for goal in GOALS:
        try:
            value = goal.read(protocols[goal.protocol].results)
        except KeyError as error:
            missing = f"{folder}: {error} is missing for {goal.name}: brandon eval --protocol {goal.protocol}"
            raise SystemExit(missing) from error
        digits = 3 if goal.name.endswith("per byte") else 0

        def shown(number: float, goal: Goal = goal, digits: int = digits) -> str:
            return f"{100 * number:.1f} %" if goal.percent else f"{number:.{digits}f}"

        distance = value - goal.goal
        reached = distance <= 0 if goal.lower else distance >= 0
        signed = f"{100 * distance:+.1f}" if goal.percent else f"{distance:+.{digits}f}"
        published = "" if goal.published is None else shown(goal.published)
        lines.append(
            f"| {goal.name} | {goal.protocol} | {published} | {shown(goal.goal)} | {shown(value)} | {signed} | "
            f"{'reached' if reached else 'missed'} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="results of brandon eval")
    options = parser.parse_args()
    text = page(options.folder)
    (options.folder / "goals.md").write_text(text, "utf-8")
    print(text)


if __name__ == "__main__":
    main()
