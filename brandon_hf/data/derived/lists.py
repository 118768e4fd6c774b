"""Lists: so many things of a kind, in the form that was asked for."""

import itertools
import json
import random
import re
from collections.abc import Iterator, Sequence

from .building import Texts
from .meaning import listed
from .numbers import WORDS
from .word_lists import MEMBERS, ORDERED, SIZES, apart, items
from .wording import Chat, ask, ask_about, capital, choose, joined, key, turn

_NAME = (
    "Name {n} {k}.",
    "List {n} {k}.",
    "Give me {n} {k}.",
    "Tell me {n} {k}.",
    "Write down {n} {k}.",
    "Can you name {n} {k}?",
    "I need {n} {k}.",
    "Think of {n} {k}.",
    "What are {n} {k}?",
    "Give [me |]a list of {n} {k}.",
    "Make a list of {n} {k}.",
    "{n} {k}, please.",
    "Write a list of {n} {k}.",
    "Which {k} do you know? Name {n}.",
    "Give {n} examples of {k}.",
    "Mention {n} {k}.",
    "Show me {n} {k}.",
    "Which {n} {k} come to your mind?",
    "I am looking for {n} {k}.",
    "{n} {k}!",
    "Say {n} {k}.",
    "Could you think of {n} {k} for me?",
    "What would be {n} {k}?",
)
_NAME_ONE = (
    "Name one of the {k}.",
    "Give me an example of {k}.",
    "What is one example of {k}?",
    "Tell me one example of {k}.",
    "Say one word from this group: {k}.",
)
_FORMS = {  # how the list is to look: (what is added to the request, what is made of the items)
    "numbers": (" as a numbered list", " in a numbered list", " and number them", " with numbers"),
    "bullets": (" as a bullet list", " with bullet points", " as a list with dashes", " in bullet points"),
    "lines": (" on separate lines", ", one [per|on each] line", ", each on its own line", ", one below the other"),
    "commas": (" separated by commas", ", with commas between them", " in one line", " on a single line"),
    "json": (" as a JSON array", " as a JSON list", " in JSON, as an array"),
    "sentence": (" in a sentence", " in one sentence"),
}
_ALL = (
    "What are the {k}[|, {o}]?",
    "Name [all |]the {k}[|, {o}].",
    "List [all |]the {k}[|, {o}].",
    "Tell me [all |]the {k}[|, {o}].",
    "Write down the {k}, {o}.",
    "Write down the {k} in order.",
)

_FIRST = 0.6  # share of lists of the first members: small models repeat themselves less if the next one is settled
_WITHOUT_ARTICLE = frozenset(  # kinds whose members stand in a sentence as they are
    re.findall(
        r"\w+",
        "colours sports drinks materials metals planets continents languages months seasons feelings games hobbies "
        "senses",
    )
) | {
    "countries in Europe",
    "countries in Africa",
    "countries in Asia",
    "days of the week",
    "school subjects",
    "even numbers",
}


def lists(_: Texts, rng: random.Random) -> Iterator[Chat]:
    """Requests for lists, without end."""
    makers = (_some, _some, _some, _formed, _formed, _one, _whole, _member, _sorted, _next)
    for make in itertools.cycle(makers):
        yield make(rng)


def _drawn(rng: random.Random, most: int = 6) -> tuple[str, list[str]]:
    """A kind and some of its members: mostly the first of the table, which people name first, else any."""
    kind = rng.choice(list(MEMBERS))
    members = items(MEMBERS[kind])
    count = rng.randint(2, min(most, len(members)))
    return kind, members[:count] if rng.random() < _FIRST else rng.sample(members, count)


def shaped(rng: random.Random, members: Sequence[str], form: str) -> str:
    """`members` as a list of that form."""
    large = [capital(member) for member in members] if rng.random() < 0.6 else list(members)
    if form == "numbers":
        return "\n".join(f"{number}. {member}" for number, member in enumerate(large, 1))
    if form == "bullets":
        return "\n".join(f"- {member}" for member in large)
    if form == "lines":
        return "\n".join(large)
    if form == "json":
        return json.dumps([int(member) if member.isdigit() else member for member in members])
    if form == "commas":
        return ", ".join(members)
    return capital(joined(members)) + "."


def _some(rng: random.Random) -> Chat:
    kind, members = _drawn(rng)
    number = WORDS[len(members)] if rng.random() < 0.7 else str(len(members))
    form = rng.choice(("numbers", "bullets", "lines", "commas", "commas", "sentence", "sentence"))
    return turn(capital(ask(rng, _NAME, n=number, k=kind)), shaped(rng, members, form), listed(kind, len(members)))


