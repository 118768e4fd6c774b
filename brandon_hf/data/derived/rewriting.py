"""Rewriting: letter case, marks, spelling, grammar, order, joining and splitting, questions and negatives."""

import itertools
import random
import re
from collections import Counter
from collections.abc import Container, Iterator, Sequence

from .building import Texts
from .grammar_tables import ALIKE, STATES, SUBJECTS, VERBS, WRONG
from .letters import POOL
from .plain_sentences import plain_sentences
from .word_lists import PAST, pairs
from .wording import Chat, ask, ask_about, capital, small, turn, words_of
from .words import ADJECTIVES, simple_sentence

SOURCES = ("storybooks_ccby", "wikisplit_sentences")

_UPPER = (
    "Write [this|this sentence|the following] in capital letters",
    "Change this to upper case",
    "Put this sentence into capital letters",
    "Make all letters capital",
    "Convert this to capitals",
    "Rewrite in upper case",
)
_LOWER = (
    "Write [this|this sentence|the following] in small letters",
    "Change this to lower case",
    "Put this into lower case",
    "Make all letters small",
    "Convert this to lower case",
)
_SPELLING = (
    "Correct the spelling",
    "Correct the spelling mistake",
    "Fix the spelling mistake[ in this sentence|]",
    "There is a spelling mistake here. Correct it",
    "Find and correct the mistake",
    "Write this sentence without the mistake",
    "Fix the typo",
    "Correct this sentence",
    "Rewrite this with the right spelling",
)
_MARKS = (
    "Add the missing [capital letter and full stop|capital letter and the full stop]",
    "Correct the capital letters and the punctuation",
    "Write this sentence correctly",
    "Fix the punctuation[ and capital letters|]",
    "Correct this sentence",
)
_GRAMMAR = (
    "Correct the grammar",
    "Correct the [grammar |]mistake",
    "Fix the grammar[ in this sentence|]",
    "Rewrite this sentence correctly",
    "What is the correct form of this sentence",
    "Correct this sentence",
    "Edit this sentence for grammar",
    "Fix this sentence",
)
_ORDER = (
    "Put these words in the right order[ to make a sentence|]",
    "Make a sentence from these words",
    "Unscramble this sentence",
    "Order these words to make a sentence",
    "Use these words to make a sentence",
)
_JOIN = (
    "Join these [two |]sentences",
    "Combine these [two |]sentences into one",
    "Make one sentence of these two",
    "Connect the two sentences[ with and|]",
    "Turn these two sentences into one",
    "Write this as one sentence",
)
_SPLIT = (
    "Split this sentence into two",
    "Make two sentences of this",
    "Break this sentence into two shorter ones",
    "Write this as two sentences",
    "Divide this long sentence into two short ones",
)
_QUESTION = (
    "Turn this [sentence |statement |]into a question",
    "Make this a question",
    "Write this as a question",
    "Change this statement to a question",
)
_NEGATIVE = (
    "Make this [sentence |]negative",
    "Say the opposite with not",
    "Write the negative of this sentence",
    "Add not to this sentence",
    "Turn this into a negative sentence",
)
_TENSE = (
    "Put this into the past tense",
    "Write this [sentence |]in the past",
    "Change this sentence to the past tense",
    "Rewrite this in the past tense",
)
_SWAP = (
    'Replace the word "{a}" with "{b}"',
    'Change "{a}" to "{b}"',
    'Write this with "{b}" [instead of|in place of] "{a}"',
    'Use "{b}" instead of "{a}"',
)
_REMOVE = (
    'Remove the word "{a}"',
    'Leave out the word "{a}"',
    'Write this without the word "{a}"',
    'Delete "{a}" from this sentence',
)


_WORD = r",? [A-Za-z0-9]+(?:['-][A-Za-z0-9]+)*"


