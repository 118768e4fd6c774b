"""Exact answers about small numbers: sums, small stories with numbers, comparing, sorting, counting on."""

import itertools
import random
import re
from collections.abc import Iterator

from .building import Texts
from .wording import Chat, ask, ask_about, capital, choose, joined, key, turn

WORDS = re.findall(
    r"\w+",
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen twenty",
)

_SUM = (
    "What is {a} + {b}?",
    "What is {a} plus {b}?",
    "How much is {a} + {b}?",
    "How much is {a} plus {b}?",
    "Add {a} and {b}.",
    "Add {a} to {b}.",
    "{a} + {b} = ?",
    "{a} + {b}",
    "Calculate {a} + {b}.",
    "What do you get if you add {a} and {b}?",
    "What is the sum of {a} and {b}?",
    "[Work out|Compute|Solve] {a} + {b}.",
    "Can you add {a} and {b}?",
    "{a} and {b} make how much?",
    "Put {a} and {b} together. How much is it?",
    "How much is {a} and {b}?",
    "{a} plus {b} is",
    "Tell me what {a} plus {b} is.",
    "What do {a} and {b} make together?",
)
_DIFFERENCE = (
    "What is {a} - {b}?",
    "What is {a} minus {b}?",
    "How much is {a} - {b}?",
    "How much is {a} minus {b}?",
    "Subtract {b} from {a}.",
    "Take {b} away from {a}.",
    "{a} - {b} = ?",
    "Calculate {a} - {b}.",
    "{a} minus {b} is",
    "What is left if you take {b} from {a}?",
    "What is the difference between {a} and {b}?",
    "[Work out|Solve] {a} - {b}.",
    "What do you get if you subtract {b} from {a}?",
    "Take {b} from {a}.",
    "{a} less {b} is how much?",
    "Tell me what {a} minus {b} is.",
)
_PRODUCT = (
    "What is {a} * {b}?",
    "What is {a} times {b}?",
    "How much is {a} times {b}?",
    "Multiply {a} by {b}.",
    "{a} x {b} = ?",
    "Calculate {a} * {b}.",
    "What do you get if you multiply {a} and {b}?",
    "Tell me what {a} times {b} is.",
    "{a} times {b} is",
    "[Work out|Solve] {a} * {b}.",
    "What is the product of {a} and {b}?",
    "{a} times {b} makes how much?",
    "How many is {a} times {b}?",
)
_QUOTIENT = (
    "What is {a} / {b}?",
    "What is {a} divided by {b}?",
    "Divide {a} by {b}.",
    "How much is {a} divided by {b}?",
    "Calculate {a} / {b}.",
    "How many times does {b} go into {a}?",
    "Share {a} equally among {b}. How much does each get?",
)
_OPERATIONS = {  # templates, sign, the word for it
    "sum": (_SUM, "+", "plus"),
    "difference": (_DIFFERENCE, "-", "minus"),
    "product": (_PRODUCT, "*", "times"),
    "quotient": (_QUOTIENT, "/", "divided by"),
}
_THINGS = (
    "apple apples",
    "ball balls",
    "book books",
    "coin coins",
    "egg eggs",
    "pencil pencils",
    "sweet sweets",
    "flower flowers",
    "cake cakes",
    "card cards",
    "stone stones",
    "nut nuts",
    "cup cups",
    "toy toys",
    "stamp stamps",
    "shell shells",
    "plum plums",
)
_HOLDERS = ("boxes", "bags", "baskets", "jars", "drawers", "bowls")
_PEOPLE = ("Anna", "Tom", "Lisa", "Max", "Mia", "Ben", "Nina", "Sam", "Rosa", "Leo", "Emma", "Paul")
_GAINS: tuple[str, ...] = (
    "{n} has {a} {ta}. {m} gives {n} {b} more. How many {s} does {n} have now?",
    "There are {a} {ta} on the table. {n} puts {b} more there. How many are there now?",
    "{n} [finds|buys|gets] {a} {ta} in the morning and {b} in the evening. How many is that in all?",
    "{n} has {a} {ta} and {m} has {b}. How many do they have together?",
    "I have {a} {ta} and get {b} more. How many do I have now?",
    "A [bag|box] holds {a} {ta}. {n} adds {b}. How many {s} are in it?",
    "I buy {a} {ta} and then {b} more. How many {s} do I have?",
    "{n} has {a} {ta} and [wins|finds|buys] {b} more. How many {s} is that?",
    "You have {a} {ta}. I give you {b}. How many {s} do you have?",
    "We had {a} {ta} and got {b} [from {n}|as a present|in a shop]. How many are there?",
    "A bag has {a} {ta} in it and a box has {b}. How many {s} are there together?",
)
_LOSSES: tuple[str, ...] = (
    "{n} has {a} {ta} and [loses|gives away|sells] {b}. How many are left?",
    "There are {a} {ta} in a [bag|box]. {n} takes {b} out. How many stay in it?",
    "{n} had {a} {ta}. {b} [broke|got lost]. How many {s} does {n} have now?",
    "I had {a} {ta} and gave {b} to {n}. How many do I still have?",
    "{n} has {a} {ta}. {m} has {b} fewer. How many does {m} have?",
    "I had {a} {ta} and [sold|gave away] {b}. How many {s} do I [still |]have now?",
    "{n} bought {a} {ta} and gave away {b}. How many {s} does {n} still have?",
    "We have {a} {ta}. {n} takes {b} of them. How many do we keep?",
    "You had {a} {ta} and lost {b}. How many {s} do you have now?",
    "Of {a} {ta}, {b} got lost. How many {s} are still there?",
)
_GROUPS: tuple[str, ...] = (
    "There are {a} {h} with {b} {s} in each. How many {s} is that?",
    "{n} has {a} {h}. In every one of them are {b} {s}. How many {s} are there in all?",
    "{n} buys {b} {s} a day for {a} days. How many {s} does {n} have then?",
    "{a} children have {b} {s} each. How many {s} do they have together?",
    "I have {a} {h}, and each holds {b} {s}. How many {s} do I have?",
    "Each of {a} {h} has {b} {s} in it. How many {s} are there?",
    "{n} puts {b} {s} into each of {a} {h}. How many {s} is that?",
)


