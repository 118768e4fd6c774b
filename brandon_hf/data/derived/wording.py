"""Many wordings of one instruction: alternatives in brackets, politeness, letter case, where a given text stands.

Templates are plain text. `[a|b|c]` is one of the alternatives, also nested, and `{x}` a slot; slots are filled last, so
that what they hold is never read as a template.
"""

import random
import re
from collections.abc import Mapping, Sequence

Chat = list[dict[str, str]]

_INNERMOST = re.compile(r"\[([^\[\]]*)\]")
_SLOT = re.compile(r"\{(\w+)\}")
_IMPERATIVES = frozenset(
    re.findall(
        r"\w+",
        "write name list give tell explain describe define say spell count sort put order rewrite change "
        "correct fix make turn join split complete continue repeat copy add subtract multiply find answer "
        "reply begin end use compare choose pick finish shorten work calculate show arrange reverse replace "
        "combine convert invent introduce help start type mention suggest state respond remove take double "
        "divide think greet wish simplify summarize summarise retell",
    )
)
_LIKE_YOU = re.compile(  # a unit, a useful thing, a utopia, but an unimportant, an uninvited one, an utter
    r"uni(?!de|m[abip]|n[cdefhijqstv]|gn|ll|ro)|us[aeiu]|ut(?:en|il|op|er[iu]|ri)|ur[aeio]|ubi|uku|ufo|eu|ewe|one(?![ir])|once"
)
_PLEASE = (
    ("Please {x}", "."),
    ("Please {x}", "."),
    ("Can you {x}", "?"),
    ("Could you {x}", "?"),
    ("Could you please {x}", "?"),
    ("Will you {x}", "?"),
    ("I want you to {x}", "."),
    ("I would like you to {x}", "."),
    ("Brandon, {x}", "."),
    ("{x}, please", "."),
)
_BEFORE = (
    "Hello! ",
    "Hi! ",
    "Hi Brandon! ",
    "Question: ",
    "I have a question. ",
    "Hey, ",
    "Quick question: ",
    "Hello Brandon. ",
)


def choose(rng: random.Random, template: str, slots: Mapping[str, object] | None = None) -> str:
    """`template` with one alternative of each bracket, then with its slots filled."""
    while _INNERMOST.search(template):
        template = _INNERMOST.sub(lambda match: rng.choice(match[1].split("|")), template)
    filled = _SLOT.sub(lambda match: str(slots[match[1]]), template) if slots else template
    return re.sub(r" {2,}", " ", filled).strip()


def capital(text: str) -> str:
    """`text` with its first letter large, also after a quotation mark."""
    at = 1 if text[:1] in "\"'\u201c" else 0
    return text[:at] + text[at : at + 1].upper() + text[at + 1 :]


def small(text: str) -> str:
    """`text` with a small first letter, unless its first word is I, a name of one letter or in capitals."""
    first = re.match(r"\w+", text)
    if first and (first[0] == "I" or (len(first[0]) > 1 and first[0].isupper())):
        return text
    return text[:1].lower() + text[1:]


def dressed(rng: random.Random, instruction: str) -> str:
    """`instruction` as it is, or polite, or after a greeting, or typed carelessly."""
    first = re.match(r"\w+", instruction)
    imperative = first is not None and first[0].lower() in _IMPERATIVES
    if imperative and instruction[-1:] in ".:" and "." not in instruction[:-1] and rng.random() < 0.3:
        form, mark = rng.choice(_PLEASE)
        end = ":" if instruction.endswith(":") else mark
        instruction = capital(form.format(x=small(instruction[:-1]))) + end
    elif rng.random() < 0.06:
        before = rng.choice(_BEFORE)
        instruction = before + (small(instruction) if before.endswith(", ") else instruction)
    if instruction[-1:] in ".?" and rng.random() < 0.12:
        instruction = instruction[:-1].rstrip()
    if rng.random() < 0.1:
        instruction = small(instruction)
    return instruction


def ask(rng: random.Random, templates: str | Sequence[str], **slots: object) -> str:
    """A request in one of the `templates`, varied by `dressed`."""
    template = templates if isinstance(templates, str) else rng.choice(templates)
    return dressed(rng, choose(rng, template, slots))


def ask_about(rng: random.Random, templates: str | Sequence[str], text: str, **slots: object) -> str:
    """A request (templates without a final mark) and the text it is about, in one of several layouts."""
    template = templates if isinstance(templates, str) else rng.choice(templates)
    instruction = choose(rng, template, slots).rstrip(".:?")
    layout = rng.random()
    if layout < 0.1:
        question = re.search(r"(?:^|, )(?:what|which|who|how|can|could|is|are|do|does)\b", instruction.lower())
        mark = "?" if question else "."
        return f"{text}\n\n{dressed(rng, instruction + mark)}"
    opening = dressed(rng, instruction + ":")
    if not opening.endswith(":"):
        opening += ":"
    if "\n" not in text:
        if layout < 0.5:
            return f"{opening} {text}"
        if layout < 0.65 and '"' not in text:
            return f'{opening} "{text}"'
    return f"{opening}\n{text}" if layout < 0.85 else f"{opening}\n\n{text}"


def turn(asked: str, told: str, asks: str = "") -> Chat:
    """One exchange. `asks` is the `key` of what is asked, if it has one; `building.derive` takes it out again."""
    user = {"role": "user", "content": asked}
    return [user | {"asks": asks} if asks else user, {"role": "assistant", "content": told}]


def key(kind: str, *operands: object) -> str:
    """What a request asks, whatever its wording: ("sum", {9, 8}) -> "sum 8 9". A set has no order."""
    parts = [kind]
    for operand in operands:
        parts += sorted(map(str, operand)) if isinstance(operand, (set, frozenset)) else [str(operand)]
    return " ".join(parts).lower()


def with_article(noun: str) -> str:
    """ "owl" -> "an owl"; nouns that begin with a vowel letter but not a vowel sound are few and listed."""
    vowel = noun[:1].lower() in "aeiou" and not _LIKE_YOU.match(noun.lower())
    return f"{'an' if vowel or re.match(r'(?:hour|honest|honou?r|heir)', noun.lower()) else 'a'} {noun}"


def joined(items: Sequence[str], last: str = "and") -> str:
    """ "red, blue and green"."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {last} {items[-1]}"


def words_of(text: str) -> list[str]:
    """The words of a text, without the marks around them."""
    return re.findall(r"[A-Za-z0-9]+(?:['\u2019-][A-Za-z0-9]+)*", text)
