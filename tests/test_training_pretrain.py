"""Phase 1: what the loss is made of in each step, and that it falls."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_training import arguments, blocks, tiny_brandon, tiny_llama, weights
from torch.nn import functional

from brandon_hf.data.packed import collate_blocks
from brandon_hf.training.arguments import PretrainArguments
from brandon_hf.training.evaluation import mean_loss
from brandon_hf.training.pretrain import PretrainTrainer


def train(model: Any, folder: Path, data: Any = None, **values: Any) -> PretrainTrainer:
    args = arguments(PretrainArguments, folder, **values)
    trainer = PretrainTrainer(model, args, train_dataset=blocks(16) if data is None else data)
    trainer.train()
    return trainer


def losses(trainer: PretrainTrainer) -> list[float]:
    return [line["loss"] for line in trainer.state.log_history if "loss" in line]


@pytest.mark.parametrize("make", [tiny_brandon, tiny_llama])
def test_any_causal_language_model_learns(make: Any, tmp_path: Path) -> None:
    model = make()
    before = weights(model)
    held_out = mean_loss(model, blocks(8, seed=1), collate_blocks)
    found = losses(train(model, tmp_path, max_steps=40))
    assert found[-1] < found[0] - 2
    assert mean_loss(model, blocks(8, seed=1), collate_blocks) < held_out - 2
    for name, now in weights(model).items():
        assert not torch.equal(now, before[name]), name


def test_mean_loss_is_the_mean_over_the_labelled_tokens() -> None:
    model, data = tiny_brandon().train(), blocks(5)
    batch = collate_blocks(data)
    with torch.no_grad():
        logits = model.eval()(batch["input_ids"], position_ids=batch["position_ids"], use_cache=False).logits
    expected = functional.cross_entropy(logits[:, :-1].flatten(0, 1), batch["labels"][:, 1:].flatten())
    model.train()
    assert mean_loss(model, data, collate_blocks, batch_size=2) == pytest.approx(expected.item(), rel=1e-5)
    assert model.training, "as it was"
    assert mean_loss(model, data, collate_blocks, batch_size=2, max_rows=5) == pytest.approx(expected.item(), rel=1e-5)
    assert mean_loss(model, data, collate_blocks, max_rows=1) == mean_loss(model, data[:1], collate_blocks)


@pytest.mark.parametrize("options", [{}, {"num_mtp_heads": 2}])
def test_accumulated_gradients_are_those_of_the_whole_batch(options: dict[str, Any], tmp_path: Path) -> None:
    """Tokens count the same, although the halves of the batch have different numbers of them."""
    data = blocks(8)
    for row in data[::2]:
        row["labels"][4:] = -100
    made = {}
    for size, steps in ((4, 1), (2, 2), (1, 4)):
        model = tiny_brandon(**options)
        extra = {"z_loss": 1e-2, "max_grad_norm": 1e9, "weight_decay": 0.0, "adam_epsilon": 1e-3}
        train(model, tmp_path, data, per_device_train_batch_size=size, gradient_accumulation_steps=steps, **extra)
        made[steps] = weights(model)
    for name, expected in made[1].items():
        for steps in (2, 4):
            torch.testing.assert_close(made[steps][name], expected, atol=1e-4, rtol=1e-4, msg=name)


def heads_of(trainer: PretrainTrainer) -> list[int]:
    found = []
    for step in range(trainer.args.max_steps):
        trainer.state.global_step = step
        found.append(trainer.mtp_losses())
    return found


@pytest.mark.parametrize("length", [{"max_steps": 20}, {"num_train_epochs": 10, "max_steps": -1}])
def test_multi_token_heads_join_one_by_one(length: dict[str, int], tmp_path: Path) -> None:
    """The original's curriculum: min(heads, int(step / (fraction * steps / heads)))."""
    seen: list[int] = []

    class Watched(PretrainTrainer):
        def mtp_losses(self) -> int:
            seen.append(super().mtp_losses())
            return seen[-1]

    options = {"mtp_warmup_fraction": 0.5, "lr_scheduler_type": "constant"}
    args = arguments(PretrainArguments, tmp_path, **options | length)
    Watched(tiny_brandon(num_mtp_heads=3), args, train_dataset=blocks(4)).train()
    assert seen == [min(3, int(step / (0.5 * 20 / 3))) for step in range(20)]
    assert seen == [0] * 4 + [1] * 3 + [2] * 3 + [3] * 10


@pytest.mark.parametrize("step", [0, 5, 9])
def test_heads_that_do_not_count_yet_get_zero_gradients(step: int, tmp_path: Path) -> None:
    """Zero, not none: DDP waits for the gradient of every parameter."""
    model = tiny_brandon(num_mtp_heads=2)
    args = arguments(PretrainArguments, tmp_path, max_steps=10, mtp_warmup_fraction=0.8)
    trainer = PretrainTrainer(model, args, train_dataset=blocks(4))
    trainer.state.global_step, trainer.state.max_steps = step, 10
    counted = trainer.mtp_losses()
    assert counted == {0: 0, 5: 1, 9: 2}[step]
    model.train()
    inputs = collate_blocks(blocks(2))
    loss = trainer.compute_loss(model, dict(inputs))
    loss.backward()
    for index, head in enumerate(model.mtp_heads):
        for parameter in head.parameters():
            assert parameter.grad is not None
            assert bool(parameter.grad.any()) == (index < counted)
    expected = model(**inputs, use_cache=False, num_mtp_losses=counted).loss
    assert loss.item() == pytest.approx(expected.item())


