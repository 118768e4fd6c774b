"""Pretraining documents: stories, descriptions, facts, sums, lists, talk, and who Brandon is."""

import random
from collections.abc import Callable, Iterator

from . import world
from .heldout import split
from .phrasings import BY_NAME, IDENTITY, RELATIONS, Relation, capitalised
from .stories import definite, expand, sentences, story

_THINGS = ("colour", "kind", "place", "taste", "material", "size", "legs", "sound", "young", "use")
FACTS_OF: dict[str, list[Relation]] = {}
for _relation in (BY_NAME[name] for name in _THINGS):
    for _thing in _relation.facts:
        FACTS_OF.setdefault(_thing, []).append(_relation)

_SUMS = tuple(BY_NAME[name] for name in ("sum", "difference", "sum in words", "difference in words"))


def documents(seed: int) -> Iterator[str]:
    """Endless documents of 30 to 200 words, the same for the same seed, without the questions `seed` holds out."""
    rng = random.Random(f"{seed}/documents")
    kinds: dict[Callable[[random.Random, int], str], int] = {
        _story: 20,
        _description: 24,
        _group: 6,
        _sums: 20,
        _calendar: 10,
        _pairs: 10,
        _dialogue: 12,
        _identity: 4,
    }
    while True:
        (kind,) = rng.choices(list(kinds), weights=list(kinds.values()))
        text = kind(rng, seed)
        while len(text.split()) < 30:
            text = kind(rng, seed)
        yield text


def describe(rng: random.Random, thing: str) -> str:
    """All that is known about `thing`, in a few sentences, in no fixed order."""
    relations = rng.sample(FACTS_OF[thing], len(FACTS_OF[thing]))
    lines: list[str] = []
    named = False
    for relation in relations:
        subject = "it" if lines else rng.choice((thing, definite(thing)))
        forms = relation.statements
        if not lines or named:  # the thing has to be named first, and then not in every sentence
            forms = tuple(form for form in forms if form.startswith("{s}")) or forms
        form = rng.choice(forms)
        named = named or "{x}" in form
        lines.append(relation.state(thing, subject, form))
    return " ".join(lines)


def trained_question(rng: random.Random, seed: int, relation: Relation) -> tuple[str, str]:
    """A question that `seed` does not hold out, with its answer."""
    trained = split(seed).trained[relation.name]
    entity = rng.choice([entity for entity, templates in trained.items() if templates])
    return relation.ask(rng.choice(trained[entity]), entity), relation.tell(entity)


def _story(rng: random.Random, seed: int) -> str:
    return story(rng)


def _description(rng: random.Random, seed: int) -> str:
    things = rng.sample(list(FACTS_OF), 8)
    text = describe(rng, things[0])
    text += rng.choice(("", "", " And here is another thing.", " Now something else.", " That was easy to learn."))
    for thing in things[1:]:
        if len(text.split()) >= 32:
            break
        text += " " + describe(rng, thing)
    return text


def _group(rng: random.Random, seed: int) -> str:
    """Twice, things that have something in common, and one that does not belong."""
    beginnings = ("Here are some things that go together.", "Some things are alike.", "Which things belong together?")
    chosen = rng.sample([BY_NAME[name] for name in ("colour", "kind", "place", "taste", "material", "legs", "size")], 2)
    return " ".join([rng.choice(beginnings), *(_alike(rng, relation) for relation in chosen)])


def _alike(rng: random.Random, relation: Relation) -> str:
    value = rng.choice(sorted(set(relation.facts.values())))
    first, second, third = rng.sample([thing for thing, other in relation.facts.items() if other == value], 3)
    odd = rng.choice([thing for thing, other in relation.facts.items() if other != value])
    told = expand(
        rng,
        "{told} [so {verb} {second}, and {third} too|the same is true of {second} and {third}|it is the same with "
        "{second} and with {third}]. [but {odd} does not belong to them|{odd} is different], because {odd_told}",
        {
            "told": relation.tell(first),
            "verb": "is" if relation.answer.startswith("{x} is ") else "does",
            "second": second,
            "third": third,
            "odd": odd,
            "odd_told": relation.answer.format(x=definite(odd), v=relation.value(odd)),
        },
    )
    return sentences(told)


def _sums(rng: random.Random, seed: int) -> str:
    """A little problem about people who give and take, and a few plain sums."""
    adding = rng.random() < 0.5
    a, b = rng.choice([pair for pair in (world.PLUS if adding else world.MINUS) if pair[0] > 1])
    who, other = rng.sample(world.GIRLS + world.BOYS, 2)
    what = rng.choice(("apples", "coins", "balls", "books", "cakes", "nuts", "eggs", "pens", "stamps", "flowers"))
    result = world.NUMBERS[a + b if adding else a - b]
    slots = {"who": who, "other": other, "what": what, "a": world.NUMBERS[a], "b": world.NUMBERS[b], "c": result}
    if adding:
        problem = (
            "{who} has {a} [red|new|small|nice] {what}. {other} [gives|brings] {b} more. [now there "
            "are|together that makes] {c}, because {a} plus {b} is {c}."
        )
    else:
        problem = (
            "{who} has {a} {what} and [gives|sells] {b} of them to {other}. [now {who} has {c} left|that leaves {c}], "
            "because {a} minus {b} is {c}."
        )
    lines = [sentences(expand(rng, problem, slots))]
    statements = _SUMS[0].statements
    for statement in rng.sample(statements, len(statements)):  # each once: a text that repeats one form invites loops
        relation = rng.choice(_SUMS)
        entity = rng.choice(list(relation.facts))
        lines.append(relation.state(entity, entity, statement))
    rng.shuffle(lines)
    return " ".join(lines)


