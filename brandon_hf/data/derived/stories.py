"""Stories from picture books: told on request, begun, continued, given a title."""

import random
import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from .building import Texts
from .meaning import head
from .plain_sentences import normalised, split_sentences
from .wording import Chat, ask, ask_about, key, turn, with_article

SOURCE = "storybooks_ccby"

_ABOUT = (
    "Write a [short |little |]story about {x}.",
    "Tell me a [short |little |]story about {x}.",
    "Can you tell me a story about {x}?",
    "I want to hear a story about {x}.",
    "Make up a story about {x}.",
    "Write a few sentences of a story about {x}.",
    "Invent a story about {x}.",
    "Do you know a story about {x}?",
    "Tell a story with {x} in it.",
)
_CALLED = (
    'Write a [short |]story called "{x}".',
    'Tell me the story "{x}".',
    'Write a story with the title "{x}".',
    'Make up a story. Its title is "{x}".',
    'I have a title for a story: "{x}". Write the story.',
)
_ANY = (
    "Tell me a story.",
    "Write a short story.",
    "Tell me a little story, please.",
    "I want to hear a story.",
    "Can you tell me a story?",
    "Do you know a story?",
    "Make up a story for me.",
)
_BEGIN = (
    'Write the beginning of a story called "{x}".',
    'How could a story called "{x}" begin?',
    'Begin a story with the title "{x}".',
    'Write the first sentences of the story "{x}".',
)
_CONTINUE = (
    "Continue this story",
    "How does this story go on",
    "Go on with this story",
    "What happens next",
    "Continue the story with a few sentences",
    "Write what happens next in this story",
    "Finish this part of the story",
)
_TITLE = (
    "Give this story a title",
    "What is a good title for this story",
    "Find a title for this story",
    "What could this story be called",
    "Write a title for this text",
)
_HEROES = re.findall(
    r"\w+",
    "dog cat cow hen goat rabbit lion monkey elephant bird frog crocodile snake hyena tortoise mouse "
    "donkey bear fox tiger ant spider butterfly fish crow duck owl parrot squirrel giraffe zebra hippo "
    "camel sheep pig girl boy farmer king queen teacher doctor grandmother tree river mango moon kite "
    "balloon hat train bicycle ball cake boat well bus seed flower market",
)
_UNFIT = re.compile(
    r"\b(?:pregnan\w*|sex\w*|hiv|aids|condom\w*|rape\w*|kill\w*|murder\w*|blood\w*|beat\w*|drunk\w*|beer|corpse|virus|covid\w*|corona\w*|www|http\w*|credit|illustrat\w*|author)\b",
    re.IGNORECASE,
)
_LEAST, _MOST = 35, 140  # words of a whole story


_CARELESS = re.compile(
    r"[a-z][.!?,][\"']?[A-Z]|(?<!\.)\.\.(?!\.)|\.{4}|\.\.\. ?\.|[!?,]{2}| [.,!?]|[\[\]<>*_#|{}()&;\\]|\d{4,}|\d,\d"
    r"|[!?][\"'],|'\"|\"'|- ?[\"']|\w- |(?:^|\n)[a-z]|[.!?][\"']? +[a-z]\w* \w+ \w+ [A-Z]|\b[A-Z]{2,}\b|\b(\w{2,}) \1\b"
    r"|[a-z] (?:And|But|The|He|She|They|It|So|We|In|On)\b|\b(?:did'nt|grand father|grand mother|i|an woodcutter)\b"
)


class Story(NamedTuple):
    """A title and the sentences under it."""

    title: str
    sentences: list[str]

    @property
    def length(self) -> int:
        return sum(len(sentence.split()) for sentence in self.sentences)


def stories(texts: Texts, rng: random.Random) -> Iterator[Chat]:
    """Each picture book as one to six chats; whole stories only if they are short."""
    found: list[Story] = []
    used: Counter[str] = Counter()  # in how many texts a word stands
    for text in texts(SOURCE):
        used.update(dict.fromkeys(re.findall(r"\b[a-z]+\b", normalised(text)), 1))
        if story := _read(text):
            found.append(story)
    made: list[Chat] = []
    for story in found:
        written = re.findall(r"\b[a-z]+\b", " ".join(story.sentences))
        if sum(used[word] > 1 for word in written) >= 0.97 * len(written):  # the others are odd or misspelled
            made += (chat for chat in _of_story(rng, story) if not _repeats(chat[1]["content"]))
    rng.shuffle(made)
    yield from made


