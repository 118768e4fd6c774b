"""Yes or no: questions about what the tables say of things, as often true as not, far more than a list could hold."""

import random
from typing import NamedTuple

from brandon_hf.data.synthetic import world

from .meaning import head
from .word_lists import SIZES, items
from .wording import choose, key, with_article


class Judged(NamedTuple):
    """A question that begins with its verb, without its mark; whether it is so; the key of what is asked."""

    question: str
    true: bool
    asks: str = ""


# of a table: the question, and values that are plainly false of all its other things
_ASKED: dict[str, tuple[dict[str, str], str, tuple[str, ...]]] = {
    "colour": (world.COLOUR, "Is {x} {v}", ("red", "blue", "green", "purple", "pink", "yellow")),
    "young": (
        world.YOUNG,
        "[Is the baby of {x} called|Is the name of the baby of {x}] a {v}",
        ("kitten", "foal", "lamb", "chick", "tadpole", "piglet"),
    ),
    "sound": (world.SOUND, "Does {x} [say|make the sound] {v}", ("moo", "meow", "oink", "baa", "cluck")),
    "material": (world.MATERIAL, "Is {x} made of {v}", ("butter", "snow", "bread", "water", "milk", "wool", "paper")),
    "legs": (world.LEGS, "Does {x} have {v} legs", ("no", "two", "four", "six", "eight", "ten")),
    "kind": (world.KIND, "Is {x} {v}", ("fruit", "vegetable", "insect", "fish", "flower", "tool", "vehicle", "toy")),
    "use": (world.USE, "Do we use {x} for {v}", ("painting", "calling", "digging", "sewing", "flying", "singing")),
}
_NOT_THERE = {"sea": ("desert", "farm", "jungle"), "ice": ("desert",), "pond": ("desert", "ice")}  # else the sea
_ANIMALS = [*world.SOUND, *(thing for thing, kind in world.KIND.items() if kind in ("bird", "insect", "fish"))]
_THINGS = [*world.MATERIAL, *(thing for thing, kind in world.KIND.items() if kind in ("tool", "vehicle", "toy"))]
_THINGS.remove("a kite")  # which is a bird, too
_LIVES = (
    "need food",
    "need water",
    "sleep at times",
    "breathe",
    "eat",
    "drink",
    "get hungry",
    "get older",
    "have a mother",
)
_FOR_PEOPLE = (
    "read a book",
    "drive a car",
    "write a letter",
    "play the piano",
    "count to ten",
    "live on the sun",
    "buy a ticket",
    "cook soup",
    "jump over a mountain",
    "walk to the moon",
    "paint a house",
    "tell a story",
)


def judged(rng: random.Random) -> Judged:
    """A question about one thing, one animal or two sizes."""
    draw = rng.random()
    if draw < 0.5:
        return _of_table(rng)
    if draw < 0.6:
        return _at_home(rng)
    if draw < 0.8:
        return _sizes(rng)
    return _alive(rng)


def _of_table(rng: random.Random) -> Judged:
    kind = rng.choice(list(_ASKED))
    table, question, others = _ASKED[kind]
    thing, value = rng.choice(list(table.items()))
    true = rng.random() < 0.5
    said = value if true else rng.choice([other for other in others if other != value])
    if kind == "kind":
        said = with_article(said)
    asks = key("many", "leg", head(thing)) if kind == "legs" else key(kind, head(thing))
    return Judged(choose(rng, question, {"x": thing, "v": said}), true, asks)


def _at_home(rng: random.Random) -> Judged:
    animal, place = rng.choice(list(world.PLACE.items()))
    true = rng.random() < 0.5
    said = place if true else rng.choice(_NOT_THERE.get(place, ("sea",)))
    return Judged(f"Does {animal} live {world.WHERE[said]}", true, key("place", head(animal)))


def _sizes(rng: random.Random) -> Judged:
    row = items(rng.choice(SIZES))
    less, more = sorted(rng.sample(range(len(row)), 2))
    upwards = rng.random() < 0.5
    long = row[0] in ("second", "letter")
    word = rng.choice(
        (("longer",) if long else ("bigger", "larger")) if upwards else (("shorter",) if long else ("smaller",))
    )
    true = rng.random() < 0.5
    first, second = (more, less) if upwards == true else (less, more)
    return Judged(f"Is {with_article(row[first])} {word} than {with_article(row[second])}", true)


def _alive(rng: random.Random) -> Judged:
    animal = rng.random() < 0.6
    being = rng.choice(_ANIMALS if animal else _THINGS)
    if rng.random() < 0.7:
        return Judged(f"Does {being} {rng.choice(_LIVES)}", animal)
    return Judged(f"Can {being} {rng.choice(_FOR_PEOPLE)}", False)
