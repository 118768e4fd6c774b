"""Checkpoints in the layout of the original Brandon-Tiny implementation, translated to the native one.

Original exports hold `config.json` with the fields `dim`, `n_layers`, ... and a safetensors file whose shared blocks
are stored several times (`layers.N.*` and `_unique_layers.K.*`) or, deduplicated, once. Its training checkpoints are
pickled `.pt` files; they are read with `weights_only=True`, so nothing in them is executed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import get_safetensors_metadata, try_to_load_from_cache
from safetensors import SafetensorError, safe_open

_SIZES = {
    "dim": "hidden_size",
    "hidden_dim": "intermediate_size",
    "n_heads": "num_attention_heads",
    "n_kv_heads": "num_key_value_heads",
    "vocab_size": "vocab_size",
    "max_seq_len": "max_position_embeddings",
}
_NUMBERS = {
    "dropout": ("dropout", 0.15),
    "norm_eps": ("rms_norm_eps", 1e-5),
    "rope_theta": ("rope_theta", 10000.0),
}
_FLAGS = {
    "weight_tying": ("tie_word_embeddings", True),
    "dense_former": ("depth_weighted_average", False),
    "ternary": ("ternary_weights", False),
}
_FIXED = {"normalization": "rmsnorm", "position_encoding": "rope"}
_DERIVED = {"activation", "total_parameters"}  # exports say "swiglu" whatever the model holds
_BLOCK_TENSOR = re.compile(r"(layers|_unique_layers)\.(\d+)\.(.+)")
_NEVER_NATIVE = re.compile(r"tok_embeddings\.weight|(layers|_unique_layers)\.\d+\.attention\.wq\.weight")


def is_original_config(config: Mapping[str, Any]) -> bool:
    """Whether a configuration uses the original's field names."""
    return "hidden_size" not in config and any(field in config for field in ("dim", "n_layers", "n_heads"))


def is_original_state_dict(names: Iterable[str]) -> bool:
    """Whether tensor names are those of the original implementation."""
    return any(_NEVER_NATIVE.fullmatch(name) for name in names)


def original_config_to_native(config: Mapping[str, Any], tensor_names: Iterable[str] | None = None) -> dict[str, Any]:
    """Translate original configuration fields; unknown fields are kept.

    Args:
        config: The original's fields. Exports lack `relu_squared`, `step_embedding` and `feedback`.
        tensor_names: Names of the checkpoint's tensors, from which missing fields are inferred.

    Raises:
        ValueError: A field is missing, of the wrong type, or names something the original does not have.
    """
    given = dict(config)
    names = None if tensor_names is None else set(tensor_names)

    def integer(field: str, default: int | None = None, minimum: int = 1) -> int:
        if field not in given and default is None:
            raise ValueError(f"the original-layout config has no field {field!r} (it has {', '.join(sorted(config))})")
        value = given.pop(field, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < minimum:
            raise ValueError(
                f"{field}={value!r} in the original-layout config must be an integer of at least {minimum}"
            )
        return value

    def flag(field: str, default: bool) -> bool:
        value = given.pop(field, None)
        if value is not None and not isinstance(value, bool):
            raise ValueError(f"{field}={value!r} in the original-layout config must be true or false")
        return default if value is None else value

    native: dict[str, Any] = {new: integer(old) for old, new in _SIZES.items()}
    native |= {new: given.pop(old, default) for old, (new, default) in _NUMBERS.items()}
    native |= {new: flag(old, default) for old, (new, default) in _FLAGS.items()}
    native |= {"model_type": "brandon-tiny", "architectures": ["BrandonForCausalLM"]}
    native["head_dim"] = native["hidden_size"] // native["num_attention_heads"]
    for field, expected in _FIXED.items():
        if given.pop(field, expected) != expected:
            raise ValueError(f"{field}={config[field]!r} is not supported: the original has only {expected!r}")

    depth, loops = integer("n_layers"), integer("n_loops", 1)
    native["num_hidden_layers"] = depth * loops
    native["num_loops"] = loops
    native["block_repeat"] = 2 if flag("block_sharing", False) and depth > 1 else 1
    native["value_residual"] = "add" if flag("value_residual", False) else "none"
    native["num_mtp_heads"] = integer("n_predict", 1) - 1
    native["num_registers"] = integer("n_registers", 0, minimum=0)
    gated = names is None or any(name.endswith("feed_forward.w3.weight") for name in names)
    native["mlp_type"] = "relu_squared" if flag("relu_squared", not gated) else "swiglu"
    steps = flag("step_embedding", "step_embeddings.weight" in (names or ()))
    feedback = flag("feedback", "feedback_norm.weight" in (names or ()))
    native["step_embedding"] = steps and loops > 1
    native["loop_feedback"] = feedback and loops > 1
    native["resonance_gate"] = native["num_registers"] > 0 and loops > 1
    return {field: value for field, value in given.items() if field not in _DERIVED} | native


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
        if not tensor.is_floating_point():
            raise ValueError(f"tensor {name!r} holds {tensor.dtype}, not floating-point numbers")
        match = _BLOCK_TENSOR.fullmatch(name)
        if match is None:
            rest[name] = tensor
            continue
        if match[1] != "layers" and config.block_repeat == 1 < config.layers_per_loop:
            raise ValueError(f"tensor {name!r} belongs to shared blocks, but the config has block_sharing=false")
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

    if config.tie_word_embeddings and "tok_embeddings.weight" not in rest and "output.weight" in rest:
        rest["tok_embeddings.weight"] = rest.pop("output.weight")  # safetensors' save_model keeps one name of the two
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
        names = sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values()))
        files = [folder / name for name in names]
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ValueError(f"{index} is not a shard index: {error!r}") from error
    for name, path in zip(names, files, strict=True):
        if not path.is_file():
            raise ValueError(f"{index} names {name!r}, which is not there")
    return files


