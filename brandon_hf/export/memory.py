"""The memory that the engine needs for a blob: as it measures it, or estimated where it is not built."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from brandon_hf.modeling import BrandonConfig

from .layout import slots
from .reading import Blob

# (type of the cache, kernel) -> bytes, as `ram` of `brandon_hf.runtime.EngineInfo` of an engine that has the blob.
Measure = Callable[[str, str], Mapping[str, int]]

MIB = 2**20
LIMITS = {"24 MiB": 24 * MIB, "PlayStation 2 (32 MB less 2 MB)": 30 * MIB}
CACHES = {"float32": 4, "float16": 2, "int8": 1}  # bytes of a number
_LARGEST_MEASURED = 1024 * MIB  # to measure is to open: a larger one would fill the machine for a few figures

# What the engine sets (engine/api.c, tokenizer.c) and what its structures take with 64 bits.
_BATCH = 24
_LONGEST_WORD = 16384
_WIDEST_ROW = 4096
_LANES = 16
_ENGINE, _TOKENIZER, _MODEL, _BLOCK, _CACHE = 1264, 1456, 512, 224, 40


@dataclass(frozen=True)
class Budget:
    """Bytes that the engine needs for a context.

    Args:
        context: In tokens, without registers.
        source: Whether the engine measured them, or they are an estimate, and why.
        weights: With kernels that use them as they are stored, as on small machines.
        unpacked_weights: With AVX2 and AVX-512, whose tiles hold 8 bits.
        activations, tokenizer: With logits and the history, and with scratch for the longest word.
        cache: By the type of its numbers.
        total: By the type of the cache, with the weights as stored.
        fits: For each of `LIMITS`, whether the total does, by the type of the cache.
    """

    context: int
    source: str
    weights: int
    unpacked_weights: int
    activations: int
    tokenizer: int
    cache: dict[str, int]
    total: dict[str, int]
    fits: dict[str, dict[str, bool]]

    def __str__(self) -> str:
        lines = [f"memory for a context of {self.context} tokens, in KiB ({self.source}):"]
        common = {
            "weights": self.weights,
            "(unpacked for AVX)": self.unpacked_weights,
            "activations": self.activations,
            "tokenizer": self.tokenizer,
        }
        lines += [f"  {name:<22}{size / 1024:>10,.0f}" for name, size in common.items()]
        for kind, size in self.cache.items():
            fits = ", ".join(
                f"{name}: {'fits' if by_kind[kind] else 'too large'}" for name, by_kind in self.fits.items()
            )
            total = self.total[kind] / 1024
            lines.append(f"  {'cache in ' + kind:<22}{size / 1024:>10,.0f}  sum {total:>8,.0f}  {fits}")
        return "\n".join(lines)


def memory_budget(blob: Blob, context: int | None = None, measure: Measure | None = None) -> Budget:
    """What the engine needs for a context, by default the model's; `measure` asks it where that is below 1 GiB.

    Raises:
        ValueError: The context is longer than the model's or not positive.
    """
    config = blob.config
    check_context(config, context)
    context = config.max_position_embeddings if context is None else context
    parts = {
        "weights": _weights(blob, tiled=False),
        "unpacked": _weights(blob, tiled=True),
        "activations": _activations(config, context),
        "tokenizer": _tokenizer(blob),
    }
    caches = {kind: _cache(config, context, kind) for kind in CACHES}
    sizes = {name: sum(map(_aligned, part)) for name, part in parts.items()}
    cache = {kind: sum(map(_aligned, part)) for kind, part in caches.items()}
    # the engine asks for more than its parts take: each may begin anywhere and is aligned to 64
    common = [*parts["weights"], *parts["activations"], *parts["tokenizer"]]
    total = {kind: sum(_aligned(size + 63) for size in [*common, *part]) for kind, part in caches.items()}
    source = "an estimate"
    if measure is not None and max(total.values()) + sizes["unpacked"] < _LARGEST_MEASURED:
        try:
            stored = {kind: measure(kind, "portable") for kind in CACHES}
            sizes = {**stored["float32"], "unpacked": measure("int8", "best")["weights"]}
            cache = {kind: ram["kv"] for kind, ram in stored.items()}
            total = {kind: ram["total"] for kind, ram in stored.items()}
            source = "measured by the engine"
        except (OSError, ValueError, MemoryError) as error:  # not built, or it refuses the blob
            source = f"an estimate, as the engine does not run: {error}"
    return Budget(
        context=context,
        source=source,
        weights=sizes["weights"],
        unpacked_weights=sizes["unpacked"],
        activations=sizes["activations"],
        tokenizer=sizes["tokenizer"],
        cache=cache,
        total=total,
        fits={name: {kind: size <= limit for kind, size in total.items()} for name, limit in LIMITS.items()},
    )


def check_context(config: BrandonConfig, context: int | None) -> None:
    """Raise `ValueError` if a model was not made for a context."""
    if context is not None and not 0 < context <= config.max_position_embeddings:
        raise ValueError(
            f"context={context} must be 1 to {config.max_position_embeddings}, what the model was made for"
        )


def _padded(count: int, to: int = _LANES) -> int:
    return -(-count // to) * to


def _aligned(size: int) -> int:
    return _padded(size, 64)


def _power_of_two(least: int) -> int:
    return max(2, 1 << (least - 1).bit_length()) if least else 2


# --- the arrays of each part, in bytes (engine/model.c, tokenizer.c, api.c) -------------------------------------------


def _positions(config: BrandonConfig, context: int) -> int:
    return _padded(config.num_registers + context)


def _weights(blob: Blob, tiled: bool) -> Iterable[int]:
    shared, blocks = slots(blob.config, blob.bits)
    sizes = [len(blocks) * _BLOCK]
    for tensor in blob.tensors.values():
        if tensor.type == "F32":
            sizes.append(4 * _padded(tensor.array.size))
        elif not tiled:
            sizes.append(tensor.size)
    for slot in [*shared, *(slot for block in blocks for slot in block)]:
        if tiled and slot.bits:
            rows = _padded(slot.shape[0])
            sizes += [rows * _padded(slot.shape[1], 4), 4 * rows]  # and the sum of each row
    return sizes


def _activations(config: BrandonConfig, context: int) -> Iterable[int]:
    """Of the engine itself, then of a batch; in floats but for the activations that are quantised."""
    batch = max(_BATCH, config.num_registers)
    heads, kv_heads, size = config.num_attention_heads, config.num_key_value_heads, config.head_dim
    gates = heads if config.attention_output_gate else 0
    width, inner = _padded(config.hidden_size), heads * size
    up = config.intermediate_size * (2 if config.mlp_type == "swiglu" else 1)
    states = config.layers_per_loop + 1 if config.depth_weighted_average else 0
    rows = [
        *[width] * (3 if config.loop_feedback else 2),  # hidden, normed, before
        states * width,
        _padded(inner + 2 * kv_heads * size + gates),
        _padded(inner),
        _padded(up),
        kv_heads * size,
        *[size // 2] * 2,  # cosines, sines
        1,  # scale
    ]
    quantised = _padded(max(config.hidden_size, inner, config.intermediate_size), 64)
    return [
        *(_ENGINE, 4 * context, 4 * _padded(config.vocab_size), 4 * config.vocab_size, _MODEL),
        *(4 * batch * row for row in rows),
        4 * (heads // kv_heads) * _positions(config, context),
        batch * quantised + _WIDEST_ROW,
        quantised,
    ]


def _cache(config: BrandonConfig, context: int, kind: str) -> Iterable[int]:
    rows = config.num_key_value_heads * _positions(config, context)
    layer = [rows * config.head_dim * CACHES[kind], rows * _padded(config.head_dim) * CACHES[kind]]
    if kind == "int8":
        layer += [4 * rows] * 2
    return [config.num_hidden_layers * _CACHE, *layer * config.num_hidden_layers]


def _tokenizer(blob: Blob) -> Iterable[int]:
    """Spellings, tables of the tokens and merges, and scratch for a word by the byte."""
    described = blob.tokenizer
    count, merges = len(described.tokens), len(described.merges)
    sizes = [_TOKENIZER, sum(len(token.encode()) for token in described.tokens), 4 * (count + 1), count]
    sizes += [4 * _power_of_two(2 * count), *[4 * _LONGEST_WORD] * 2, 8 * _LONGEST_WORD]
    if described.kind == "gpt2":
        sizes += [4 * _LONGEST_WORD, 12 * merges, 4 * _power_of_two(2 * merges)]
    else:
        sizes += [4 * count, _LONGEST_WORD, len(described.charsmap)]
    return sizes
