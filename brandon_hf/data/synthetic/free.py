"""Beginnings and requests for free generation, to see whether a model goes on sensibly and stops."""

import random

from . import world
from .chats import ask_for_description, ask_for_story
from .documents import FACTS_OF
from .phrasings import capitalised
from .stories import definite


def free_prompts(seed: int, count: int = 20) -> list[str]:
    """`count` different beginnings of plain text for a model to continue: of stories, descriptions and facts.

    Raises:
        ValueError: `count` is not between 1 and 100.
    """
    rng = _checked(seed, count)
    prompts = {"Once upon a time,": None, "My name is": None}
    while len(prompts) < count:
        name, other = rng.sample(world.GIRLS + world.BOYS, 2)
        beginnings = (
            f"Once upon a time, there was {rng.choice(world.HEROES)}",
            f"{capitalised(definite(rng.choice(list(FACTS_OF))))} is",
            f"This is a story about {rng.choice(world.HEROES)}",
            f"{name} and {other} walked",
            f"{name} has {rng.choice(world.NUMBERS[2:11])}",
            f"The opposite of {rng.choice(list(world.OPPOSITE))}",
            f"The capital of {rng.choice(list(world.CAPITAL))}",
            f"Long ago, a girl named {rng.choice(world.GIRLS)}",
        )
        prompts[beginnings[len(prompts) % len(beginnings)]] = None
    return list(prompts)[:count]


def chat_prompts(seed: int, count: int = 20) -> list[str]:
    """`count` different requests to put to the model as a user: for stories and descriptions.

    Raises:
        ValueError: `count` is not between 1 and 100.
    """
    rng = _checked(seed, count)
    prompts: dict[str, None] = {}
    while len(prompts) < count:
        prompts[rng.choice((ask_for_story, ask_for_description))(rng)[0]] = None
    return list(prompts)


def _checked(seed: int, count: int) -> random.Random:
    if not 1 <= count <= 100:
        raise ValueError(f"count={count} must be between 1 and 100")
    return random.Random(f"{seed}/free")
