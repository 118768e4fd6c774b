"""What stands in a blob: keys, feature bits and tensors, as docs/blob-format.md says."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from brandon_hf.modeling import BrandonConfig

ARCHITECTURE = "brandon-tiny"
BLOB_VERSION = 1
ALIGNMENT = 2048
GROUP = 16  # columns that share a multiplier with 4 bits
PACKED = {8: 1, 4: 2, 2: 4}  # weights in a byte, by their bits

# Limits of the format, which the engine's tables and counters are made for (engine/brandon.h).
MAX_WIDTH = 4096
MAX_LAYERS = 128
MAX_VOCAB = 262144
MAX_CONTEXT = 65536
MAX_REGISTERS = 64
MAX_STOPS = 8
MAX_TOKEN_BYTES = 512
MAX_MERGES = 4 * MAX_VOCAB
MAX_CHARSMAP_BYTES = 2**24

# Bits of `brandon-tiny.features`, from bit 0 on.
FEATURES = (
    "depth_weighted_average",
    "value_residual_add",
    "value_residual_learned",
    "qk_norm",
    "attention_output_gate",
    "tie_word_embeddings",
    "relu_squared",
    "step_embedding",
    "loop_feedback",
    "resonance_gate",
)

# Where the integers of the shape stand in the configuration.
SHAPE_KEYS = {
    "vocab_size": "vocab_size",
    "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size",
    "block_count": "num_hidden_layers",
    "unique_block_count": "num_unique_blocks",
    "block_repeat": "block_repeat",
    "loop_count": "num_loops",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.key_length": "head_dim",
    "register_count": "num_registers",
    "context_length": "max_position_embeddings",
}


def check_limits(config: BrandonConfig) -> None:
    """Raise `ValueError` if a model is larger than the format allows, or has a number that float32 takes for zero."""
    for name, value, limit in (
        ("vocab_size", config.vocab_size, MAX_VOCAB),
        ("hidden_size", config.hidden_size, MAX_WIDTH),
        ("intermediate_size", config.intermediate_size, MAX_WIDTH),
        ("num_attention_heads * head_dim", config.num_attention_heads * config.head_dim, MAX_WIDTH),
        ("num_hidden_layers", config.num_hidden_layers, MAX_LAYERS),
        ("num_registers", config.num_registers, MAX_REGISTERS),
        ("max_position_embeddings", config.max_position_embeddings, MAX_CONTEXT),
    ):
        if value > limit:
            raise ValueError(f"{name}={value} is too large: a blob holds at most {limit}")
    for name in ("rms_norm_eps", "rope_theta"):
        if not 0 < np.float32(getattr(config, name)) < np.inf:
            raise ValueError(f"{name}={getattr(config, name)} is no positive number in float32")


def features_of(config: BrandonConfig) -> dict[str, bool]:
    """Which of `FEATURES` a model has."""
    return {
        "value_residual_add": config.value_residual == "add",
        "value_residual_learned": config.value_residual == "learned",
        "relu_squared": config.mlp_type == "relu_squared",
        **{name: getattr(config, name) for name in FEATURES if hasattr(config, name)},
    }


@dataclass(frozen=True)
class Slot:
    """The place of a parameter in the file.

    Args:
        name: Of the tensor; of a matrix without `.weight`, as it has tensors of its own for scales.
        parameter: Its name in the model; empty for the rotation frequencies.
        shape: Rows first.
        bits: Of a matrix's weights; 0 for floats.
    """

    name: str
    parameter: str
    shape: tuple[int, ...]
    bits: int = 0


def slots(config: BrandonConfig, bits: int) -> tuple[list[Slot], list[list[Slot]]]:
    """The parameters beside the blocks, and those of each block, in the order of the format's table."""
    width, vocabulary, depth = config.hidden_size, config.vocab_size, config.layers_per_loop
    shared = [Slot("token_embd", "model.embed_tokens.weight", (vocabulary, width), 8)]
    if not config.tie_word_embeddings:
        shared.append(Slot("output", "lm_head.weight", (vocabulary, width), 8))
    shared += [
        Slot("output_norm.weight", "model.norm.weight", (width,)),
        Slot("rope_freqs.weight", "", (config.head_dim // 2,)),
    ]
    optional: list[tuple[object, Slot]] = [
        (config.num_registers, Slot("registers.weight", "model.registers", (config.num_registers, width))),
        (config.depth_weighted_average, Slot("dwa.weight", "model.dwa.weight", (depth, depth + 1))),
        (
            config.value_residual == "learned",
            Slot("value_residual.weight", "model.value_weights", (config.num_hidden_layers, 2)),
        ),
        (config.step_embedding, Slot("step_embd.weight", "model.step_embeddings", (config.num_loops, width))),
        (config.loop_feedback, Slot("feedback_norm.weight", "model.feedback_norm.weight", (width,))),
        (config.resonance_gate, Slot("resonance_gate.weight", "model.resonance_gate", (width,))),
    ]
    shared += [slot for present, slot in optional if present]
    return shared, [_block(config, index, bits) for index in range(config.num_unique_blocks)]


def _block(config: BrandonConfig, index: int, bits: int) -> list[Slot]:
    width, hidden, size = config.hidden_size, config.intermediate_size, config.head_dim
    heads, kv_heads = config.num_attention_heads, config.num_key_value_heads
    gates = heads if config.attention_output_gate else 0
    here, there = f"blk.{index}.", f"model.blocks.{index}."
    gated = config.mlp_type == "swiglu"
    norms = [Slot(f"{here}attn_norm.weight", f"{there}attention_norm.weight", (width,))]
    if config.qk_norm:
        norms += [
            Slot(f"{here}attn_{part}_norm.weight", f"{there}attention.{part}_norm.weight", (size,)) for part in "qk"
        ]
    return [
        *norms,
        Slot(f"{here}ffn_norm.weight", f"{there}mlp_norm.weight", (width,)),
        Slot(
            f"{here}attn_qkv", f"{there}attention.qkv_proj.weight", ((heads + 2 * kv_heads) * size + gates, width), bits
        ),
        Slot(f"{here}attn_output", f"{there}attention.o_proj.weight", (width, heads * size), bits),
        Slot(
            f"{here}ffn_up",
            f"{there}mlp.{'gate_up' if gated else 'up'}_proj.weight",
            (2 * hidden if gated else hidden, width),
            bits,
        ),
        Slot(f"{here}ffn_down", f"{there}mlp.down_proj.weight", (width, hidden), bits),
    ]


def tensors(config: BrandonConfig, bits: int) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """Name, type ("F32" or "I8") and shape (rows first) of every tensor, in the order of the file."""
    shared, blocks = slots(config, bits)
    for slot in shared:
        if slot.bits:
            yield f"{slot.name}.scale", "F32", slot.shape[:1]
            yield f"{slot.name}.weight", "I8", slot.shape
        else:
            yield slot.name, "F32", slot.shape
    for block in blocks:
        # the second norm stands between the scales of the attention's matrices and those of the feed-forward network's
        floats, matrices = [slot for slot in block if not slot.bits], [slot for slot in block if slot.bits]
        for slot in floats[:-1]:
            yield slot.name, "F32", slot.shape
        for slot in matrices[:2]:
            yield f"{slot.name}.scale", "F32", slot.shape[:1]
        yield floats[-1].name, "F32", floats[-1].shape
        for slot in matrices[2:]:
            yield f"{slot.name}.scale", "F32", slot.shape[:1]
        if bits == 4:
            for slot in matrices:
                yield f"{slot.name}.group", "I8", (slot.shape[0], slot.shape[1] // GROUP)
        for slot in matrices:
            yield f"{slot.name}.weight", "I8", (slot.shape[0], slot.shape[1] // PACKED[bits])
