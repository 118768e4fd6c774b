"""What a request asks, whatever its wording: "sum 8 9", "capital italy", "next monday", "list fruits 4".

Chats made here say themselves what they ask (`wording.turn`). Of any other text, such as the prompts that models are
measured with, rules read it: numbers and the words of operations; what stands in the tables here, together with words
that go with it.
"""

import itertools
import re
from collections.abc import Callable, Iterable, Iterator

from brandon_hf.data.sources import STRAIGHT_QUOTES
from brandon_hf.data.synthetic import world

from .word_lists import CAPITALS, MEMBERS, OPPOSITES, items, pairs
from .wording import key

_MOST = 40  # words; longer texts are no questions
NUMBER = {word: str(number) for number, word in enumerate(world.NUMBERS)}

_ORDER = {"sort", "order", "arrange", "alphabetical", "alphabetically", "alphabet", "largest", "smallest", "biggest"}
_ASKED = frozenset(  # words of a request that are not what it is about
    re.findall(
        r"\w+",
        "a an the of to in on at for with from by about into is are was were be am do does did has have had can "
        "could would will shall should may might must please me my mine i you your it its this that these those "
        "and or not no yes but so if as than then there here what which who whom whose how why when where we us "
        "our one they their he she his her answer say tell give write list name word words reply respond just only "
        "hello hi hey thanks brandon question quick want like know exactly spell spelled letter letters hyphen "
        "hyphens dash dashes between separated spaces commas begin begins start starts first last make put "
        "correctly again down out up nothing else more stop thing colour explain called call mean means find "
        "complete show need now long short little small old young lost brave lazy clever friendly big story poem "
        "lines verse rhyme something few using use used purpose done end finish sentence sentences most",
    )
)


def normal(text: str) -> str:
    """`text` in small letters: its words, numbers and signs of operations with a space between."""
    text = re.sub(r"'s\b", "", text.translate(STRAIGHT_QUOTES).lower()).replace("'", "")
    return " ".join(re.findall(r"\w+|[+*\u00d7/]|(?<=\d )-(?= ?\d)|(?<=\d)-(?=\d)", text))


def asked_of(text: str) -> frozenset[str]:
    """The keys of all that the rules read in a request; none for a long text or for one that no rule knows."""
    words = [NUMBER.get(word, word) for word in normal(text).replace("color", "colour").split()]
    if len(words) > _MOST:
        return frozenset()
    said = " ".join(words)
    rules = (_things,) if "story" in words else _RULES
    return frozenset(found for rule in rules for found in rule(text, said, words))


def head(thing: str) -> str:
    """The last word, in the singular: "a polar bear" -> "bear"."""
    return singular(normal(thing).split()[-1])


def singular(word: str) -> str:
    """ "carrots" -> "carrot"; what is no plural stays."""
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    return word.removesuffix("s") if len(word) > 3 and not word.endswith("ss") else word


def listed(kind: str, count: int) -> str:
    """The key of a request for so many things of a kind of `MEMBERS`, or of "numbers"."""
    return key("list", kind, count)


_N = r"(\d+)"
_SUMS = rf"{_N} (?:\+|plus|added to) {_N}|add (?:the |numbers? )*{_N} (?:and|to|with|plus) {_N}"
_SUMS += (
    rf"|(?:sum|total) of {_N} and {_N}|{_N} and {_N} (?:make|together|in all|added|altogether|give|equal|is how much)"
)
_SUMS += rf"|increase {_N} by {_N}|what (?:number )?is {_N} more than {_N}|put {_N} and {_N} together"
_DIFFERENCES = rf"{_N} (?:-|minus|less|take away) {_N}|(?:subtract|take|take away|remove) {_N} (?:away )?from {_N}"
_DIFFERENCES += rf"|difference (?:between|of) {_N} and {_N}|(?:decrease|reduce) {_N} by {_N}"
_DIFFERENCES += (
    rf"|what (?:number )?is {_N} (?:less|fewer) than {_N}|from {_N} (?:you )?(?:take|subtract)(?: away)? {_N}"
)
_DIFFERENCES += rf"|how much (?:more|larger|bigger) is {_N} than {_N}|{_N} is taken (?:away )?from {_N}"
_DIFFERENCES += rf"|left (?:of|from) {_N} (?:if|when) (?:\w+ ){{1,4}}{_N}"
_PRODUCTS = rf"{_N} (?:\*|x|\u00d7|times|multiplied by) {_N}|multiply {_N} (?:by|and|with|times) {_N}"
_PRODUCTS += rf"|product of {_N} and {_N}"
_QUOTIENTS = rf"{_N} (?:/|divided by) {_N}|divide {_N} by {_N}|share {_N} (?:\w+ ){{0,3}}among {_N}"
_LARGE = r"(?:less|smaller|more|larger|bigger|greater|lower|higher|fewer)"
_COMPARED = rf"{_N} {_LARGE} than {_N}|{_LARGE}(?: number)?(?: is it)? {_N} or {_N}|{_N} or {_N} .*{_LARGE}"
_PARTS = {"half": 2, "halve": 2, "third": 3, "quarter": 4}
_AWAY = r"\b(?:left|lose|loses|lost|gives? away|gave|sells|sold|broke|fewer|still|takes?|stay|eats?|ate)\b"