def read_tensor_names(folder: Path) -> set[str] | None:
    """Names of the tensors in a local folder's safetensors files, or `None` if it has no such file.

    Raises:
        ValueError: A file is truncated or is no safetensors file.
    """
    files = checkpoint_files(folder)
    return {name for path in files for name in _open(path).keys()} if files else None  # noqa: SIM118 - no mapping


def read_safetensors(files: Iterable[str | Path], names: Collection[str] | None = None) -> dict[str, torch.Tensor]:
    """The named tensors, by default all, of the given safetensors files.

    Raises:
        ValueError: A file is truncated or is no safetensors file.
    """
    tensors: dict[str, torch.Tensor] = {}
    for path in files:
        opened = _open(path)
        held = opened.keys() if names is None else set(opened.keys()) & set(names)
        tensors.update({name: opened.get_tensor(name) for name in held})
    return tensors


def find_tensor_names(source: str, subfolder: str = "", revision: str | None = None) -> set[str] | None:
    """Names of a checkpoint's tensors, or `None` if they cannot be had without downloading the weights.

    Args:
        source: A local folder or file in one, or the name of a Hub repository, of which only file headers are read.
        subfolder: Where in `source` the checkpoint is.
        revision: Of the Hub repository.

    Raises:
        ValueError: A local file is truncated or is no safetensors file.
    """
    path = Path(source)
    if path.exists():
        return read_tensor_names((path if path.is_dir() else path.parent) / subfolder)
    if subfolder:
        return None
    cached = try_to_load_from_cache(source, "model.safetensors", revision=revision)
    if isinstance(cached, str):
        return read_tensor_names(Path(cached).parent)
    try:
        return set(get_safetensors_metadata(source, revision=revision).weight_map)
    except Exception:  # offline, not a repository, no safetensors: loading the weights will say what is wrong
        return None


def _open(path: str | Path) -> Any:
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is not a complete safetensors file: {error}") from error


_MODEL_CONFIG = re.compile(r"(__main__|(\w+\.)*model)\.ModelConfig")


class _OriginalModelConfig:
    """Inert stand-in for the configuration object that original `.pt` checkpoints pickle."""


def load_original_pt(path: str | Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Read a training checkpoint of the original implementation without executing anything in it.

    Args:
        path: A `.pt` file with `config` (a pickled `ModelConfig`) and `model_state_dict`.

    Returns:
        The configuration's fields and the tensors, both under their original names.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is no such checkpoint, or it pickles any other class or function; the message names it.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        pickled = torch.serialization.get_unsafe_globals_in_checkpoint(str(path))
    except Exception as error:  # torch raises many kinds for damaged archives
        raise ValueError(f"{path} is not a complete torch checkpoint in the zip format: {error}") from error
    refused = [name for name in pickled if not _MODEL_CONFIG.fullmatch(name)]
    if refused:
        raise ValueError(
            f"{path} pickles {', '.join(sorted(refused))}, which is never loaded: only tensors and ModelConfig"
        )
    try:
        with torch.serialization.safe_globals([(_OriginalModelConfig, name) for name in pickled]):
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the same
        raise ValueError(f"{path} cannot be read as a torch checkpoint: {error}") from error
    for field, kind in (("config", _OriginalModelConfig), ("model_state_dict", dict)):
        if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get(field), kind):
            raise ValueError(f"{path} holds no {field!r} as the original's save_checkpoint writes it")
    state_dict = checkpoint["model_state_dict"]
    for name, tensor in state_dict.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            raise ValueError(f"{path}: entry {name!r} of model_state_dict is no tensor")
    # torch.compile puts a prefix before every name
    return dict(vars(checkpoint["config"])), {n.removeprefix("_orig_mod."): t for n, t in state_dict.items()}
