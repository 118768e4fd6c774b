"""Chats from a dictionary of lines `word (part of speech): definition. Example: ... Similar words: a, b.`"""

import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from .building import Texts
from .wording import Chat, ask, capital, turn, with_article, words_of

SOURCE = "wordset_dictionary"

_ENTRY = re.compile(r"^(.+?) \((\w+)\): (.*?)(?: Example: (.*?))?(?: Similar words: (.*?)\.)?$")
_RARE, _KNOWN, _COMMON = 4, 8, 24  # uses in definitions and examples from which a word counts as known, as common
_PARTS = ("noun", "verb", "adjective", "adverb")
_ODD = re.compile(
    r"[():;\[\]\"/]|\b(?:genus|species|family|trade name|especially|usually|sex\w*|genital\w*|whore|slut|negro|rape\w*|"
    r"penis|vagina|prostitut\w*|slang|offensive|kill\w*|murder\w*|jew\w*|homosexual\w*|ejaculat\w*|nazi|drunk\w*|"
    r"one's|etc|obscene|vulgar|black person|breast|intercourse|retard\w*|terror\w*|heroin|"
    r"cocaine|narcotic|drug|cripple\w*|lunatic|"
    r"savage|gyps\w*|or other|who is a|of or relating|relating to)\b",
    re.IGNORECASE,
)
_BEGINNINGS = {
    "noun": r"(?:an?|the|any|some|someone|something|a person|people) (?!or )",
    "verb": r"(?:to )?[a-z]+ ",
    "adjective": r"(?:having|full of|not|very|able|showing|feeling|easily|causing|lacking|without|made of|extremely|"
    r"marked by|free from|liking|filled|covered|being|likely|worthy|giving|more|so|not)\b",
    "adverb": r"(?:in an?|at|with|without|to) ",
}
_MEANING = (
    "What does [the word |]{w} mean?",
    'What does [the word |]"{w}" mean?',
    "What is the meaning of [the word |]{w}?",
    'What is the meaning of [the word |]"{w}"?',
    'Define [the word |]"{w}".',
    "Define [the word |]{w}[ in one sentence| for me|].",
    'Explain the word "{w}"[ in one sentence| to a child| in simple words|].',
    'Tell me what [the word |]"{w}" means.',
    'Do you know what "{w}" means?',
    'I do not know the word "{w}". What does it mean?',
    "Give [me |]a [short |simple |]definition of {w}.",
    "I [read|heard|saw] the word {w}[ today|]. What does it mean?",
    "{w}: what does that [word |]mean?",
)
_NOUN_MEANING = (
    "What is {a}?",
    "What is {a}?",
    "Can you tell me what {a} is?",
    "Explain what {a} is.",
    "In one sentence, what is {a}?",
)
_SUBJECT = re.compile(
    r"(?:The|An?|I|We|They|He|She|It|You|My|Our|Your|His|Her|Their|There|This|That|Do|Did|Is|Are|Can) "
)
_UNCOUNTED = re.compile(
    r"(?:tion|ity|ness|ism|ment|ance|ence|ics|logy|graphy|ing|ship|hood|ry|ure|th|sy|ene|ine|in|ide|ium|gen|oil|ol)$"
)
_ABSTRACT = (
    r"an? (?:feeling|game|state|condition|quality|lack|sense|kind of|form of|disease|strong|great|style|type|soft|hard)"
)
_EXAMPLE = (
    'Use [the word |]"{w}" in a sentence.',
    "Use [the word |]{w} in a[n example|] sentence.",
    'Write a sentence with [the word |]"{w}"[ in it|].',
    'Make a sentence [that has|with] the word "{w}".',
    'Give me an example sentence for [the word |]"{w}".',
    'How [do I|can I|do you] use the word "{w}" in a sentence?',
    'Write one sentence that [uses|contains] the word "{w}".',
)
_SIMILAR = (
    "What is [a synonym of|a synonym for|another word for] {w}?",
    'Give me [a synonym of|another word for|a word that means the same as] "{w}".',
    "Which word means [almost |about |]the same as {w}?",
    'Name a word [that is similar to|with the same meaning as] "{w}".',
    'Tell me another word for "{w}".',
    'Find a synonym [for|of] the word "{w}".',
)
_PART = (
    'What part of speech is [the word |]"{w}"?',
    'Which part of speech is the word "{w}"?',
    'Is "{w}" a noun, a verb or an adjective?',
    'Is the word "{w}" a noun, a verb, an adjective or an adverb?',
    'Tell me the part of speech of "{w}".',
    "What kind of word is {w}: a noun, a verb or an adjective?",
)
_WORD_FOR = (
    "Which word means this: {d}",
    "What is the word for {d}",
    "What do you call {d}",
    "What do we call {d}",
    "Give me the word for {d}",
    "Find the word that means {d}",
)


class Entry(NamedTuple):
    """One meaning of one word."""

    word: str
    part: str
    meaning: str
    example: str
    similar: tuple[str, ...]


def entries(texts: Iterator[str]) -> list[Entry]:
    """All entries of a dictionary; lines of another form are passed over."""
    found = []
    for text in texts:
        for line in text.split("\n"):
            if match := _ENTRY.match(line.strip()):
                word, part, meaning, example, similar = match.groups()
                others = tuple((similar or "").split(", ")) if similar else ()
                found.append(Entry(word, part, meaning.rstrip(". "), (example or "").strip(), others))
    return found


