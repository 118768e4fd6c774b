"""Exact work on a list that the request brings along: copying, order, layout, places, replacing, looking up.

Nothing but the request can answer these, so a small model learns to look back at it.
"""

import itertools
import json
import random
from collections.abc import Iterator

from .building import Texts
from .letters import POOL
from .meaning import normal
from .word_lists import items
from .wording import Chat, ask_about, capital, choose, joined, key, turn

_PEOPLE = items(
    "Anna, Ben, Clara, David, Emma, Finn, Grace, Henry, Ida, Jack, Kate, Leo, Maria, Nina, Oscar, Paul, Rosa"
)
_PLACES = ("first", "second", "third", "fourth")
_BETWEEN = (", ", ", ", ", ", " ", "; ", "\n")


def copying(_: Texts, rng: random.Random) -> Iterator[Chat]:
    """Requests about a list of words or numbers at hand, without end."""
    makers = (
        copy,
        copy,
        reverse,
        laid_out,
        laid_out,
        place,
        neighbour,
        without,
        replaced,
        moved,
        looked_up,
        looked_up,
        sorted_out,
        contained,
    )
    for make in itertools.cycle(makers):
        yield make(rng)


def _things(rng: random.Random, least: int, most: int) -> list[str]:
    """Different words, names or numbers, or some of each."""
    count, kind = rng.randint(least, most), rng.random()
    if kind < 0.6:
        return rng.sample(POOL, count)
    if kind < 0.75:
        return _numbers(rng, count, 1000 if rng.random() < 0.5 else 30)
    if kind < 0.85:
        return rng.sample(_PEOPLE, count)
    return rng.sample([*rng.sample(POOL, count), *rng.sample(_PEOPLE, count), *_numbers(rng, count, 100)], count)


def _numbers(rng: random.Random, count: int, below: int) -> list[str]:
    return [str(number) for number in rng.sample(range(below), count)]


def _listed(rng: random.Random, things: list[str]) -> str:
    return rng.choice(_BETWEEN).join(things)


def _named(rng: random.Random, thing: str) -> str:
    """A word in quotation marks more often than not: "have" stands badly in a sentence without."""
    return f'"{thing}"' if thing.islower() and rng.random() < 0.7 else thing


def _told(rng: random.Random, answer: str) -> str:
    """One thing: as it is, or as a sentence of one word."""
    return answer if rng.random() < 0.6 else choose(rng, "[{x}.|{y}.|{y}]", {"x": answer, "y": capital(answer)})


def copy(rng: random.Random) -> Chat:
    """The same text again."""
    text = _listed(rng, _things(rng, 2, 12))
    forms = (
        "[Repeat|Copy] [this list|these|this]",
        "[Say|Write] [exactly this|this again]",
        "Write this down as it is",
        "[Copy|Echo] [this|the] text",
    )
    return turn(ask_about(rng, forms, text), text, key("copy", normal(text)))


def reverse(rng: random.Random) -> Chat:
    """From the last to the first, with commas."""
    things = _things(rng, 2, 7)
    forms = (
        "[Write|Say|Give me] this list backwards",
        "Reverse [this list|the order of these]",
        "Turn this list around",
        "[Write|Say] these from the last to the first",
    )
    return turn(ask_about(rng, forms, ", ".join(things)), ", ".join(things[::-1]))


def laid_out(rng: random.Random) -> Chat:
    """The same things in another form."""
    things = _things(rng, 2, 8)
    between = rng.choice(_BETWEEN)
    text = between.join(things)
    layouts: list[tuple[str, str]] = [
        (
            "[Write|Give me] [these|this list] as [a JSON array|JSON, in an array]",
            json.dumps([int(thing) if thing.isdigit() else thing for thing in things]),
        ),
        (
            "[Write these as|Give me these as|Turn this into] a numbered list",
            "\n".join(f"{at}. {thing}" for at, thing in enumerate(things, 1)),
        ),
        ("[Write|Put] each of these on a line of its own", "\n".join(things)),
        ("Write these in lines that begin with a hyphen", "\n".join(f"- {thing}" for thing in things)),
        ("[Write these with commas between them|Put commas between these]", ", ".join(things)),
        ("[Write these with spaces between them|Put spaces between these]", " ".join(things)),
        ("[Write these with hyphens between them|Put hyphens between these]", "-".join(things)),
    ]
    if between == ", ":
        layouts.append(("Write these with 'and' before the last", joined(things)))
    if not all(thing.isdigit() for thing in things):
        layouts.append(("[Write|Give me] [these|this] in capital letters", text.upper()))
    form, answer = rng.choice(layouts)
    return turn(ask_about(rng, form, text), answer)


def place(rng: random.Random) -> Chat:
    """The first, second, ... or last."""
    things = _things(rng, 3, 7)
    at = rng.randrange(min(len(things), len(_PLACES)))
    which, answer = (_PLACES[at], things[at]) if rng.random() < 0.7 else ("last", things[-1])
    forms = (
        f"[What|Which one] is the {which} [of these|in this list]",
        f"[Give me|Tell me|Write|Name] the {which} of these",
        f"Which [one|of these] [stands|is] {'at the end' if which == 'last' else which}",
    )
    return turn(ask_about(rng, forms, _listed(rng, things)), _told(rng, answer))