def _numbers(_: str, said: str, words: list[str]) -> Iterator[str]:
    """Sums and other operations, comparisons, stories that ask how many; what has how many of something."""
    found = []
    for kind, pattern in (("sum", _SUMS), ("difference", _DIFFERENCES), ("product", _PRODUCTS)):
        found += [key(kind, {*_two(match)}) for match in re.finditer(pattern, said)]
    found += [key("quotient", *_two(match)) for match in re.finditer(_QUOTIENTS, said)]
    for part in re.finditer(rf"\b(half|halve|third|quarter) (?:of )?{_N}", said):
        found.append(key("quotient", int(part[2]), _PARTS[part[1]]))
    found += [key("product", {2, int(match[1])}) for match in re.finditer(rf"\b(?:twice|double) (?:of )?{_N}", said)]
    found += [key("quotient", *_two(match)[::-1]) for match in re.finditer(rf"does {_N} go into {_N}", said)]
    found += [key("compare", {*_two(match)}) for match in re.finditer(_COMPARED, said) if "what is" not in match[0]]
    values = [int(word) for word in words if word.isdigit()]
    if not found and len(values) == 2 and "how many" in said:
        kind = "product" if re.search(r"\b(?:each|every|a day)\b", said) else "sum"
        yield key("difference" if kind == "sum" and re.search(_AWAY, said) else kind, {*values})
    yield from found
    parts = re.search(r"how many (\w+) (?:are there |are |is )?(?:in|on|do|does|has|have) (?:an? |the )?(\w+)", said)
    if parts and not {*values} - {1}:
        yield key("many", singular(parts[1]), singular(parts[2]))
    if parts := re.search(r"\bdo(?:es)? (?:an? |the )?(\w+) have \d+ (\w+)", said):
        yield key("many", singular(parts[2]), singular(parts[1]))


def _sequences(_: str, said: str, words: list[str]) -> Iterator[str]:
    """Counting, and the number that comes next."""
    if match := re.search(rf"(?:count|numbers?|say|write)\b.*?\bfrom {_N} (?:up )?(?:to|until) {_N}", said):
        step = re.search(rf"(?:steps of|by) {_N}", said)
        yield key("count", *_two(match), int(step[1]) if step else 1)
    elif match := re.search(rf"count (?:up )?to {_N}", said):
        yield key("count", 1, int(match[1]), 1)
    if match := re.search(r"\d+(?: \d+){2,}", said):
        run = [int(value) for value in match[0].split()]
        if len({after - before for before, after in itertools.pairwise(run)}) == 1 and _goes_on(words):
            yield key("next number", run[-1], run[1] - run[0])
    if match := re.search(rf"\bafter (?:the )?(?:number )?{_N}(?: |$)", said):
        yield key("next number", int(match[1]), 1)


def _two(match: re.Match[str]) -> tuple[int, int]:
    first, second = (int(value) for value in match.groups() if value is not None)
    return first, second


def _goes_on(words: Iterable[str]) -> bool:
    return not {"next", "continue", "go", "after", "follow", "follows", "comes", "carry"}.isdisjoint(words)


def _ordered(text: str, said: str, words: list[str]) -> Iterator[str]:
    """Three or more words or numbers to be sorted, or of which the first in an order is asked."""
    if not _ORDER.isdisjoint(words):
        groups = re.findall(r"\b\w+(?:(?:, and |, | and )\w+){2,}", text.lower())
        for group in [*groups, *re.findall(r"\d+(?: \d+){2,}", said)]:
            members = re.findall(r"\w+", group.replace(" and ", " "))
            yield key("order", {NUMBER.get(member, member) for member in members})


