"""How good what a model writes is, by counting: the protocols `original`, `strict` and `deycoding`.

A protocol is a file of prompts with decoding settings for each of its tasks; its metrics are those of
`brandon_hf.metrics`.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import Any

import yaml
from transformers import PreTrainedTokenizerBase, set_seed

from brandon_hf.metrics.checks import check_checks, follows
from brandon_hf.metrics.instruction import says_name
from brandon_hf.metrics.probability import mean_token_probability, self_perplexity
from brandon_hf.metrics.repetition import (
    coherence_length,
    distinct_n,
    ngram_repetition,
    original_loop,
    repetition_rate,
    sequence_loops,
    vocabulary_diversity,
)
from brandon_hf.metrics.text import (
    flesch_kincaid_grade,
    generation_quality,
    has_keyword,
    non_word_rate,
    stray_markup,
    zipf_fit,
)

from .judge import CRITERIA, Judge, judged
from .writing import Prompt, Writing, write

NAME = "Brandon"  # that an answer to the identity task has to give


@dataclass(frozen=True)
class Decoding:
    """How tokens are chosen; every value is told to `generate`, whatever the model's own settings are."""

    max_new_tokens: int
    do_sample: bool = True
    temperature: float = 1.0
    top_k: int = 0  # 0: all
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    no_repeat_ngram_size: int = 0

    def options(self) -> dict[str, Any]:
        """The options of `generate`; those of sampling only where it samples."""
        of_sampling = () if self.do_sample else ("temperature", "top_k", "top_p")
        return {name: value for name, value in asdict(self).items() if name not in of_sampling}


@dataclass(frozen=True)
class Protocol:
    """The tasks of `prompts/<name>.yaml` and how each is decoded."""

    decoding: dict[str, Decoding]
    openings_as_chats: bool = False  # a text to be continued is put as the user's message
    timed: bool = False  # one prompt at a time, with its times


_SAMPLED: dict[str, Any] = {"temperature": 0.8, "top_k": 50}
_ORIGINAL: dict[str, Any] = {
    "temperature": 0.7,
    "top_k": 50,
    "top_p": 0.9,
    "repetition_penalty": 1.2,
    "no_repeat_ngram_size": 3,
}
_GREEDY = Decoding(64, do_sample=False)
_ANSWER = Decoding(150, **_ORIGINAL)
PROTOCOLS = {
    # As `benchmark_10m.py` decodes: blocked 3-grams and a penalty make loops all but impossible, whatever the model.
    "original": Protocol(
        {"free": Decoding(200, **_ORIGINAL), "instructions": _ANSWER, "identity": _ANSWER}, openings_as_chats=True
    ),
    "strict": Protocol({"free": Decoding(200, **_SAMPLED), "instructions": _GREEDY, "identity": _GREEDY}),
    "deycoding": Protocol({"stories": Decoding(256, **_SAMPLED)}, timed=True),
}


@dataclass(frozen=True)
class Row:
    """A prompt of a protocol."""

    id: str
    category: str
    prompt: str
    chat: bool
    keywords: tuple[str, ...] = ()
    check: tuple[Mapping[str, Any], ...] = ()


