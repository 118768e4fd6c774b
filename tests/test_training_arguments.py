"""Settings of the phases: what is refused and how, the learning rates they make, and what groups are optimised."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tiny_training import arguments, blocks, chat_rows, tiny_brandon, tiny_tokenizer, weights

from brandon_hf.environment import has_bf16
from brandon_hf.training.arguments import (
    DistillArguments,
    DPOArguments,
    GRPOArguments,
    InstructArguments,
    PretrainArguments,
    build_arguments,
)
from brandon_hf.training.instruct import InstructTrainer
from brandon_hf.training.optimizers import muon_with_adamw
from brandon_hf.training.pretrain import PretrainTrainer

PHASES = (PretrainArguments, DistillArguments, InstructArguments, DPOArguments, GRPOArguments)
every_phase = pytest.mark.parametrize("cls", PHASES)


@every_phase
def test_an_unknown_key_is_named_with_its_section_and_the_nearest_one(cls: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"unknown key phase\.learning_rat; did you mean phase\.learning_rate\?"):
        build_arguments(cls, {"max_steps": 10, "learning_rat": 1.0}, "phase", tmp_path)
    with pytest.raises(ValueError, match=r"unknown key phase\.xyzzy$"):
        build_arguments(cls, {"max_steps": 10, "xyzzy": 1.0}, "phase", tmp_path)


@pytest.mark.parametrize("key", ["output_dir", "logging_nan_inf_filter", "save_only_model", "load_best_model_at_end"])
def test_keys_that_would_undo_what_the_trainers_promise_are_refused(key: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"unknown key phase.{key}"):
        build_arguments(PretrainArguments, {"max_steps": 10, key: True}, "phase", tmp_path)


@pytest.mark.parametrize(
    ("cls", "values", "message"),
    [
        (PretrainArguments, {"warmup_steps": 100}, "warm-up of 100 steps .* max_steps=100"),
        (PretrainArguments, {"warmup_steps": 60, "decay_steps": 50}, "60 and decay of 50 .* max_steps=100"),
        (PretrainArguments, {"warmup_steps": 0.6, "decay_steps": 0.5}, "60 and decay of 50 .* max_steps=100"),
        (PretrainArguments, {"warmup_steps": 10, "stable_steps": 50, "decay_steps": 20}, "stable 50 .* make it 70"),
        (PretrainArguments, {"warmup_steps": 2.5}, "warmup_steps=2.5"),
        (PretrainArguments, {"decay_steps": -1}, "decay_steps=-1"),
        (PretrainArguments, {"max_steps": -1}, "needs max_steps"),
        (PretrainArguments, {"decay_type": "sqrt"}, "decay_type='sqrt' .* cosine, linear, 1-sqrt"),
        (PretrainArguments, {"optimizer": "lion"}, "optimizer='lion' .* adamw, muon"),
        (PretrainArguments, {"muon_lr_scale": 2.0}, "muon_lr_scale=2.0 has no effect with optimizer='adamw'"),
        (InstructArguments, {"optimizer": "lion"}, "optimizer='lion' .* adamw, muon"),
        (PretrainArguments, {"dropout_schedule": "middle"}, "dropout_schedule='middle' .* none, early, late"),
        (PretrainArguments, {"dropout_fraction": 1.5}, "dropout_fraction=1.5"),
        (PretrainArguments, {"mtp_warmup_fraction": -0.1}, "mtp_warmup_fraction=-0.1"),
        (PretrainArguments, {"min_lr_ratio": 2}, "min_lr_ratio=2"),
        (PretrainArguments, {"z_loss": -1.0}, "z_loss=-1.0"),
        (DistillArguments, {"divergence": "kl"}, "divergence='kl' .* forward_kl"),
        (DistillArguments, {"temperature": 0.0}, "temperature=0.0"),
        (DistillArguments, {"alpha": 1.1}, "alpha=1.1"),
        (DistillArguments, {"top_k": 0}, "top_k=0"),
        (InstructArguments, {"label_smoothing": 1.0}, "label_smoothing=1.0"),
        (InstructArguments, {"replay": 1.0}, "replay=1.0"),
        (InstructArguments, {"unlikelihood_alpha": -0.5}, "unlikelihood_alpha=-0.5"),
        (InstructArguments, {"entropy_beta": -0.5}, "entropy_beta=-0.5"),
        (InstructArguments, {"sequence_unlikelihood_every": 0}, "sequence_unlikelihood_every=0"),
        (InstructArguments, {"lora_rank": 0}, "lora_rank=0"),
        (InstructArguments, {"warmup_steps": 200}, "warm-up of 200 steps .* max_steps=100"),
        (DPOArguments, {"min_lr_ratio": -1}, "min_lr_ratio=-1"),
        (GRPOArguments, {"warmup_steps": 100}, "warm-up of 100"),
    ],
)
def test_a_value_out_of_range_is_named_with_its_section(
    cls: Any, values: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=f"^phase: .*{message}"):
        build_arguments(cls, {"max_steps": 100} | values, "phase", tmp_path)


@pytest.mark.parametrize("values", [{"warmup_steps": 5, "decay_steps": 20}, {"warmup_steps": 0.05, "decay_steps": 0.2}])
@pytest.mark.parametrize("stable", [None, 75, 0.75])
def test_steps_and_fractions_make_the_same_schedule(values: dict[str, Any], stable: Any, tmp_path: Path) -> None:
    args = arguments(PretrainArguments, tmp_path, max_steps=100, stable_steps=stable, **values)
    assert args.get_warmup_steps(100) == 5
    assert args.lr_scheduler_kwargs == {"num_decay_steps": 20, "decay_type": "cosine", "min_lr_ratio": 0.1}


def learning_rates(args: Any) -> list[float]:
    """Of each step, from the scheduler that a trainer makes."""
    trainer = PretrainTrainer(tiny_brandon(), args, train_dataset=blocks(2))
    trainer.create_optimizer_and_scheduler(args.max_steps)
    rates = []
    for _ in range(args.max_steps + 1):
        rates.append({group["lr"] for group in trainer.optimizer.param_groups})
        trainer.lr_scheduler.step()
    assert all(len(step) == 1 for step in rates)
    return [step.pop() for step in rates]


DECAYS = {
    "cosine": lambda done: 0.5 * (1 + math.cos(math.pi * done)),
    "linear": lambda done: 1 - done,
    "1-sqrt": lambda done: 1 - math.sqrt(done),
}


@pytest.mark.filterwarnings("ignore:.*lr_scheduler.step")  # no optimizer steps here
@pytest.mark.parametrize("decay_type", DECAYS)
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_the_rate_warms_up_stays_and_decays(decay_type: str, optimizer: str, tmp_path: Path) -> None:
    options = {"decay_type": decay_type, "optimizer": optimizer, "min_lr_ratio": 0.2, "learning_rate": 0.5}
    args = arguments(PretrainArguments, tmp_path, max_steps=40, warmup_steps=4, decay_steps=10, **options)
    rates = learning_rates(args)
    assert rates[:4] == pytest.approx([0.5 * (0.2 + 0.8 * step / 4) for step in range(4)])
    assert rates[4:30] == pytest.approx([0.5] * 26)
    expected = [0.5 * (0.2 + 0.8 * DECAYS[decay_type](step / 10)) for step in range(10)]
    assert rates[30:40] == pytest.approx(expected)
    assert rates[40] == pytest.approx(0.1)


@pytest.mark.filterwarnings("ignore:.*lr_scheduler.step")
def test_cosine_schedules_end_at_the_least_rate_too(tmp_path: Path) -> None:
    options = {"lr_scheduler_type": "cosine_with_min_lr", "min_lr_ratio": 0.2, "learning_rate": 0.5}
    rates = learning_rates(arguments(PretrainArguments, tmp_path, max_steps=20, warmup_steps=4, **options))
    assert max(rates) == rates[4] == pytest.approx(0.5)
    assert rates[20] == pytest.approx(0.1)


def test_the_flagship_decays_over_a_fifth_of_the_steps_after_warm_up(repo: Path, tmp_path: Path) -> None:
    text = (repo / "brandon_hf/recipes/10m_optimal/pretrain.yaml").read_text("utf-8")
    values = {key: float(value) if key == "learning_rate" else value for key, value in yaml.safe_load(text).items()}
    args = build_arguments(PretrainArguments, values, "pretrain", tmp_path)
    assert args.get_warmup_steps(args.max_steps) == 500
    expected = {"num_decay_steps": int(0.2 * (args.max_steps - 500)), "min_lr_ratio": 0.1, "decay_type": "cosine"}
    assert args.lr_scheduler_kwargs == expected


@every_phase
def test_precision_is_bf16_where_the_hardware_has_it(cls: Any, tmp_path: Path, monkeypatch: Any) -> None:
    for has in (True, False):
        monkeypatch.setattr("brandon_hf.training.arguments.has_bf16", lambda has=has: has)
        assert build_arguments(cls, {"max_steps": 10}, "phase", tmp_path).bf16 is has
        assert build_arguments(cls, {"max_steps": 10, "bf16": "auto"}, "phase", tmp_path).bf16 is has
        assert build_arguments(cls, {"max_steps": 10, "bf16": False}, "phase", tmp_path).bf16 is False


@pytest.mark.parametrize(
    ("amx", "avx", "vendor", "expected"),
    [
        (True, True, "GenuineIntel", True),
        (False, True, "GenuineIntel", False),  # slower than float32
        (False, True, "AuthenticAMD", True),
        (False, False, "AuthenticAMD", False),
    ],
)
def test_bf16_is_for_processors_that_are_faster_with_it(
    amx: bool, avx: bool, vendor: str, expected: bool, monkeypatch: Any
) -> None:
    monkeypatch.setattr("torch.accelerator.is_available", lambda: False)
    monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda: avx)
    monkeypatch.setattr("brandon_hf.environment._cpu_info", lambda: f"vendor_id : {vendor}")
    assert has_bf16() is expected


@every_phase
def test_nothing_is_reported_unless_asked(cls: Any, tmp_path: Path) -> None:
    assert build_arguments(cls, {"max_steps": 10}, "phase", tmp_path).report_to == []


def test_training_makes_no_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TRL counts its users, unless it runs in CI or offline."""

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError(f"a connection was opened: {args} {kwargs}")

    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr("trl.trainer.base_trainer.send_telemetry", refuse)
    monkeypatch.setattr("huggingface_hub.utils.send_telemetry", refuse)
    monkeypatch.setattr("socket.socket.connect", refuse)
    args = arguments(InstructArguments, tmp_path, max_steps=1, save_steps=1, warmup_steps=0)
    InstructTrainer(tiny_brandon(), args, tiny_tokenizer(), chat_rows()).train()
    assert not (tmp_path / "README.md").exists()
    assert not list(tmp_path.rglob("README.md")), "no model card by TRL"


