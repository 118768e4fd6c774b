"""The primer: what it works out is right and holds no prompt's sum; what it tells holds the tables."""

import itertools
import re

import pytest

from brandon_hf.data.derived import every_prompt, primer
from brandon_hf.data.derived.numbers import WORDS
from brandon_hf.data.sources import Source
from brandon_hf.pipeline.recipe import make_recipe

COUNT = 1500
NUMBER = {word: number for number, word in enumerate(WORDS)}


def texts(held_out=(), seed=0, count=COUNT):
    return list(itertools.islice(primer.documents(seed, held_out), count))


def sentences(documents):
    return {sentence.rstrip(".") for text in documents for sentence in text.split(". ")}


@pytest.fixture(scope="module")
def free():
    return sentences(texts())


@pytest.fixture(scope="module")
def held():
    return sentences(texts(every_prompt()))


def values(sentence):
    return [
        int(word) if word.isdigit() else NUMBER[word]
        for word in re.findall(r"\w+", sentence.lower())
        if word.isdigit() or word in NUMBER
    ]


@pytest.mark.parametrize(
    ("pattern", "holds"),
    [
        (r"\w+ \+ \w+ = |\w+ plus \w+ is |\w+ and \w+ make |^The sum of ", lambda a, b, c: a + b == c),
        (r"\w+ - \w+ = |\w+ minus \w+ is |\w+ less \w+ is ", lambda a, b, c: a - b == c),
        (r" taken from ", lambda a, b, c: b - a == c),
        (r"\w+ \* \w+ = |\w+ times \w+ is |^The product of ", lambda a, b, c: a * b == c),
        (r"\w+ / \w+ = |\w+ divided by \w+ is |\w+ shared among \w+ is ", lambda a, b, c: a == b * c),
        (r"^Twice |^Double ", lambda a, b: 2 * a == b),
        (r"^Half of ", lambda a, b: a == 2 * b),
        (r" is twice ", lambda a, b: a == 2 * b),
        (r" is larger than | is more than ", lambda a, b: a > b),
        (r" is less than | is smaller than ", lambda a, b: a < b),
    ],
)
def test_what_is_worked_out_is_right(free, pattern, holds):
    found = [values(sentence) for sentence in free if re.search(pattern, sentence)]
    found = [numbers for numbers in found if len(numbers) >= 2]
    assert len(found) > 40
    assert not [numbers for numbers in found if not holds(*numbers)]


def test_sequences_have_equal_steps(free):
    rows = [values(sentence) for sentence in free if re.fullmatch(r"\w+(?:, \w+){3,}", sentence)]
    rows = [row for row in rows if len(row) > 3]
    assert len(rows) > 200
    assert not [row for row in rows if len({after - before for before, after in itertools.pairwise(row)}) != 1]


def test_sums_that_prompts_ask_for_are_left_out_in_any_form(free, held):
    asked = (r"^(?:8|Eight) (?:\+|plus|and) (?:9|nine)\b", r"(?:20|twenty) (?:-|minus|less) (?:6|six)\b")
    asked += (r"^1, 2, 3, 4, 5", r"^(?:3|Three) (?:\*|times) (?:5|five)\b", r"^(?:Half of 16|Twice (?:7|seven)\b)")
    for pattern in asked:
        assert any(re.search(pattern, sentence) for sentence in free), pattern
        assert not [sentence for sentence in held if re.search(pattern, sentence)]


def test_facts_are_told_though_prompts_ask_for_them(held):
    assert {"The capital of Spain is Madrid", "The opposite of hot is cold", "Coal is black"} <= held


def test_no_document_holds_a_whole_prompt():
    prompts = {"The sun sets in the west", "An insect has six legs", "A week has seven days"}
    assert prompts <= sentences(texts(count=600))
    assert not prompts & sentences(texts(prompts, count=600))


def test_a_seed_gives_the_same_documents_and_another_one_others():
    assert texts(count=20) == texts(count=20) != texts(seed=1, count=20)


def test_a_recipe_names_it_and_it_holds_out_the_prompts_of_the_evaluation(tmp_path, monkeypatch):
    data = {"pretrain": "primer", "folder": str(tmp_path)}
    values = {"model": "5m", "phases": ["pretrain"], "pretrain": {"max_steps": 100}, "data": data}
    (source,) = make_recipe(values, "x").pretrain_sources()
    assert source.builtin == Source.from_recipe("primer")[0].builtin == "primer"
    asked = []
    monkeypatch.setattr(primer, "documents", lambda seed, held_out: asked.extend(held_out) or iter(["A text."]))
    assert [document.text for document in source.documents(0)] == ["A text."]
    assert asked == every_prompt()
