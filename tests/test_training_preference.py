"""Phase 4: of two answers the one that loops loses; a reward for not repeating."""

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from tiny_training import (
    arguments,
    assert_same,
    chats,
    tiny_brandon,
    tiny_tokenizer,
    train_with_interruptions,
    weights,
)

from brandon_hf.data.preferences import looped, preference_pairs, repetition_reward
from brandon_hf.modeling import BrandonForCausalLM
from brandon_hf.training.arguments import DPOArguments, GRPOArguments
from brandon_hf.training.checkpoints import MARKER, read_metrics
from brandon_hf.training.preference import PreferenceTrainer, RewardTrainer


def pairs() -> Dataset:
    rows = [(chat["messages"][:1], chat["messages"][1]["content"]) for chat in chats(8)]
    made = preference_pairs([prompt for prompt, _ in rows], [[text, looped(text, 0)] for _, text in rows])
    assert len(made) == 8
    return Dataset.from_list(made)


def dpo(folder: Path, **values: Any) -> PreferenceTrainer:
    args = arguments(DPOArguments, folder, **{"max_steps": 10, "learning_rate": 2e-3} | values)
    args.max_length = 64
    start = folder / "start"  # TRL reads the reference model from where the model came from
    if not start.is_dir():
        tiny_brandon(dropout=0.1).save_pretrained(start)
    model = BrandonForCausalLM.from_pretrained(start)
    return PreferenceTrainer(model=model, args=args, train_dataset=pairs(), processing_class=tiny_tokenizer())


def grpo(folder: Path, reward: Any = repetition_reward, **values: Any) -> RewardTrainer:
    short = {"max_steps": 2, "num_generations": 2, "max_completion_length": 8, "logging_steps": 1}
    return RewardTrainer(
        model=tiny_brandon(),
        reward_funcs=reward,
        args=arguments(GRPOArguments, folder, **short | values),
        train_dataset=Dataset.from_list([{"prompt": chat["messages"][:1]} for chat in chats(8)]),
        processing_class=tiny_tokenizer(),
    )


@pytest.fixture(scope="module")
def preferred(tmp_path_factory: pytest.TempPathFactory) -> PreferenceTrainer:
    trainer = dpo(tmp_path_factory.mktemp("dpo"))
    trainer.train()
    return trainer


def test_looping_answers_lose(preferred: PreferenceTrainer) -> None:
    lines = [line for line in preferred.state.log_history if "loss" in line]
    assert lines[-1]["loss"] < lines[0]["loss"]
    assert lines[-1]["rewards/margins"] > lines[0]["rewards/margins"] + 0.05
    assert read_metrics(Path(str(preferred.args.output_dir)) / "metrics.jsonl")[-1]["step"] == 10


def test_dpo_interrupted_ends_with_the_same_bits(preferred: PreferenceTrainer, tmp_path: Path) -> None:
    again = train_with_interruptions(lambda folder: dpo(folder, save_steps=3), tmp_path, (5, 8))
    assert (tmp_path / "checkpoint-10" / MARKER).is_file()
    assert_same(weights(again.model), weights(preferred.model))


def test_the_reward_reaches_the_weights(tmp_path: Path) -> None:
    """Only with different rewards among the answers to a prompt is there something to learn."""
    seen: list[Any] = []

    def reward(completions: list[Any], **kwargs: Any) -> list[float]:
        seen.extend(completions)
        assert all(0 <= score <= 1 for score in repetition_reward(completions))
        return [float(number) for number in range(len(completions))]

    trainer = grpo(tmp_path, reward, save_steps=1)
    before = weights(trainer.model)
    trainer.train()
    assert seen
    changed = [name for name, now in weights(trainer.model).items() if not torch.equal(now, before[name])]
    assert changed
    assert (tmp_path / "checkpoint-2" / MARKER).is_file()


def test_grpo_interrupted_ends_with_the_same_bits(tmp_path: Path) -> None:
    options = {"save_steps": 1, "max_steps": 3, "temperature": 1.0}
    whole = grpo(tmp_path / "whole", **options)
    whole.train()
    assert any("rewards/repetition_reward/mean" in line for line in whole.state.log_history)
    again = train_with_interruptions(lambda folder: grpo(folder, **options), tmp_path / "cut", (2,))
    assert_same(weights(again.model), weights(whole.model))