def numbers(_: Texts, rng: random.Random) -> Iterator[Chat]:
    """Questions about numbers up to about a hundred, without end."""
    makers = (
        _sum,
        _sum,
        _difference,
        _difference,
        _product,
        _quotient,
        _part,
        _story,
        _story,
        _compare,
        _sort,
        _next,
        _parity,
        _count,
    )
    for make in itertools.cycle(makers):
        yield make(rng)


def told(rng: random.Random, asked: str, result: int) -> str:
    """The number, alone or in a sentence, as a word if the question has words."""
    said = WORDS[result] if result <= 20 and not any(char.isdigit() for char in asked) else str(result)
    return rng.choice((f"{capital(said)}.", said, f"The answer is {said}.", f"It is {said}."))


def _pair(rng: random.Random, most: int) -> tuple[int, int]:
    high = rng.choice((10, 10, 20, most))
    return rng.randint(1, high), rng.randint(1, high)


def _said(rng: random.Random, *values: int) -> list[str]:
    words = rng.random() < 0.4 and max(values) <= 20
    return [WORDS[value] if words else str(value) for value in values]


def _worked(rng: random.Random, kind: str, a: int, b: int, result: int) -> Chat:
    templates, sign, name = _OPERATIONS[kind]
    first, second = _said(rng, a, b)
    asked = ask(rng, templates, a=first, b=second)
    asks = _key(kind, a, b)
    if rng.random() < 0.4:
        digits = first.isdigit()
        said = str(result) if digits or result > 20 else WORDS[result]
        return turn(asked, capital(f"{first} {sign if digits and sign in asked else name} {second} is {said}."), asks)
    return turn(asked, told(rng, asked, result), asks)


def _key(kind: str, a: int, b: int) -> str:
    return key(kind, a, b) if kind == "quotient" else key(kind, {a, b})


def _sum(rng: random.Random) -> Chat:
    a, b = _pair(rng, 50)
    return _worked(rng, "sum", a, b, a + b)


def _difference(rng: random.Random) -> Chat:
    b, rest = _pair(rng, 40)
    return _worked(rng, "difference", b + rest, b, rest)


def _product(rng: random.Random) -> Chat:
    a, b = rng.randint(2, 10), rng.randint(1, 10)
    return _worked(rng, "product", a, b, a * b)


