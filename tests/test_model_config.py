"""Configurations that cannot be built say so at construction, by value; the others survive saving."""

import json
from pathlib import Path
from typing import Any

import pytest
from model_runners import CONFIGS, PLAIN

from brandon_hf.modeling import BrandonConfig, BrandonModel

# What is wrong, and what the message has to hold.
BAD: list[tuple[dict[str, Any], list[str]]] = [
    *[
        ({name: 0}, [f"{name}=0", "at least 1"])
        for name in (
            "vocab_size",
            "hidden_size",
            "intermediate_size",
            "num_hidden_layers",
            "num_attention_heads",
            "num_key_value_heads",
            "head_dim",
            "max_position_embeddings",
            "block_repeat",
            "num_loops",
        )
    ],
    ({"num_registers": -1}, ["num_registers=-1", "at least 0"]),
    ({"num_mtp_heads": -2}, ["num_mtp_heads=-2", "at least 0"]),
    ({"num_hidden_layers": 2.5}, ["num_hidden_layers=2.5"]),
    ({"num_attention_heads": "8"}, ["num_attention_heads='8'"]),
    ({"vocab_size": True}, ["vocab_size=True"]),
    ({"num_registers": None}, ["num_registers=None"]),
    ({"hidden_size": 30, "head_dim": None}, ["num_attention_heads=4", "hidden_size=30"]),
    ({"head_dim": 7}, ["head_dim=7", "even"]),
    ({"num_key_value_heads": 3}, ["num_key_value_heads=3", "num_attention_heads=4"]),
    ({"num_key_value_heads": 8}, ["num_key_value_heads=8", "num_attention_heads=4"]),
    ({"num_loops": 3}, ["num_loops=3", "num_hidden_layers=4"]),
    ({"block_repeat": 5}, ["block_repeat=5", "num_hidden_layers=4"]),
    ({"block_repeat": 3, "num_loops": 2}, ["block_repeat=3", "num_hidden_layers=4", "num_loops=2"]),
    ({"mlp_type": "gelu"}, ["mlp_type='gelu'", "'swiglu'", "'relu_squared'"]),
    ({"value_residual": True}, ["value_residual=True", "'none'", "'add'", "'learned'"]),
    ({"depth_weighted_average": 1}, ["depth_weighted_average=1"]),
    ({"tie_word_embeddings": "no"}, ["tie_word_embeddings='no'"]),
    ({"qk_norm": "false"}, ["qk_norm='false'"]),
    ({"attention_output_gate": None}, ["attention_output_gate=None"]),
    ({"ternary_weights": 2}, ["ternary_weights=2"]),
    ({"dropout": 1.0}, ["dropout=1.0"]),
    ({"dropout": -0.1}, ["dropout=-0.1"]),
    ({"dropout": float("nan")}, ["dropout=nan"]),
    ({"rope_theta": 0}, ["rope_theta=0"]),
    ({"rope_theta": float("inf")}, ["rope_theta=inf"]),
    ({"rms_norm_eps": -1e-5}, ["rms_norm_eps=-1e-05"]),
    ({"step_embedding": True}, ["step_embedding=True", "num_loops=1"]),
    ({"loop_feedback": True}, ["loop_feedback=True", "num_loops=1"]),
    ({"resonance_gate": True, "num_registers": 2}, ["resonance_gate=True", "num_loops=1"]),
    ({"resonance_gate": True, "num_loops": 2}, ["resonance_gate=True", "num_registers=0"]),
    ({"eos_token_id": 67}, ["eos_token_id=67", "vocab_size=67"]),
    ({"eos_token_id": [3, 99]}, ["eos_token_id=99", "vocab_size=67"]),
    ({"bos_token_id": -1}, ["bos_token_id=-1", "vocab_size=67"]),
    ({"pad_token_id": 4096}, ["pad_token_id=4096", "vocab_size=67"]),
    ({"rope_parameters": {"rope_type": "yarn", "factor": 2.0}}, ["rope_type='yarn'"]),
    ({"rope_scaling": {"type": "linear", "factor": 2.0}}, ["rope_type='linear'"]),
    ({"hidden_size": "256", "head_dim": None}, ["hidden_size='256'"]),
    ({"hidden_size": None, "head_dim": None}, ["hidden_size=None"]),
    ({"eos_token_id": "x"}, ["eos_token_id='x'"]),
    ({"use_cache": "yes"}, ["use_cache='yes'"]),
]


@pytest.mark.parametrize(("fields", "named"), BAD, ids=lambda case: str(case))
def test_impossible_config_is_refused_by_value(fields: dict[str, Any], named: list[str]) -> None:
    with pytest.raises(ValueError, match="=") as refusal:
        BrandonConfig(**PLAIN | fields)
    for words in named:
        assert words in str(refusal.value)


def test_config_changed_after_construction_is_refused_by_the_model() -> None:
    config = BrandonConfig(**PLAIN)
    config.num_key_value_heads = 3
    with pytest.raises(ValueError, match="num_key_value_heads=3"):
        BrandonModel(config)


def test_bad_config_file_is_refused_on_loading(tmp_path: Path) -> None:
    BrandonConfig(**PLAIN).save_pretrained(tmp_path)
    file = tmp_path / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"num_loops": 3}))
    with pytest.raises(ValueError, match="num_loops=3"):
        BrandonConfig.from_pretrained(tmp_path)


def test_derived_sizes_are_filled_in() -> None:
    config = BrandonConfig(hidden_size=48, num_attention_heads=6, num_key_value_heads=None)
    assert (config.num_key_value_heads, config.head_dim) == (6, 8)
    looped = BrandonConfig(num_hidden_layers=12, num_loops=2, block_repeat=4)
    assert (looped.layers_per_loop, looped.num_unique_blocks) == (6, 2)


@pytest.mark.parametrize("name", CONFIGS)
def test_saving_keeps_every_field(name: str, tmp_path: Path) -> None:
    config = BrandonConfig(**CONFIGS[name], eos_token_id=[3, 4], pad_token_id=1, dropout=0.1)
    config.save_pretrained(tmp_path)
    loaded = BrandonConfig.from_pretrained(tmp_path)
    assert {k: v for k, v in loaded.to_dict().items() if k != "_name_or_path"} == {
        k: v for k, v in config.to_dict().items() if k != "_name_or_path"
    }
    assert loaded.rope_theta == CONFIGS[name].get("rope_theta", 10000.0)


def test_unknown_fields_are_kept(tmp_path: Path) -> None:
    config = BrandonConfig(**PLAIN, phase="sft", teacher={"name": "30m", "layers": 30})
    config.save_pretrained(tmp_path / "a")
    BrandonConfig.from_pretrained(tmp_path / "a").save_pretrained(tmp_path / "b")
    loaded = BrandonConfig.from_pretrained(tmp_path / "b")
    assert (loaded.phase, loaded.teacher) == ("sft", {"name": "30m", "layers": 30})
    assert json.loads((tmp_path / "b" / "config.json").read_text())["phase"] == "sft"


def test_rope_theta_is_read_from_where_transformers_writes_it() -> None:
    assert BrandonConfig(rope_parameters={"rope_type": "default", "rope_theta": 500.0}).rope_theta == 500.0


def test_field_can_be_overridden_while_loading(tmp_path: Path) -> None:
    BrandonConfig(**PLAIN, rope_theta=500.0).save_pretrained(tmp_path)
    loaded = BrandonConfig.from_pretrained(tmp_path, rope_theta=700.0, num_registers=2)
    assert (loaded.rope_theta, loaded.num_registers) == (700.0, 2)
