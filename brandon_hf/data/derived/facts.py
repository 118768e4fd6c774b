"""Short facts, and the same facts in a form that is asked for: one word, yes or no, capitals, a beginning."""

import itertools
import random
from collections.abc import Iterator

from brandon_hf.data.synthetic import world

from .building import Texts
from .fact_tables import FACTS, FALSE, TRUE
from .word_lists import CAPITALS, items, pairs
from .wording import Chat, ask, capital, choose, dressed, small, turn, with_article

_ONE_WORD = (
    "In one word: {q}?",
    "Answer [with|in] one word: {q}?",
    "Answer with a single word: {q}?",
    "One word [only|please]: {q}?",
    "{Q}? Answer in one word.",
    "{Q}? One word only.",
    "Use just one word to answer: {q}?",
    "{Q}? Reply with one word.",
    "Give a one-word answer: {q}?",
)
_UPPER = (
    "Answer in capital letters: {q}?",
    "Answer in capital letters only: {q}?",
    "{Q}? Write the answer in capitals.",
    "{Q}? Use only capital letters.",
    "Reply in upper case: {q}?",
    "In capital letters, please: {q}?",
    "{Q}? Answer in upper case.",
)
_LOWER = (
    "Answer in small letters: {q}?",
    "Answer in small letters only: {q}?",
    "{Q}? Use no capital letters.",
    "{Q}? Write the answer in lower case.",
    "Reply in lower case: {q}?",
    "{Q}? Answer without capital letters.",
)
_SHORT = (
    "Answer [briefly|in a few words]: {q}?",
    "{Q}? [Be brief.|Keep it short.|A short answer is enough.]",
    "In short: {q}?",
)
_FULL = (
    "Answer in a full sentence: {q}?",
    "{Q}? Answer in a [full|complete|whole] sentence.",
    "{Q}? Write one sentence.",
    "In one sentence: {q}?",
)
_BEGIN = (
    'Begin your answer with the word "{w}". {Q}?',
    'Start your answer with "{w}". {Q}?',
    '{Q}? Begin with the word "{w}".',
    '{Q}? Your answer must start with "{w}".',
    'Answer this question and start with the word "{w}": {q}?',
)
_END = (
    '{Q}? End your answer with the word "{w}".',
    '{Q}? Finish with the word "{w}".',
    'End your answer with "{w}". {Q}?',
    '{Q}? The last word has to be "{w}".',
    'Answer this and finish with the word "{w}": {q}?',
)
_BEGINNINGS = (
    "Well",
    "Yes",
    "Sure",
    "Of course",
    "Certainly",
    "Okay",
    "Surely",
    "Listen",
    "Indeed",
    "Look",
    "Hello",
    "Hmm",
    "Naturally",
)
_ENDINGS = (
    "end",
    "over",
    "finished",
    "okay",
    "ready",
    "stop",
    "thanks",
    "bye",
    "enough",
    "good",
    "ready",
    "amen",
    "hello",
)
_YES_NO = (
    "{q}? Answer yes or no.",
    "{q}? Answer with yes or no.",
    "Yes or no: {s}?",
    "{q}? Yes or no?",
    "{q}? Say only yes or no.",
    "Answer yes or no: {s}?",
    "Answer only with yes or no. {q}?",
    "{q}? Just say yes or no.",
    "Tell me yes or no: {s}?",
)
_TRUE_FALSE = ("True or false: {t}", "Is this true or false? {t}", "Is this right? {t}", "True or not: {t}")


def facts(_: Texts, rng: random.Random) -> Iterator[Chat]:
    """Facts in free and in prescribed forms, without end."""
    makers = (
        _fact,
        _fact,
        in_one_word,
        in_capitals,
        in_small_letters,
        _yes_no,
        _yes_no,
        _capital,
        _world,
        begun,
        ended,
        _full,
    )
    for make in itertools.cycle(makers):
        yield make(rng)


def _drawn(rng: random.Random) -> tuple[str, str, str]:
    """A question without its mark, the short and the full answer."""
    if rng.random() < 0.12:
        country, city = rng.choice(pairs(CAPITALS))
        return f"what is the capital of {country}", city, f"The capital of {country} is {city}."
    if rng.random() < 0.4:
        return _of_world(rng)
    question = rng.choice(list(FACTS))
    return (small(choose(rng, question)), *FACTS[question])


