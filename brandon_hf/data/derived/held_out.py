"""Requests that must not be in training data: the prompts that models are measured with, and what asks the same."""

import re
from collections.abc import Iterable
from importlib.resources import files

import yaml

from .meaning import NUMBER, asked_of, normal

_SAME = NUMBER | {"plus": "+", "add": "+", "added": "+", "sum": "+", "minus": "-", "subtract": "-", "subtracted": "-"}
_SAME |= {"times": "*", "multiply": "*", "multiplied": "*", "x": "*", "\u00d7": "*"}
_SAME |= {"color": "colour", "colors": "colour", "used": "use", "using": "use", "children": "child"}
_SAME |= {"small": "little", "tiny": "little", "big": "large", "biggest": "largest", "ocean": "sea"}
_SAME |= dict.fromkeys(("smaller", "larger", "bigger", "greater", "less"), "size")
_FUNCTION = frozenset(
    re.findall(
        r"[\w\']+",
        "a an the of to in on at for with from by about into is are was were be been am do does did has have "
        "had can could would will shall should may might must please me my mine i you your yours it its this "
        "that these those and or not no yes but so if as than then there here what which who whom whose how "
        "when where we us our one's they them their he she his her answer say tell give write list name "
        "word reply respond just only hello hi hey thanks thank brandon question quick want like know exactly "
        "most least something during give gives get gets",
    )
)
_MANNER = re.compile(  # how to answer, not what is asked
    r"\b(?:(?:answer|reply|respond|write|the answer|answers|use|say) )*(?:(?:only|just) )?"
    r"(?:(?:in|with|without|use) )?"
    r"(?:(?:only|just|the|a|an|one|single|full|complete|whole|no) )*"
    r"(?:(?:capital|small) letters|upper case|lower case|capitals|yes or no|one word|single word|"
    r"(?:full|complete|whole|one) sentence)(?: only| please)?\b"
    r"|\b(?:(?:begin|start|end|finish)(?: your answer)? with (?:the word )?\w+)\b"
    r"|\b(?:describe|explain|introduce|to a child|in simple words|in a few sentences|briefly|short|tell me)\b"
)
_RUN = 8  # words


class HeldOut:
    """Recognises what the `prompts` ask: the same meaning, the same words, or most of the words that carry them.

    What a request means is read by `meaning.asked_of`, and chats of this package say it themselves: "Add 9 and 8." and
    "What do 9 and 8 make together?" have the key "sum 8 9". Beside it, two requests ask the same if their words that
    are not function words are the same, or if those of one hold those of the other: "Why do fish live in water?" and
    "Why is it that fish live in the water". It errs on the side of holding out.
    """

    def __init__(self, prompts: Iterable[str]) -> None:
        asked = [prompt for prompt in prompts if normal(prompt)]
        self.keys = frozenset(found for prompt in asked for found in asked_of(prompt))
        self._texts = {normal(prompt) for prompt in asked}
        self._contents = {content for text in self._texts if (content := _content(text))}
        self._cores = {core for text in self._texts if (core := _core(text)) and (len(core) > 1 or not asked_of(text))}
        self._runs = {run for text in self._texts for run in runs(text)}
        self._long = [f" {text} " for text in self._texts if len(text.split()) > 3]

    def __contains__(self, request: str) -> bool:
        text = normal(request)
        if text in self._texts or not self._runs.isdisjoint(runs(text)) or not self.keys.isdisjoint(asked_of(request)):
            return True
        if self.within(request):
            return True
        mine, core = _content(text), _core(text)
        return any(_same(mine, theirs) for theirs in self._contents) or any(_same(core, one) for one in self._cores)

    def within(self, text: str) -> bool:
        """Whether a text, such as an answer, holds a prompt of four words or more."""
        padded = f" {normal(text)} "
        return any(long in padded for long in self._long)


def every_prompt() -> list[str]:
    """The prompts of all protocols of `brandon eval`, which nobody should train on."""
    folder = files("brandon_hf") / "evaluation/prompts"
    protocols = [yaml.safe_load(file.read_text("utf-8")) for file in folder.iterdir() if file.name.endswith(".yaml")]
    return sorted(row["prompt"] for tasks in protocols for rows in tasks.values() for row in rows)


def runs(text: str, length: int = _RUN) -> set[tuple[str, ...]]:
    """All runs of `length` words of a text in lower case without marks."""
    words = normal(text).split()
    return {tuple(words[at : at + length]) for at in range(len(words) - length + 1)}


def _content(text: str) -> frozenset[str]:
    words = (_SAME.get(word, word) for word in text.replace("capital city", "capital").split())
    return frozenset(_stem(word) for word in words if word not in _FUNCTION)


def _core(text: str) -> frozenset[str]:
    """The words that carry what is asked, without those that say how to answer."""
    return _content(_MANNER.sub(" ", text))


def _stem(word: str) -> str:
    if len(word) > 3:
        word = word[:-3] + "y" if word.endswith("ies") else word.removesuffix("s")
    for ending in ("ing", "ed"):
        if len(word) > len(ending) + 3 and word.endswith(ending):
            word = word.removesuffix(ending)
            return word[:-1] if word[-1] == word[-2] and word[-1] not in "ls" else word
    return word.removesuffix("e") if len(word) > 3 else word


def _same(mine: frozenset[str], theirs: frozenset[str]) -> bool:
    if not mine:
        return False
    if mine == theirs:
        return True
    if len(theirs) > 1 and theirs < mine:
        return len(mine) <= len(theirs) + 3
    if len(mine) > 1 and mine < theirs and 2 * len(mine) >= len(theirs):
        return not any(word.isdigit() for word in theirs - mine)  # "days of a week" and "two days of a week"
    return False
