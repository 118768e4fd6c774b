"""Exact work on a list that the request brings along: copying, order, layout, places, replacing, looking up.

Nothing but the request can answer these, so a small model learns to look back at it.
"""

import itertools
import json
import random
from collections.abc import Iterator

from .building import Texts
from .letters import POOL
from .word_lists import items
from .wording import Chat, ask_about, capital, choose, joined, key, turn

NAMES = items(
    "Anna, Ben, Clara, David, Emma, Finn, Grace, Henry, Ida, Jack, Kate, Leo, Maria, Nina, Oscar, Paul, Rosa, Sam, "
    "Tom, Zoe"
)
PLACES = ("first", "second", "third", "fourth")
_BETWEEN = (", ", ", ", ", ", " ", "; ", "\n")


def copying(_: Texts, rng: random.Random) -> Iterator[Chat]:
    """Requests about a list of words or numbers at hand, without end."""
    makers = (
        _copy,
        _copy,
        _reverse,
        _laid_out,
        _laid_out,
        _place,
        _neighbour,
        _without,
        _replaced,
        _moved,
        _looked_up,
        _looked_up,
        _sorted_out,
        _contained,
    )
    for make in itertools.cycle(makers):
        yield make(rng)


def _things(rng: random.Random, least: int, most: int) -> list[str]:
    """Different words, names or numbers, or some of each."""
    count, kind = rng.randint(least, most), rng.random()
    if kind < 0.6:
        return rng.sample(POOL, count)
    if kind < 0.75:
        return [str(number) for number in rng.sample(range(1000 if rng.random() < 0.5 else 30), count)]
    if kind < 0.85:
        return rng.sample(NAMES, count)
    numbers = [str(number) for number in rng.sample(range(100), count)]
    return rng.sample([*rng.sample(POOL, count), *rng.sample(NAMES, count), *numbers], count)


def _listed(rng: random.Random, things: list[str]) -> str:
    return rng.choice(_BETWEEN).join(things)


def _copy(rng: random.Random) -> Chat:
    text = _listed(rng, _things(rng, 2, 12))
    forms = (
        "[Repeat|Copy] [this list|these|this]",
        "[Say|Write] [exactly this|this again|the same]",
        "Repeat after me",
        "Write this down as it is",
        "[Copy|Echo] [this|the] text",
    )
    return turn(ask_about(rng, forms, text), text, key("copy", " ".join(text.lower().split())))


def _reverse(rng: random.Random) -> Chat:
    things = _things(rng, 2, 7)
    forms = (
        "[Write|Say|Give me] this list backwards",
        "Reverse [this list|the order|these]",
        "Turn this list around",
        "Begin with the last and end with the first",
    )
    return turn(ask_about(rng, forms, ", ".join(things)), ", ".join(things[::-1]))


def _laid_out(rng: random.Random) -> Chat:
    things = _things(rng, 2, 8)
    layouts = (
        ("as a JSON array", json.dumps(things)),
        ("as JSON, in an array", json.dumps(things)),
        ("as a numbered list", "\n".join(f"{at}. {thing}" for at, thing in enumerate(things, 1))),
        ("one on each line", "\n".join(things)),
        ("in lines that begin with a hyphen", "\n".join(f"- {thing}" for thing in things)),
        ("with commas between them", ", ".join(things)),
        ("with spaces between them", " ".join(things)),
        ("with hyphens between them", "-".join(things)),
        ("in capital letters", ", ".join(things).upper()),
        ("with 'and' before the last", joined(things)),
    )
    how, answer = rng.choice(layouts)
    forms = (f"Write [these|this list|this] {how}", f"Give me [these|this list] {how}", f"Put this {how}")
    return turn(ask_about(rng, forms, _listed(rng, things)), answer)


def _place(rng: random.Random) -> Chat:
    things = _things(rng, 3, 7)
    at = rng.randrange(min(len(things), len(PLACES)))
    place, answer = (PLACES[at], things[at]) if rng.random() < 0.7 else ("last", things[-1])
    forms = (
        f"[What|Which one] is the {place} [of these|in this list]",
        f"[Give me|Tell me|Write|Name] the {place} of these",
        f"Which [one|of these] [stands|is] {'at the end' if place == 'last' else place}",
    )
    return turn(ask_about(rng, forms, _listed(rng, things)), _told(rng, answer))


