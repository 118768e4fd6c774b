"""Requests about a list at hand: the whole answer, worked out again from the request."""

import json
import random
import re

import pytest

from brandon_hf.data.derived import copying
from brandon_hf.data.derived.wording import ask_about

GREETINGS = r"^(?:Question: |Quick question: )"


def exchanges(make, count=600):
    """(what is to be done, the text it is about, the answer) of chats of one maker."""
    rng = random.Random(3)
    for _ in range(count):
        asked, told = (message["content"] for message in make(rng))
        asked = re.sub(GREETINGS, "", asked, flags=re.IGNORECASE)
        if "\n\n" in asked and not re.search(r":\n\n", asked):
            text, instruction = asked.split("\n\n")
        else:
            instruction, text = re.split(r":\s+", asked, maxsplit=1)
        yield instruction.lower(), text.removeprefix('"').removesuffix('"'), told


def split(text):
    return re.split(r", |; |\n| ", text)


def named(instruction, things):
    """The one thing that the instruction names; None where a word of its own could be meant."""
    quoted = re.findall(r'"([\w]+)"', instruction)
    found = quoted or [one for one in re.findall(r"\w+", instruction) if one in map(str.lower, things)]
    return found[0] if len(found) == 1 else None


def same(told, answer):
    """Whether one thing is told: as it is, with a large letter, with a full stop."""
    return told.removesuffix(".").lower() == answer.lower()


def test_copies_are_the_whole_text():
    for _, text, told in exchanges(copying.copy):
        assert told == text


def test_backwards_is_from_the_last_to_the_first():
    for _, text, told in exchanges(copying.reverse):
        assert told == ", ".join(text.split(", ")[::-1])


def test_a_layout_holds_all_things_in_their_order():
    seen = set()
    for instruction, text, told in exchanges(copying.laid_out):
        things = split(text)
        expected = {
            "json": json.dumps([int(thing) if thing.isdigit() else thing for thing in things]),
            "numbered": "\n".join(f"{at}. {thing}" for at, thing in enumerate(things, 1)),
            "line of its own": "\n".join(things),
            "begin with a hyphen": "\n".join(f"- {thing}" for thing in things),
            "commas": ", ".join(things),
            "spaces": " ".join(things),
            "hyphens between": "-".join(things),
            "'and'": ", ".join(things[:-1]) + " and " + things[-1],
            "capital": text.upper(),
        }
        (form,) = [name for name in expected if name in instruction]
        assert told == expected[form], (instruction, text)
        seen.add(form)
    assert seen == expected.keys()


def test_places_count_from_the_beginning():
    for instruction, text, told in exchanges(copying.place):
        things = split(text)
        at = next((at for at, name in enumerate(("first", "second", "third", "fourth")) if name in instruction), -1)
        assert same(told, things[at]), (instruction, text)


def test_a_neighbour_stands_beside():
    seen = 0
    for instruction, text, told in exchanges(copying.neighbour):
        things = split(text.lower())
        if one := named(instruction, things):
            step = 1 if " after " in instruction else -1
            assert same(told, things[things.index(one) + step]), (instruction, text)
            seen += 1
    assert seen > 400


@pytest.mark.parametrize("make", [copying.without, copying.moved])
def test_one_is_left_out_or_moved(make):
    seen = 0
    for instruction, text, told in exchanges(make):
        things = text.split(", ")
        if one := named(instruction, things):
            (gone,) = [thing for thing in things if thing.lower() == one]
            rest = [thing for thing in things if thing != gone]
            if make is copying.moved:
                rest = [*rest, gone] if re.search(r"\b(?:end|last)\b", instruction) else [gone, *rest]
            assert told == ", ".join(rest), (instruction, text)
            seen += 1
    assert seen > 400


def test_one_is_replaced():
    for instruction, text, told in exchanges(copying.replaced):
        things, answered = text.split(", "), told.split(", ")
        (changed,) = [pair for pair in zip(things, answered, strict=True) if pair[0] != pair[1]]
        for one in changed:
            assert re.search(rf"\b{one.lower()}\b", instruction)
        first, second = changed if re.search(r"\b(?:replace|change)\b", instruction) else changed[::-1]
        assert re.search(rf"\b{first}\b.* \"?{second}\b".lower(), instruction), (instruction, text)


def test_what_stands_with_a_name_is_found_both_ways():
    seen = set()
    for instruction, text, told in exchanges(copying.looked_up):
        pairs = [re.split(r": | has | = ", one) for one in re.split(r", |\n", text)]
        both = {one.lower(): other for pair in pairs for one, other in (pair, pair[::-1])}
        if one := named(instruction, both):
            assert same(told, both[one]), (instruction, text)
            people = pairs[0][0][0].isupper()
            assert ("who" in instruction) == (people and one in (value.lower() for _, value in pairs))
            seen.add(("who" in instruction, people))
    assert len(seen) == 3


def test_numbers_and_words_are_told_apart():
    for instruction, text, told in exchanges(copying.sorted_out):
        wanted = [one for one in split(text) if one.isdigit() == ("numbers" in instruction)]
        assert told == ", ".join(wanted)


def test_what_is_in_the_list_is_in_it():
    seen = {True: 0, False: 0}
    for instruction, text, told in exchanges(copying.contained):
        things = split(text.lower())
        for one in re.findall(r'"(\w+)"', instruction):
            assert told.startswith("Yes") == (one in things), (instruction, text)
            seen[one in things] += 1
    assert min(seen.values()) > 50


def test_a_text_of_several_lines_begins_on_a_line_and_stands_in_no_quotation_marks():
    rng = random.Random(0)
    for _ in range(200):
        asked = ask_about(rng, "Copy this", "one\ntwo")
        assert asked.startswith("one\ntwo\n\n") or asked.endswith(":\none\ntwo") or asked.endswith(":\n\none\ntwo")


def test_a_question_after_its_text_ends_as_one():
    rng = random.Random(0)
    ends = {ask_about(rng, "Is it here", "one, two")[-1] for _ in range(300)}
    assert "." not in ends
    assert "?" in ends