def test_without_curriculum_all_heads_count(tmp_path: Path) -> None:
    model = tiny_brandon(num_mtp_heads=2).train()
    trainer = PretrainTrainer(model, arguments(PretrainArguments, tmp_path), train_dataset=blocks(4))
    inputs = collate_blocks(blocks(2))
    expected = model(**inputs, use_cache=False).loss
    assert trainer.compute_loss(model, dict(inputs)).item() == pytest.approx(expected.item())
    assert expected.item() != pytest.approx(model(**inputs, use_cache=False, num_mtp_losses=0).loss.item(), abs=1e-4)


@pytest.mark.parametrize("items", [None, 7])
def test_z_loss_is_the_mean_square_of_the_normalisers(items: int | None, tmp_path: Path) -> None:
    model = tiny_brandon().train()
    inputs = collate_blocks(blocks(2))
    logits = model(inputs["input_ids"], position_ids=inputs["position_ids"], use_cache=False).logits
    predicted = inputs["labels"][:, 1:] != -100
    squares = logits[:, :-1].logsumexp(dim=-1).square()[predicted]
    found = {}
    for weight in (0.0, 0.5):
        trainer = PretrainTrainer(model, arguments(PretrainArguments, tmp_path, z_loss=weight))
        found[weight] = trainer.compute_loss(model, dict(inputs), num_items_in_batch=items).item()
    assert found[0.5] - found[0.0] == pytest.approx(0.5 * squares.sum().item() / (items or len(squares)), rel=1e-4)


def test_z_loss_pulls_normalisers_to_zero(tmp_path: Path) -> None:
    normalisers = []
    for weight in (0.0, 1.0):
        model = tiny_brandon()
        train(model, tmp_path, max_steps=12, z_loss=weight)
        batch = collate_blocks(blocks(4))
        with torch.no_grad():
            logits = model.eval()(batch["input_ids"], position_ids=batch["position_ids"], use_cache=False).logits
        normalisers.append(logits.logsumexp(dim=-1).abs().mean().item())
    assert normalisers[1] < 0.8 * normalisers[0]


def test_evaluation_is_the_loss_of_the_next_token_alone(tmp_path: Path) -> None:
    args = arguments(PretrainArguments, tmp_path, z_loss=1.0, per_device_eval_batch_size=2)
    trainer = PretrainTrainer(tiny_brandon(num_mtp_heads=2), args, eval_dataset=blocks(2))
    found = trainer.evaluate()["eval_loss"]
    assert found == pytest.approx(mean_loss(trainer.model, blocks(2), collate_blocks), rel=1e-5)


@pytest.mark.parametrize(
    ("when", "expected"), [("none", [0.2] * 8), ("early", [0.2] * 2 + [0.0] * 6), ("late", [0.0] * 6 + [0.2] * 2)]
)
def test_dropout_follows_its_schedule_and_saved_configs_keep_the_rate(
    when: str, expected: list[float], tmp_path: Path
) -> None:
    seen: list[float] = []

    class Watched(PretrainTrainer):
        def compute_loss(self, model: Any, *args: Any, **kwargs: Any) -> Any:
            if model.training:
                seen.append(model.config.dropout)
            return super().compute_loss(model, *args, **kwargs)

    options = {"dropout_schedule": when, "dropout_fraction": 0.25, "save_steps": 2, "save_total_limit": 4}
    model = tiny_brandon(dropout=0.2)
    Watched(model, arguments(PretrainArguments, tmp_path, max_steps=8, **options), train_dataset=blocks(16)).train()
    assert seen == expected
    assert model.config.dropout == 0.2
    model.save_pretrained(tmp_path / "final")
    folders = [tmp_path / "final", *(tmp_path / f"checkpoint-{step}" for step in (2, 4, 6, 8))]
    for folder in folders:
        assert json.loads((folder / "config.json").read_text("utf-8"))["dropout"] == 0.2, folder


def test_a_dropout_schedule_needs_a_model_with_dropout(tmp_path: Path) -> None:
    args = arguments(PretrainArguments, tmp_path, dropout_schedule="early")
    with pytest.raises(ValueError, match=r"dropout_schedule='early'.* no dropout"):
        PretrainTrainer(tiny_llama(), args)


def test_gradients_are_clipped(tmp_path: Path) -> None:
    norms: list[float] = []

    class Watched(PretrainTrainer):
        def create_optimizer(self, model: Any = None) -> Any:
            optimizer = super().create_optimizer(model)
            step = optimizer.step

            def watched(*args: Any, **kwargs: Any) -> Any:
                gradients = [parameter.grad for parameter in self.model.parameters()]
                norms.append(torch.nn.utils.get_total_norm([g for g in gradients if g is not None]).item())
                return step(*args, **kwargs)

            optimizer.step = watched
            return optimizer

    args = arguments(PretrainArguments, tmp_path, max_steps=2, max_grad_norm=0.125)
    trainer = Watched(tiny_brandon(), args, train_dataset=blocks(4))
    trainer.train()
    assert norms == pytest.approx([0.125, 0.125], rel=1e-3)
    logged = [line["grad_norm"] for line in trainer.state.log_history if "grad_norm" in line]
    assert min(logged) > 0.125, "the norm before clipping is what is logged"