def rewriting(texts: Texts, rng: random.Random) -> Iterator[Chat]:
    """What is to be done with sentences of stories, of an encyclopedia and of this package, without end."""
    sentences = sorted(set(plain_sentences(texts(SOURCES[0]))))
    known = {word for sentence in sentences for word in words_of(sentence.lower())}.union(POOL)
    rng.shuffle(sentences)
    used: Counter[str] = Counter()
    found: dict[tuple[str, str], None] = {}
    for text in texts(SOURCES[1]):
        used.update(words_of(text.lower()))
        found |= {pair: None for line in text.split("\n") if (pair := _joinable(line))}
    pairs_of_sentences = [
        pair for pair in found if all(used[word] > 1 for word in re.findall(r"\b[a-z]+\b", " ".join(pair)))
    ]
    rng.shuffle(pairs_of_sentences)
    if not sentences or not pairs_of_sentences:
        empty = SOURCES[0] if not sentences else SOURCES[1]
        raise ValueError(f"the kind 'rewriting' found no usable sentence in {empty}")
    known.update(used)
    drawn = itertools.cycle(sentences)
    drawn_pairs = itertools.cycle(pairs_of_sentences)

    def spelled(rng: random.Random, sentence: str) -> Chat | None:
        return _spelled(rng, sentence, known)

    of_sentence = (_cased, spelled, spelled, _marked, _ordered, _swapped, _removed)
    for number in itertools.count():
        draw = rng.random()
        if draw < 0.62:
            if chat := of_sentence[number % len(of_sentence)](rng, next(drawn)):
                yield chat
        elif draw < 0.78:
            yield rng.choice((_grammar, _grammar, _question, _tense))(rng)
        else:
            yield _joined(rng, next(drawn_pairs))


def misspelled(rng: random.Random, word: str, known: Container[str] = ()) -> str | None:
    """`word` with one typical mistake: two letters swapped, one left out, doubled or exchanged.

    None if only words come out that there are, which is what `known` says: quiet and quite, trail and trial.
    """
    for _ in range(20):
        at = rng.randrange(1, len(word) - 1)
        kind = rng.choice(("swap", "drop", "double", "vowel"))
        if kind == "swap":
            wrong = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        elif kind == "drop":
            wrong = word[:at] + word[at + 1 :]
        elif kind == "double":
            wrong = word[:at] + word[at] + word[at:]
        else:
            wrong = word[:at] + (rng.choice("aeiou") if word[at] in "aeiou" else word[at]) + word[at + 1 :]
        if wrong != word and wrong not in known:
            return wrong
    return None


def _with_word(rng: random.Random, sentence: str, least: int) -> re.Match[str] | None:
    """One of the words of small letters that stands in the sentence once."""
    found = [
        match
        for match in re.finditer(rf"\b[a-z]{{{least},}}\b(?!')", sentence)
        if len(re.findall(rf"\b{match[0]}\b", sentence, re.IGNORECASE)) == 1
    ]
    return rng.choice(found) if found else None


def _cased(rng: random.Random, sentence: str) -> Chat:
    if rng.random() < 0.5:
        return turn(ask_about(rng, _UPPER, sentence), sentence.upper())
    given = sentence.upper() if rng.random() < 0.5 else sentence
    return turn(ask_about(rng, _LOWER, given), sentence.lower())


def _spelled(rng: random.Random, sentence: str, known: Container[str]) -> Chat | None:
    match = _with_word(rng, sentence, 5)
    wrong = misspelled(rng, match[0], known) if match else None
    if not match or not wrong:
        return None
    given = sentence[: match.start()] + wrong + sentence[match.end() :]
    if rng.random() < 0.2:
        asked = ask_about(
            rng,
            ("Which word is misspelled", "Find the word with the spelling mistake", "Which word is spelled wrong here"),
            given,
        )
        return turn(asked, f'"{capital(wrong)}" is wrong. It should be "{match[0]}".')
    if rng.random() < 0.15:
        return turn(
            ask(
                rng,
                (
                    "How do you spell {w} correctly?",
                    "Correct this word: {w}",
                    "What is the right spelling of {w}?",
                    "Fix this word: {w}",
                ),
                w=wrong,
            ),
            match[0],
        )
    return turn(ask_about(rng, _SPELLING, given), sentence)


def _marked(rng: random.Random, sentence: str) -> Chat | None:
    first = words_of(sentence)[0]
    if first == "I" or sentence[-1] != ".":
        return None
    return turn(ask_about(rng, _MARKS, small(sentence)[:-1]), sentence)


def _ordered(rng: random.Random, sentence: str) -> Chat | None:
    words = sentence.rstrip(".!?").split()
    if not 4 <= len(words) <= 7 or "," in sentence or len(set(words)) < len(words):
        return None
    shown = [words[0], *words[1:]]
    while shown == words:
        rng.shuffle(shown)
    return turn(ask_about(rng, _ORDER, rng.choice((", ", " / ", " ")).join(shown)), sentence)


