"""Writes models in the layout of the original implementation: the inverse of what loading does, for tests."""

import json
import struct
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from brandon_hf.modeling import BrandonConfig, BrandonForCausalLM

VOCABULARY = 97
IDS = torch.randint(0, VOCABULARY, (2, 17), generator=torch.Generator().manual_seed(1))
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 24,
    "intermediate_size": 20,
    "num_hidden_layers": 5,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 40,
}
PLAIN = {"block_repeat": 1, "depth_weighted_average": False, "value_residual": "none", "num_registers": 0}
LOOPS: dict[str, Any] = {"num_loops": 3, "num_hidden_layers": 9, "block_repeat": 1}
DREAM = LOOPS | {
    "step_embedding": True,
    "loop_feedback": True,
    "resonance_gate": True,
    "mlp_type": "relu_squared",
    "ternary_weights": True,
}
# Shapes the original can express, by what is special about them; the defaults are the flagship's options.
SHAPES: dict[str, dict[str, Any]] = {
    "odd_depth_shared": {},
    "even_depth_shared": {"num_hidden_layers": 4},
    "plain": PLAIN,
    "one_layer": PLAIN | {"num_hidden_layers": 1},
    "untied": {"tie_word_embeddings": False},
    "all_key_value_heads": {"num_key_value_heads": 4},
    "heads_do_not_divide_width": PLAIN | {"hidden_size": 26, "head_dim": 6},
    "registers_without_loops": PLAIN | {"num_registers": 3},
    "average_without_registers": {"num_registers": 0},
    "relu_squared": {"mlp_type": "relu_squared"},
    "ternary_swiglu": {"ternary_weights": True},
    "dropout": {"dropout": 0.3},
    "other_constants": {"rope_theta": 500.0, "rms_norm_eps": 1e-2},
    "loops_without_registers": LOOPS | PLAIN,
    "loops_step_embedding": LOOPS | PLAIN | {"step_embedding": True},
    "loops_feedback": LOOPS | PLAIN | {"loop_feedback": True},
    "loops_shared": LOOPS | {"block_repeat": 2, "resonance_gate": True},
    "dream": DREAM,
    "dream_full_precision": DREAM | {"ternary_weights": False},
    "dream_mtp": DREAM | {"num_mtp_heads": 2},
    "mtp_untied": PLAIN | {"num_mtp_heads": 1, "tie_word_embeddings": False},
}
LAYOUTS = ("duplicated", "deduplicated", "unique_only", "one_name_per_tensor", "sharded")


