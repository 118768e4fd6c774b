"""Training that is interrupted, at any moment and in any phase, ends with the same weights."""

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny_training import (
    arguments,
    assert_same,
    blocks,
    chat_rows,
    tiny_brandon,
    tiny_tokenizer,
    train_with_interruptions,
    weights,
)
from transformers import TrainerControl, TrainerState

from brandon_hf.training import checkpoints
from brandon_hf.training.arguments import DistillArguments, InstructArguments, PretrainArguments
from brandon_hf.training.checkpoints import MARKER, TimeLimit, last_checkpoint, read_metrics
from brandon_hf.training.distill import DistillTrainer
from brandon_hf.training.instruct import InstructTrainer
from brandon_hf.training.pretrain import PretrainTrainer


def pretrain(folder: Path, model: Any = None, data: Any = None, **values: Any) -> PretrainTrainer:
    args = arguments(PretrainArguments, folder, **{"max_steps": 6, "save_steps": 2} | values)
    return PretrainTrainer(model or tiny_brandon(), args, train_dataset=data or blocks(8), eval_dataset=blocks(2, 1))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


def test_a_checkpoint_appears_only_when_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = pretrain(tmp_path)
    save = trainer._save_rng_state

    def look_and_save(output_dir: str) -> None:
        seen.append((Path(output_dir).parts[len(tmp_path.parts) :], names(tmp_path)))
        save(output_dir)

    seen: list[Any] = []
    monkeypatch.setattr(trainer, "_save_rng_state", look_and_save)
    trainer.train()
    assert [parts for parts, _ in seen] == [(".partial", f"checkpoint-{step}") for step in (2, 4, 6)]
    assert [found for _, found in seen][:2] == [[".partial"], [".partial", "checkpoint-2"]]
    assert names(tmp_path) == ["checkpoint-4", "checkpoint-6"], "save_total_limit is 2"
    for folder in tmp_path.glob("checkpoint-*"):
        files = {path.name for path in folder.iterdir()}
        assert files >= {MARKER, "model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth"}
        assert "training_args.bin" not in files, "a pickle"


def test_a_partial_checkpoint_is_not_resumed_from(tmp_path: Path) -> None:
    for name, whole in (("checkpoint-9", True), ("checkpoint-10", True), ("checkpoint-20", False)):
        (tmp_path / name).mkdir()
        if whole:
            (tmp_path / name / MARKER).touch()
    for name in ("checkpoint-best", ".partial/checkpoint-30", ".checkpoint-40.partial"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / MARKER).touch()
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-10"
    assert last_checkpoint(tmp_path / "nothing") is None


def test_resuming_does_not_warn_of_a_tied_weight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretrain(tmp_path, max_steps=4).train()
    shutil.rmtree(tmp_path / "checkpoint-4")
    warnings: list[str] = []
    monkeypatch.setattr("transformers.trainer.logger.warning", warnings.append)
    trainer = pretrain(tmp_path, max_steps=4)
    assert trainer.model.config.tie_word_embeddings
    trainer.train()
    assert not [warning for warning in warnings if "missing keys" in warning]
    lost = torch.nn.modules.module._IncompatibleKeys(["model.norm.weight", "lm_head.weight"], [])
    trainer._issue_warnings_after_load(lost)
    assert "['model.norm.weight']" in warnings[-1]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> PretrainTrainer:
    trainer = pretrain(tmp_path_factory.mktemp("whole"))
    trainer.train()
    return trainer


