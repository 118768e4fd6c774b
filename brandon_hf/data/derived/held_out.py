"""Requests that must not be in training data: the prompts that models are measured with, and what asks the same."""

import re
from collections.abc import Iterable

_NUMBERS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
)
_NUMBER = {word: str(number) for number, word in enumerate(f"{_NUMBERS} eighteen nineteen twenty".split())}
_SAME = _NUMBER | {"plus": "+", "add": "+", "added": "+", "sum": "+", "minus": "-", "subtract": "-", "subtracted": "-"}
_SAME |= {
    "times": "*",
    "multiply": "*",
    "multiplied": "*",
    "x": "*",
    "\u00d7": "*",
    "color": "colour",
    "colors": "colour",
    "city": "",
}
_SAME |= {"small": "little", "tiny": "little", "children": "child"}
_FUNCTION = frozenset(
    re.findall(
        r"[\w\']+",
        "a an the of to in on at for with from by about into is are was were be been am do does did has have "
        "had can could would will shall should may might must please me my mine i you your yours it its this "
        "that these those and or not no yes but so if as than then there here what which who whom whose how "
        "why when where we us our one's they them their he she his her answer say tell give write list name "
        "word reply respond just only hello hi hey thanks thank brandon question quick want like know exactly "
        "most least",
    )
)
_RUN = 8  # words


class HeldOut:
    """Recognises the `prompts`: the same words, the same words among few others, or most of the words that carry them.

    Two requests ask the same if their words that are not function words are the same, or if those of one hold those of
    the other: "What is the capital city of Chile?" and "Tell me the capital of Chile". Numbers and the names of
    operations count as digits and signs. It errs on the side of holding out.
    """

    def __init__(self, prompts: Iterable[str]) -> None:
        self._texts = {_normal(prompt) for prompt in prompts} - {""}
        self._contents = {content for text in self._texts if (content := _content(text))}
        self._runs = {run for text in self._texts for run in runs(text)}
        self._long = [f" {text} " for text in self._texts if len(text.split()) > 3]

    def __contains__(self, request: str) -> bool:
        text = _normal(request)
        if text in self._texts or not self._runs.isdisjoint(runs(text)):
            return True
        padded = f" {text} "
        if any(long in padded for long in self._long):
            return True
        mine = _content(text)
        return bool(mine) and any(_same(mine, theirs) for theirs in self._contents)


def runs(text: str, length: int = _RUN) -> set[tuple[str, ...]]:
    """All runs of `length` words of a text in lower case without marks."""
    words = _normal(text).split()
    return {tuple(words[at : at + length]) for at in range(len(words) - length + 1)}


def _normal(text: str) -> str:
    return " ".join(
        re.findall(
            r"\w+|[+*\u00d7/]|(?<=\d )-(?= ?\d)|(?<=\d)-(?=\d)", text.lower().replace("\u2019", "'").replace("'", "")
        )
    )


def _content(text: str) -> frozenset[str]:
    words = (_SAME.get(word, word) for word in text.split())
    return frozenset(
        word.removesuffix("s") if len(word) > 3 else word for word in words if word and word not in _FUNCTION
    )


def _same(mine: frozenset[str], theirs: frozenset[str]) -> bool:
    if mine == theirs:
        return True
    if len(theirs) > 1 and theirs < mine:
        return len(mine) <= len(theirs) + 3
    return len(mine) > 1 and mine < theirs and 2 * len(mine) >= len(theirs)