DREAM = {
    "num_hidden_layers": 6,
    "num_loops": 3,
    "block_repeat": 2,
    "step_embedding": True,
    "loop_feedback": True,
    "resonance_gate": True,
    "ternary_weights": True,
    "mlp_type": "relu_squared",
}
ENHANCED = {"value_residual": "learned", "qk_norm": True, "attention_output_gate": True, "num_mtp_heads": 2}
shapes = pytest.mark.parametrize("options", [ENHANCED, DREAM, {"tie_word_embeddings": False}])


def is_matrix(name: str) -> bool:
    return name.endswith(("_proj.weight", "embed_tokens.weight", "lm_head.weight", ".proj.weight"))


@shapes
@pytest.mark.parametrize("phase", ["pretrain", "sft"])
def test_only_matrices_decay(options: dict[str, Any], phase: str, tmp_path: Path) -> None:
    model: Any = tiny_brandon(**options)
    trainer: Any
    if phase == "pretrain":
        trainer = PretrainTrainer(model, arguments(PretrainArguments, tmp_path, weight_decay=0.3))
    else:
        args = arguments(InstructArguments, tmp_path, weight_decay=0.3)
        trainer = InstructTrainer(model, args, tiny_tokenizer(), chat_rows())
    decay = {id(p): group["weight_decay"] for group in trainer.create_optimizer().param_groups for p in group["params"]}
    found = {name: decay[id(parameter)] for name, parameter in model.named_parameters()}
    assert found == {name: 0.3 if is_matrix(name) else 0.0 for name in found}
    assert {name.rsplit(".")[-1] for name in found if not found[name]} >= {"registers"}
    assert 0.3 in found.values()


