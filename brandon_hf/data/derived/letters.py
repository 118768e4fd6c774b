"""Exact answers about letters: spelling, the alphabet, counting."""

import random
import re

from .word_lists import MEMBERS, OPPOSITES, PAST, PLURALS, items, pairs
from .wording import Chat, ask, capital, choose, key, turn

POOL = sorted(
    {word for members in MEMBERS.values() for word in items(members) if re.fullmatch(r"[a-z]{3,9}", word)}
    | {word for pair in pairs(f"{OPPOSITES}, {PLURALS}, {PAST}") for word in pair if len(word) > 2}
)


def quoted(rng: random.Random, word: str) -> str:
    return choose(rng, '[{w}|{w}|"{w}"|the word {w}|the word "{w}"]', {"w": word})


def spelled(rng: random.Random) -> Chat:
    word = rng.choice([word for word in POOL if len(word) <= 7])
    mark, how = rng.choice(
        (
            ("-", "with [a hyphen|hyphens] between the letters"),
            ("-", "with a dash between the letters"),
            ("-", "[with hyphens|separated by hyphens]"),
            (" ", "with spaces between the letters"),
            (", ", "with commas between the letters"),
            ("-", ""),
            ("-", "letter by letter"),
        )
    )
    asked = ask(
        rng,
        (
            f"Spell {{q}} {how}.",
            f"How do you spell {{q}}{' ' + how if how else ''}?",
            f"Write {{q}} {how or 'letter by letter'}.",
        ),
        q=quoted(rng, word),
    )
    asked = asked.replace(" .", ".").replace(" ?", "?")
    return turn(asked, mark.join(word) + rng.choice(("", ".")), key("spell", word))


def one_letter(rng: random.Random) -> Chat:
    word = rng.choice(POOL)
    where, letter = rng.choice((("first", word[0]), ("last", word[-1]), ("second", word[1]), ("third", word[2])))
    forms = [
        "What is the {p} letter of {q}?",
        "Which letter is the {p} one in {q}?",
        "Tell me the {p} letter of {q}.",
        "Name the {p} letter in {q}.",
    ]
    if where == "first":
        forms += [
            "Which letter does {q} [start|begin] with?",
            "What letter does {q} start with?",
            "With which letter does {q} begin?",
        ]
    if where == "last":
        forms += ["Which letter does {q} end with?", "With which letter does {q} end?"]
    asked = ask(rng, forms, p=where, q=quoted(rng, word))
    answer = rng.choice((letter, letter.upper(), f"{letter.upper()}.", f"The {where} letter is {letter}."))
    return turn(asked, answer, key("letter", where, word))


def counted_letters(rng: random.Random) -> Chat:
    word = rng.choice(POOL)
    if rng.random() < 0.4:
        letter = rng.choice(word if rng.random() < 0.6 else "aeiostrn")
        asked = ask(
            rng,
            (
                "Is there a letter {l} in {q}?",
                "Does {q} contain the letter {l}?",
                "Is the letter {l} in {q}? Answer yes or no.",
            ),
            l=letter,
            q=quoted(rng, word),
        )
        return turn(asked, "Yes." if letter in word else "No.")
    asked = ask(
        rng,
        (
            "How many letters does {q} have?",
            "How many letters are [there |]in {q}?",
            "Count the letters in {q}.",
            "How long is {q}? Count the letters.",
        ),
        q=quoted(rng, word),
    )
    return turn(asked, rng.choice((str(len(word)), f"{len(word)}.", f'The word "{word}" has {len(word)} letters.')))


def neighbour_letter(rng: random.Random) -> Chat:
    at = rng.randint(1, 24)
    letters = [chr(ord("A") + at + by) for by in (-1, 0, 1)]
    word, letter = rng.choice((("after", letters[2]), ("before", letters[0])))
    forms = (
        "Which letter comes {w} {l}?",
        "Which letter comes [right |just |]{w} {l} in the alphabet?",
        "What letter is {w} {l}?",
        "In the alphabet, what comes {w} {l}?",
        "Tell me the letter {w} {l}.",
    )
    if rng.random() < 0.2 and at < 22:
        shown = ", ".join(chr(ord("A") + at + by) for by in range(-1, 3))
        return turn(
            ask(rng, ("Which letter comes next: {s}, ...?", "Continue with one letter: {s}"), s=shown),
            chr(ord("A") + at + 3) + rng.choice(("", ".")),
            key("next", chr(ord("A") + at + 2)),
        )
    return turn(
        ask(rng, forms, w=word, l=letters[1]),
        rng.choice((letter, f"{letter}.", f"{capital(word)} {letters[1]} comes {letter}.")),
        key("next" if word == "after" else "before", letters[1]),
    )
