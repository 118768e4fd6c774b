"""What benchmarks/kinds.py counts as a correct answer."""

import importlib
import sys
from pathlib import Path

import pytest

pytest.importorskip("gguf")


@pytest.fixture
def kinds(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[1] / "benchmarks"))
    yield importlib.import_module("kinds")
    sys.modules.pop("kinds", None)


@pytest.mark.parametrize(
    ("kind", "request_", "answer", "reference", "expected"),
    [
        ("numbers", "What is 3 + 4?", "3 + 4 is 7.", "It is seven.", True),
        ("numbers", "What is 3 + 4?", "7 + 4 is 12.", "7", False),
        ("numbers", "Is 8 even?", "Yes, it is.", "Yes.", True),
        ("numbers", "Sort these numbers: 3 1 2", "1, 2, 3.", "1, 2, 3", True),
        ("numbers", "Sort these numbers: 3 1 2", "2, 1, 3", "1, 2, 3", False),
        ("copying", "Copy this: lemon pot", "lemon", "lemon pot", False),
        ("copying", "Copy this: lemon pot", "Lemon pot.", "lemon pot", True),
        ("words", "Spell became with dashes.", "b-e-c-a-m", "b-e-c-a-m-e", False),
        ("words", "What is the opposite of bottom?", "Top.", "The opposite of bottom is top.", True),
        ("words", "What is the opposite of bottom?", "The", "The opposite of bottom is top.", False),
        ("reading", "Who has the red ball?", "Anna.", "Anna has the red ball.", True),
        ("reading", "Anna has a red ball. What colour is it?", "Anna", "Anna's ball is red.", False),
        ("facts", "Can a penguin fly?", "Yes, it can fly.", "No.", False),
        ("facts", "What is a lens made of?", "", "Glass.", False),
    ],
)
def test_an_answer_is_correct_if_it_says_what_the_reference_says(kinds, kind, request_, answer, reference, expected):
    task = kinds.task_of(kind, request_, reference)
    assert kinds.is_correct(task, request_, answer, reference) is expected, task


@pytest.mark.parametrize(
    ("kind", "request_", "reference", "task"),
    [
        ("numbers", "How many times does 2 go into 12?", "6", "numbers: quotients"),
        ("numbers", "Max has 3 plums and buys 2. How many are there now?", "5", "numbers: little stories"),
        ("facts", "Do you know the capital of France?", "Paris.", "facts: all"),
        ("facts", "Hello! Is a shoe food?", "No.", "facts: yes or no"),
    ],
)
def test_requests_are_sorted_into_tasks(kinds, kind, request_, reference, task):
    assert kinds.task_of(kind, request_, reference) == task


def test_what_was_trained_on_is_not_asked(kinds):
    first = list(kinds.unseen("reading", set(), 5))
    assert len(first) >= 5
    seen = {request for _, request, _ in first}
    assert not seen & {request for _, request, _ in kinds.unseen("reading", seen, 5)}
