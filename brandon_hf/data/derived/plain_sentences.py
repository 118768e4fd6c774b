"""Sentences of a story or an article that stand by themselves: whole, short, without speech and other marks."""

import re
from collections.abc import Iterator

from brandon_hf.data.sources import STRAIGHT_QUOTES

_END = re.compile(r"(?<!\bMr\.)(?<!\bMrs\.)(?<!\bDr\.)(?<!\bSt\.)(?:(?<=[.!?])|(?<=[.!?][\"']))\s+(?=[A-Z\"'])")
_SPEAKER = re.compile(r"[A-Z][\w']*(?: \w+)? (?:said|asked|cried|called|shouted|answered|replied|whispered|yelled)\b")
_PLAIN = re.compile(r"[A-Z][A-Za-z]*(?:[ ,-]+(?:[A-Za-z]+(?:['\u2019][a-z]+)?|\d{1,4}))+[.!?]")
_NOT_ALONE = re.compile(
    r"(?:this|that|these|those|such|and|but|so|or|because|then|also|another|however|soon after|both|others?|there)\b",
    re.IGNORECASE,
)


def normalised(text: str) -> str:
    """`text` with straight quotation marks, plain dashes and single spaces; line breaks stay."""
    text = text.translate(STRAIGHT_QUOTES)
    for mark, plain in (
        ("\u2014", " - "),
        ("\u2013", "-"),
        ("\u2026", "..."),
        ("\u00a0", " "),
    ):
        text = text.replace(mark, plain)
    return re.sub(r"[ \t]+", " ", text)


def split_sentences(text: str) -> list[str]:
    """The sentences of one `normalised` paragraph, with the quotation marks at their ends and who speaks after them."""
    found: list[str] = []
    for sentence in filter(None, map(str.strip, _END.split(text.strip()))):
        if found and found[-1].endswith('"') and _SPEAKER.match(sentence):
            found[-1] += f" {sentence}"
        else:
            found.append(sentence)
    return found


def plain_sentences(texts: Iterator[str], least: int = 4, most: int = 13) -> Iterator[str]:
    """Sentences of `least` to `most` words that need nothing before them and hold nothing but words and commas."""
    for text in texts:
        for paragraph in normalised(text).split("\n"):
            for sentence in split_sentences(paragraph):
                if least <= len(sentence.split()) <= most and stands_alone(sentence):
                    yield sentence


def stands_alone(sentence: str) -> bool:
    """Whether a sentence needs nothing before it and holds nothing but words and commas."""
    return (
        _PLAIN.fullmatch(sentence) is not None
        and not _NOT_ALONE.match(sentence)
        and not re.search(r"\b[A-Z]{2,}\b|\w (?:Who|What|When|Where|The|An?|He|She|It|Now)\b", sentence)
    )