_KINDS = {
    kind: {singular(word) for word in kind.split()} - {"of", "the", "a", "in", "to", "that", "one", "can"}
    for kind in MEMBERS
}
_LISTING = re.compile(
    r"\b(?:name|list|give|tell|write|think|mention|show|need|examples?|please|make|say|(?:what|which) are)\b"
    r"|^\d+ (?!word)"
)
_WHOLE = {"days of the week": "days", "months": "months", "seasons": "seasons", "planets": "planets"}


def _lists(_: str, said: str, words: list[str]) -> Iterator[str]:
    """So many things of a kind, one example, or all of a kind that is complete."""
    said = said.replace("days of the week", "day_of_week").replace("months of the year", "months")
    stems = {singular(word) for word in said.replace("day_of_week", "day week").split()}
    there = [kind for kind, wanted in _KINDS.items() if wanted <= stems]
    there = [kind for kind in there if not any(_KINDS[kind] < _KINDS[other] for other in there)]
    if "numbers" in words and "with numbers" not in said and not {"even", "odd"} & stems:
        there.append("numbers")
    counts = {int(word) for word in words if word.isdigit()}
    if not _LISTING.search(said) or "more than" in said:
        return
    if not counts and re.search(r"\bexample\b|\b(?:name|me|say|mention) an? \w+", said):
        counts = {1}
    for kind in there:
        if len(counts) == 1:
            yield listed(kind, *counts)
        elif not counts and _WHOLE.get(kind, "\0") in words and not {"after", "before", "how"} & stems:
            yield listed(kind, len(items(MEMBERS[kind])))


def _spelling(_: str, said: str, words: list[str]) -> Iterator[str]:
    about = [word for word in words if word not in _ASKED and word.isalpha() and len(word) > 1]
    marks = {"hyphen", "hyphens", "dash", "dashes", "spaces"} & {*words}
    if "spell" in words or marks or "letter by letter" in said or "between the letters" in said:
        yield from (key("spell", word) for word in about)
    if "letter" in words and {"begin", "begins", "start", "starts", "first", "beginning"} & {*words}:
        yield from (key("letter", "first", word) for word in about)


_PAIRED = {word for pair in pairs(OPPOSITES) for word in pair}
_PAIRED -= {"give", "find", "in", "on", "question", "answer", "same", "different", "come", "go", "right", "wrong"}
_PAIRED -= {"first", "last", "start", "begin", "end"}


def _opposites(_: str, said: str, words: list[str]) -> Iterator[str]:
    if {"opposite", "opposites", "antonym", "antonyms", "contrary"} & {*words} and "order" not in words:
        if "with not" not in said:
            yield from (key("opposite", word) for word in words if word in _PAIRED)
    elif match := re.search(r"something is not (\w+)", said):
        yield key("opposite", match[1])


_CIRCLES = [
    [member.lower() for member in items(MEMBERS[kind])] for kind in ("days of the week", "months", "seasons")
] + [list("abcdefghijklmnopqrstuvwxyz")]


def _neighbours(_: str, said: str, words: list[str]) -> Iterator[str]:
    """The day, month, season or letter after or before another one."""
    for circle in _CIRCLES:
        if len(circle[0]) == 1 and not {"letter", "letters", "alphabet"} & {*words} and not _goes_on(words):
            continue
        one = "|".join(circle)
        for match in re.finditer(
            rf"\b(after|follows|following|before) (?:the )?(?:day |month |letter |season )?({one})\b", said
        ):
            yield key("before" if match[1] == "before" else "next", match[2])
        yield from (key("next", found) for found in re.findall(rf"\b({one}) is followed by\b", said))
        at = [circle.index(word) for word in words if word in circle]
        in_row = len(at) > 1 and (at[-1] - at[-2]) % len(circle) == 1
        if in_row and _goes_on(words):
            yield key("next", circle[at[-1]])
        if today := re.search(rf"today is ({one})\b", said):
            yield from (
                key(kind, today[1]) for kind, day in (("next", "tomorrow"), ("before", "yesterday")) if day in words
            )


_CITIES = {country.lower(): city.lower() for country, city in (*pairs(CAPITALS), *world.CAPITAL.items())}