def tiny_model(dtype: torch.dtype = torch.float32, **options: Any) -> BrandonForCausalLM:
    """A model in eval mode whose parameters are all random, so that a lost or swapped one shows."""
    torch.manual_seed(0)
    model = BrandonForCausalLM(BrandonConfig(**SIZES | options)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return model.to(dtype)


def original_config(config: BrandonConfig) -> dict[str, Any]:
    """`config.json` as the original's exporter writes it."""
    return {
        "architectures": ["TinyLlama"],
        "model_type": "brandon-tiny",
        "dim": config.hidden_size,
        "n_layers": config.layers_per_loop,
        "n_heads": config.num_attention_heads,
        "n_kv_heads": config.num_key_value_heads,
        "vocab_size": config.vocab_size,
        "hidden_dim": config.intermediate_size,
        "max_seq_len": config.max_position_embeddings,
        "dropout": config.dropout,
        "weight_tying": config.tie_word_embeddings,
        "norm_eps": config.rms_norm_eps,
        "rope_theta": config.rope_theta,
        "block_sharing": config.block_repeat == 2,
        "n_predict": config.num_mtp_heads + 1,
        "dense_former": config.depth_weighted_average,
        "value_residual": config.value_residual == "add",
        "n_registers": config.num_registers,
        "n_loops": config.num_loops,
        "ternary": config.ternary_weights,
        "activation": "swiglu",
        "normalization": "rmsnorm",
        "position_encoding": "rope",
        "chat_format": "chatml",
    }


def dream_fields(config: BrandonConfig) -> dict[str, Any]:
    """The fields that exports leave out but the original's configuration has."""
    return {
        "relu_squared": config.mlp_type == "relu_squared",
        "step_embedding": config.step_embedding,
        "feedback": config.loop_feedback,
    }


def original_tensors(model: BrandonForCausalLM) -> dict[str, torch.Tensor]:
    """The original's `state_dict()`: shared tensors under all their names."""
    config, heads, kv_heads = model.config, model.config.num_attention_heads, model.config.num_key_value_heads
    rows = [count * config.head_dim for count in (heads, kv_heads, kv_heads)]
    blocks: list[dict[str, torch.Tensor]] = []
    for block in model.model.blocks:
        query, key, value = block.attention.qkv_proj.weight.detach().split(rows)
        tensors = {
            "attention.wq.weight": halves_to_pairs(query, heads),
            "attention.wk.weight": halves_to_pairs(key, kv_heads),
            "attention.wv.weight": value,
            "attention.wo.weight": block.attention.o_proj.weight,
            "feed_forward.w2.weight": block.mlp.down_proj.weight,
            "attention_norm.weight": block.attention_norm.weight,
            "ffn_norm.weight": block.mlp_norm.weight,
        }
        if config.mlp_type == "swiglu":
            gate, up = block.mlp.gate_up_proj.weight.chunk(2)
            tensors |= {"feed_forward.w1.weight": gate, "feed_forward.w3.weight": up}
        else:
            tensors["feed_forward.w1.weight"] = block.mlp.up_proj.weight
        blocks.append(tensors)
    body = model.model
    everything = {
        "tok_embeddings.weight": body.embed_tokens.weight,
        "output.weight": model.lm_head.weight,
        "norm.weight": body.norm.weight,
        "dwa_weights": body.dwa and body.dwa.weight,
        "register_tokens": None if body.registers is None else body.registers[None],
        "resonance_gate": body.resonance_gate,
        "step_embeddings.weight": body.step_embeddings,
        "feedback_norm.weight": body.feedback_norm and body.feedback_norm.weight,
    }
    for index, head in enumerate(model.mtp_heads):
        everything |= {f"mtp_heads.{index}.0.weight": head.proj.weight, f"mtp_heads.{index}.1.weight": head.norm.weight}
    for layer in range(config.layers_per_loop):
        shared = blocks[layer // config.block_repeat]
        everything |= {f"layers.{layer}.{name}": tensor for name, tensor in shared.items()}
    if config.block_repeat == 2:
        for index, block in enumerate(blocks):
            everything |= {f"_unique_layers.{index}.{name}": tensor for name, tensor in block.items()}
    return {name: tensor.detach().clone() for name, tensor in everything.items() if tensor is not None}


def halves_to_pairs(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """Rows (k, k + d/2) of each head become neighbours."""
    first, second = weight.view(heads, 2, -1, weight.shape[-1]).unbind(1)
    return torch.stack([first, second], dim=2).reshape(weight.shape)


def write_original(model: BrandonForCausalLM, folder: Path, layout: str = "duplicated") -> Path:
    """Write `model` to `folder` in one of `LAYOUTS`; returns the folder."""
    tensors, config = original_tensors(model), model.config
    if layout == "deduplicated":
        dropped = (
            {f"layers.{layer}." for layer in range(1, config.layers_per_loop, 2)} if config.block_repeat == 2 else ()
        )
        tensors = {n: t for n, t in tensors.items() if not n.startswith(("_unique_layers.", *dropped))}
    if layout == "unique_only" and config.block_repeat == 2:
        tensors = {n: t for n, t in tensors.items() if not n.startswith("layers.")}
    if layout in ("deduplicated", "unique_only") and config.tie_word_embeddings:
        del tensors["output.weight"]
    if layout == "one_name_per_tensor" and config.tie_word_embeddings:  # as safetensors' save_model leaves it
        del tensors["tok_embeddings.weight"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(original_config(config)))
    if layout == "sharded":
        write_shards(tensors, folder)
    else:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def write_shards(tensors: dict[str, torch.Tensor], folder: Path, count: int = 3) -> None:
    """Write tensors as `count` safetensors files and their index."""
    names, weight_map = sorted(tensors), {}
    for shard in range(count):
        file = f"model-{shard + 1:05d}-of-{count:05d}.safetensors"
        part = {name: tensors[name] for name in names[shard::count]}
        save_file(part, folder / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(part, file)
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def write_sentencepiece(path: Path, size: int = VOCABULARY) -> Path:
    """A SentencePiece BPE model of `size` tokens with the original's special ones: `<|pad|>` 0, `<|unk|>` 1, ..."""
    specials = [("<|pad|>", 3), ("<|unk|>", 2), ("<|bos|>", 3), ("<|eos|>", 3), ("<|im_start|>", 4), ("<|im_end|>", 4)]
    letters = ["\u2581", *(chr(code) for code in range(0x21, 0x7F))]
    pieces = specials + [(letter, 1) for letter in letters[: size - len(specials)]]
    data = b""
    for rank, (text, kind) in enumerate(pieces):
        raw = text.encode()
        piece = b"\x0a" + bytes([len(raw)]) + raw + b"\x15" + struct.pack("<f", -float(rank)) + b"\x18" + bytes([kind])
        data += b"\x0a" + bytes([len(piece)]) + piece
    trainer = b"\x18\x02"  # model_type = BPE; then the ids and texts of unk, bos, eos and pad
    for number, token_id in ((40, 1), (41, 2), (42, 3), (43, 0)):
        trainer += _varint(number << 3) + _varint(token_id)
    for number, text in ((45, "<|unk|>"), (46, "<|bos|>"), (47, "<|eos|>"), (48, "<|pad|>")):
        trainer += _varint(number << 3 | 2) + _varint(len(text)) + text.encode()
    normalizer = b"\x0a\x08identity"
    data += b"\x12" + _varint(len(trainer)) + trainer + b"\x1a" + _varint(len(normalizer)) + normalizer
    path.write_bytes(data)
    return path


def _varint(value: int) -> bytes:
    return bytes([value & 0x7F | 0x80]) + _varint(value >> 7) if value >> 7 else bytes([value])
