"""Checkpoints in the layout of the original Brandon-Tiny implementation, translated to the native one.

Original exports hold `config.json` with the fields `dim`, `n_layers`, ... and a safetensors file whose shared blocks
are stored several times (`layers.N.*` and `_unique_layers.K.*`) or, deduplicated, once. Its training checkpoints are
pickled `.pt` files; they are read with `weights_only=True`, so nothing in them is executed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

_REQUIRED = {
    "dim": "hidden_size",
    "hidden_dim": "intermediate_size",
    "n_heads": "num_attention_heads",
    "n_kv_heads": "num_key_value_heads",
    "vocab_size": "vocab_size",
    "max_seq_len": "max_position_embeddings",
}
_OPTIONAL = {
    "dropout": ("dropout", 0.15),
    "weight_tying": ("tie_word_embeddings", True),
    "norm_eps": ("rms_norm_eps", 1e-5),
    "rope_theta": ("rope_theta", 10000.0),
    "dense_former": ("depth_weighted_average", False),
    "n_registers": ("num_registers", 0),
    "ternary": ("ternary_weights", False),
}
_FIXED = {"normalization": "rmsnorm", "position_encoding": "rope"}
_DERIVED = {"activation", "total_parameters", "head_dim"}  # exports say "swiglu" whatever the model holds
_BLOCK_TENSOR = re.compile(r"(layers|_unique_layers)\.(\d+)\.(.+)")


def is_original_config(config: Mapping[str, Any]) -> bool:
    """Whether a configuration uses the original's field names."""
    return "dim" in config and "hidden_size" not in config


def is_original_state_dict(names: Iterable[str]) -> bool:
    """Whether tensor names are those of the original implementation."""
    return "tok_embeddings.weight" in names


def original_config_to_native(config: Mapping[str, Any], tensor_names: Iterable[str] | None = None) -> dict[str, Any]:
    """Translate original configuration fields; unknown fields are kept.

    Args:
        config: The original's fields. Exports lack `relu_squared`, `step_embedding` and `feedback`.
        tensor_names: Names of the checkpoint's tensors, from which missing fields are inferred.

    Raises:
        ValueError: A field is missing or names something the original does not have.
    """
    given = dict(config)
    names = None if tensor_names is None else set(tensor_names)
    native: dict[str, Any] = {"model_type": "brandon-tiny", "architectures": ["BrandonForCausalLM"]}
    given.pop("model_type", None)
    given.pop("architectures", None)
    for old, new in _REQUIRED.items():
        if old not in given:
            raise ValueError(f"the original-layout config has no field {old!r} (it has {', '.join(sorted(config))})")
        native[new] = given.pop(old)
    for old, (new, default) in _OPTIONAL.items():
        native[new] = given.pop(old, default)
    for field, expected in _FIXED.items():
        if given.pop(field, expected) != expected:
            raise ValueError(f"{field}={config[field]!r} is not supported: the original has only {expected!r}")

    def option(field: str, inferred: bool) -> bool:
        value = given.pop(field, None)
        return inferred if value is None else bool(value)

    loops = given.pop("n_loops", 1)
    depth = given.pop("n_layers", None)
    for field, value in (("n_layers", depth), ("n_loops", loops)):
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{field}={value!r} in the original-layout config must be a positive integer")
    native["num_hidden_layers"] = depth * loops
    native["num_loops"] = loops
    native["block_repeat"] = 2 if given.pop("block_sharing", False) and depth > 1 else 1
    native["value_residual"] = "add" if given.pop("value_residual", False) else "none"
    native["num_mtp_heads"] = given.pop("n_predict", 1) - 1
    gated = names is None or any(name.endswith("feed_forward.w3.weight") for name in names)
    native["mlp_type"] = "relu_squared" if option("relu_squared", not gated) else "swiglu"
    steps = option("step_embedding", "step_embeddings.weight" in (names or ()))
    feedback = option("feedback", "feedback_norm.weight" in (names or ()))
    native["step_embedding"] = steps and loops > 1
    native["loop_feedback"] = feedback and loops > 1
    native["resonance_gate"] = native["num_registers"] > 0 and loops > 1
    for field in _DERIVED:
        given.pop(field, None)
    return {**given, **native}