def _calendar(rng: random.Random, seed: int) -> str:
    """A stretch of days, months or numbers, forwards or backwards, and what stands beside what."""
    circle = rng.choice((world.DAYS, world.MONTHS, world.NUMBERS))
    length = rng.randint(4, 7)
    start = rng.randrange(len(circle) - length + 1)
    run = circle[start : start + length]
    name = {world.DAYS: "days", world.MONTHS: "months", world.NUMBERS: "numbers"}[circle]
    if rng.random() < 0.3:
        lines = [f"Backwards the {name} go like this: {', '.join(run[::-1])}."]
    else:
        lines = [f"{rng.choice(('Let us say some', 'Here are some', 'These are'))} {name}: {', '.join(run)}."]
    while len(" ".join(lines).split()) < 30:
        relation = BY_NAME[rng.choice(("after", "before"))]
        entity = rng.choice([one for one in circle if one in relation.facts])
        line = relation.state(entity, entity, rng.choice(relation.statements))
        if line not in lines:
            lines.append(line)
    if rng.random() < 0.5:
        lines.append(f"It is good to know the {name} by heart.")
    return " ".join(lines)


def _pairs(rng: random.Random, seed: int) -> str:
    """Capitals, or words and their opposites: a few, each said in another way."""
    capital = rng.random() < 0.4
    relation = BY_NAME["capital" if capital else "opposite"]
    lines = []
    forms = rng.sample(relation.statements, len(relation.statements))
    for form, entity in zip(forms, rng.sample(list(relation.facts), len(forms)), strict=True):
        lines.append(relation.state(entity, entity, form))
        if rng.random() < 0.4:
            name = rng.choice(world.GIRLS + world.BOYS)
            extra = "{name} [lives in|comes from|wants to see|was born in|travels to] {v}."
            if not capital:
                extra = "{name} [says|writes|reads|learns] the words {x} and {v}."
            lines.append(sentences(expand(rng, extra, {"name": name, "x": entity, "v": relation.value(entity)})))
    if rng.random() < 0.5:
        every = "Every country has a capital." if capital else "Many words have an opposite."
        lines.insert(0, every)
    return " ".join(lines)


def _dialogue(rng: random.Random, seed: int) -> str:
    """Two people who ask and answer."""
    who, other = rng.sample(world.GIRLS + world.BOYS, 2)
    intro = (
        "{a} and {b} [sat|walked|waited|rested] [in the garden|by the river|at school|in the kitchen|near the fire]."
    )
    lines = [sentences(expand(rng, intro, {"a": who, "b": other}))]
    for turn, relation in enumerate(rng.sample(RELATIONS, rng.randint(2, 4))):
        asked, told = trained_question(rng, seed, relation)
        a, b = (who, other) if turn % 2 == 0 else (other, who)
        verb = rng.choice(("answered", "said", "replied"))
        lines.append(f'{_asked(asked)} {a}. "{told[:-1]}," {verb} {b}.')
    lines.append(rng.choice(("Then they went home.", "They both learned a lot.", f'"Thank you," said {who}.', "")))
    return " ".join(line for line in lines if line)


def _asked(question: str) -> str:
    return f'"{question}" asked' if question.endswith("?") else f'"{question[:-1]}," said'


_NAMES = ("My name is Brandon.", "I am Brandon, a tiny language model.")
# One of each, in this order: where sentences come in any order, a model goes round in them for ever.
_ABOUT_BRANDON = (
    ("I am not a person.", "I am a small computer program.", "I live in a computer.", "I am made of numbers."),
    (
        "I can answer short questions and tell little stories.",
        "You can ask me short questions, and I can tell little stories.",
        "Short questions and little stories are what I can do.",
    ),
    (
        "I know colours, animals and small sums.",
        "I have read many stories.",
        "I know some animals and what they say.",
        "I know small numbers and the names of things.",
        "I have learned what many things are for.",
    ),
    ("You can ask me what you like.", "I am happy to help.", "My answers are short.", "It is good to meet you."),
)


def _identity(rng: random.Random, seed: int) -> str:
    """Who Brandon is, told or asked."""
    if rng.random() < 0.5:
        names = rng.sample(_NAMES, 2)
        return " ".join((*names, *(rng.choice(choices) for choices in _ABOUT_BRANDON)))
    who = rng.choice(world.GIRLS + world.BOYS)
    lines = [f"{who} {rng.choice(('met', 'talked to', 'wrote to'))} Brandon, a tiny language model."]
    for topic in rng.sample(list(IDENTITY), rng.randint(2, 3)):
        answer, _, questions = IDENTITY[topic]
        asked = questions[rng.choice(split(seed).trained["identity"][topic])]
        lines.append(f'{_asked(asked)} {who}. "{answer[:-1]}," said Brandon.')
    lines.append(rng.choice(("They became friends.", f"{capitalised(who)} was glad.", "It was a good talk.")))
    return " ".join(lines)