def definitions(texts: Texts, rng: random.Random) -> Iterator[Chat]:
    """What words mean, with examples, synonyms and parts of speech; about words and in words that are common."""
    found = list(dict.fromkeys(entries(texts(SOURCE))))
    used = Counter(word for entry in found for word in words_of(f"{entry.meaning} {entry.example}".lower()))
    known = {word for word, count in used.items() if count >= _KNOWN}
    senses: dict[str, list[Entry]] = defaultdict(list)
    for entry in found:
        senses[entry.word].append(entry)
    common = [entry for entry in found if entry.word.islower() and entry.word in known and entry.part in _PARTS]
    made = [
        *((_defined, entry) for entry in _clearest(found, senses, used)),
        *((_exemplified, entry) for entry in common if len(senses[entry.word]) < 4 and _good_example(entry, known)),
        *(
            (_similar, entry._replace(similar=others))
            for entry in common
            if (others := _good_similar(entry, senses, used))
        ),
        *((_part, entry) for entry in common if {sense.part for sense in senses[entry.word]} == {entry.part}),
    ]
    rng.shuffle(made)
    parts = 0
    for number, (make, entry) in enumerate(made, 1):
        if make is _part:  # many words have one, and one question is as good as another
            parts += 1
            if parts > 0.08 * number:
                continue
        yield from make(rng, entry)


def _clearest(found: list[Entry], senses: dict[str, list[Entry]], used: Counter[str]) -> Iterator[Entry]:
    """The first clear meaning of each word that is not too rare."""
    done: set[str] = set()
    for entry in found:
        word = entry.word
        fit = word not in done and word.islower() and used[word] >= _RARE and entry.part in _PARTS
        if fit and _clear(entry, senses[word], used):
            done.add(word)
            yield entry


def _clear(entry: Entry, senses: list[Entry], used: Counter[str]) -> bool:
    """A usual meaning of a word of few meanings, explained in 3 to 18 common words of which it is none."""
    words = words_of(entry.meaning.lower())
    return (
        (
            len(senses) == 1
            or (len(senses) < 4 and entry.example[:1].isupper())
            or (entry is senses[0] and len(senses) == 2)
        )
        and 3 <= len(words) <= 18
        and not _ODD.search(f"{entry.word} {entry.meaning}")
        and re.match(_BEGINNINGS[entry.part], entry.meaning) is not None
        and all(used[word] >= _COMMON for word in words)
        and entry.word[:5] not in {word[:5] for word in words}
        and not re.search(r"(?:ed|ing|est|[^s]s)$", entry.word)
        and len(entry.word) > 2
    )


def _defined(rng: random.Random, entry: Entry) -> Iterator[Chat]:
    word, meaning = entry.word, entry.meaning
    thing = (
        entry.part == "noun"
        and re.match(r"(?:an?|someone|a person|something) ", meaning)
        and not re.search(r"[^s]s$", word)
    )
    counted = bool(thing) and not _UNCOUNTED.search(word) and not re.match(_ABSTRACT, meaning)
    if counted:
        answers = [f"{with_article(word)} is {meaning}."]
    elif entry.part == "verb":
        meaning = meaning.removeprefix("to ")
        answers = [f"to {word} means to {meaning}.", f'"{word}" means to {meaning}.']
    else:
        answers = [f'"{word}" means {meaning}.', f'The word "{word}" means {meaning}.']
    asked = _NOUN_MEANING if counted and rng.random() < 0.5 else _MEANING
    answer = capital(rng.choice(answers))
    yield turn(ask(rng, asked, w=word, a=with_article(word)), answer)
    if thing and rng.random() < 0.4 and not re.match(r"something|any", meaning):
        request = ask(rng, _WORD_FOR, d=meaning)
        mark = "?" if re.match(r"(?:\w+, )?(?:what|which)", request.lower()) else "."
        yield turn(request.rstrip(".?") + mark, rng.choice((capital(word) + ".", word, f'The word is "{word}".')))


def _good_example(entry: Entry, known: set[str]) -> bool:
    """A whole sentence in known words, with the word in it."""
    text = entry.example
    words = words_of(text)
    return (
        4 <= len(words) <= 16
        and _SUBJECT.match(text) is not None
        and text.rstrip(".").count(".") == 0
        and not _ODD.search(text)
        and entry.word in [word.lower() for word in words]
        and all(word.lower() in known or word.istitle() for word in words)
    )


def _exemplified(rng: random.Random, entry: Entry) -> Iterator[Chat]:
    sentence = entry.example.rstrip()
    sentence = sentence.removesuffix(".") if sentence[-2:-1] in "?!" else sentence
    yield turn(ask(rng, _EXAMPLE, w=entry.word), sentence if sentence[-1] in ".?!" else sentence + ".")


def _good_similar(entry: Entry, senses: dict[str, list[Entry]], used: Counter[str]) -> tuple[str, ...]:
    """The common synonyms of a common word of few meanings, each of which names the other."""
    if len(senses[entry.word]) > 2 or used[entry.word] < _COMMON or _ODD.search(entry.word):
        return ()
    return tuple(
        other
        for other in entry.similar
        if used[other] >= _COMMON
        and other[:4] != entry.word[:4]
        and other[-6:] != entry.word[-6:]  # decreasing and increasing
        and len(senses.get(other, ())) <= 3
        and any(sense.part == entry.part and entry.word in sense.similar for sense in senses.get(other, ()))
    )


def _similar(rng: random.Random, entry: Entry) -> Iterator[Chat]:
    other = rng.choice(entry.similar)
    yield turn(
        ask(rng, _SIMILAR, w=entry.word),
        rng.choice((capital(other) + ".", other, f'Another word for {entry.word} is "{other}".')),
    )


def _part(rng: random.Random, entry: Entry) -> Iterator[Chat]:
    kind = with_article(entry.part)
    yield turn(
        ask(rng, _PART, w=entry.word),
        rng.choice((f'"{capital(entry.word)}" is {kind}.', f"It is {kind}.", capital(kind) + ".")),
    )
