"""Short facts, and the same facts in a form that is asked for: one word, yes or no, capitals, a beginning."""

import itertools
import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

from brandon_hf.data.synthetic import world

from .building import Texts
from .fact_tables import FACTS, FALSE, TRUE
from .judging import FIRM_COLOUR, Judged, judged
from .meaning import head
from .word_lists import CAPITALS, items, pairs
from .wording import Chat, ask, capital, choose, dressed, key, small, turn, with_article

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
_NAMES = {name.split()[0] for pair in pairs(CAPITALS) for name in pair}
_NAMES |= {"January", "February", "December", "Jupiter", "Mercury", "Asia", "English"}


_LIKE = (
    "My {o} has the colour of {x}. [What colour is it|Which colour is that]?",
    "A {o} in the colour of {x}: [what colour is it|which colour is that]?",
    "I want a {o} of the same colour as {x}. Which colour is that?",
)
_OWNED = ("hat", "car", "dress", "door", "shirt", "bag", "bicycle", "chair", "scarf", "pencil", "boat", "cup")


class _Fact(NamedTuple):
    """A question without its mark, the short and the full answer, the key of what is asked."""

    question: str
    short: str
    full: str
    asks: str = ""


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
        _yes_no,
        _like,
        _capital,
        _world,
        begun,
        ended,
        _full,
    )
    for make in itertools.cycle(makers):
        yield make(rng)


def _drawn(rng: random.Random) -> _Fact:
    if rng.random() < 0.12:
        country, city = rng.choice(pairs(CAPITALS))
        full = f"The capital of {country} is {city}."
        return _Fact(f"what is the capital of {country}", city, full, key("capital", country))
    if rng.random() < 0.4:
        return _of_world(rng)
    question = rng.choice(list(FACTS))
    return _Fact(small(choose(rng, question)), *FACTS[question])


def _of_world(rng: random.Random) -> _Fact:
    kind = rng.choice(list(WORLD))
    return world_fact(kind, *rng.choice(list(WORLD[kind].items())))


def world_fact(kind: str, thing: str, value: str) -> _Fact:
    """What `WORLD` holds of a thing, as a question with its answers."""
    asks = key(kind, head(thing))
    if kind == "young":
        full = f"The baby of {thing} is called {with_article(value)}."
        return _Fact(f"what is the baby of {thing} called", capital(value), full, asks)
    if kind == "sound":
        return _Fact(f"what sound does {thing} make", capital(value), f"{capital(thing)} {_cry(value)}.", asks)
    if kind == "colour":
        return _Fact(f"what colour is {thing}", capital(value), f"{capital(thing)} is {value}.", asks)
    if kind == "material":
        return _Fact(f"what is {thing} made of", capital(value), f"{capital(thing)} is made of {value}.", asks)
    if kind == "place":
        where = world.WHERE[value]
        return _Fact(f"where does {thing} live", capital(where), f"{capital(thing)} lives {where}.", asks)
    if kind == "legs":
        short = capital(value if value != "no" else "none")
        asks = key("many", "leg", head(thing))
        return _Fact(f"how many legs does {thing} have", short, f"{capital(thing)} has {value} legs.", asks)
    if kind == "use":
        return _Fact(f"what do we use {thing} for", f"For {value}", f"We use {thing} for {value}.", asks)
    group = with_article(value)
    return _Fact(f"what kind of thing is {thing}", capital(group), f"{capital(thing)} is {group}.", asks)


def _cry(sound: str) -> str:
    """ "roar" -> "roars", "moo" -> "says moo"."""
    if sound in ("meow", "woof", "moo", "baa", "quack", "oink", "hee-haw", "caw"):
        return f"says {sound}"
    return sound + ("es" if sound.endswith(("s", "zz")) else "s")


WORLD = {
    "colour": world.COLOUR,
    "young": world.YOUNG,
    "sound": world.SOUND,
    "material": world.MATERIAL,
    "place": world.PLACE,
    "legs": world.LEGS,
    "use": world.USE,
    "kind": world.KIND,
}