def _formed(rng: random.Random) -> Chat:
    kind, members = _drawn(rng)
    form = rng.choice([form for form in _FORMS if form != "sentence" or kind in _WITHOUT_ARTICLE])
    number = WORDS[len(members)] if rng.random() < 0.7 else str(len(members))
    templates = [template[:-1] + "{f}." for template in _NAME if re.match(r"(?!I ).*\{k\}\.$", template)]
    asked = capital(ask(rng, templates, n=number, k=kind, f="\0"))
    return turn(
        asked.replace("\0", _form(rng, form)),
        _in_sentence(rng, kind, members) if form == "sentence" else shaped(rng, members, form),
        listed(kind, len(members)),
    )


def _form(rng: random.Random, form: str) -> str:
    added = rng.choice(_FORMS[form])
    return (" " if added[0] == " " else "") + choose(rng, added)


def _in_sentence(rng: random.Random, kind: str, members: list[str]) -> str:
    return rng.choice((f"{capital(joined(members))} are {kind}.", f"Some {kind} are {joined(members)}."))


def _one(rng: random.Random) -> Chat:
    kind = rng.choice(list(MEMBERS))
    member = rng.choice(items(MEMBERS[kind]))
    return turn(ask(rng, _NAME_ONE, k=kind), rng.choice((capital(member) + ".", member)), listed(kind, 1))


def _whole(rng: random.Random) -> Chat:
    kind = rng.choice(list(ORDERED))
    form = rng.choice(("numbers", "lines", "commas", "sentence"))
    members = items(MEMBERS[kind])
    name = "months of the year" if kind == "months" else kind
    asked = ask(rng, _ALL, k=name, o=ORDERED[kind])
    return turn(asked, shaped(rng, members, form), listed(kind, len(members)))


def _member(rng: random.Random) -> Chat:
    kind, other = apart(rng)
    inside = rng.random() < 0.5
    member = rng.choice(items(MEMBERS[kind if inside else other]))
    forms = (
        "Does this word belong to the {k}",
        "Is this one of the {k}? Answer yes or no",
        "Does this belong to the {k}? Say yes or no",
        "Yes or no: does this word belong to the {k}",
    )
    return turn(ask_about(rng, forms, member, k=kind), rng.choice(("Yes.", "Yes") if inside else ("No.", "No")))


def _sorted(rng: random.Random) -> Chat:
    row = items(rng.choice(SIZES))
    small = [row[at] for at in sorted(rng.sample(range(len(row)), 3))]
    down = rng.random() < 0.4
    times = row[0] in ("second", "letter")
    shown = rng.sample(small, 3)
    order = (
        ("from long to short" if down else "from short to long")
        if row[0] == "second"
        else ("from large to small" if down else "from small to large")
    )
    if times and row[0] == "letter":
        order = "from the largest to the smallest" if down else "from the smallest to the largest"
    asked = ask_about(
        rng,
        (f"Order these {order}", f"Sort these [things |]{order}", f"Put [these|them] in order {order}"),
        ", ".join(shown),
    )
    return turn(asked, ", ".join(small[::-1] if down else small), key("order", {*small}))


def _next(rng: random.Random) -> Chat:
    kind = rng.choice(("days of the week", "months"))
    members = items(MEMBERS[kind])
    at = rng.randrange(len(members))
    after = rng.random() < 0.6
    other = members[(at + (1 if after else -1)) % len(members)]
    one = "day" if kind.startswith("day") else "month"
    if rng.random() < 0.25:
        shown = ", ".join(members[(at - by) % len(members)] for by in (2, 1, 0))
        return turn(
            ask(
                rng,
                (f"Which {one} comes next: {{s}}, ...?", f"What is the next {one}: {{s}}?", "Continue: {s}, ..."),
                s=shown,
            ),
            members[(at + 1) % len(members)] + rng.choice(("", ".")),
            key("next", members[at]),
        )
    forms = (
        f"Which {one} comes [right |]{{w}} {{m}}?",
        f"What {one} comes {{w}} {{m}}?",
        f"What is the {one} {{w}} {{m}}?",
        f"Tell me the {one} {{w}} {{m}}.",
        f"Name the {one} {{w}} {{m}}.",
    )
    word = "after" if after else "before"
    return turn(
        ask(rng, forms, w=word, m=members[at]),
        rng.choice((f"{other}.", other, f"{capital(word)} {members[at]} comes {other}.")),
        key("next" if after else "before", members[at]),
    )
