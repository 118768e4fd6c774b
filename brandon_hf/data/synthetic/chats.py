"""Training chats: every question that is not held out, talks of several turns, stories, descriptions, small talk."""

import random

from . import world
from .documents import FACTS_OF, describe, trained_question
from .heldout import split
from .phrasings import BY_NAME, IDENTITY, RELATIONS
from .stories import story

Chat = list[dict[str, str]]

_SYSTEM = (
    "You are Brandon, a tiny language model.",
    "You are a helpful assistant.",
    "Answer in one short sentence.",
    "You are Brandon. Be short and friendly.",
)
_POLITE = ("Hello! ", "Hi Brandon! ", "Please help me. ", "I have a question. ", "Good morning! ")
_STORY = (
    "Tell me a story about {x}.",
    "Please tell a story about {x}.",
    "Can you tell me a little story about {x}?",
    "I would like to hear a story about {x}.",
    "Write a short story about {x}.",
)
_ANY_STORY = ("Tell me a story.", "Please tell me a short story.", "Can you tell a story?", "I want to hear a story.")
_DESCRIBE = (
    "Describe {x}.",
    "What can you tell me about {x}?",
    "Tell me something about {x}.",
    "Please describe {x} for me.",
    "What do you know about {x}?",
)
_DESCRIBED = tuple(thing for thing, relations in FACTS_OF.items() if len(relations) > 1)
_LIST = (
    "Name three {things}.",
    "Can you name three {things}?",
    "Tell me three {things}.",
    "Give me a list of {things}.",
)
_LISTED = {
    "fruit": "fruits",
    "vegetable": "vegetables",
    "bird": "birds",
    "insect": "insects",
    "flower": "flowers",
    "tree": "trees",
    "tool": "tools",
    "vehicle": "vehicles",
    "instrument": "instruments",
    "toy": "toys",
}
# what a small model learns last, because nothing else about the thing helps: asked twice in every wording
_TIMES = dict.fromkeys(("opposite", "after", "before", "sum", "difference", "sum in words", "difference in words"), 2)
_SMALL_TALK = (
    (("Hello!", "Hello Brandon!", "Hi!", "Hi there!", "Good morning!", "Good evening!"), "Hello! How can I help you?"),
    (("Thank you!", "Thanks!", "Thank you, Brandon.", "Thanks a lot!"), "You are welcome!"),
    (("Goodbye!", "Bye!", "See you soon!", "Good night!"), "Goodbye! It was nice to talk to you."),
    (("How are you?", "How are you today?", "Are you well?"), "I am well, thank you."),
)


def chats(seed: int) -> list[Chat]:
    """Some thousand chats in random order, the same for the same seed, without the questions `seed` holds out."""
    rng = random.Random(f"{seed}/chats")
    made: list[Chat] = []
    for relation in RELATIONS:
        for entity, templates in split(seed).trained[relation.name].items():
            asked = [
                relation.ask(template, entity) for template in templates for _ in range(_TIMES.get(relation.name, 1))
            ]
            made += [_turn(prompt, relation.tell(entity)) for prompt in asked]
    for topic, (answer, _, questions) in IDENTITY.items():
        templates = split(seed).trained["identity"][topic]
        made += [_turn(questions[template], answer) for template in templates for _ in range(12)]
    made += [_turn(rng.choice(asked), told) for asked, told in _SMALL_TALK for _ in range(30)]
    made = [_dressed(rng, chat) for chat in made]
    made += [_talk(rng, seed) for _ in range(900)]
    for _ in range(900):
        request, hero = ask_for_story(rng)
        made.append(_turn(request, story(rng, hero)))
        request, thing = ask_for_description(rng)
        made.append(_turn(request, describe(rng, thing)))
    made += [_list(rng) for _ in range(250)]
    rng.shuffle(made)
    return made


def _turn(asked: str, told: str) -> Chat:
    return [{"role": "user", "content": asked}, {"role": "assistant", "content": told}]


def _dressed(rng: random.Random, chat: Chat) -> Chat:
    """Now and then with a system prompt, or with a greeting before the question."""
    if rng.random() < 0.1:
        return [{"role": "system", "content": rng.choice(_SYSTEM)}, *chat]
    if rng.random() < 0.05:
        asked, told = chat
        return [{**asked, "content": rng.choice(_POLITE) + asked["content"]}, told]
    return chat


def _talk(rng: random.Random, seed: int) -> Chat:
    """Two or three questions one after the other, perhaps with a greeting before or thanks after."""
    chat: Chat = [{"role": "system", "content": rng.choice(_SYSTEM)}] if rng.random() < 0.3 else []
    if rng.random() < 0.3:
        chat += _turn(rng.choice(_SMALL_TALK[0][0]), _SMALL_TALK[0][1])
    for relation in rng.sample(RELATIONS, rng.randint(2, 3)):
        chat += _turn(*trained_question(rng, seed, relation))
    if rng.random() < 0.3:
        asked, told = rng.choice(_SMALL_TALK[1:3])
        chat += _turn(rng.choice(asked), told)
    return chat


def ask_for_story(rng: random.Random) -> tuple[str, str | None]:
    """A request for a story, and the animal ("a fox") it is to be about, if any."""
    if rng.random() < 0.25:
        return rng.choice(_ANY_STORY), None
    hero = rng.choice(world.HEROES)
    return rng.choice(_STORY).format(x=hero), hero


def ask_for_description(rng: random.Random) -> tuple[str, str]:
    """A request to describe a thing, and the thing."""
    thing = rng.choice(_DESCRIBED)
    return rng.choice(_DESCRIBE).format(x=thing), thing


def _list(rng: random.Random) -> Chat:
    kind, things = rng.choice(list(_LISTED.items()))
    members = [thing for thing, other in BY_NAME["kind"].facts.items() if other == kind]
    first, second, third = rng.sample(members, 3)
    return _turn(rng.choice(_LIST).format(things=things), f"Three {things} are {first}, {second} and {third}.")
