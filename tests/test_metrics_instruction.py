"""Whether an answer does what was asked."""

import pytest

from brandon_hf.metrics.instruction import (
    contains_answer,
    exact_answer,
    has_items,
    is_json,
    is_single_word,
    list_items,
    says_name,
    starts_with,
    stopped,
    yes_or_no,
)


@pytest.mark.parametrize(
    ("answer", "expected", "same"),
    [
        ("The  Blue Whale!", "blue whale", True),
        ("1,000 km", "1000 km", True),
        ("don\u2019t", "don't", True),
        ("3.5", "35", False),
        ("-3", "3", False),
        ("(A)", "a", True),
        ("(A)", "b", False),
        ("(A)", "the", False),
        ("Paris, France", "Paris", False),
        ("two", ["2", "Two."], True),
    ],
)
def test_exact_answer_ignores_only_what_does_not_matter(answer, expected, same):
    assert exact_answer(answer, expected) is same


@pytest.mark.parametrize(
    ("answer", "expected", "there"),
    [
        ("I think it is Paris, in France.", "paris", True),
        ("A comparison", "paris", False),
        ("It costs $18.", ["eighteen", "18"], True),
        ("It costs 180.", "18", False),
        ("anything", "", False),
    ],
)
def test_contains_answer_wants_whole_words(answer, expected, there):
    assert contains_answer(answer, expected) is there


def test_stopped_knows_every_end_token_and_padding_after_it():
    assert stopped([5, 6, 2], 2)
    assert stopped([5, 6, 4, 0, 0], [2, 4])
    assert not stopped([5, 6, 7], [2, 4])


@pytest.mark.parametrize(
    "text",
    [
        "I am Brandon.",
        "I\u2019m Brandon, a tiny model.",
        "My name is Brandon!",
        "My name's **Brandon**.",
        "brandon",
        "You can call me Brandon.",
        "I am a small language model called Brandon.",
        "Brandon is my name.",
        "Hello! Brandon here.",
    ],
)
def test_a_text_that_gives_its_name_is_recognised(text):
    assert says_name(text, "Brandon")


@pytest.mark.parametrize(
    "text",
    ["I am not Brandon.", "I know Brandon.", "Brandon is a town in Manitoba.", "I am Brandonia.", "I am ChatGPT.", ""],
)
def test_a_name_in_passing_or_denied_is_not_given(text):
    assert not says_name(text, "Brandon")


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("Here they are:\n1. red\n2. blue, dark\n3) green", ["red", "blue, dark", "green"]),
        ("- red\n* blue", ["red", "blue"]),
        ("1. red 2. blue 3. green", ["red", "blue", "green"]),
        ("red\nblue", ["red", "blue"]),
        ("red, green, and blue.", ["red", "green", "blue"]),
        ("red or blue", ["red", "blue"]),
        ("He was 2. in May and 5. in June", ["He was 2. in May", "5. in June"]),
        ("", []),
    ],
)
def test_items_of_a_list_in_any_form(text, items):
    assert list_items(text) == items
    assert has_items(text, len(items))
    assert not has_items(text, len(items) + 1)


def test_starts_with_compares_whole_words():
    assert starts_with("  Once upon a time", "once upon")
    assert not starts_with("Yesterday", "yes")
    assert not starts_with("Well, once upon", "once")


def test_yes_or_no_is_neither_for_other_answers():
    assert yes_or_no("Yes, it is.") is True
    assert yes_or_no("no") is False
    assert yes_or_no("Nothing, yes?") is None


def test_json_is_an_object_or_array_and_nothing_beside_it():
    assert is_json('{"name": "Ann"}\n')
    assert is_json("[1, 2]")
    assert is_json('{"a": 1, "b": 2}', keys=["b", "a"])
    assert not is_json('{"a": 1, "c": 2}', keys=["a"])
    assert not is_json('["a"]', keys=["a"])
    for text in ("", "5", "[NaN]", "{'a': 1}", 'Sure: {"a": 1}', "[" * 100_000):
        assert not is_json(text), text[:20]


def test_a_single_word_may_carry_punctuation():
    assert is_single_word(" Blue. ")
    assert not is_single_word("dark blue")
    assert not is_single_word("...")
