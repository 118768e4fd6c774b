"""What benchmarks/kinds.py counts as a correct answer."""

import hashlib
import importlib
import sys
from pathlib import Path

import pytest
import yaml

from brandon_hf.evaluation.generation import read_prompts
from brandon_hf.metrics.checks import check_checks

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


def test_blind_prompts_are_checked_unless_they_were_trained_on(kinds, monkeypatch, tmp_path):
    class Engine:
        def generate(self, chat, **options):
            return ["Yes", "."] if "wet" in chat[-1]["content"] else ["No."]

    rows = [
        {"category": "yes_no", "prompt": prompt, "check": {"kind": "yes_no", "value": value}}
        for prompt, value in (("Is rain wet?", "yes"), ("Is sand wet?", "no"), ("Is a stone food?", "no"))
    ]
    (tmp_path / "prompts.yaml").write_text(yaml.safe_dump({"instructions": rows}))
    monkeypatch.setattr(kinds, "TASKS", {})
    monkeypatch.setattr(kinds, "BLIND", tmp_path / "prompts.yaml")
    measured = kinds.measure(Engine(), {"Is a stone food?"}, 5)
    assert measured["blind prompts: all"] == {"n": 2, "accuracy": 0.5}
    assert measured["blind prompts: yes_no"] == {"n": 2, "accuracy": 0.5}


def test_the_blind_prompts_can_be_checked(kinds):
    rows = yaml.safe_load(kinds.BLIND.read_text("utf-8"))["instructions"]
    assert len({row["prompt"] for row in rows}) == 80
    assert all(check_checks(row["check"]) for row in rows)
    prompts = {row.prompt for rows in read_prompts("strict").values() for row in rows}
    assert not prompts & {row["prompt"] for row in rows}


def test_the_blind_prompts_are_frozen(kinds):
    checksum = hashlib.sha256(kinds.BLIND.read_bytes()).hexdigest()
    assert checksum == "10b88c3b437bc03a63e472c0660f61d80ec0cf3351570ba6224fe2ae4f8c05c2"