@shapes
def test_muon_has_the_hidden_matrices_and_adamw_the_rest(options: dict[str, Any]) -> None:
    model = tiny_brandon(**options)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    muon, adamw = muon_with_adamw(model, 0.1, 0.3, 2.0, (0.8, 0.9)).pair
    hidden = {names[id(weight)] for group in muon.param_groups for weight in group["params"]}
    assert hidden == {name for name in names.values() if name.endswith(("_proj.weight", ".proj.weight"))}
    rest = {names[id(weight)]: group["weight_decay"] for group in adamw.param_groups for weight in group["params"]}
    assert {*rest} == {*names.values()} - hidden
    assert {name for name in rest if rest[name]} == {name for name in rest if is_matrix(name)}
    assert {group["lr"] for group in muon.param_groups} == {0.2}
    assert {(group["lr"], group["betas"]) for group in adamw.param_groups} == {(0.1, (0.8, 0.9))}


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@shapes
def test_every_trainable_parameter_is_optimised_once(options: dict[str, Any], optimizer: str, tmp_path: Path) -> None:
    model = tiny_brandon(**options)
    model.model.embed_tokens.weight.requires_grad_(False)
    trainer = PretrainTrainer(model, arguments(PretrainArguments, tmp_path, optimizer=optimizer))
    found = [id(p) for group in trainer.create_optimizer().param_groups for p in group["params"]]
    assert sorted(found) == sorted(id(p) for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize("resumed", [False, True])
def test_a_schedule_moves_muon_and_adamw(resumed: bool) -> None:
    pair = muon_with_adamw(tiny_brandon(), 0.1, 0.0, 2.0, (0.8, 0.9))
    if resumed:
        pair.load_state_dict(pair.state_dict())
    for group in pair.param_groups:
        group["lr"] /= 2
    assert [{group["lr"] for group in optimizer.param_groups} for optimizer in pair.pair] == [{0.1}, {0.05}]


def test_muon_needs_matrices() -> None:
    with pytest.raises(ValueError, match="optimizer='muon' needs linear layers"):
        muon_with_adamw(tiny_brandon().requires_grad_(False), 0.1, 0.0, 1.0, (0.9, 0.9))


def test_muon_trains(tmp_path: Path) -> None:
    args = arguments(PretrainArguments, tmp_path, max_steps=25, optimizer="muon", learning_rate=2e-2)
    trainer = PretrainTrainer(tiny_brandon(), args, train_dataset=blocks(16))
    trainer.train()
    losses = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    assert losses[-1] < losses[0] - 1


def test_a_muon_step_moves_all_directions_alike(tmp_path: Path) -> None:
    model, name = tiny_brandon(), "model.blocks.0.attention.qkv_proj.weight"
    before = weights(model)
    args = arguments(PretrainArguments, tmp_path, max_steps=1, warmup_steps=0, decay_steps=0, optimizer="muon")
    PretrainTrainer(model, args, train_dataset=blocks(2)).train()
    moved = torch.linalg.svdvals(weights(model)[name] - before[name])
    assert moved[-1] > 0.3 * moved[0]