def _read(text: str) -> Story | None:
    """The story in a text whose first line is its title; None for rhymes, for what is no story and for unfit ones."""
    title, _, body = normalised(text).partition("\n")
    title = title.strip().rstrip(".")
    paragraphs = [line.strip() for line in body.split("\n") if line.strip()]
    if not 1 <= len(title.split()) <= 7 or not title[0].isupper() or len(paragraphs) < 3 or _UNFIT.search(text):
        return None
    if title.isupper():
        title = title.capitalize()
    sentences = [sentence for line in paragraphs for sentence in split_sentences(line)]
    whole = all(re.search(r"[.!?:,][\"']?$", line) for line in paragraphs)
    plain = body.translate({ord(mark): None for mark in "\u2022\u00e9"}).isascii()
    if not whole or not plain or _CARELESS.search(body) or body.count('"') % 2 or len(sentences) < 4:
        return None
    return Story(title, sentences)


def _of_story(rng: random.Random, story: Story) -> Iterator[Chat]:
    told = " ".join(story.sentences)
    hero = _hero(told)
    if _LEAST <= story.length <= _MOST:
        yield turn(ask(rng, _CALLED, x=story.title), told)
        if _stands(story.sentences[0]):
            if hero:
                yield turn(ask(rng, _ABOUT, x=with_article(hero)), told, key("story", head(hero)))
            else:
                yield turn(ask(rng, _ANY), told)
    opening = _cut(story.sentences, 75)
    if len(opening) >= 3:
        yield turn(ask(rng, _BEGIN, x=story.title), " ".join(opening))
        named = set(re.findall(r"[a-z]{4,}", story.title.lower()))
        if named.intersection(re.findall(r"[a-z]{4,}", " ".join(opening).lower())):
            yield turn(ask_about(rng, _TITLE, " ".join(opening)), story.title)
    for start in range(0, len(story.sentences) - 5, 6):
        given = _cut(story.sentences[start:], rng.randint(15, 40))
        following = _cut(story.sentences[start + len(given) :], 60)
        if given and len(following) >= 2 and len(" ".join(given).split()) >= 8 and _begins(story.sentences, start):
            yield turn(ask_about(rng, _CONTINUE, " ".join(given)), " ".join(following))


def _repeats(told: str) -> bool:
    """Whether a text says a sentence of four words or more twice."""
    counts = Counter(sentence for sentence in split_sentences(told) if len(sentence.split()) > 3)
    return any(count > 1 for count in counts.values())


def _cut(sentences: list[str], most: int) -> list[str]:
    """As many first sentences as have at most `most` words together, without an open quotation at the end."""
    kept: list[str] = []
    count = 0
    for sentence in sentences:
        count += len(sentence.split())
        if count > most:
            break
        kept.append(sentence)
    while kept and " ".join(kept).count('"') % 2:
        kept.pop()
    return kept


def _begins(sentences: list[str], start: int) -> bool:
    """Whether a piece can begin with this sentence: outside a quotation, with somebody or something that is named."""
    return start == 0 or (" ".join(sentences[:start]).count('"') % 2 == 0 and _stands(sentences[start]))


def _stands(sentence: str) -> bool:
    return '"' not in sentence and not re.match(
        r"(?:and|but|so|then|he|she|it|they|this|that|his|her|their)\b", sentence, re.IGNORECASE
    )


def _hero(told: str) -> str | None:
    """The animal, person or thing that is named most often, at least three times."""
    counts = Counter(
        word.removesuffix("s") if word.removesuffix("s") in _HEROES else word
        for word in re.findall(r"[a-z]+", told.lower())
    )
    best = max(_HEROES, key=lambda word: counts[word])
    return best if counts[best] >= 3 else None
