"""Protocol `standard`: lm-evaluation-harness, called as a library."""

import functools
import io
import logging
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import datasets
from lm_eval import evaluator
from lm_eval import utils as lm_eval_utils
from lm_eval.api.metrics import aggregate_subtask_metrics, pooled_sample_stderr, unweighted_mean_stderr
from lm_eval.tasks import TaskManager

from .benchmarks import Outcomes, Results, benchmark_of, write_tasks
from .scoring import ScoringModel

METRICS = ("acc", "acc_norm", "perplexity", "word_perplexity", "byte_perplexity", "bits_per_byte")
BOOTSTRAP = 1000  # resamples, for the standard error of LAMBADA's perplexity; the others have formulas


def evaluate_standard(
    model: ScoringModel, tasks: Sequence[str], data: Path | None, limit: int | None
) -> tuple[Results, Outcomes]:
    """The metrics of each lm-eval task, and the outcome of each example."""
    with TemporaryDirectory() as folder, _quiet(), _templates_compiled_once():
        write_tasks(Path(folder), tasks, data)
        manager = TaskManager(include_path=folder, include_defaults=False)
        model.truncated.clear()
        found: Any = evaluator.evaluate(model, manager.load(list(tasks)), limit=limit, bootstrap_iters=BOOTSTRAP)
    results: Results = {}
    outcomes: Outcomes = []
    for task in tasks:
        lines = [_outcome(model, task, sample) for sample in found["samples"][task]]
        metrics = {key.removesuffix(",none"): value for key, value in found["results"][task].items()}
        kept = {
            name: metrics[name]
            for metric in METRICS
            for name in (metric, f"{metric}_stderr")
            if isinstance(metrics.get(name), int | float)
        }
        if benchmark_of(task) == "wikitext":
            kept |= _per_token(lines)
        results[task] = kept | {"n": len(lines), "truncated": model.truncated[task]}
        outcomes += lines
    return results, outcomes


def mean_over_parts(benchmark: str, parts: Results) -> dict[str, Any]:
    """A benchmark of many tasks, as lm-eval takes it together: BLiMP's paradigms count alike, MMLU's examples do."""
    sizes, scores = [part["n"] for part in parts.values()], [part["acc"] for part in parts.values()]
    weighted = benchmark != "blimp"
    mean = {"acc": float(aggregate_subtask_metrics(scores, sizes, weight_by_size=weighted))}
    errors = [part["acc_stderr"] for part in parts.values() if "acc_stderr" in part]
    if len(errors) == len(parts):  # lm-eval gives none for a single example
        mean["acc_stderr"] = float(pooled_sample_stderr(errors, sizes) if weighted else unweighted_mean_stderr(errors))
    truncated = sum(part["truncated"] for part in parts.values())
    return {**mean, "n": sum(sizes), "truncated": truncated, "parts": len(parts)}


def _outcome(model: ScoringModel, task: str, sample: dict[str, Any]) -> dict[str, Any]:
    line: dict[str, Any] = {"task": task, "id": sample["doc_id"]}
    if benchmark_of(task) == "wikitext":
        (loglikelihood, words), (_, size) = sample["word_perplexity"], sample["byte_perplexity"]
        tokens = len(model.tok_encode(sample["arguments"][0][0]))  # with bos, where the tokenizer adds one
        return line | {"loglikelihood": loglikelihood, "bytes": size, "words": words, "tokens": tokens}
    scores = [response[0] for response in sample["filtered_resps"]]
    if isinstance(sample["filtered_resps"][0], float):  # one continuation: (log-likelihood, greedy)
        scores = sample["filtered_resps"][:1]
    correct = {name: sample[name] for name in ("acc", "acc_norm") if name in sample}
    return line | correct | {"loglikelihoods": [round(score, 4) for score in scores]}


def _per_token(pages: Outcomes) -> dict[str, Any]:
    totals = {name: sum(page[name] for page in pages) for name in ("loglikelihood", "bytes", "words", "tokens")}
    return {
        "token_perplexity": math.exp(-totals["loglikelihood"] / totals["tokens"]),
        **{name: totals[name] for name in ("tokens", "bytes", "words")},
    }


@contextmanager
def _templates_compiled_once() -> Iterator[None]:
    """lm-eval compiles the templates of a task anew for every example."""
    compile_template = lm_eval_utils.env.from_string
    lm_eval_utils.env.from_string = functools.cache(compile_template)
    try:
        yield
    finally:
        lm_eval_utils.env.from_string = compile_template


@contextmanager
def _quiet() -> Iterator[None]:
    """Without lm-eval's bars and warnings, several per task; `ScoringModel` has a bar of its own.

    DISABLE_MULTIPROC keeps its bootstrap in this process: a fork of one with torch threads may hang.
    """
    had, bars = os.environ.get("DISABLE_MULTIPROC"), datasets.are_progress_bars_disabled()
    levels = {logging.getLogger(name): logging.getLogger(name).level for name in ("lm_eval", "transformers")}
    for logger in levels:
        logger.setLevel(logging.ERROR)
    datasets.disable_progress_bars()
    os.environ["DISABLE_MULTIPROC"] = "1"
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            yield
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)
        if not bars:
            datasets.enable_progress_bars()
        os.environ.pop("DISABLE_MULTIPROC")
        if had is not None:
            os.environ["DISABLE_MULTIPROC"] = had
