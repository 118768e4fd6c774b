"""Chats made from plain text that a user has, and from word lists and short texts of this package.

A dictionary gives definitions, textbooks give explanations and summaries, picture books give stories and sentences to
rewrite. Lists, sums, questions about words, facts, formats, descriptions, small talk and what Brandon says about itself
come from tables here. Everything is in many wordings, short and in simple words, for models of few parameters.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from . import (
    building,
    conversation,
    copying,
    dictionary,
    facts,
    formats,
    lists,
    numbers,
    open_requests,
    primer,
    reading,
    rewriting,
    stories,
    summaries,
    tales,
    textbooks,
    words,
)
from .building import DEFAULT_ROWS, Kind, KindReport, check_output, write_manifest, write_rows
from .held_out import HeldOut, every_prompt

_STORYBOOKS = "CC BY 4.0 (African Storybook, Pratham Books: stories marked CC-BY)"
KINDS: tuple[Kind, ...] = (
    Kind(
        "definitions",
        "what words mean, examples, synonyms",
        9,
        dictionary.definitions,
        (dictionary.SOURCE,),
        "CC BY-SA 4.0 (Wordset)",
    ),
    Kind(
        "explanations",
        "what things of the sciences are",
        7,
        textbooks.explanations,
        (textbooks.SOURCE,),
        "CC BY 3.0 / 4.0 (OpenStax)",
    ),
    Kind(
        "stories",
        "stories, their beginnings, continuations, titles",
        9,
        stories.stories,
        (stories.SOURCE,),
        _STORYBOOKS,
    ),
    Kind("tales", "little stories about what was asked for", 7, tales.tales),
    Kind(
        "rewriting",
        "case, spelling, grammar, order, joining, splitting",
        14,
        rewriting.rewriting,
        rewriting.SOURCES,
        f"{_STORYBOOKS}; CC BY-SA 4.0 (WikiSplit)",
    ),
    Kind(
        "summaries",
        "what a little story, a report or a paragraph says, in a sentence",
        6,
        summaries.summaries,
        (textbooks.SOURCE,),
        "CC BY 3.0 / 4.0 (OpenStax); plots: Apache-2.0 (this package)",
    ),
    Kind("lists", "so many things of a kind, in a form", 12, lists.lists),
    Kind("numbers", "small sums, counting, sorting, comparing", 12, numbers.numbers),
    Kind("words", "letters, spelling, opposites, plurals, copying", 12, words.words),
    Kind("copying", "copying, rearranging and looking up in a list at hand", 12, copying.copying),
    Kind("facts", "short facts, yes or no, one word", 9, facts.facts),
    Kind("formats", "so many sentences or words, JSON, capitals, beginnings", 9, formats.formats),
    Kind("reading", "questions about two or three sentences", 6, reading.reading),
    Kind("open", "descriptions, reasons, instructions, advice, letters, poems", 9, open_requests.open_requests),
    Kind("identity", "who Brandon is and what it can do", 4, conversation.identity),
    Kind("conversation", "small talk, several turns, what cannot be known", 6, conversation.conversation),
)


def derived_chats(
    folder: str | Path | None,
    kinds: Iterable[str] | None = None,
    seed: int = 0,
    *,
    held_out: Iterable[str],
    rows: int = DEFAULT_ROWS,
    report: dict[str, KindReport] | None = None,
) -> Iterator[dict[str, Any]]:
    """Chats of all `kinds` in random order, the same for the same seed: {"messages": [...], "kind": name}.

    Args:
        folder: with the files of text that the kinds need (`Kind.sources`), in any form that `readers` reads; None if
            no kind needs any. Only these files are read, from begin to end, once for each kind.
        kinds: names of `KINDS`; None is all.
        seed: of everything random.
        held_out: the prompts that models are measured with. Requests that ask the same are left out (`HeldOut`).
        rows: how many; each kind has its share of them, and fewer if it runs out of different chats.
        report: receives what became of each kind.

    Raises:
        ValueError: a kind that does not exist, rows below 1, a source without usable text.
        OSError: a file that a kind needs is missing or cannot be read.
    """
    return building.derive(building.chosen(KINDS, kinds), folder, seed, held_out, rows, report)


__all__ = [
    "DEFAULT_ROWS",
    "KINDS",
    "HeldOut",
    "Kind",
    "KindReport",
    "check_output",
    "derived_chats",
    "every_prompt",
    "primer",
    "write_manifest",
    "write_rows",
]