def _capitals(_: str, said: str, words: list[str]) -> Iterator[str]:
    padded, there = f" {said} ", {*words}
    for country, city in _CITIES.items():
        of_city = f" {city} " in padded and ({"capital", "country", "countries"} & there or f"where is {city}" in said)
        if of_city or (f" {country} " in padded and "capital" in there):
            yield key("capital", country)


_BABIES = {head(animal) for animal in world.YOUNG}
_COLOURED = {head(thing) for thing in world.COLOUR} | {"sky", "grass", "snow", "coal", "blood", "chocolate", "milk"}
_COLOURS = {*items(MEMBERS["colours"]), "gray", "violet"}
_CRIES = {cry: head(animal) for animal, cry in world.SOUND.items() if [*world.SOUND.values()].count(cry) == 1}
_CRIES |= {"bark": "dog", "barks": "dog", "barking": "dog", "meows": "cat", "miaow": "cat", "miaows": "cat"}
_VOICES = {head(animal) for animal in world.SOUND}


def _nature(_: str, said: str, words: list[str]) -> Iterator[str]:
    """Babies, colours and sounds."""
    there, stems = {*words}, {singular(word) for word in words}
    one = (
        {"what", "which", "find", "give", "tell"} & there and {"call", "called", "name", "word", "term"} & there
    ) or "young of" in said
    if one and re.search(r"\b(?:baby|babies|offspring|young (?:\w+$|\w+ is|of))\b", said):
        yield from (key("young", animal) for animal in _BABIES & stems)
    named = _COLOURS & there
    if stems & {"colour", "coloured"} or ({"is", "are"} & there and named):
        yield from (key("colour", thing) for thing in _COLOURED & stems)
    if len(named) == 2 and {"mix", "make", "get", "mixed", "mixing"} & there:
        yield key("mix", named)
    says = re.search(r"\b(?:sounds?|noises?)\b|\bwhat (?:do|does|would|will|can) (?:\w+ ){1,4}say\b", said)
    if says:
        yield from (key("sound", animal) for animal in _VOICES & stems)
    if "why" not in there and {"animal", "which", "what", "who", "can", "do", "does"} & there:
        yield from (key("sound", animal) for cry, animal in _CRIES.items() if cry in there)


def _things(_: str, said: str, words: list[str]) -> Iterator[str]:
    """What a thing is for, stories, poems and so many sentences about a thing, JSON objects with some keys."""
    about = [singular(word) for word in words if word not in _ASKED and not word.isdigit()]
    if "for" in words and "what" in words:
        yield from (key("use", word) for word in about)
    if told := re.search(r"\b(?:story|tale) (?:about|of|with|on) ([\w ]+)", said):
        yield from (key("story", singular(word)) for word in told[1].split() if word not in _ASKED)
    if {"poem", "verse", "verses", "rhyme", "rhymes", "poems"} & {*words} and "about" in words:
        yield from (key("poem", word) for word in about)
    if count := re.search(r"\b(\d+) (?:\w+ )?sentences?\b", said):
        yield from (key("sentences", word, int(count[1])) for word in about)
    if "json" in words and {"object", "key", "keys", "with", "fields"} & {*words}:
        ends = said.split(" json ", 1)[-1].split()
        skipped = {
            "object",
            "that",
            "has",
            "have",
            "having",
            "with",
            "the",
            "key",
            "keys",
            "and",
            "field",
            "fields",
            "2",
        }
        yield key("json", {word for word in ends if word not in skipped})


_COPY = r"(?:copy|repeat|write|say|echo|type|answer|reply|put)\b"
_BARE = frozenset(
    re.findall(
        r"\w+",
        "copy repeat write say echo type answer reply with just exactly this the word text sentence nothing else more "
        "and stop after me only please again following can could you will",
    )
)


def _copies(text: str, said: str, words: list[str]) -> Iterator[str]:
    """What is to be written down as it stands."""
    if re.search(rf"\b{_COPY}", said) and "json" not in words:
        marked = re.search(r":\s*(.+)$", text, re.DOTALL) or re.search(r'"([^"]+)"', text)
        payload = normal(marked[1]) if marked else " ".join(word for word in normal(text).split() if word not in _BARE)
        if payload:
            yield key("copy", payload)


_RULES: tuple[Callable[[str, str, list[str]], Iterator[str]], ...] = (
    _numbers,
    _sequences,
    _ordered,
    _lists,
    _spelling,
    _opposites,
    _neighbours,
    _capitals,
    _nature,
    _things,
    _copies,
)