def _of_world(rng: random.Random) -> tuple[str, str, str]:
    kind = rng.choice(("colour", "young", "sound", "material", "place", "legs", "use", "kind"))
    if kind == "young":
        thing, value = rng.choice(list(world.YOUNG.items()))
        return (
            f"what is the baby of {thing} called",
            capital(value),
            f"The baby of {thing} is called {with_article(value)}.",
        )
    if kind == "sound":
        thing, value = rng.choice(list(world.SOUND.items()))
        return f"what sound does {thing} make", capital(value), f"{capital(thing)} says {value}."
    if kind == "colour":
        thing, value = rng.choice(list(world.COLOUR.items()))
        return f"what colour is {thing}", capital(value), f"{capital(thing)} is {value}."
    if kind == "material":
        thing, value = rng.choice(list(world.MATERIAL.items()))
        return f"what is {thing} made of", capital(value), f"{capital(thing)} is made of {value}."
    if kind == "place":
        thing, value = rng.choice(list(world.PLACE.items()))
        return f"where does {thing} live", capital(world.WHERE[value]), f"{capital(thing)} lives {world.WHERE[value]}."
    if kind == "legs":
        thing, value = rng.choice(list(world.LEGS.items()))
        return (
            f"how many legs does {thing} have",
            capital(value if value != "no" else "none"),
            f"{capital(thing)} has {value} legs.",
        )
    if kind == "use":
        thing, value = rng.choice(list(world.USE.items()))
        return f"what do we use {thing} for", capital(f"for {value}"), f"We use {thing} for {value}."
    thing, value = rng.choice(list(world.KIND.items()))
    group = with_article(value)
    return f"what kind of thing is {thing}", capital(group), f"{capital(thing)} is {group}."


def _with(rng: random.Random, forms: tuple[str, ...], question: str, **slots: str) -> str:
    asked = choose(rng, question)
    return dressed(rng, choose(rng, rng.choice(forms), {"q": asked, "Q": capital(asked), **slots}))


def _single(rng: random.Random) -> tuple[str, str, str]:
    """A fact whose short answer is one word."""
    while True:
        question, short, full = _drawn(rng)
        short = short.removeprefix("A ").removeprefix("An ").removeprefix("The ")
        if " " not in short:
            return question, short, full


def _fact(rng: random.Random) -> Chat:
    question, short, full = _drawn(rng)
    asked = dressed(rng, capital(choose(rng, question)) + "?") if rng.random() < 0.75 else _with(rng, _SHORT, question)
    return turn(asked, full if rng.random() < 0.55 else short + rng.choice((".", ".", "")))


def _full(rng: random.Random) -> Chat:
    question, _, full = _drawn(rng)
    return turn(_with(rng, _FULL, question), full)


def in_one_word(rng: random.Random) -> Chat:
    question, short, _ = _single(rng)
    return turn(_with(rng, _ONE_WORD, question), short + rng.choice(("", ".")))


def in_capitals(rng: random.Random) -> Chat:
    question, short, full = _drawn(rng)
    return turn(
        _with(rng, _UPPER, question), (rng.choice((short + ".", full, short)) if short.isalpha() else full).upper()
    )


def in_small_letters(rng: random.Random) -> Chat:
    question, short, full = _drawn(rng)
    return turn(
        _with(rng, _LOWER, question), (rng.choice((short, full, short + ".")) if short.isalpha() else full).lower()
    )


def begun(rng: random.Random) -> Chat:
    question, _, full = _drawn(rng)
    word = rng.choice(_BEGINNINGS)
    names = full.split()[0] in {name for pair in pairs(CAPITALS) for name in pair} | {
        "January",
        "February",
        "December",
        "Jupiter",
        "Mercury",
        "Asia",
        "India",
        "Italy",
        "Egypt",
        "China",
        "France",
        "Canada",
        "Peru",
        "English",
    }
    return turn(_with(rng, _BEGIN, question, w=word), f"{word}, {full if names else small(full)}")


def ended(rng: random.Random) -> Chat:
    question, _, full = _drawn(rng)
    word = rng.choice(_ENDINGS)
    return turn(_with(rng, _END, question, w=word), f"{full} {capital(word)}{rng.choice(('.', ''))}")


def _capital(rng: random.Random) -> Chat:
    country, city = rng.choice(pairs(CAPITALS))
    if rng.random() < 0.45:
        asked = ask(
            rng,
            (
                "{c} is the capital of which country?",
                "Which country has the capital {c}?",
                "Of which country is {c} the capital?",
                "In which country is {c}?",
                "Where is {c}?",
            ),
            c=city,
        )
        return turn(
            asked,
            rng.choice(
                (f"{country}.", country, f"{city} is the capital of {country}.")
                if "here" not in asked
                else (f"{city} is in {country}.", f"In {country}.")
            ),
        )
    asked = ask(
        rng,
        (
            "What is the capital of {x}?",
            "Which city is the capital of {x}?",
            "Name the capital of {x}.",
            "What is {x}'s capital?",
            "Tell me the capital of {x}.",
            "The capital of {x} is",
            "{x}: what is the capital?",
            "Do you know the capital of {x}?",
        ),
        x=country,
    )
    return turn(asked, rng.choice((f"{city}.", city, f"The capital of {country} is {city}.")))


def _world(rng: random.Random) -> Chat:
    question, short, full = _of_world(rng)
    return turn(
        dressed(rng, capital(choose(rng, question)) + "?"),
        full if rng.random() < 0.6 else short + rng.choice((".", "")),
    )


def _yes_no(rng: random.Random) -> Chat:
    true = rng.random() < 0.5
    question = rng.choice(items(TRUE if true else FALSE))
    if rng.random() < 0.6:
        asked = dressed(rng, choose(rng, rng.choice(_YES_NO), {"q": question, "s": small(question)}))
        return turn(asked, ("Yes" if true else "No") + rng.choice((".", ".", "")))
    return turn(dressed(rng, question + "?"), ("Yes" if true else "No") + ".")
