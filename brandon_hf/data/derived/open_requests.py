"""Open requests: describe, explain, compare, why and how, advice, letters, poems."""

import itertools
import random
from collections.abc import Iterator

from .answers import ADVICE, HOW, WHY
from .building import Texts
from .meaning import head
from .poems import POEMS
from .topics import DIFFERENCES, TOPICS
from .wording import Chat, ask, capital, choose, key, turn

_DESCRIBE = (
    "Describe {x}.",
    "Describe {x} in a few sentences.",
    "Tell me [something|a little|a bit|more] about {x}.",
    "What do you know about {x}?",
    "What can you tell me about {x}?",
    "Explain [to a child |to me |]what {x} is.",
    "What is {x}?",
    "Give me some facts about {x}.",
    "Write [a short text|a few sentences|a short paragraph|something] about {x}.",
    "I want to [know|learn] [more|something] about {x}.",
    "Explain {x} in simple words.",
    "Can you tell me about {x}?",
    "Say something about {x}.",
    "My [child|little brother|friend] asked me about {x}. What [can|should] I say?",
)
_DIFFERENCE = (
    "What is the difference between {x} and {y}?",
    "How are {x} and {y} different?",
    "Explain the difference between {x} and {y}.",
    "Compare {x} and {y}.",
    "What makes {x} different from {y}?",
    "Tell me how {x} [is different|differs] from {y}.",
    "Are {x} and {y} the same?",
    "I always mix up {x} and {y}. What is the difference?",
)
_POEM = (
    "Write a [short |little |]poem about {x}.",
    "Write [four lines|a few rhymes] about {x}.",
    "Can you [write|make up|say] a [short |]poem about {x}?",
    "I [want|would like] a [short |]poem about {x}.",
    "Make up a rhyme about {x}.",
    "Do you know a poem about {x}?",
)
_PEOPLE = (
    "your grandmother, Grandmother",
    "your uncle, Uncle",
    "your teacher, Teacher",
    "a friend, Anna",
    "a friend, Tom",
    "your aunt, Aunt",
    "your cousin, Ella",
    "your sister, Ruby",
    "your brother, Max",
    "an old friend, Paul",
    "a friend who moved away, Nina",
    "your grandfather, Grandfather",
)
_SENDERS = ("Ben", "Lucy", "Sam", "Mia", "Leo", "Clara", "Jack", "Rosa")
_LETTERS: tuple[tuple[str, str, str], ...] = (
    (
        "[thank-you letter|letter to say thank you|thank-you note] to {to}",
        "thank you [very much|so much] for {gift}. I [like it very much|am very happy with it|was so glad about it].",
        "I hope to see you soon.",
    ),
    (
        "[letter|note] to invite {to} to {event}",
        "I would like to invite you to {event} [on Saturday|on Sunday|on Friday]. It begins at "
        "[two|three|four|five] o'clock.",
        "I hope that you can come.",
    ),
    (
        "letter to {to} to say [that you are sorry|sorry]",
        "I am sorry that I [forgot your birthday|was late|shouted at you|broke your cup|did not call "
        "you]. It was not nice of me.",
        "I hope that you are not angry with me.",
    ),
    (
        "[birthday card|birthday letter|letter for the birthday] to {to}",
        "happy birthday! I wish you [a wonderful day|a happy year|health and joy], [with cake and "
        "music|with all your friends|with lots of presents].",
        "I am thinking of you.",
    ),
    (
        "get-well [card|letter|note] to {to}",
        "I heard that you are sick. [I hope that you feel better soon|Please rest and get well soon|I am "
        "sending you flowers].",
        "We all miss you.",
    ),
    (
        "[holiday card|postcard|letter from your holiday] to {to}",
        "I am [at the sea|in the mountains|on a farm|in a small town by a lake]. The weather is "
        "[fine|warm|good], and every day we [swim|go for a walk|eat ice cream|play outside].",
        "See you soon.",
    ),
)
_GIFTS = (
    "the book",
    "the beautiful scarf",
    "the picture",
    "your letter",
    "the toy train",
    "the new pen",
    "the cake",
    "the game",
)
_EVENTS = ("a party", "a picnic", "dinner", "a concert", "a game of chess", "a walk in the woods", "my birthday party")


def open_requests(_: Texts, rng: random.Random) -> Iterator[Chat]:
    """Descriptions, differences, reasons, instructions, advice, letters and poems, without end."""
    makers = (_described, _described, _described, _different, _reason, _way, _advice, _letter, _poem)
    for make in itertools.cycle(makers):
        yield make(rng)


def description(rng: random.Random, topic: str, most: int = 5) -> str:
    """The first sentence about a topic and some of the others, in order."""
    first, *others = TOPICS[topic].split("\n")
    count = rng.randint(min(2, len(others)), min(most, len(others)))
    kept = sorted(rng.sample(range(len(others)), count))
    return " ".join([first, *(others[at] for at in kept)])


def _described(rng: random.Random) -> Chat:
    topic = rng.choice(list(TOPICS))
    return turn(ask(rng, _DESCRIBE, x=topic), description(rng, topic), key("about", head(topic)))


def _different(rng: random.Random) -> Chat:
    one, other, told = rng.choice(DIFFERENCES)
    if rng.random() < 0.4:
        one, other = other, one
    asked = ask(rng, _DIFFERENCE, x=one, y=other)
    return turn(asked, f"No. {told}" if "the same" in asked else told, key("unlike", {head(one), head(other)}))


def _reason(rng: random.Random) -> Chat:
    return _answered(rng, WHY, ("", "", "Can you explain this? ", "My son asks: ", "Tell me: ", "I wonder: "))


def _way(rng: random.Random) -> Chat:
    return _answered(rng, HOW, ("", "", "Can you help me? ", "Tell me: ", "I want to know: "))


def _advice(rng: random.Random) -> Chat:
    return _answered(rng, ADVICE, ("", "", "", "Can you help me? ", "I need advice. "))


def _answered(rng: random.Random, table: dict[str, str], openings: tuple[str, ...]) -> Chat:
    question = rng.choice(list(table))
    opening = rng.choice(openings)
    asked = choose(rng, question)
    if opening.endswith(": "):
        asked = opening + asked[:1].lower() + asked[1:] if not asked.startswith("I ") else asked
    else:
        asked = opening + asked
    return turn(ask(rng, "{x}", x=asked), table[question])


def _letter(rng: random.Random) -> Chat:
    what, body, end = rng.choice(_LETTERS)
    to, name = rng.choice(_PEOPLE).split(", ")
    slots = {"to": to, "gift": rng.choice(_GIFTS), "event": rng.choice(_EVENTS)}
    request = choose(rng, what, slots)
    told = " ".join(capital(part) for part in (choose(rng, body, slots), end))
    asked = ask(
        rng,
        ("Write a [short |friendly |nice |]{r}.", "Help me to write a [short |]{r}.", "I need a [short |]{r}."),
        r=request,
    )
    return turn(
        asked, f"Dear {name},\n{told}\n{choose(rng, '[Love|Yours|Best wishes|With love]')},\n{rng.choice(_SENDERS)}"
    )


def _poem(rng: random.Random) -> Chat:
    topic = rng.choice(list(POEMS))
    return turn(ask(rng, _POEM, x=topic), POEMS[topic], key("poem", head(topic)))