def run_protocol(
    name: str,
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    *,
    tasks: Sequence[str] | None = None,
    limit: int | None = None,
    batch_size: int = 25,
    seed: int = 0,
    judge: Judge | None = None,
) -> tuple[dict[str, dict[str, float]], list[dict[str, Any]]]:
    """Let a model write to the prompts of a protocol and count.

    Args:
        tasks: some of the protocol's (`PROTOCOLS[name].decoding`), by default all. None depends on another.
        limit: prompts of each task, evenly spread over its file.
        batch_size: prompts at a time; `deycoding` takes one at a time whatever it says.
        judge: also asked about each free text and story; adds judge_grammar, judge_creativity, judge_consistency.

    Returns:
        {task: {metric: mean}} and a line for each text. A metric that no text defines is left out.

    Raises:
        ValueError: there is no such protocol or task, `limit` or `batch_size` is below 1.
    """
    _check(name, limit, batch_size)
    protocol, prompts_of = PROTOCOLS[name], read_prompts(name)
    wanted = list(protocol.decoding) if tasks is None else list(tasks)
    if unknown := [task for task in wanted if task not in protocol.decoding]:
        raise ValueError(f"protocol {name} has no task {unknown[0]!r}; it has {', '.join(protocol.decoding)}")
    results: dict[str, dict[str, float]] = {}
    outcomes: list[dict[str, Any]] = []
    for task in wanted:
        rows = _spread(prompts_of[task], limit)
        prompts: list[Prompt] = [
            [{"role": "user", "content": row.prompt}]
            if row.chat or (protocol.openings_as_chats and tokenizer.chat_template)
            else row.prompt
            for row in rows
        ]
        options = protocol.decoding[task].options()
        if protocol.timed:
            write(model, tokenizer, prompts[:1], **options | {"max_new_tokens": 4}, truncate=True, title="warming up")
        set_seed(seed)
        written = write(
            model,
            tokenizer,
            prompts,
            batch_size=1 if protocol.timed else batch_size,
            truncate=True,
            log_probabilities=True,
            title=f"{name}: {task}",
            **options,
        )
        lines = [_FIGURES[task](row, one) for row, one in zip(rows, written, strict=True)]
        if judge is not None and task in ("free", "stories"):
            pairs = [(row.prompt, one.text) for row, one in zip(rows, written, strict=True)]
            for line, scores in zip(lines, judged(judge, pairs), strict=True):
                line |= {f"judge_{criterion}": scores[criterion] for criterion in CRITERIA}
        results[task] = _summary(lines, rows, written, task)
        outcomes += [_outcome(task, row, one, line) for row, one, line in zip(rows, written, lines, strict=True)]
    return results, outcomes


def protocol_settings(
    name: str,
    tokenizer: PreTrainedTokenizerBase,
    *,
    limit: int | None = None,
    batch_size: int = 25,
    seed: int = 0,
) -> dict[str, Any]:
    """What `run_protocol` does with these arguments, for the results: decoding by task, prompts, chat template.

    Raises:
        ValueError: there is no such protocol, `limit` or `batch_size` is below 1.
    """
    _check(name, limit, batch_size)
    protocol = PROTOCOLS[name]
    return {
        "limit": limit,
        "batch_size": 1 if protocol.timed else batch_size,
        "seed": seed,
        "prompts_sha256": prompts_sha256(name),
        "chat_template": "own" if tokenizer.chat_template else "none",
        "openings_as_chats": protocol.openings_as_chats,
        "identity": NAME,
        "non_words": "letter patterns",
        "decoding": {task: decoding.options() for task, decoding in protocol.decoding.items()},
    }


def read_prompts(name: str) -> dict[str, list[Row]]:
    """The prompts of a protocol by task; `identity` asks again those of `instructions` that are about the name.

    Raises:
        ValueError: there is no such protocol, or a row's check is none.
    """
    _check(name)
    tasks: dict[str, list[Row]] = {}
    for task, rows in yaml.safe_load(_prompt_bytes(name)).items():
        tasks[task] = []
        for row in rows:
            check = row.get("check", [])
            check = [check] if isinstance(check, Mapping) else check
            if check:
                check_checks(check)
            chat = row.get("chat", task == "instructions")
            keywords = tuple(map(str, row.get("keywords", ())))
            tasks[task].append(Row(str(row["id"]), row["category"], row["prompt"], chat, keywords, tuple(check)))
    if "identity" in PROTOCOLS[name].decoding:
        tasks["identity"] = [row for row in tasks["instructions"] if row.category == "identity"]
    return tasks


def prompts_sha256(name: str) -> str:
    """The checksum of a protocol's prompt file."""
    return hashlib.sha256(_prompt_bytes(name)).hexdigest()


def _free_figures(row: Row, one: Writing) -> dict[str, Any]:
    text = one.text
    loops, markup = len(sequence_loops(text)), stray_markup(one.raw)
    return {
        "sequence_loops": float(loops > 0),
        "sequence_loops_original": float(original_loop(text)),
        "ngram_repetition": ngram_repetition(text, 3),
        "distinct_1": distinct_n(text, 1),
        "distinct_2": distinct_n(text, 2),
        "repetition_rate": repetition_rate(text, 10),
        "coherence_length": coherence_length(text, 3),
        "vocabulary_diversity": vocabulary_diversity(text),
        "flesch_kincaid_grade": flesch_kincaid_grade(text),
        "self_perplexity": self_perplexity(one.log_probabilities),
        "mean_token_probability": mean_token_probability(one.log_probabilities),
        "tokens_generated": len(one.ids),
        "generation_quality": generation_quality(text, row.prompt),
        "non_word_rate": non_word_rate(one.raw),
        "stray_markup_rate": float(bool(markup)),
        "stop_rate": float(one.stopped),
        "strict": float(one.stopped and not loops and not markup and (not row.check or follows(text, row.check))),
    }