def convert_original_state_dict(state_dict: Mapping[str, torch.Tensor], config: Any) -> dict[str, torch.Tensor]:
    """Translate the original's tensors to those of `BrandonForCausalLM`.

    Shared blocks are stored once, query, key and value matrices are joined, gate and up matrices are joined, and the
    rows of the query and key matrices are reordered from the original's interleaved rotary pairs (2k, 2k+1) to halves
    (k, k + d/2).

    Args:
        state_dict: Tensors by their original names, duplicated or not, in any dtype.
        config: A `BrandonConfig` of the same model.

    Raises:
        ValueError: A tensor is missing, unknown or mis-shaped, or two copies of a shared tensor differ.
    """
    blocks: dict[int, dict[str, torch.Tensor]] = {}
    rest: dict[str, torch.Tensor] = {}
    for name, tensor in state_dict.items():
        match = _BLOCK_TENSOR.fullmatch(name)
        if match is None:
            rest[name] = tensor
            continue
        index = int(match[2])
        limit = config.layers_per_loop if match[1] == "layers" else config.num_unique_blocks
        if index >= limit:
            raise ValueError(f"tensor {name!r} does not fit the config, whose {match[1]} are numbered below {limit}")
        block = blocks.setdefault(index // config.block_repeat if match[1] == "layers" else index, {})
        if match[3] in block and not torch.equal(block[match[3]], tensor):
            raise ValueError(f"tensor {name!r} differs from another copy of the block it shares")
        block.setdefault(match[3], tensor)

    def take(source: dict[str, torch.Tensor], name: str, shape: tuple[int, ...], prefix: str = "") -> torch.Tensor:
        if name not in source:
            raise ValueError(f"tensor {prefix + name!r} is missing from the checkpoint")
        tensor = source.pop(name)
        if tuple(tensor.shape) != shape:
            raise ValueError(f"tensor {prefix + name!r} has shape {tuple(tensor.shape)}, the config wants {shape}")
        return tensor

    width, hidden, vocabulary = config.hidden_size, config.intermediate_size, config.vocab_size
    head_dim, heads, kv_heads = config.head_dim, config.num_attention_heads, config.num_key_value_heads
    native: dict[str, torch.Tensor] = {}
    for index in range(config.num_unique_blocks):
        block, old, new = blocks.pop(index, {}), f"layers.{index * config.block_repeat}.", f"model.blocks.{index}."

        def part(name: str, *shape: int, block: dict[str, torch.Tensor] = block, old: str = old) -> torch.Tensor:
            return take(block, name, shape, old)

        query = part("attention.wq.weight", heads * head_dim, width)
        key = part("attention.wk.weight", kv_heads * head_dim, width)
        value = part("attention.wv.weight", kv_heads * head_dim, width)
        native[new + "attention.qkv_proj.weight"] = torch.cat(
            [_pairs_to_halves(query, heads), _pairs_to_halves(key, kv_heads), value]
        )
        native[new + "attention.o_proj.weight"] = part("attention.wo.weight", width, heads * head_dim)
        first = part("feed_forward.w1.weight", hidden, width)
        if config.mlp_type == "swiglu":
            gate_up = torch.cat([first, part("feed_forward.w3.weight", hidden, width)])
            native[new + "mlp.gate_up_proj.weight"] = gate_up
        else:
            native[new + "mlp.up_proj.weight"] = first
        native[new + "mlp.down_proj.weight"] = part("feed_forward.w2.weight", width, hidden)
        native[new + "attention_norm.weight"] = part("attention_norm.weight", width)
        native[new + "mlp_norm.weight"] = part("ffn_norm.weight", width)
        if block:
            raise ValueError(f"tensor {old + min(block)!r} is unexpected: the config has no place for it")

    embeddings = take(rest, "tok_embeddings.weight", (vocabulary, width))
    native["model.embed_tokens.weight"] = embeddings
    native["model.norm.weight"] = take(rest, "norm.weight", (width,))
    if not config.tie_word_embeddings:
        native["lm_head.weight"] = take(rest, "output.weight", (vocabulary, width))
    elif "output.weight" in rest and not torch.equal(take(rest, "output.weight", (vocabulary, width)), embeddings):
        raise ValueError("tensor 'output.weight' differs from 'tok_embeddings.weight', but the config ties them")
    depth = config.layers_per_loop
    if config.depth_weighted_average:
        native["model.dwa.weight"] = take(rest, "dwa_weights", (depth, depth + 1))
    if config.num_registers:
        registers = take(rest, "register_tokens", (1, config.num_registers, width))
        native["model.registers"] = registers[0]
    if config.resonance_gate:
        native["model.resonance_gate"] = take(rest, "resonance_gate", (width,))
    if config.step_embedding:
        native["model.step_embeddings"] = take(rest, "step_embeddings.weight", (config.num_loops, width))
    if config.loop_feedback:
        native["model.feedback_norm.weight"] = take(rest, "feedback_norm.weight", (width,))
    for head in range(config.num_mtp_heads):
        native[f"mtp_heads.{head}.proj.weight"] = take(rest, f"mtp_heads.{head}.0.weight", (width, width))
        native[f"mtp_heads.{head}.norm.weight"] = take(rest, f"mtp_heads.{head}.1.weight", (width,))
    if rest:
        raise ValueError(f"tensor {min(rest)!r} is unexpected: the config has no place for it")
    return native


def _pairs_to_halves(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """Reorder rows so that rotating halves equals rotating interleaved pairs. (heads * d, D) -> the same shape."""
    return weight.view(heads, -1, 2, weight.shape[-1]).transpose(1, 2).reshape(weight.shape)


def checkpoint_files(folder: Path) -> list[Path]:
    """The safetensors files of a local folder, following its shard index; empty if it has none.

    Raises:
        ValueError: The shard index is unreadable or names a file that is not there.
    """
    index = folder / "model.safetensors.index.json"
    if (folder / "model.safetensors").is_file() or not index.is_file():
        return [path for path in [folder / "model.safetensors"] if path.is_file()]
    try:
        files = [folder / name for name in sorted(set(json.loads(index.read_text())["weight_map"].values()))]
    except (ValueError, KeyError, AttributeError) as error:
        raise ValueError(f"{index} is not a shard index: {error}") from error
    for path in files:
        if not path.is_file():
            raise ValueError(f"{index} names {path.name!r}, which is not there")
    return files


def read_tensor_names(folder: Path) -> set[str] | None:
    """Names of the tensors in a local folder's safetensors files, or `None` if it has no such file.

    Raises:
        ValueError: A file is truncated or is no safetensors file.
    """
    files = checkpoint_files(folder)
    return {name for path in files for name in _open(path).keys()} if files else None  # noqa: SIM118 - no mapping


def read_safetensors(files: Iterable[str | Path]) -> dict[str, torch.Tensor]:
    """All tensors of the given safetensors files.

    Raises:
        ValueError: A file is truncated or is no safetensors file.
    """
    tensors: dict[str, torch.Tensor] = {}
    for path in files:
        opened = _open(path)
        tensors.update({name: opened.get_tensor(name) for name in opened.keys()})  # noqa: SIM118 - no mapping
    return tensors


def _open(path: str | Path) -> Any:
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is not a complete safetensors file: {error}") from error


class _OriginalModelConfig:
    """Inert stand-in for the configuration object that original `.pt` checkpoints pickle."""


def load_original_pt(path: str | Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Read a training checkpoint of the original implementation without executing anything in it.

    Args:
        path: A `.pt` file with `config` (a pickled `ModelConfig`) and `model_state_dict`.

    Returns:
        The configuration's fields and the tensors, both under their original names.

    Raises:
        ValueError: The file is no such checkpoint, or it pickles any other class or function; the message names it.
    """
    try:
        pickled = torch.serialization.get_unsafe_globals_in_checkpoint(str(path))
    except (RuntimeError, ValueError, EOFError, OSError) as error:
        raise ValueError(f"{path} is not a torch checkpoint: {error}") from error
    refused = [name for name in pickled if not re.fullmatch(r"(__main__|(\w+\.)*model)\.ModelConfig", name)]
    if refused:
        raise ValueError(
            f"{path} pickles {', '.join(sorted(refused))}, which is never loaded: only tensors and ModelConfig"
        )
    try:
        with torch.serialization.safe_globals([(_OriginalModelConfig, name) for name in pickled]):
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for damaged archives
        raise ValueError(f"{path} cannot be read as a torch checkpoint: {error}") from error
    for field, kind in (("config", _OriginalModelConfig), ("model_state_dict", dict)):
        if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get(field), kind):
            raise ValueError(f"{path} holds no {field!r} as the original's save_checkpoint writes it")
    state_dict = checkpoint["model_state_dict"]
    for name, tensor in state_dict.items():
        if not isinstance(tensor, torch.Tensor):
            raise ValueError(f"{path}: entry {name!r} of model_state_dict is no tensor")
    return dict(vars(checkpoint["config"])), state_dict