def neighbour(rng: random.Random) -> Chat:
    """What stands after or before a thing."""
    things = _things(rng, 3, 9)
    at = rng.randrange(len(things) - 1)
    after = rng.random() < 0.6
    asked, answer = (things[at], things[at + 1]) if after else (things[at + 1], things[at])
    where = "after" if after else "before"
    forms = (
        f"[What|Which one] [comes|stands|is] [right|] {where} {{w}} in this list",
        f"[Tell me|Write|Name] what stands {where} {{w}} here",
    )
    return turn(ask_about(rng, forms, _listed(rng, things), w=_named(rng, asked)), _told(rng, answer))


def without(rng: random.Random) -> Chat:
    """All but one."""
    things = _things(rng, 3, 8)
    gone = rng.choice(things)
    forms = (
        "[Write|Copy|Repeat] this [list|] without {w}",
        "[Leave out|Remove|Take out] {w}",
        "[Say|Write] all of these but {w}",
    )
    answer = ", ".join(thing for thing in things if thing != gone)
    return turn(ask_about(rng, forms, ", ".join(things), w=_named(rng, gone)), answer)


def replaced(rng: random.Random) -> Chat:
    """One thing for another."""
    *things, new = _things(rng, 4, 8)
    old = rng.choice(things)
    forms = (
        "Replace {w} [by|with] {n}",
        "[Write|Copy] this with {n} [instead of|in place of] {w}",
        "Change {w} to {n}",
    )
    answer = ", ".join(new if thing == old else thing for thing in things)
    return turn(ask_about(rng, forms, ", ".join(things), w=_named(rng, old), n=_named(rng, new)), answer)


def moved(rng: random.Random) -> Chat:
    """One thing to the beginning or the end."""
    things = _things(rng, 3, 7)
    gone, end = rng.choice(things), rng.random() < 0.5
    others = [thing for thing in things if thing != gone]
    forms = (
        f"[Put {{w}} at|Move {{w}} to] the {'end' if end else 'beginning'} of this list",
        f"[Write|Copy] this list with {{w}} {'last' if end else 'first'}",
    )
    answer = ", ".join([*others, gone] if end else [gone, *others])
    return turn(ask_about(rng, forms, ", ".join(things), w=_named(rng, gone)), answer)


def looked_up(rng: random.Random) -> Chat:
    """What stands with a name or a word: "Anna has 7, Ben has 12", "moss: 3, wool: 8"."""
    count, people = rng.randint(2, 6), rng.random() < 0.5
    words = rng.sample(POOL, 2 * count)
    names = rng.sample(_PEOPLE, count) if people else words[count:]
    values = _numbers(rng, count, 100) if rng.random() < 0.6 else words[:count]
    form, between = rng.choice(
        (("{n}: {v}", ", "), ("{n}: {v}", "\n"), ("{n} has {v}" if people else "{n} = {v}", ", "))
    )
    text = between.join(form.format(n=name, v=value) for name, value in zip(names, values, strict=True))
    at, forwards = rng.randrange(count), rng.random() < 0.7
    asked, answer = (names[at], values[at]) if forwards else (values[at], names[at])
    if not people:
        forms: tuple[str, ...] = ("What goes with {w}", "[Tell me|Write|Find] what goes with {w}")
    elif forwards:
        forms = ("What does {w} have", "[Tell me|Write|Find] what {w} has")
    else:
        forms = ("Who has {w}", "[Tell me|Write|Find] who has {w}")
    return turn(ask_about(rng, forms, text, w=_named(rng, asked)), _told(rng, answer))


def sorted_out(rng: random.Random) -> Chat:
    """Only the numbers, or only the words, of a mixed list."""
    words, numbers = rng.sample(POOL, rng.randint(2, 4)), _numbers(rng, rng.randint(2, 4), 100)
    mixed = rng.sample([*words, *numbers], len(words) + len(numbers))
    kind, chosen = rng.choice((("numbers", numbers), ("words", words)))
    forms = (f"[Write|Copy|Give me] only the {kind} [of|in] this list", f"[Find|Name|Say] the {kind} in this")
    return turn(ask_about(rng, forms, _listed(rng, mixed)), ", ".join(one for one in mixed if one in chosen))


def contained(rng: random.Random) -> Chat:
    """Whether a thing is among them."""
    *things, other = _things(rng, 4, 9)
    there = rng.random() < 0.5
    asked = _named(rng, rng.choice(things) if there else other)
    forms = ("Is {w} in this list", "Is {w} one of these", "Can you find {w} here", "Does this list hold {w}")
    long = f"Yes, {asked} is in the list." if there else f"No, {asked} is not in the list."
    short = "Yes" if there else "No"
    return turn(ask_about(rng, forms, _listed(rng, things), w=asked), rng.choice((f"{short}.", short, long)))