def _answer_figures(row: Row, one: Writing) -> dict[str, Any]:
    return {
        "keyword": float(has_keyword(one.text, row.keywords)),
        "strict": float(follows(one.text, row.check)),
        "generation_quality": generation_quality(one.text, row.prompt, row.keywords),
        "sequence_loops": float(bool(sequence_loops(one.text))),
        "tokens_generated": len(one.ids),
        "stop_rate": float(one.stopped),
    }


def _name_figures(row: Row, one: Writing) -> dict[str, Any]:
    return {"acc": float(says_name(one.text, NAME))}


def _story_figures(row: Row, one: Writing) -> dict[str, Any]:
    """The nine metrics of the deycoding benchmark, over token ids; and whether the story ended."""
    return {
        "time_to_first_token_ms": 1000 * one.first_token_seconds,
        "tokens_per_second": len(one.ids) / one.seconds,
        "latency_ms": 1000 * one.seconds,
        "tokens_generated": len(one.ids),
        "self_perplexity": self_perplexity(one.log_probabilities),
        "mean_token_probability": mean_token_probability(one.log_probabilities),
        "repetition_rate": repetition_rate(one.ids, 10),
        "coherence_length": coherence_length(one.ids, 3),
        "vocabulary_diversity": vocabulary_diversity(one.ids),
        "stop_rate": float(one.stopped),
        "flesch_kincaid_grade": flesch_kincaid_grade(one.text),
    }


_FIGURES: dict[str, Callable[[Row, Writing], dict[str, Any]]] = {
    "free": _free_figures,
    "instructions": _answer_figures,
    "identity": _name_figures,
    "stories": _story_figures,
}


def _summary(
    lines: Sequence[Mapping[str, Any]], rows: Sequence[Row], written: Sequence[Writing], task: str
) -> dict[str, float]:
    """Means over the texts that define a metric, and what only a whole set has."""
    found: dict[str, float] = {"n": len(lines)}
    for metric in lines[0]:
        values = [line[metric] for line in lines if line[metric] is not None]
        if values:
            found[metric] = sum(values) / len(values)
    if task == "instructions":
        passed: Counter[str] = Counter()
        for row, line in zip(rows, lines, strict=True):
            passed[row.category] += line["strict"]
        asked = Counter(row.category for row in rows)
        found |= {f"strict_{category}": passed[category] / asked[category] for category in asked}
    elif task != "identity":
        fit = zipf_fit([one.text for one in written])
        if fit.exponent is not None and fit.r2 is not None:
            found |= {"zipf_exponent": fit.exponent, "zipf_r2": fit.r2}
    found["max_new_tokens"] = min(one.room for one in written)
    if truncated := sum(one.truncated for one in written):
        found["truncated"] = truncated
    return found


def _outcome(task: str, row: Row, one: Writing, line: Mapping[str, Any]) -> dict[str, Any]:
    known = {metric: value for metric, value in line.items() if value is not None}
    text = {"prompt": row.prompt, "text": one.text} | ({"raw": one.raw} if one.raw != one.text else {})
    described = {"task": task, "id": row.id, "category": row.category, **text}
    return {**described, "stopped": one.stopped, "tokens": len(one.ids), **known}


def _spread(rows: list[Row], limit: int | None) -> list[Row]:
    if limit is None or limit >= len(rows):
        return rows
    return [rows[at * len(rows) // limit] for at in range(limit)]


def _prompt_bytes(name: str) -> bytes:
    return (files("brandon_hf.evaluation") / "prompts" / f"{name}.yaml").read_bytes()


def _check(name: str, limit: int | None = None, batch_size: int = 1) -> None:
    if name not in PROTOCOLS:
        raise ValueError(f"there is no generation protocol {name!r}; there are {', '.join(PROTOCOLS)}")
    if limit is not None and limit < 1:
        raise ValueError(f"limit={limit} must be at least 1 prompt")
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size} must be at least 1 prompt")
