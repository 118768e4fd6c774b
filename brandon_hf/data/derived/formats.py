"""Texts in a prescribed form: so many sentences or words, JSON, a mark at the end, capitals, a beginning, an end."""

import itertools
import json
import random
from collections.abc import Iterator

from .building import Texts
from .facts import begun, ended, in_capitals, in_one_word, in_small_letters
from .meaning import head, listed
from .topics import TOPICS
from .word_lists import MEMBERS, items
from .wording import Chat, ask, ask_about, joined, key, turn, words_of
from .words import simple_sentence


def formats(_: Texts, rng: random.Random) -> Iterator[Chat]:
    """Texts of so many sentences or words, JSON, and other prescribed forms, without end."""
    makers = (
        _sentences,
        _sentences,
        _at_most,
        _json_object,
        _json_array,
        _exact_words,
        _mark,
        in_capitals,
        in_small_letters,
        begun,
        ended,
        in_one_word,
    )
    for make in itertools.cycle(makers):
        yield make(rng)


def _topic(rng: random.Random) -> tuple[str, list[str]]:
    """A topic, its sentences."""
    topic = rng.choice(list(TOPICS))
    return topic, TOPICS[topic].split("\n")


def _sentences(rng: random.Random) -> Chat:
    topic, told = _topic(rng)
    count = rng.randint(1, min(3, len(told)))
    kept = [told[0], *(told[at] for at in sorted(rng.sample(range(1, len(told)), count - 1)))]
    number = ("one", "two", "three")[count - 1]
    many = f"{number} sentence{'s' if count > 1 else ''}"
    forms = (
        "Write [exactly |]{n} about {x}.",
        "Tell me about {x} in [exactly |]{n}.",
        "Describe {x} in {n}.",
        "Write a text of {n} about {x}.",
        "In {n}, tell me something about {x}.",
        "Give me {n} about {x}.",
        "Explain what {x} is in {n}.",
        "Say {n} about {x}.",
    )
    return turn(ask(rng, forms, n=many, x=topic), " ".join(kept), key("sentences", head(topic), count))


def _at_most(rng: random.Random) -> Chat:
    topic, told = _topic(rng)
    count = len(words_of(told[0]))
    most = count + rng.randint(0, 4)
    said = (
        (
            ["six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen"][
                most - 6
            ]
            if 6 <= most <= 16
            else str(most)
        )
        if rng.random() < 0.6
        else str(most)
    )
    forms = (
        "Write [one|a] sentence [with|of] at most {n} words about {x}.",
        "Tell me about {x} in [at most|no more than|not more than] {n} words.",
        "Write one short sentence about {x}, {n} words at most.",
        "Describe {x}. Use no more than {n} words.",
        "In {n} words or less: what is {x}?",
    )
    return turn(ask(rng, forms, n=said, x=topic), told[0], key("sentences", head(topic), 1))


def _exact_words(rng: random.Random) -> Chat:
    count = rng.randint(2, 6)
    said = ("two", "three", "four", "five", "six")[count - 2] if rng.random() < 0.7 else str(count)
    text = {
        2: ("Birds sing.", "Dogs bark.", "Children play.", "Time flies.", "Snow falls.", "Fish swim.", "Stars shine."),
        3: (
            "I like bread.",
            "The sun shines.",
            "My dog sleeps.",
            "We love music.",
            "Cats catch mice.",
            "It is raining.",
            "She reads books.",
        ),
        4: (
            "The boy is happy.",
            "We went home early.",
            "My cat drinks milk.",
            "The soup is hot.",
            "Snow covers the hills.",
            "He plays the drum.",
        ),
        5: (
            "The old man feeds ducks.",
            "My sister sings very well.",
            "We walked to the lake.",
            "The train is never late.",
            "A bird sat outside singing.",
        ),
        6: (
            "The children play in the garden.",
            "I saw a fox last night.",
            "She gave me a red apple.",
            "We eat soup on cold days.",
            "The little dog ran very fast.",
        ),
    }[count]
    forms = (
        "Write a sentence [of|with] [exactly |]{n} words.",
        "Say something in [exactly |]{n} words.",
        "Give me a sentence that has {n} words.",
        "Make a sentence with {n} words.",
        "Write exactly {n} words.",
    )
    return turn(ask(rng, forms, n=said), rng.choice(text))