def _with(rng: random.Random, forms: tuple[str, ...], question: str, **slots: str) -> str:
    return dressed(rng, choose(rng, rng.choice(forms), {"q": question, "Q": capital(question), **slots}))


def _single(rng: random.Random) -> _Fact:
    """A fact whose short answer is one word."""
    while True:
        fact = _drawn(rng)
        short = fact.short.removeprefix("A ").removeprefix("An ").removeprefix("The ")
        if " " not in short:
            return fact._replace(short=short)


def _fact(rng: random.Random) -> Chat:
    fact = _drawn(rng)
    asked = dressed(rng, capital(fact.question) + "?") if rng.random() < 0.75 else _with(rng, _SHORT, fact.question)
    return turn(asked, fact.full if rng.random() < 0.55 else fact.short + rng.choice((".", ".", "")), fact.asks)


def _full(rng: random.Random) -> Chat:
    fact = _drawn(rng)
    return turn(_with(rng, _FULL, fact.question), fact.full, fact.asks)


def in_one_word(rng: random.Random) -> Chat:
    fact = _single(rng)
    return turn(_with(rng, _ONE_WORD, fact.question), fact.short + rng.choice(("", ".")), fact.asks)


def in_capitals(rng: random.Random) -> Chat:
    return _in_letters(rng, _UPPER, str.upper)


def in_small_letters(rng: random.Random) -> Chat:
    return _in_letters(rng, _LOWER, str.lower)


def _in_letters(rng: random.Random, forms: tuple[str, ...], changed: Callable[[str], str]) -> Chat:
    fact = _drawn(rng)
    answer = rng.choice((fact.short + ".", fact.full, fact.short)) if fact.short.isalpha() else fact.full
    return turn(_with(rng, forms, fact.question), changed(answer), fact.asks)


def begun(rng: random.Random) -> Chat:
    fact = _drawn(rng)
    word = rng.choice(_BEGINNINGS)
    rest = fact.full if fact.full.split()[0] in _NAMES else small(fact.full)
    return turn(_with(rng, _BEGIN, fact.question, w=word), f"{word}, {rest}", fact.asks)


def ended(rng: random.Random) -> Chat:
    fact = _drawn(rng)
    word = rng.choice(_ENDINGS)
    return turn(
        _with(rng, _END, fact.question, w=word), f"{fact.full} {capital(word)}{rng.choice(('.', ''))}", fact.asks
    )


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
            key("capital", country),
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
    return turn(asked, rng.choice((f"{city}.", city, f"The capital of {country} is {city}.")), key("capital", country))


def _world(rng: random.Random) -> Chat:
    fact = _of_world(rng)
    answer = fact.full if rng.random() < 0.6 else fact.short + rng.choice((".", ""))
    return turn(dressed(rng, capital(fact.question) + "?"), answer, fact.asks)


def _yes_no(rng: random.Random) -> Chat:
    if rng.random() < 0.3:
        true = rng.random() < 0.5
        one = Judged(rng.choice(items(TRUE if true else FALSE)), true)
    else:
        one = judged(rng)
    answer = "Yes" if one.true else "No"
    if rng.random() < 0.6:
        slots = {"q": one.question, "s": small(one.question)}
        asked = dressed(rng, choose(rng, rng.choice(_YES_NO), slots))
        return turn(asked, answer + rng.choice((".", ".", "")), one.asks)
    return turn(dressed(rng, one.question + "?"), answer + ".", one.asks)


def _like(rng: random.Random) -> Chat:
    """The colour of something that has the colour of another thing."""
    thing, colour = rng.choice(list(FIRM_COLOUR.items()))
    asked = ask(rng, _LIKE, x=thing, o=rng.choice(_OWNED))
    return turn(asked, rng.choice((capital(colour) + ".", colour, f"It is {colour}.")), key("colour", head(thing)))
