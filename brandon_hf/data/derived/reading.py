"""Questions whose answers stand in two or three sentences before them, or follow from these."""

import itertools
import random
from collections.abc import Iterator

from brandon_hf.data.synthetic import world

from .building import Texts
from .meaning import head
from .numbers import WORDS
from .wording import Chat, capital, choose, dressed, joined, key, turn

_GIRLS = ("Anna", "Lisa", "Mia", "Nina", "Rosa", "Emma", "Kate", "Sara")
_BOYS = ("Tom", "Max", "Ben", "Sam", "Leo", "Paul", "Omar", "David")
_COLOURS = ("red", "blue", "green", "yellow", "black", "white", "brown", "pink")
_THINGS = ("ball", "hat", "bag", "cup", "bicycle", "coat", "kite", "book", "pen", "scarf")
_PLACES = (
    "under the table",
    "on the shelf",
    "in the box",
    "behind the door",
    "on the bed",
    "in the garden",
    "next to the lamp",
    "in the car",
    "on the roof",
    "in the kitchen drawer",
)
_GOALS = ("market", "school", "station", "library", "bakery", "museum", "river", "cinema", "bus stop", "farm")
_DEEDS = (
    "baked a cake",
    "washed the dishes",
    "watered the flowers",
    "fed the cat",
    "opened the window",
    "read a book",
    "painted the fence",
    "cleaned the room",
    "wrote a letter",
    "repaired the bicycle",
    "bought some bread",
    "played the piano",
)
_REASONS = (
    "sad|{he} lost {his} ball",
    "happy|it is {his} birthday",
    "tired|{he} worked all day",
    "late|{he} missed the bus",
    "wet|{he} walked in the rain",
    "hungry|{he} did not eat breakfast",
    "proud|{he} won the race",
    "angry|somebody broke {his} toy",
    "cold|{he} forgot {his} coat",
    "glad|{his} friend came to visit",
    "afraid|{he} heard a loud noise",
    "in bed|{he} has a cold",
)
_BOUGHT = ("bread", "milk", "apples", "cheese", "rice", "eggs", "tea", "butter", "soap", "flowers", "fish", "honey")
_COMPARED = (
    "taller|shorter",
    "older|younger",
    "faster|slower",
    "stronger|weaker",
    "richer|poorer",
)


def reading(_: Texts, rng: random.Random) -> Iterator[Chat]:
    """Little texts with a question, without end."""
    makers = (_colour, _place, _way, _deed, _reason, _bought, _compared, _day, _age, _like, _order)
    for make in itertools.cycle(makers):
        yield make(rng)


def _people(rng: random.Random) -> tuple[tuple[str, str, str], tuple[str, str, str]]:
    """Two different people, each with the words for he and his."""
    first, second = rng.sample([(name, "she", "her") for name in _GIRLS] + [(name, "he", "his") for name in _BOYS], 2)
    return first, second


def _exchange(rng: random.Random, text: str, question: str, *answers: str, asks: str = "") -> Chat:
    """Text and question, in this order or, named as such, in the other, with one of the answers."""
    draw = rng.random()
    if draw < 0.6:
        asked = f"{text} {question}"
    elif draw < 0.8:
        asked = choose(rng, f"{text}\n[|\nQuestion: ]{question}")
    else:
        request = choose(rng, "[Read this and answer|Answer the question|Read the text]: " + question)
        asked = f"{dressed(rng, request)}\n\n{text}"
    return turn(asked, rng.choice(answers), asks)


def _colour(rng: random.Random) -> Chat:
    (one, _, _), (other, _, _) = _people(rng)
    thing, (first, second) = rng.choice(_THINGS), rng.sample(_COLOURS, 2)
    text = choose(rng, f"{one} has a {first} {thing}[ and|.] {other} has a {second} one.")
    name, colour = rng.choice(((one, first), (other, second)))
    if rng.random() < 0.4:
        question = f"Who has the {colour} {thing}?"
        return _exchange(rng, text, question, name, f"{name}.", f"{name} has the {colour} {thing}.")
    question = choose(rng, f"[What colour is {name}'s {thing}|Which colour does {name}'s {thing} have]?")
    said = capital(colour)
    return _exchange(rng, text, question, said, f"{said}.", f"{name}'s {thing} is {colour}.")


def _place(rng: random.Random) -> Chat:
    things, places = rng.sample(_THINGS, 2), rng.sample(_PLACES, 2)
    text = f"The {things[0]} is {places[0]}. The {things[1]} is {places[1]}."
    at = rng.randrange(2)
    question = choose(rng, f"[Where is the {things[at]}|Where can I find the {things[at]}]?")
    return _exchange(rng, text, question, f"{capital(places[at])}.", f"The {things[at]} is {places[at]}.")


