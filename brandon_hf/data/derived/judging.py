"""Yes or no: questions about what the tables say of things, far more than a list could hold.

What is said falsely of a thing is plainly false of it, and mostly true of another one.
"""

import random
from collections.abc import Sequence
from typing import NamedTuple

from brandon_hf.data.synthetic import world

from .meaning import head
from .word_lists import SIZES, items
from .wording import key, with_article


class Judged(NamedTuple):
    """A question that begins with its verb, without its mark; whether it is so; the key of what is asked."""

    question: str
    true: bool
    asks: str = ""


FIRM_COLOUR = {  # things of one colour only
    thing: world.COLOUR[thing]
    for thing in items(
        "snow, milk, flour, a swan, a polar bear, coal, a raven, a crow, chocolate, mud, an elephant, a donkey, "
        "the grass, a cucumber, a lemon, a tangerine, a strawberry, a bluebell, an aubergine"
    )
}
_OTHER_COLOURS = ("red", "blue", "purple", "orange")
_OTHER_YOUNG = ("kitten", "puppy", "lamb", "foal", "piglet", "duckling", "fawn", "tadpole", "joey")
_CRIES = ("meow", "woof", "moo", "baa", "oink")
_OTHER_MATERIALS = {
    "wood": ("wool", "leather"),
    "glass": ("wool", "wood"),
    "metal": ("wool", "paper"),
    "wool": ("glass", "metal", "clay"),
    "paper": ("glass", "clay"),
    "leather": ("glass", "clay"),
    "clay": ("wool", "paper"),
    "rubber": ("glass", "wood"),
}
_DOUBTFUL = {  # a cherry is a fruit and a tree, a kite a toy and a bird
    ("fruit", "tree"),
    ("fruit", "flower"),
    ("tool", "instrument"),
    ("vehicle", "toy"),
    ("toy", "bird"),
}
_OTHER_USES = ("drinking", "calling", "sewing")
_OTHER_PLACES = {  # of what lives there: where it plainly does not live
    "sea": ("desert", "farm", "jungle"),
    "ice": ("desert", "jungle"),
    "pond": ("desert", "ice"),
    "farm": ("sea", "ice"),
    "forest": ("sea", "desert"),
    "jungle": ("sea", "ice"),
    "desert": ("sea", "ice"),
    "grassland": ("sea", "ice"),
}
_FLYING = items(
    "a crow, an owl, a parrot, an eagle, a dove, a duck, a swan, a bee, a fly, a butterfly, a wasp, a ladybird"
)
_SWIMMING = items("a shark, a salmon, a trout, a goldfish, a whale, a dolphin, a seal, a frog, a duck, a swan")
_WALKING = items("a cow, a sheep, a pig, a goat, a horse, a fox, a bear, a wolf, a camel, a lion, a giraffe, a zebra")
_ANIMALS = sorted({*_FLYING, *_SWIMMING, *_WALKING})
_THINGS = sorted({*world.MATERIAL} - {"a kite"})
_OF_ANIMALS = ("breathe", "eat", "get hungry", "sleep", "feel pain", "have a mother")
_OF_PEOPLE = ("read a book", "drive a car", "play the piano", "buy a ticket", "cook soup", "paint a house")


def judged(rng: random.Random) -> Judged:
    """A question about what something is, has, does or can do, or which of two things is larger."""
    return rng.choice(_MAKERS)(rng)


def _other(rng: random.Random, true: bool, value: str, others: Sequence[str]) -> str:
    return value if true else rng.choice([other for other in others if other != value])


def _colour(rng: random.Random) -> Judged:
    thing, colour = rng.choice([*FIRM_COLOUR.items()])
    true = rng.random() < 0.5
    return Judged(f"Is {thing} {_other(rng, true, colour, _OTHER_COLOURS)}", true, key("colour", head(thing)))


def _young(rng: random.Random) -> Judged:
    animal, young = rng.choice([*world.YOUNG.items()])
    true = rng.random() < 0.5
    said = with_article(_other(rng, true, young, _OTHER_YOUNG))
    return Judged(f"Is the baby of {animal} called {said}", true, key("young", head(animal)))


def _sound(rng: random.Random) -> Judged:
    animal, cry = rng.choice([(animal, cry) for animal, cry in world.SOUND.items() if cry in _CRIES])
    true = rng.random() < 0.5
    return Judged(f"Does {animal} say {_other(rng, true, cry, _CRIES)}", true, key("sound", head(animal)))


def _material(rng: random.Random) -> Judged:
    thing, material = rng.choice([*world.MATERIAL.items()])
    true = rng.random() < 0.5
    said = _other(rng, true, material, _OTHER_MATERIALS[material])
    return Judged(f"Is {thing} made of {said}", true, key("material", head(thing)))


def _legs(rng: random.Random) -> Judged:
    animal, legs = rng.choice([*world.LEGS.items()])
    true = rng.random() < 0.5
    said = _other(rng, true, legs, sorted({*world.LEGS.values()}))
    return Judged(f"Does {animal} have {said} legs", true, key("many", "leg", head(animal)))


def _kind(rng: random.Random) -> Judged:
    thing, kind = rng.choice([*world.KIND.items()])
    true = rng.random() < 0.5
    others = [other for other in sorted({*world.KIND.values()}) if (kind, other) not in _DOUBTFUL]
    return Judged(f"Is {thing} {with_article(_other(rng, true, kind, others))}", true, key("kind", head(thing)))


def _use(rng: random.Random) -> Judged:
    thing, use = rng.choice([*world.USE.items()])
    true = rng.random() < 0.5
    return Judged(f"Do we use {thing} for {_other(rng, true, use, _OTHER_USES)}", true, key("use", head(thing)))


def _place(rng: random.Random) -> Judged:
    animal, place = rng.choice([*world.PLACE.items()])
    true = rng.random() < 0.5
    said = world.WHERE[_other(rng, true, place, _OTHER_PLACES[place])]
    return Judged(f"Does {animal} live {said}", true, key("place", head(animal)))


def _size(rng: random.Random) -> Judged:
    """Of two things that are not next to each other, so that nobody doubts which one is larger."""
    row = items(rng.choice([row for row in SIZES if not row.startswith("letter")]))
    first = rng.randrange(len(row) - 2)
    small, large = row[first], row[rng.randrange(first + 2, len(row))]
    true, more = rng.random() < 0.5, rng.random() < 0.5
    words = ("longer", "shorter") if row[0] == "second" else (rng.choice(("bigger", "larger")), "smaller")
    one, other = (large, small) if more == true else (small, large)
    return Judged(f"Is {with_article(one)} {words[0 if more else 1]} than {with_article(other)}", true)


def _alive(rng: random.Random) -> Judged:
    true = rng.random() < 0.5
    return Judged(f"Does {rng.choice(_ANIMALS if true else _THINGS)} {rng.choice(_OF_ANIMALS)}", true)


def _able(rng: random.Random) -> Judged:
    if rng.random() < 0.5:
        able, can = rng.choice(((_FLYING, "fly"), (_SWIMMING, "swim"), (_WALKING, "walk"), (_WALKING, "run")))
        return Judged(f"Can {rng.choice(able)} {can}", True)
    if rng.random() < 0.5:
        return Judged(f"Can {rng.choice(_ANIMALS)} {rng.choice(_OF_PEOPLE)}", False)
    return Judged(f"Can {rng.choice(_THINGS)} {rng.choice(('swim', 'walk', 'run', 'sleep', 'sing'))}", False)


_MAKERS = (_colour, _young, _sound, _material, _legs, _kind, _use, _place, _size, _size, _size, _alive, _able)
