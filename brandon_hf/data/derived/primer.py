"""A primer: what every child learns, told in plain sentences. Text for pretraining, beside the chats that ask for it.

It tells all that the tables hold, also what a prompt of the evaluation asks for, as a schoolbook would: of facts only
questions are held out. What has to be worked out (sums, sequences, comparisons) is left out if a prompt asks for it.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence

from brandon_hf.data.synthetic import world

from .fact_tables import FACTS
from .facts import WORLD, world_fact
from .held_out import HeldOut
from .numbers import WORDS
from .word_lists import CAPITALS, COMPARISON, MEMBERS, OPPOSITES, PAST, PLURALS, items, pairs
from .wording import capital, joined

_FEWEST = 4  # sentences of a document

_SUM = ("{a} + {b} = {c}.", "{a} plus {b} is {c}.", "{a} and {b} make {c}.", "The sum of {a} and {b} is {c}.")
_DIFFERENCE = ("{c} - {b} = {a}.", "{c} minus {b} is {a}.", "{c} less {b} is {a}.", "{b} taken from {c} leaves {a}.")
_PRODUCT = ("{a} * {b} = {c}.", "{a} times {b} is {c}.", "The product of {a} and {b} is {c}.")
_QUOTIENT = ("{c} / {a} = {b}.", "{c} divided by {a} is {b}.", "{c} shared among {a} is {b} for each.")
_DOUBLE = ("Twice {a} is {c}.", "Double {a} is {c}.", "Half of {c} is {a}.", "{c} is twice {a}.")
_LARGER = ("{b} is larger than {a}.", "{a} is less than {b}.", "{b} is more than {a}.", "{a} is smaller than {b}.")
_OPPOSITE = (
    "The opposite of {a} is {b}.",
    "The opposite of {b} is {a}.",
    "{A} and {b} are opposites.",
    "{A} is the opposite of {b}.",
)
_CAPITAL = (
    "The capital of {a} is {b}.",
    "{b} is the capital of {a}.",
    "{b} is a city in {a}.",
    "{a} has the capital {b}.",
)
_PLURAL = ("One {a}, two {b}.", "The plural of {a} is {b}.", "One says a {a}, but many {b}.")
_PAST = ("Today they {a}, yesterday they {b}.", "The past of {a} is {b}.", "I {a} now, and I {b} then.")
_COMPARED = ("{a}, {b}, {c}.", "The comparative of {a} is {b}.", "The superlative of {a} is {c}.")
_NEXT = ("After {a} comes {b}.", "{b} comes after {a}.", "{a} comes before {b}.", "{a} is followed by {b}.")
_CIRCLES = tuple(items(MEMBERS[kind]) for kind in ("days of the week", "months", "seasons"))
_CITIES = [*pairs(CAPITALS), *world.CAPITAL.items()]
_LETTERS = [*"ABCDEFGHIJKLMNOPQRSTUVWXYZ"]


def documents(seed: int, held_out: Iterable[str]) -> Iterator[str]:
    """Endless documents of some ten sentences, the same for the same seed.

    Args:
        seed: of everything random.
        held_out: the prompts that models are measured with; see above.
    """
    rng = random.Random(f"{seed}/primer")
    excluded = HeldOut(held_out)
    told: dict[Callable[[random.Random], str], int] = {_fact: 6, _of_world: 6, _word: 5, _neighbour: 3, _members: 2}
    worked: dict[Callable[[random.Random], str], int] = {_sum: 16, _product: 6, _sequence: 3, _comparison: 2}
    kinds = list((told | worked).items())
    while True:
        ((kind, _),) = rng.choices(kinds, weights=[weight for _, weight in kinds])
        sentences = [kind(rng) for _ in range(rng.randint(8, 14))]
        asked = _works_out if kind in worked else HeldOut.within
        kept = [sentence for sentence in dict.fromkeys(sentences) if not asked(excluded, sentence)]
        if len(kept) >= _FEWEST:
            yield " ".join(kept)


def _works_out(excluded: HeldOut, sentence: str) -> bool:
    """Whether a sentence works out what a prompt asks for; of a sequence, each beginning asks for the rest."""
    numbers = sentence.split(", ")
    beginnings = (f"Continue: {', '.join(numbers[:count])}" for count in range(3, len(numbers)))
    return sentence in excluded or any(beginning in excluded for beginning in beginnings)


def _with(rng: random.Random, forms: Sequence[str], *values: object) -> str:
    slots = dict(zip("abc", values, strict=False))
    return capital(rng.choice(forms).format(**slots, A=capital(str(values[0]))))


def _in_numbers(rng: random.Random, forms: tuple[str, ...], *values: int) -> str:
    if max(values) > 20 or rng.random() < 0.75:
        return _with(rng, forms, *values)
    return _with(rng, [form for form in forms if not set("+-*/=").intersection(form)], *(WORDS[one] for one in values))


def _sum(rng: random.Random) -> str:
    most = rng.choice((10, 10, 20, 50))
    a, b = rng.randint(0, most), rng.randint(0, most)
    if rng.random() < 0.15:
        return _in_numbers(rng, _DOUBLE, a, a, 2 * a)
    return _in_numbers(rng, rng.choice((_SUM, _DIFFERENCE)), a, b, a + b)


def _product(rng: random.Random) -> str:
    a, b = rng.randint(1, 10), rng.randint(1, 10)
    return _in_numbers(rng, rng.choice((_PRODUCT, _PRODUCT, _QUOTIENT)), a, b, a * b)


def _sequence(rng: random.Random) -> str:
    step, start, count = rng.choice((1, 1, 2, 2, 3, 5, 10)), rng.randint(0, 30), rng.randint(4, 8)
    values = [start + step * at for at in range(count)]
    if rng.random() < 0.2:
        values.reverse()
    as_words = max(values) <= 20 and rng.random() < 0.3
    return f"{capital(', '.join(WORDS[one] if as_words else str(one) for one in values))}."


def _comparison(rng: random.Random) -> str:
    a, b = sorted(rng.sample(range(rng.choice((21, 101))), 2))
    return _in_numbers(rng, _LARGER, a, b)


def _fact(rng: random.Random) -> str:
    if rng.random() < 0.4:
        return _with(rng, _CAPITAL, *rng.choice(_CITIES))
    _, full = FACTS[rng.choice(list(FACTS))]
    return full


def _of_world(rng: random.Random) -> str:
    kind = rng.choice(list(WORLD))
    return world_fact(kind, *rng.choice(list(WORLD[kind].items()))).full


def _word(rng: random.Random) -> str:
    if rng.random() < 0.5:
        return _with(rng, _OPPOSITE, *rng.choice(pairs(OPPOSITES)))
    forms, table = rng.choice(((_PLURAL, PLURALS), (_PAST, PAST), (_COMPARED, COMPARISON)))
    return _with(rng, forms, *rng.choice(pairs(table)))


def _neighbour(rng: random.Random) -> str:
    circle = rng.choice((*_CIRCLES, _LETTERS))
    at = rng.randrange(1 if circle is _LETTERS else 0, len(circle))
    return _with(rng, _NEXT, circle[at - 1], circle[at])


def _members(rng: random.Random) -> str:
    kind = rng.choice(list(MEMBERS))
    members = items(MEMBERS[kind])
    return f"{capital(kind)}: {joined(rng.sample(members, min(len(members), rng.randint(3, 6))))}."