def _way(rng: random.Random) -> Chat:
    (name, he, _), _ = _people(rng)
    first, second = rng.sample(_GOALS, 2)
    then = choose(rng, f"[Then|After that|Later] {he} [went|walked] to the {second}.")
    text = choose(rng, f"{name} [went|walked] to the {first}. ") + " " + then
    if rng.random() < 0.5:
        return _exchange(rng, text, f"Where is {name} now?", f"At the {second}.", f"{name} is at the {second}.")
    return _exchange(rng, text, f"Where did {name} go first?", f"To the {first}.", f"{name} went to the {first} first.")


def _deed(rng: random.Random) -> Chat:
    (one, _, _), (other, _, _) = _people(rng)
    deeds = rng.sample(_DEEDS, 2)
    text = choose(rng, f"{one} {deeds[0]}[ and|.] {other} {deeds[1]}.")
    at = rng.randrange(2)
    name = (one, other)[at]
    if rng.random() < 0.5:
        return _exchange(rng, text, f"Who {deeds[at]}?", name, f"{name}.", f"{name} {deeds[at]}.")
    return _exchange(rng, text, f"What did {name} do?", f"{name} {deeds[at]}.")


def _reason(rng: random.Random) -> Chat:
    (name, he, his), _ = _people(rng)
    state, why = rng.choice(_REASONS).split("|")
    why = why.replace("{he}", he).replace("{his}", his)
    text = f"{name} is {state} because {why}."
    return _exchange(rng, text, f"Why is {name} {state}?", f"Because {why}.", text)


def _bought(rng: random.Random) -> Chat:
    (name, he, _), _ = _people(rng)
    things = rng.sample(_BOUGHT, rng.randint(2, 4))
    text = f"{name} went to the shop and bought {joined(things)}."
    draw = rng.random()
    if draw < 0.4:
        full = f"{capital(he)} bought {joined(things)}."
        return _exchange(rng, text, f"What did {name} buy?", f"{capital(joined(things))}.", full)
    if draw < 0.7:
        count = WORDS[len(things)]
        question = f"How many different things did {name} buy?"
        return _exchange(rng, text, question, f"{capital(count)}.", f"{name} bought {count} things.")
    wanted = rng.choice(things) if rng.random() < 0.5 else rng.choice(_BOUGHT)
    told = f"Yes, {name} bought {wanted}." if wanted in things else f"No, {name} did not buy {wanted}."
    return _exchange(rng, text, f"Did {name} buy {wanted}?", told)


def _compared(rng: random.Random) -> Chat:
    (one, _, _), (other, _, _) = _people(rng)
    more, less = rng.choice(_COMPARED).split("|")
    if rng.random() < 0.5:
        more, less = less, more
    word, name = rng.choice(((more, one), (less, other)))
    question = f"Who is {word}, {one} or {other}?" if rng.random() < 0.5 else f"Who is {word}?"
    return _exchange(rng, f"{one} is {more} than {other}.", question, name, f"{name}.", f"{name} is {word}.")


def _day(rng: random.Random) -> Chat:
    at, (word, by) = rng.randrange(7), rng.choice((("tomorrow", 1), ("yesterday", -1)))
    day = world.DAYS[(at + by) % 7]
    verb = "is" if by > 0 else "was"
    question = choose(rng, f"[What day {verb} {word}|Which day {verb} {word}]?")
    full = f"{capital(word)} {verb} {day}."
    asks = key("next" if by > 0 else "before", world.DAYS[at])
    return _exchange(rng, f"Today is {world.DAYS[at]}.", question, day, f"{day}.", full, asks=asks)


def _age(rng: random.Random) -> Chat:
    (one, _, _), (other, _, _) = _people(rng)
    age, more = rng.randint(7, 15), rng.randint(1, 5)
    older = rng.random() < 0.6
    result = age + more if older else age - more
    years = "year" if more == 1 else "years"
    text = f"{one} is {age} years old. {other} is {more} {years} {'older' if older else 'younger'}."
    return _exchange(rng, text, f"How old is {other}?", str(result), f"{result}.", f"{other} is {result} years old.")


def _like(rng: random.Random) -> Chat:
    thing = rng.choice(_THINGS)
    (name, _, _), _ = _people(rng)
    other, colour = rng.choice(list(world.COLOUR.items()))
    text = f"{name}'s {thing} has the colour of {other}."
    said = capital(colour)
    return _exchange(
        rng,
        text,
        f"What colour is the {thing}?",
        said,
        f"{said}.",
        f"The {thing} is {colour}.",
        asks=key("colour", head(other)),
    )


def _order(rng: random.Random) -> Chat:
    first, second, third = rng.sample((*_GIRLS, *_BOYS), 3)
    where, name = rng.choice((("first", first), ("last", third)))
    if rng.random() < 0.5:
        text = f"In the race {first} was first, {second} was second and {third} was third."
        return _exchange(rng, text, f"Who was {where}?", name, f"{name}.", f"{name} was {where}.")
    text = f"{first} came home before {second}, and {third} came home after {second}."
    return _exchange(rng, text, f"Who came home {where}?", name, f"{name}.", f"{name} came home {where}.")