def _neighbour(rng: random.Random) -> Chat:
    things = _things(rng, 3, 9)
    at = rng.randrange(len(things) - 1)
    after = rng.random() < 0.6
    asked, answer = (things[at], things[at + 1]) if after else (things[at + 1], things[at])
    where = "after" if after else "before"
    forms = (
        f"[What|Which one] [comes|stands|is] [right|] {where} {{w}} in this list",
        f"In this list, what [comes|stands] {where} {{w}}",
        f"[Tell me|Write|Name] what stands {where} {{w}} here",
    )
    return turn(ask_about(rng, forms, _listed(rng, things), w=asked), _told(rng, answer))


def _without(rng: random.Random) -> Chat:
    things = _things(rng, 3, 8)
    gone = rng.choice(things)
    forms = (
        "[Write|Copy|Repeat] this [list|] without {w}",
        "[Leave out|Remove|Take out] {w}",
        "[Say|Write] all of these but {w}",
    )
    answer = ", ".join(thing for thing in things if thing != gone)
    return turn(ask_about(rng, forms, ", ".join(things), w=gone), answer)


def _replaced(rng: random.Random) -> Chat:
    *things, new = _things(rng, 4, 8)
    old = rng.choice(things)
    forms = (
        "Replace {w} [by|with] {n}",
        "[Write|Copy] this with {n} [instead of|in place of] {w}",
        "Change {w} to {n}",
    )
    answer = ", ".join(new if thing == old else thing for thing in things)
    return turn(ask_about(rng, forms, ", ".join(things), w=old, n=new), answer)


def _moved(rng: random.Random) -> Chat:
    things = _things(rng, 3, 7)
    moved, end = rng.choice(things), rng.random() < 0.5
    others = [thing for thing in things if thing != moved]
    forms = (
        f"[Put {{w}} at|Move {{w}} to] the {'end' if end else 'beginning'} of this list",
        f"[Write|Copy] this list with {{w}} {'last' if end else 'first'}",
    )
    answer = ", ".join([*others, moved] if end else [moved, *others])
    return turn(ask_about(rng, forms, ", ".join(things), w=moved), answer)


def _looked_up(rng: random.Random) -> Chat:
    """ "Anna has 7, Ben has 12. What does Ben have?": a value that stands with its name."""
    count = rng.randint(2, 6)
    names = rng.sample(NAMES, count) if rng.random() < 0.5 else rng.sample(POOL, count)
    values = [str(n) for n in rng.sample(range(100), count)] if rng.random() < 0.6 else rng.sample(POOL, count)
    form, between = rng.choice((("{n}: {v}", ", "), ("{n} = {v}", ", "), ("{n}: {v}", "\n"), ("{n} has {v}", ", ")))
    text = between.join(form.format(n=name, v=value) for name, value in zip(names, values, strict=True))
    at = rng.randrange(count)
    if rng.random() < 0.7:
        forms = (
            "What [belongs to|goes with|stands with] {n}",
            "[Tell me|Write|Find] what {n} has",
            "What does {n} have",
        )
        asked, answer = ask_about(rng, forms, text, n=names[at]), values[at]
    else:
        forms = ("[Who|What] has {v}", "[Who|What] [goes with|belongs to] {v}", "Find [who|what] has {v}")
        asked, answer = ask_about(rng, forms, text, v=values[at]), names[at]
    return turn(asked, _told(rng, answer))


def _sorted_out(rng: random.Random) -> Chat:
    """Only the numbers, or only the words, of a mixed list."""
    words, numbers = rng.sample(POOL, rng.randint(1, 4)), [str(n) for n in rng.sample(range(100), rng.randint(1, 4))]
    mixed = rng.sample([*words, *numbers], len(words) + len(numbers))
    kind, chosen = rng.choice((("numbers", numbers), ("words", words)))
    forms = (f"[Write|Copy|Give me] only the {kind} [of|in] this list", f"[Find|Name|Say] the {kind} in this")
    return turn(ask_about(rng, forms, _listed(rng, mixed)), ", ".join(one for one in mixed if one in chosen))


def _contained(rng: random.Random) -> Chat:
    *things, other = _things(rng, 4, 9)
    there = rng.random() < 0.5
    asked = rng.choice(things) if there else other
    forms = ("Is {w} in this list", "Is {w} one of these", "Can you find {w} here", "Does this list have {w} in it")
    yes, no = f"Yes, {asked} is in the list.", f"No, {asked} is not in the list."
    answer = rng.choice(("Yes.", "Yes", yes)) if there else rng.choice(("No.", "No", no))
    return turn(ask_about(rng, forms, _listed(rng, things), w=asked), answer)


def _told(rng: random.Random, answer: str) -> str:
    """One thing: as it is, or as a sentence of one word."""
    return answer if rng.random() < 0.6 else choose(rng, "[{x}.|{y}.|{y}]", {"x": answer, "y": capital(answer)})
