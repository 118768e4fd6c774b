"""Who Brandon is, small talk of one or several turns, and honest answers to what a small model cannot know."""

import itertools
import random
from collections.abc import Iterator

from .building import Texts
from .meaning import head
from .open_requests import description
from .talk_tables import IDENTITY, JOKES, LIKES, NAMES, PEOPLE, SMALL_TALK, SOMEONE, SYSTEM, UNKNOWN, WHO
from .topics import TOPICS
from .wording import Chat, ask, choose, dressed, key, turn


def identity(_: Texts, rng: random.Random) -> Iterator[Chat]:
    """Questions about Brandon itself."""
    for asked, told in itertools.cycle(IDENTITY):
        slots = {
            "name": rng.choice(NAMES),
            "lower_name": rng.choice(("my name is Brandon.", "I am called Brandon.")),
            "who": rng.choice(WHO),
            "someone": rng.choice(SOMEONE),
            "n": rng.choice(PEOPLE),
        }
        request = choose(rng, asked, slots)
        if request.startswith(("Tell me", "Say who", "May I know", "Your name", "And your")):
            request = request.rstrip("?") + ("?" if request.startswith(("May", "And")) else ".")
        yield _with_system(rng, turn(dressed(rng, request), choose(rng, choose(rng, told), slots)))


def conversation(_: Texts, rng: random.Random) -> Iterator[Chat]:
    """Small talk, what cannot be known, and talks of several turns."""
    while True:
        draw = rng.random()
        if draw < 0.35:
            yield _with_system(rng, _small_talk(rng, rng.choice(SMALL_TALK)))
        elif draw < 0.6:
            yield _with_system(rng, _unknown(rng))
        else:
            yield _with_system(rng, _talk(rng))


def _with_system(rng: random.Random, chat: Chat) -> Chat:
    return [{"role": "system", "content": rng.choice(SYSTEM)}, *chat] if rng.random() < 0.12 else chat


def _small_talk(rng: random.Random, exchange: tuple[str, str]) -> Chat:
    slots = {"n": rng.choice(PEOPLE), "t": rng.choice(LIKES), "joke": rng.choice(JOKES)}
    asked, told = (choose(rng, side, slots) for side in exchange)
    if rng.random() < 0.15:
        asked = asked[:1].lower() + asked[1:] if not asked.startswith("I") else asked
    return turn(asked, told)


def _unknown(rng: random.Random) -> Chat:
    asked, told = rng.choice(UNKNOWN)
    request = choose(rng, asked)
    who = request.rstrip("?.").split()[-1]
    return turn(ask(rng, "{x}", x=request), choose(rng, told, {"who_of": who}))


def _talk(rng: random.Random) -> Chat:
    """Two to four exchanges: a greeting, one or two requests, perhaps the user's name, thanks or a goodbye."""
    chat: Chat = []
    name = rng.choice(PEOPLE)
    if rng.random() < 0.3:
        chat += turn(
            choose(rng, "[My name is|I am|Hello, I am|Hi! My name is] {n}.", {"n": name}),
            f"Nice to meet you, {name}! I am Brandon.",
        )
        if rng.random() < 0.7:
            middle = rng.choice((_about_topic(rng, rng.choice(list(TOPICS))), _small_talk(rng, SMALL_TALK[4]), []))
            asked = choose(rng, "[What is my name|Do you remember my name|Do you know my name|Who am I]?")
            chat += [*middle, *turn(asked, choose(rng, f"[Your name is {name}.|You are {name}.]"))]
    else:
        if rng.random() < 0.6:
            chat += _small_talk(rng, SMALL_TALK[0])
        topics = rng.sample(list(TOPICS), 2)
        for topic in topics[: rng.randint(1, 2)]:
            draw = rng.random()
            if draw < 0.5:
                chat += _about_topic(rng, topic)
            elif draw < 0.75:
                chat += _unknown(rng)
            else:
                chat += _small_talk(rng, rng.choice(SMALL_TALK[4:16]))
    if len(chat) < 4 or rng.random() < 0.5:
        chat += _small_talk(rng, rng.choice(SMALL_TALK[5:7]))
    return chat


def _about_topic(rng: random.Random, topic: str) -> Chat:
    """A question about a thing, and perhaps one for more, which needs the turn before it."""
    first, *others = TOPICS[topic].split("\n")
    asked = ask(
        rng,
        ("What is {x}?", "Tell me what {x} is.", "Do you know what {x} is?", "I want to know what {x} is."),
        x=topic,
    )
    if rng.random() < 0.5:
        return turn(asked, description(rng, topic), key("about", head(topic)))
    more = choose(
        rng, "[Tell me more.|And what else?|What else do you know?|Can you tell me more?|Go on.|More, please.]"
    )
    return [*turn(asked, first, key("about", head(topic))), *turn(more, " ".join(others[:2]))]