def _quotient(rng: random.Random) -> Chat:
    b, result = rng.randint(2, 10), rng.randint(1, 10)
    return _worked(rng, "quotient", b * result, b, result)


def _part(rng: random.Random) -> Chat:
    name, share = rng.choice((("half", 2), ("half", 2), ("a third", 3), ("a quarter", 4)))
    result = rng.randint(1, 25)
    if rng.random() < 0.3:
        (whole,) = _said(rng, result)
        asked = ask(
            rng, ("What is twice {a}?", "What is double {a}?", "Double {a}.", "How much is two times {a}?"), a=whole
        )
        return turn(asked, told(rng, asked, 2 * result), key("product", {2, result}))
    (whole,) = _said(rng, result * share)
    asked = ask(rng, ("What is {p} of {a}?", "How much is {p} of {a}?", "Tell me {p} of {a}."), p=name, a=whole)
    return turn(asked, told(rng, asked, result), key("quotient", result * share, share))


def _story(rng: random.Random) -> Chat:
    one, many = rng.choice(_THINGS).split()
    name, other = rng.sample(_PEOPLE, 2)
    kind, templates = rng.choices((("sum", _GAINS), ("difference", _LOSSES), ("product", _GROUPS)), (4, 4, 2))[0]
    a, b = rng.randint(1, 10), rng.randint(1, 10)
    result = a + b
    if kind == "difference":
        a, result = a + b, a
    elif kind == "product":
        a, b = rng.randint(2, 6), rng.randint(2, 10)
        result = a * b
    said_a, said_b = _said(rng, a, b)
    slots = {"n": name, "m": other, "a": said_a, "b": said_b, "s": many, "ta": one if a == 1 else many}
    slots["h"] = rng.choice(_HOLDERS)
    text = choose(rng, rng.choice(templates), slots)
    if a == 1:
        text = text.replace("There are", "There is")
    asked = ". ".join(capital(part) for part in text.split(". "))
    said = str(result) if said_a.isdigit() or result > 20 else WORDS[result]
    answers = (f"{capital(said)}.", said, f"{capital(said)} {one if result == 1 else many}.", f"The answer is {said}.")
    return turn(asked, rng.choice(answers), _key(kind, a, b))


def _compare(rng: random.Random) -> Chat:
    a, b = rng.sample(range(1, rng.choice((11, 21, 101))), 2)
    x, y = _said(rng, a, b)
    larger = rng.random() < 0.5
    best = x if (a > b) == larger else y
    asks = key("compare", {a, b})
    if rng.random() < 0.5:
        word = rng.choice(("larger", "bigger", "greater", "more") if larger else ("smaller", "less"))
        right = (a > b) == larger
        form = (
            "Is {x} {w} than {y}?",
            "Is {x} {w} than {y}? Answer [with |]yes or no.",
            "[Yes or no|True or not]: is {x} {w} than {y}?",
        )
        full = f"Yes, {x} is {word} than {y}." if right else f"No, {x} is not {word} than {y}."
        asked = ask(rng, form, x=x, y=y, w=word)
        bare = "yes or no" in asked.lower()
        return turn(
            asked,
            choose(rng, "[{z}.|{z}|{z}.]", {"z": "Yes" if right else "No"}) if bare or rng.random() < 0.3 else full,
            asks,
        )
    word = rng.choice(("larger", "bigger", "greater") if larger else ("smaller",))
    asked = ask(
        rng,
        ("Which [number |]is {w}: {x} or {y}?", "Which is {w}, {x} or {y}?", "What is {w}: {x} or {y}?"),
        w=word,
        x=x,
        y=y,
    )
    return turn(asked, rng.choice((capital(best) + ".", best, f"{capital(best)} is {word}.")), asks)


