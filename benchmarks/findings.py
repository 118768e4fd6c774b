"""The page of benchmarks/experiments.py: tables of what was measured, effects paired by seed, and what they show."""

import statistics
from collections.abc import Iterator
from typing import Any

from scipy import stats
from variants import AGAINST, COLUMNS, DECIDES, LONGER, LOOPS, MEASURED, QUESTIONS, TOKENS


def page(runs: dict[str, dict[str, Any]], held_out: dict[str, tuple[int, int]], blimp_pairs: int) -> str:
    """docs/experiments.md: of each question its variants, and their effects; first of all, what helped.

    Args:
        runs: Of each variant, by seed, its figures.
        held_out: Documents and bytes of each kind of text they were measured on.
        blimp_pairs: Of each paradigm.
    """
    sizes = "; ".join(f"{kind} {count} documents, {size:,} bytes" for kind, (count, size) in held_out.items())
    lines = [
        "# Experiments",
        "",
        f"Written by `python benchmarks/experiments.py`, which says how. Pretraining takes {TOKENS:,} tokens per run, "
        f'{LONGER * TOKENS:,} under "Longer", {TOKENS // 2:,} under "First halves", which "Order and batches" goes on '
        "from with as many again; tuning on chats, and continuing a trained model with a teacher, a quarter of that "
        "more. A model's eight layers are four blocks, each applied twice, unless its variant says otherwise. Bits per "
        f"byte of held-out text by kind, their mean, and accuracy on {blimp_pairs} pairs of each BLiMP paradigm; of "
        "20 texts, those that loop. Each cell is the mean over the seeds a row has, ± their standard "
        "deviation; effects are paired by seed, so compare those. What follows: [decisions](decisions.md).",
        "",
        f"Held out: {sizes}.",
    ]
    lines += ["", *summary(runs)]
    for question, variants in QUESTIONS.items():
        names = [name for name in variants if name in runs]
        if len(names) < 2:
            continue
        columns = columns_of(question)
        lines += ["", f"## {question.capitalize()}", "", f"| variant | parameters | seeds | {' | '.join(columns)} |"]
        lines.append("|---" * (3 + len(columns)) + "|")
        for name in names:
            rows = runs[name]
            cells = [shown(column, [row[column] for row in rows.values()]) for column in columns]
            parameters = next(iter(rows.values()))["parameters"]
            lines.append(f"| {name} | {parameters:,} | {', '.join(sorted(rows))} | {' | '.join(cells)} |")
        if effects := list(paired(question, runs)):
            lines += ["", f"| effect | seeds | {' | '.join(columns)} |", "|---" * (2 + len(columns)) + "|"]
        for name, base, seeds, gaps in effects:
            cells = [shown(column, gap, sign="+") for column, gap in gaps.items()]
            lines.append(f"| {name} against {base} | {', '.join(seeds)} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def columns_of(question: str) -> list[str]:
    return COLUMNS.get(question, [*MEASURED, "mean", "blimp"])


def paired(
    question: str, runs: dict[str, dict[str, Any]]
) -> Iterator[tuple[str, str, list[str], dict[str, list[float]]]]:
    """Of each variant and what it is compared with: the seeds both have, and of each column the differences by seed."""
    for name in QUESTIONS[question]:
        base = AGAINST.get(name, next(iter(QUESTIONS[question])))
        one, other = runs.get(name, {}), runs.get(base, {})
        seeds = sorted(one.keys() & other.keys())
        if name != base and seeds:
            gaps = {
                column: [one[seed][column] - other[seed][column] for seed in seeds] for column in columns_of(question)
            }
            yield name, base, seeds, gaps


def summary(runs: dict[str, dict[str, Any]]) -> list[str]:
    """What helped and what did not, by the column that decides (`DECIDES`), the best first."""
    found: dict[tuple[str, str], tuple[float, str]] = {}
    for question in QUESTIONS:
        if question == "first halves":  # models that others go on from
            continue
        for name, base, _, gaps in paired(question, runs):
            column = DECIDES.get(question, "mean")
            cells = (name, base, column, shown(column, gaps[column], sign="+"), str(len(gaps[column])))
            found[name, base] = statistics.mean(gaps[column]), f"| {' | '.join(cells)} | {verdict(gaps[column])} |"
    return [
        "## What helped",
        "",
        "Bits per byte on the mean of the kinds of text or, of what changes the tuning alone, nats of chat loss: less "
        "is better. Better or worse is what differs from nothing by Student's t at 95 % over the paired seeds; of so "
        "many effects one in twenty would without cause.",
        "",
        "| variant | against | figure | effect | seeds | verdict |",
        "|---|---|---|---|---|---|",
        *(line for _, line in sorted(found.values())),
    ]


def verdict(gaps: list[float]) -> str:
    """What the differences of a figure that is better when lower show."""
    if len(gaps) < 2:
        return "one seed"
    if not stats.ttest_1samp(gaps, 0).pvalue < 0.05:
        return "not shown"
    return "better" if statistics.mean(gaps) < 0 else "worse"


def shown(column: str, values: list[float], sign: str = "") -> str:
    """The mean of a cell and, of several values, their standard deviation."""
    digits = 1 if column in LOOPS else 3
    spread = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):{sign}.{digits}f}{spread}"
