"""What an engine runs, and how."""

from dataclasses import dataclass

from .library import KERNELS, Info


@dataclass(frozen=True)
class EngineInfo:
    """The shape of a blob's model, its special tokens (None: there is none), and the memory it takes."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    unique_blocks: int
    block_repeat: int
    num_loops: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    num_registers: int
    context: int  # tokens that fit
    features: int  # the bits of docs/blob-format.md
    weight_bits: int  # of the matrices in blocks
    bos: int | None
    eos: int | None
    pad: int | None
    end_of_turn: int | None
    add_bos: bool  # whether a plain text begins with bos
    chat: bool  # whether there is a chat format
    kernel: str
    kv: str
    weights: str
    file_bytes: int
    ram: dict[str, int]  # bytes by what they hold: weights, kv, tokenizer, activations; and total


def describe(found: Info, kv: str, weights: str, file_bytes: int) -> EngineInfo:
    """The engine's own account, and what it was opened with."""
    return EngineInfo(
        vocab_size=found.vocab,
        hidden_size=found.width,
        intermediate_size=found.feed_forward,
        num_hidden_layers=found.layers,
        unique_blocks=found.unique_blocks,
        block_repeat=found.block_repeat,
        num_loops=found.loops,
        num_attention_heads=found.heads,
        num_key_value_heads=found.kv_heads,
        head_dim=found.head_size,
        num_registers=found.registers,
        context=found.context,
        features=found.features,
        weight_bits=found.weight_bits,
        bos=_token(found.bos),
        eos=_token(found.eos),
        pad=_token(found.pad),
        end_of_turn=_token(found.end_of_turn),
        add_bos=bool(found.add_bos),
        chat=bool(found.chat),
        kernel=KERNELS[found.kernel],
        kv=kv,
        weights=weights,
        file_bytes=file_bytes,
        ram={
            "weights": found.weight_bytes,
            "kv": found.kv_bytes,
            "tokenizer": found.tokenizer_bytes,
            "activations": found.activation_bytes,
            "total": found.arena_bytes,
        },
    )


def _token(token_id: int) -> int | None:
    return None if token_id < 0 else token_id