def _swapped(rng: random.Random, sentence: str) -> Chat | None:
    words = words_of(sentence)
    for word in rng.sample(words, len(words)):
        group = next((group for group in ALIKE if word in group.split()), "")
        others = [one for one in group.split() if one not in words and (one[0] in "aeiou") == (word[0] in "aeiou")]
        if others and words.count(word) == 1:
            other = rng.choice(others)
            return turn(ask_about(rng, _SWAP, sentence, a=word, b=other), re.sub(rf"\b{word}\b", other, sentence))
    return None


def _removed(rng: random.Random, sentence: str) -> Chat | None:
    found = re.findall(
        r" (very|really|always|often|big|little|old|small|young|beautiful|quickly|slowly|suddenly|now|all)\b(?= [a-z])",
        sentence,
    )
    if len(found) != 1 or " all " in sentence or sentence.count(f" {found[0]}") != 1:
        text = simple_sentence(rng)
        found = [text.split()[1]]
        if len(text.split()) < 6 or text.split()[1] not in ADJECTIVES:
            return None
        sentence = text
    return turn(ask_about(rng, _REMOVE, sentence, a=found[0]), sentence.replace(f" {found[0]}", "", 1))


def _grammar(rng: random.Random) -> Chat:
    if rng.random() < 0.4:
        wrong, right = rng.choice(WRONG)
        return turn(ask_about(rng, _GRAMMAR, wrong), right)
    subject, ending = rng.choice(SUBJECTS).split("|")
    plain, with_s = rng.choice(VERBS).split(", ")
    right, wrong = (with_s, plain) if ending else (plain, with_s)
    return turn(ask_about(rng, _GRAMMAR, f"{capital(subject)} {wrong}."), f"{capital(subject)} {right}.")


def _question(rng: random.Random) -> Chat:
    things, states = rng.choice(STATES)
    thing, state, verb = rng.choice(things.split(", ")), rng.choice(states.split(", ")), rng.choice(("is", "was"))
    statement = f"{capital(thing)} {verb} {state}."
    if rng.random() < 0.5:
        return turn(ask_about(rng, _QUESTION, statement), f"{capital(verb)} {thing} {state}?")
    return turn(ask_about(rng, _NEGATIVE, statement), f"{capital(thing)} {verb} not {state}.")


def _tense(rng: random.Random) -> Chat:
    past = dict(pairs(PAST))
    subject, ending = rng.choice(SUBJECTS).split("|")
    plain, with_s = rng.choice(VERBS).split(", ")
    verb, rest = plain.split(" ", 1)
    before = past.get(verb, verb + ("d" if verb.endswith("e") else "ed"))
    return turn(
        ask_about(rng, _TENSE, f"{capital(subject)} {with_s if ending else plain}."),
        f"{capital(subject)} {before} {rest}.",
    )


def _joinable(line: str) -> tuple[str, str] | None:
    """Two plain sentences on a line, the second of which goes on with He, She, It or They."""
    found = re.fullmatch(rf"([A-Z][a-z]+(?:{_WORD})+)\. ((?:He|She|It|They) (?!and\b)[a-z]+(?:{_WORD})+)\.", line)
    if not found or not all(4 <= len(part.split()) <= 13 for part in found.groups()):
        return None
    if re.search(
        r"\b[B-HJ-Z]\b|\b(?:St|Mr|Mrs|Dr|No|vs|Jr|Sr|and|of|in|by|to|from|with|for|at|on|as)\b"
        r"(?=\.| (?:He|She|It|They)\b|$)"
        r"|^(?:While|But|If|When|Although|Because|Following|Since|As|Though|After)\b"
        r"|\b(?:also|however|nevertheless|although|then|too|who|song|album|film|episode|genus|moth|species)\b",
        f"{found[1]} {found[2]}",
    ):
        return None
    if len(re.findall(r"\b[A-Z]\w+", found[1])) > 3 or len(re.findall(r"\b[A-Z]\w+", found[2])) > 3:
        return None
    return found[1], found[2]


def _joined(rng: random.Random, pair: Sequence[str]) -> Chat:
    first, second = pair
    if rng.random() < 0.65:  # there are few such pairs
        first, second = (simple_sentence(rng).rstrip(".") for _ in range(2))
        if first.split()[-3:] == second.split()[-3:]:
            second = "It was a fine day"
    whole = f"{first}, and {small(second)}."
    apart = f"{first}. {second}."
    if rng.random() < 0.5:
        return turn(ask_about(rng, _JOIN, apart), whole)
    return turn(ask_about(rng, _SPLIT, whole), apart)