def _mark(rng: random.Random) -> Chat:
    text = simple_sentence(rng)
    if rng.random() < 0.5:
        question = rng.choice(
            (
                "What is your name",
                "How are you",
                "Where do you live",
                "Do you like music",
                "Is it raining",
                "What time is it",
                "Can you help me",
                "Who is there",
                "Why are you late",
                "Have you seen my cat",
            )
        )
        return turn(
            ask(
                rng,
                (
                    "Write a [short |]question.",
                    "Write a sentence that ends with a question mark.",
                    "Ask me [something|a question].",
                    "Give me an example of a question.",
                    "Write something with a question mark at the end.",
                ),
            ),
            question + "?",
        )
    asked = ask_about(
        rng,
        (
            "Write this with an exclamation mark at the end",
            "End this sentence with an exclamation mark",
            "Replace the full stop with an exclamation mark",
        ),
        text,
    )
    return turn(asked, text[:-1] + "!")


def _json_object(rng: random.Random) -> Chat:
    fields = {
        "name": rng.choice(("Anna", "Tom", "Mia", "Paul", "Lena", "Omar")),
        "city": rng.choice(("Paris", "Rome", "Cairo", "Lima", "Oslo")),
        "colour": rng.choice(("red", "blue", "green", "yellow")),
        "animal": rng.choice(("dog", "cat", "owl", "horse")),
        "price": rng.randint(1, 90),
        "title": rng.choice(("The Lost Ring", "A Day in May", "The Blue Door")),
        "year": rng.randint(1990, 2024),
        "age": rng.randint(5, 80),
        "country": rng.choice(("Peru", "Italy", "Kenya", "Japan")),
        "job": rng.choice(("teacher", "baker", "pilot", "nurse")),
        "size": rng.choice(("small", "large")),
        "day": rng.choice(items(MEMBERS["days of the week"])),
        "food": rng.choice(items(MEMBERS["foods"])),
        "email": rng.choice(("anna@example.com", "tom@example.com")),
        "happy": rng.choice((True, False)),
        "count": rng.randint(1, 20),
        "id": rng.randint(1, 999),
    }
    keys = rng.sample(list(fields), rng.randint(1, 3))
    shown = [f'"{key}"' for key in keys] if rng.random() < 0.6 else keys
    named = "key" if len(keys) == 1 else "keys"
    forms = (
        "Reply with a JSON object that has the {k} {l}.",
        "Write a JSON object with the {k} {l}.",
        "Give me JSON with the {k} {l}.",
        "Answer only with JSON that has the {k} {l}.",
        "Make a JSON object with {l}.",
        "Write JSON with {l}.",
        "I need a JSON object with the {k} {l}.",
    )
    if rng.random() < 0.4:
        given = ", ".join(
            f"{name} {fields[name] if fields[name] not in (True, False) else str(fields[name]).lower()}"
            for name in keys
        )
        asked = ask_about(
            rng,
            ("Write this as JSON", "Turn this into a JSON object", "Make JSON of this", "Put this into JSON"),
            given,
        )
    else:
        asked = ask(rng, forms, k=named, l=joined(shown))
    return turn(asked, json.dumps({name: fields[name] for name in keys}), key("json", {*keys}))


def _json_array(rng: random.Random) -> Chat:
    count = rng.randint(2, 5)
    number = ("two", "three", "four", "five")[count - 2]
    kind, values = rng.choice(
        (
            ("numbers", rng.sample(range(1, 100), count)),
            ("colours", rng.sample(items(MEMBERS["colours"]), count)),
            ("animals", rng.sample(items(MEMBERS["wild animals"]), count)),
            ("words", rng.sample(items(MEMBERS["nouns"]), count)),
            ("names", rng.sample(items(MEMBERS["names for a girl"]), count)),
            ("fruits", rng.sample(items(MEMBERS["fruits"]), count)),
            ("even numbers", [2 * value for value in rng.sample(range(1, 50), count)]),
            ("letters", rng.sample("ABCDEFGHKLMNOPRST", count)),
        )
    )
    if rng.random() < 0.35:
        return turn(
            ask_about(
                rng,
                (
                    "Write [these|this] as a JSON array",
                    "Turn this list into a JSON array",
                    "Make a JSON array of these",
                ),
                ", ".join(map(str, values)),
            ),
            json.dumps(values),
        )
    forms = (
        "Give me a JSON array of {n} {k}.",
        "Write a JSON array with {n} {k}.",
        "Reply with a JSON list of {n} {k}.",
        "Write {n} {k} as a JSON array.",
        "Answer only with a JSON array of {n} {k}.",
    )
    return turn(ask(rng, forms, n=number, k=kind), json.dumps(values), listed(kind, count))