@pytest.mark.parametrize("moment", ["_save_optimizer_and_scheduler", "rename", "delete"])
def test_a_kill_while_saving_is_harmless(
    moment: str, uninterrupted: PretrainTrainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies while the checkpoint at step 6 is written, before it gets its name, or while an old one goes."""

    class Killed(BaseException):
        pass

    def die(*args: Any, **kwargs: Any) -> None:
        if trainer.state.global_step == 6:
            raise Killed
        original(*args, **kwargs)

    trainer = pretrain(tmp_path)
    if moment == "rename":
        original: Any = Path.touch
        monkeypatch.setattr(Path, "touch", die)
    elif moment == "delete":
        original = shutil.rmtree

        def remove(path: Any, **kwargs: Any) -> None:
            (die if Path(path).name == "checkpoint-2" else original)(path, **kwargs)

        monkeypatch.setattr(checkpoints.shutil, "rmtree", remove)
    else:
        original = getattr(trainer, moment)
        monkeypatch.setattr(trainer, moment, die)
    with pytest.raises(Killed):
        trainer.train()
    monkeypatch.undo()
    found = last_checkpoint(tmp_path)
    assert found is not None
    assert found.name == ("checkpoint-6" if moment == "delete" else "checkpoint-4")
    assert not (tmp_path / "checkpoint-2" / MARKER).exists() or moment != "delete", "what is half deleted is not whole"
    again = pretrain(tmp_path)
    again.train()
    assert_same(weights(again.model), weights(uninterrupted.model))
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-6"
    if moment != "delete":
        assert names(tmp_path) == ["checkpoint-4", "checkpoint-6"]


def test_remains_of_a_killed_save_are_replaced(uninterrupted: PretrainTrainer, tmp_path: Path) -> None:
    for name in (".partial/checkpoint-2", ".checkpoint-2.partial", "checkpoint-2"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "model.safetensors").write_bytes(b"cut")
        (tmp_path / name / "left").touch()
    trainer = pretrain(tmp_path, save_total_limit=5)
    trainer.train()
    assert names(tmp_path) == ["checkpoint-2", "checkpoint-4", "checkpoint-6"]
    assert not (tmp_path / "checkpoint-2" / "left").exists()
    assert_same(weights(trainer.model), weights(uninterrupted.model))


def options_of(kind: str) -> dict[str, Any]:
    return {
        "max_steps": 8,
        "gradient_accumulation_steps": 2,
        "per_device_eval_batch_size": 2,
        "eval_strategy": "steps",
        "eval_steps": 3,
        "optimizer": "muon" if kind == "muon" else "adamw",
    }


def make_trainer(kind: str, folder: Path, save_steps: int) -> Any:
    """A trainer over 12 rows: an epoch has 3 steps."""
    options = options_of(kind) | {"save_steps": save_steps}
    torch.manual_seed(len(str(folder)))  # the state of the generators must come from the checkpoint
    if kind == "sft":
        del options["optimizer"]
        options |= {"sequence_unlikelihood_alpha": 0.5, "sequence_unlikelihood_every": 2}
        args = arguments(InstructArguments, folder, **options)
        rows = chat_rows(40)
        rows = rows.select(range(12))
        return InstructTrainer(tiny_brandon(dropout=0.1), args, tiny_tokenizer(), rows, rows.select(range(2)))
    data: dict[str, Any] = {"train_dataset": blocks(12), "eval_dataset": blocks(2, seed=1)}
    model = tiny_brandon(dropout=0.1, num_mtp_heads=2)
    if kind == "distill":
        args = arguments(DistillArguments, folder, dropout_schedule="early", **options)
        return DistillTrainer(model, args, tiny_brandon(seed=1, hidden_size=16), **data)
    args = arguments(PretrainArguments, folder, mtp_warmup_fraction=0.8, z_loss=1e-3, **options)
    return PretrainTrainer(model, args, **data)


@pytest.mark.parametrize(
    ("kind", "save_steps", "stops"),
    [
        pytest.param("pretrain", 2, (3, 5), id="pretrain"),
        pytest.param("pretrain", 3, (4, 7), id="pretrain from the end of an epoch"),
        pytest.param("muon", 2, (3, 7), id="muon"),
        pytest.param("distill", 2, (3, 5), id="distill"),
        pytest.param("distill", 3, (4, 7), id="distill from the end of an epoch"),
        pytest.param("sft", 2, (3, 5), id="sft"),
        pytest.param("sft", 3, (3, 7), id="sft from the end of an epoch"),
    ],
)
def test_interrupted_twice_ends_with_the_same_bits(
    kind: str, save_steps: int, stops: tuple[int, int], tmp_path: Path
) -> None:
    def make(folder: Path) -> Any:
        return make_trainer(kind, folder, save_steps)

    whole = make(tmp_path / "whole")
    whole.train()
    again = train_with_interruptions(make, tmp_path / "interrupted", stops)
    assert_same(weights(again.model), weights(whole.model))
    assert_same(again.optimizer.state_dict(), whole.optimizer.state_dict())
    assert_same(again.lr_scheduler.state_dict(), whole.lr_scheduler.state_dict())
    assert again.state.num_input_tokens_seen == whole.state.num_input_tokens_seen

    logs = [read_metrics(Path(trainer.args.output_dir) / "metrics.jsonl") for trainer in (again, whole)]
    for lines in logs:
        assert Counter(line["step"] for line in lines if "loss" in line) == Counter(range(1, 9))
        assert Counter(line["step"] for line in lines if "eval_loss" in line) == Counter((3, 6, 8))
        seconds = [line["seconds"] for line in lines]
        assert seconds == sorted(seconds)
    for key in ("loss", "eval_loss", "grad_norm", "learning_rate", "num_input_tokens_seen"):
        found, wanted = ([line[key] for line in lines if key in line] for lines in logs)
        assert found == wanted, key


def test_the_interruptions_above_would_show(tmp_path: Path) -> None:
    """Dropout and the order of the data do change the weights, so equality above means something."""
    one = pretrain(tmp_path / "one", tiny_brandon(dropout=0.1), save_strategy="no")
    two = pretrain(tmp_path / "two", tiny_brandon(dropout=0.1), save_strategy="no", seed=1)
    one.train()
    two.train()
    assert not torch.equal(weights(one.model)["model.dwa.weight"], weights(two.model)["model.dwa.weight"])


def test_false_starts_anew_and_a_path_is_taken(uninterrupted: PretrainTrainer, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(uninterrupted.args.output_dir, folder)
    trainer = pretrain(folder, save_strategy="no")
    trainer.train(False)
    assert [line["step"] for line in trainer.state.log_history if "loss" in line] == [1, 2, 3, 4, 5, 6]
    later = pretrain(folder, save_strategy="no")
    later.train(str(folder / "checkpoint-4"))
    assert_same(weights(later.model), weights(uninterrupted.model))


def test_a_finished_training_is_not_continued(uninterrupted: PretrainTrainer, tmp_path: Path) -> None:
    """The process died after the last checkpoint, in the middle of an epoch: there is nothing left to train."""
    shutil.copytree(uninterrupted.args.output_dir, tmp_path / "run")
    trainer = pretrain(tmp_path / "run")
    trainer.train()
    assert trainer.state.global_step == 6
    assert_same(weights(trainer.model), weights(uninterrupted.model))
    assert names(tmp_path / "run") == ["checkpoint-4", "checkpoint-6"]
    steps = [line["step"] for line in read_metrics(tmp_path / "run" / "metrics.jsonl") if "loss" in line]
    assert steps == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("tail", ['{"step": 5, "seco', ""])
def test_a_log_line_cut_short_does_not_stop_a_resume(tail: str, uninterrupted: PretrainTrainer, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(uninterrupted.args.output_dir, folder)
    shutil.rmtree(folder / "checkpoint-6")
    log = folder / "metrics.jsonl"
    lines = log.read_text("utf-8").splitlines()[:5]
    log.write_text("\n".join(lines) + "\n" + tail, "utf-8")
    pretrain(folder).train()
    found = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    assert [line["step"] for line in found if "loss" in line] == [1, 2, 3, 4, 5, 6]
    assert not list(folder.glob(".metrics*"))


def test_a_new_training_begins_a_new_log(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 77, "seconds": 1.0}\n', "utf-8")
    pretrain(tmp_path, max_steps=1, warmup_steps=0, save_strategy="no").train()
    assert {line["step"] for line in read_metrics(tmp_path / "metrics.jsonl")} == {1}
    assert read_metrics(tmp_path / "no.jsonl") == []


def breaking(step: int, how: str) -> Callable[..., Any]:
    """A trainer class whose loss, or else its gradient alone, is NaN in the `step`-th micro-batch."""

    class Poison(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, loss: torch.Tensor) -> torch.Tensor:
            return loss.clone()

        @staticmethod
        def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
            return gradient * torch.nan

    class Breaking(PretrainTrainer):
        batches: list[Any] = []  # noqa: RUF012  # one trainer per test
        before: Any = None

        def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            loss = super().compute_loss(model, inputs, *args, **kwargs)
            type(self).batches.append({name: tensor.clone() for name, tensor in inputs.items()})
            inputs.pop("labels")  # as some losses do
            if len(self.batches) == step:
                type(self).before = weights(model)
                return loss * torch.nan if how == "loss" else Poison.apply(loss)
            return loss

    return Breaking


@pytest.mark.parametrize("how", ["loss", "gradient norm"])
@pytest.mark.parametrize("clip", [0.0, 1.0])
def test_nan_stops_before_the_weights_and_saves_the_batch(how: str, clip: float, tmp_path: Path) -> None:
    cls: Any = breaking(6, how)
    model = tiny_brandon()
    args = arguments(PretrainArguments, tmp_path, max_grad_norm=clip, gradient_accumulation_steps=2)
    trainer = cls(model, args, train_dataset=blocks(16))
    with pytest.raises(FloatingPointError, match=rf"{how} is nan in step 3; .*nan_batch.safetensors"):
        trainer.train()
    assert len(cls.batches) == 6
    assert_same(weights(model), cls.before)
    assert_same(
        dict(sorted(load_file(tmp_path / "nan_batch.safetensors").items())), dict(sorted(cls.batches[-1].items()))
    )


def test_fp16_may_overflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its gradient scaler expects that, skips the step and goes on."""
    trainer = pretrain(tmp_path, save_strategy="no")
    infinite = torch.tensor(torch.inf)
    with pytest.raises(FloatingPointError):
        trainer._get_grad_norm(trainer.model, infinite)
    monkeypatch.setattr(trainer.accelerator, "scaler", object())
    assert trainer._get_grad_norm(trainer.model, infinite) is infinite


def test_progress_is_in_tokens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pretrain(tmp_path / "phase1", max_steps=3, save_strategy="no", disable_tqdm=False).train()
    captured = capsys.readouterr()
    assert "tokens/s, loss " in captured.err
    assert "phase1" in captured.err
    assert "{" not in captured.out, "log lines go to metrics.jsonl"
    assert os.listdir(tmp_path / "phase1") == ["metrics.jsonl"]
    assert read_metrics(tmp_path / "phase1" / "metrics.jsonl")[-1]["num_input_tokens_seen"] == 3 * 2 * 32


@pytest.mark.parametrize("main_is_late", [True, False])
def test_with_several_processes_the_main_ones_clock_counts_every_tenth_step(main_is_late, monkeypatch):
    def from_main(values: list) -> None:
        values[0] = main_is_late

    monkeypatch.setattr("brandon_hf.training.checkpoints.broadcast_object_list", from_main)
    limit = TimeLimit(deadline=0.0 if not main_is_late else float("inf"))  # this process would say the opposite
    stopped = []
    for step in range(1, 31):
        control = TrainerControl()
        state = TrainerState(global_step=step, max_steps=30)
        limit.on_step_end(SimpleNamespace(world_size=2), state, control)
        assert control.should_save == control.should_training_stop
        if control.should_save:
            stopped.append(step)
    assert stopped == ([10, 20] if main_is_late else [])  # the last step needs no checkpoint of its own