def _sort(rng: random.Random) -> Chat:
    values = rng.sample(range(1, rng.choice((10, 21, 100))), rng.randint(3, 5))
    down = rng.random() < 0.4
    order = "[from large to small|from the largest to the smallest|from high to low|in descending order]"
    if not down:
        order = "[from small to large|from the smallest to the largest|from low to high|in ascending order|by size]"
    shown = rng.choice((", ", ", ", " ")).join(map(str, values))
    kind = rng.random()
    if kind < 0.7:
        asked = ask_about(
            rng,
            (
                "Sort [these|the|the following] numbers " + order,
                "Put [these|the] numbers in order " + order.replace("by size", ""),
                "Order [these|the] numbers " + order,
                "Arrange these numbers " + order,
            ),
            shown,
        )
        return turn(asked, ", ".join(map(str, sorted(values, reverse=down))), key("order", {*values}))
    if kind < 0.9:
        word, best = rng.choice((("largest", max(values)), ("smallest", min(values)), ("biggest", max(values))))
        asked = ask_about(
            rng,
            ("Which of these numbers is the {w}", "What is the {w} of these numbers", "Find the {w} number"),
            shown,
            w=word,
        )
        return turn(
            asked, rng.choice((f"{best}", f"{best}.", f"The {word} number is {best}.")), key("order", {*values})
        )
    asked = ask_about(rng, ("How many numbers are [these|there]", "Count these numbers"), ", ".join(map(str, values)))
    return turn(asked, rng.choice((str(len(values)), f"{len(values)}.", f"There are {len(values)} numbers.")))


def _next(rng: random.Random) -> Chat:
    step, start = rng.choice((1, 1, 2, 2, 3, 5, 10, -1, -2)), rng.randint(0, 20)
    start = start * (step if abs(step) > 2 else 1) + (12 if step < 0 else 0)
    shown = [start + step * at for at in range(rng.randint(3, 5))]
    text = ", ".join(map(str, shown))
    if rng.random() < 0.25:
        a = rng.randint(1, 99)
        word, value = rng.choice((("after", a + 1), ("before", a - 1)))
        asks = key("next number" if word == "after" else "before number", a, 1)
        asked = ask(
            rng,
            ("Which number comes [right |]{w} {a}?", "What number comes {w} {a}?", "Tell me the number {w} {a}."),
            w=word,
            a=a,
        )
        return turn(asked, rng.choice((str(value), f"{value}.", f"{capital(word)} {a} comes {value}.")), asks)
    forms = (
        "[What|Which number] comes next: {t}, ...?",
        "What is the next number: {t}?",
        "Continue the sequence: {t}, ...",
        "{t}, ... What comes next?",
        "Which number comes after these: {t}?",
        "Go on with one more number: {t}",
    )
    value = shown[-1] + step
    answer = rng.choice((str(value), f"{value}.", f"The next number is {value}."))
    return turn(ask(rng, forms, t=text), answer, key("next number", shown[-1], step))


def _parity(rng: random.Random) -> Chat:
    a = rng.randint(1, 60)
    even = a % 2 == 0
    if rng.random() < 0.5:
        asked = ask(
            rng, ("Is {a} even or odd?", "Is the number {a} odd or even?", "Tell me if {a} is even or odd."), a=a
        )
        word = "even" if even else "odd"
        return turn(asked, rng.choice((capital(word) + ".", word, f"{a} is {word}.")))
    wanted = rng.random() < 0.5
    asked = ask(
        rng,
        ("Is {a} an {w} number?", "Is {a} {w}? Answer yes or no.", "Yes or no: is {a} {w}?"),
        a=a,
        w="even" if wanted else "odd",
    )
    return turn(asked, "Yes." if even == wanted else "No.")


def _count(rng: random.Random) -> Chat:
    step, start = (
        rng.choice(((1, 1), (1, 1), (1, rng.randint(2, 12)), (2, 2), (5, 5), (10, 10), (-1, 0))),
        rng.randint(3, 10),
    )
    by, first = step
    values = list(range(start, 0, -1)) if by < 0 else [first + by * at for at in range(start)]
    in_words = max(values) <= 20 and rng.random() < 0.4
    said = [WORDS[value] if in_words else str(value) for value in values]
    how = f" in steps of {by}" if by > 1 else ""
    asks = key("count", values[0], values[-1], by)
    backwards = "[backwards |down ]" if by < 0 else ""
    asked = ask(
        rng,
        (
            f"Count {backwards}from {{a}} to {{b}}{how}.",
            f"Write the numbers {backwards and 'backwards '}from {{a}} to {{b}}{how}.",
        ),
        a=said[0],
        b=said[-1],
    )
    form = rng.random()
    if form < 0.7:
        return turn(asked, ", ".join(said), asks)
    return turn(asked, "\n".join(said) if form < 0.8 else joined(said) + ".", asks)
