"""The engine's arithmetic in numpy, as docs/blob-format.md says: the oracle of the C engine. Not made for speed.

Every operation of the engine's float32 is done here in the same order, so that the logits are the same bits where
floats are IEEE: rounding an activation to an integer would turn the smallest difference into one that shows.

Shapes: T rows (registers and tokens), D hidden units, H query heads, K key-value heads of size d.
"""

import functools
import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .quantization import Floats, Int8
from .reading import Blob, read_blob

_ONE = np.float32(1)
_NOTHING = np.float32(1e-30)  # a row of nothing larger counts as zeros: 127 divided by it might not be finite


def quantize_rows(rows: Floats) -> tuple[Int8, Floats]:
    """Activations as int8, rounded half away from zero, and what 1 stands for in each row: (T, C) -> (T, C), (T,)."""
    largest = np.abs(rows).max(axis=1)
    largest[largest <= _NOTHING] = 0
    inverse = np.divide(np.float32(127), largest, out=np.zeros_like(largest), where=largest > 0)
    return _round(rows * inverse[:, None]).astype(np.int8), largest * np.float32(1 / 127)


class Reference:
    """A blob's model, computed row by row as the engine does.

    Args:
        path: The blob.
        quantized_activations: Multiply int8 activations, as the engine does; otherwise floats, which shows what the
            weights alone cost.
    """

    def __init__(self, path: str | os.PathLike[str] | Blob, quantized_activations: bool = True):
        self.blob = path if isinstance(path, Blob) else read_blob(path)
        self.config = self.blob.config
        self.quantized_activations = quantized_activations
        bits = self.blob.bits
        names = {name.removesuffix(".scale") for name in self.blob.tensors if name.endswith(".scale")}
        self.matrices = {name: self.blob.integers(name, bits if name.startswith("blk.") else 8) for name in names}

    def logits(self, ids: Sequence[int] | npt.NDArray[Any]) -> Floats:
        """Logits after each of the T tokens of a text: (T,) -> (T, V).

        Raises:
            ValueError: There is no token, one is not in the vocabulary, or there are more than the context takes.
        """
        config, indices = self.config, np.asarray(ids, dtype=np.int64)
        if not 0 < len(indices) <= config.max_position_embeddings:
            raise ValueError(f"a text of {len(indices)} tokens does not fit 1 to {config.max_position_embeddings}")
        if indices.min() < 0 or indices.max() >= config.vocab_size:
            raise ValueError(f"ids from {indices.min()} to {indices.max()} do not fit vocab_size={config.vocab_size}")
        hidden = self._embed(indices)
        if config.num_registers:
            hidden = np.concatenate([self._float("registers"), hidden])
        hidden = self._layers(hidden)[config.num_registers :]
        return self._multiply(
            "token_embd" if config.tie_word_embeddings else "output", self._norm("output_norm", hidden)
        )

    def _embed(self, ids: npt.NDArray[Any]) -> Floats:
        weight, scale = self.matrices["token_embd"]
        return weight[ids] * scale[ids, None]

    def _layers(self, hidden: Floats) -> Floats:
        config, registers = self.config, self.config.num_registers
        positions = np.arange(len(hidden), dtype=np.float32)
        angles = positions[:, None] * self._float("rope_freqs")
        rotary = _cosines_and_sines(angles)
        before, first_values = hidden, None
        for loop in range(config.num_loops):
            if loop and config.resonance_gate:
                gate = _sigmoid(self._float("resonance_gate"))
                blended = gate * hidden[:registers] + (_ONE - gate) * self._float("registers")
                hidden = np.concatenate([blended, hidden[registers:]])
            if config.step_embedding:
                hidden = hidden + self._float("step_embd")[loop]
            if loop and config.loop_feedback:
                hidden = hidden + self._norm("feedback_norm", before)
            before = hidden
            states = [hidden]
            for index in range(config.layers_per_loop):
                block = f"blk.{index // config.block_repeat}"
                layer = loop * config.layers_per_loop + index
                attended, values = self._attention(
                    block, self._norm(f"{block}.attn_norm", hidden), rotary, first_values, layer
                )
                first_values = values if first_values is None else first_values
                hidden = hidden + self._multiply(f"{block}.attn_output", attended)
                hidden = hidden + self._feed_forward(block, self._norm(f"{block}.ffn_norm", hidden))
                if config.depth_weighted_average:
                    states.append(hidden)
                    weights = self._float("dwa")[index]
                    hidden = np.zeros_like(hidden)
                    for weight, state in zip(weights, states, strict=False):
                        hidden = hidden + weight * state
        return hidden

    def _attention(
        self, block: str, normed: Floats, rotary: tuple[Floats, Floats], first_values: Floats | None, layer: int
    ) -> tuple[Floats, Floats]:
        """(T, D) to the attended values (T, H d) before the output matrix, and the layer's own values (T, K, d)."""
        config = self.config
        heads, kv_heads, size, rows = (
            config.num_attention_heads,
            config.num_key_value_heads,
            config.head_dim,
            len(normed),
        )
        projected = self._multiply(f"{block}.attn_qkv", normed)
        gates = projected[:, (heads + 2 * kv_heads) * size :]
        by_head = projected[:, : (heads + 2 * kv_heads) * size].reshape(rows, -1, size)
        query, key, own_values = np.split(by_head, [heads, heads + kv_heads], axis=1)
        if config.qk_norm:
            query = self._norm(f"{block}.attn_q_norm", query)
            key = self._norm(f"{block}.attn_k_norm", key)
        query, key = _rotate(query, *rotary), _rotate(key, *rotary)
        values = own_values
        if first_values is not None and config.value_residual == "add":
            values = own_values + first_values
        elif first_values is not None and config.value_residual == "learned":
            own, first = self._float("value_residual")[layer]
            values = own * own_values + first * first_values
        query = query * (_ONE / np.sqrt(np.float32(size)))
        attended = np.empty((rows, heads, size), np.float32)
        seen = np.tri(rows, dtype=bool)
        for head in range(heads):
            shared = head // (heads // kv_heads)
            scores = _in_order(query[:, head, None, i] * key[None, :, shared, i] for i in range(size))
            top = np.where(seen, scores, -np.inf).max(axis=1, keepdims=True)
            weights = np.where(seen, _exponential(scores - top), np.float32(0))
            mixed = _in_order(weights[:, p, None] * values[None, p, shared] for p in range(rows))
            attended[:, head] = mixed * (_ONE / _lanes_sum(weights))[:, None]
        if config.attention_output_gate:
            attended = attended * _sigmoid(gates)[..., None]
        return attended.reshape(rows, -1), own_values

    def _feed_forward(self, block: str, normed: Floats) -> Floats:
        up = self._multiply(f"{block}.ffn_up", normed)
        if self.config.mlp_type == "swiglu":
            gate, up = np.split(up, 2, axis=1)
            inner = gate / (_ONE + _exponential(np.minimum(-gate, np.float32(87)))) * up
        else:
            inner = np.square(np.maximum(up, np.float32(0)))
        return self._multiply(f"{block}.ffn_down", inner)

    def _multiply(self, name: str, rows: Floats) -> Floats:
        """(T, C) times a matrix (R, C): (T, R)."""
        weight, scale = self.matrices[name]
        if not self.quantized_activations:
            return rows @ (weight * scale[:, None]).T
        numbers, row_scale = quantize_rows(rows)
        # numpy is slow at products of integers; those of floats are as exact while no sum exceeds their mantissa
        exact = np.float32 if weight.shape[1] * 127**2 < 2**24 else np.float64
        sums = numbers.astype(exact) @ weight.astype(exact).T
        return sums.astype(np.float32) * (scale * row_scale[:, None])

    def _norm(self, name: str, rows: Floats) -> Floats:
        mean = _lanes_sum(rows * rows) / np.float32(rows.shape[-1])
        factor = _ONE / np.sqrt(mean + np.float32(self.config.rms_norm_eps))
        return rows * factor[..., None] * self._float(name)

    def _float(self, name: str) -> Floats:
        return self.blob.floats(f"{name}.weight")


def _round(x: Floats) -> Floats:
    """To the nearest whole number, half away from zero."""
    return np.trunc(x + np.where(x < 0, np.float32(-0.5), np.float32(0.5)))


def _in_order(terms: Iterable[Floats]) -> Floats:
    """The sum of the terms, first to last."""
    return functools.reduce(np.add, terms)


def _lanes_sum(x: Floats) -> Floats:
    """Sum of the last axis as 16 lanes add it: each lane every 16th element, then the lanes by halves."""
    padded = np.zeros((*x.shape[:-1], -(-x.shape[-1] // 16) * 16), np.float32)
    padded[..., : x.shape[-1]] = x
    lanes = _in_order(np.moveaxis(padded.reshape(*x.shape[:-1], -1, 16), -2, 0))
    for half in (8, 4, 2, 1):
        lanes = lanes[..., :half] + lanes[..., half:]
    return lanes[..., 0]


def _exponential(x: Floats) -> Floats:
    """2^n times Taylor's polynomial of what is left, of x clipped to -87 .. 88."""
    x = np.clip(x, np.float32(-87), np.float32(88))
    n = _round(x * np.float32(1.44269504))
    rest = x - n * np.float32(0.693359375) + n * np.float32(2.12194440e-4)  # ln 2 in two parts
    return np.ldexp(_polynomial(rest, _EXPONENTIAL), n.astype(np.int32))


def _polynomial(x: Floats, coefficients: Sequence[float]) -> Floats:
    total = np.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total = np.float32(coefficient) + x * total
    return total


_EXPONENTIAL = (1.0, 1.0, 0.5, 1.66666667e-1, 4.16666667e-2, 8.33333333e-3, 1.38888889e-3)
_SINE = (1.0, -1.66666667e-1, 8.33333333e-3, -1.98412698e-4, 2.75573192e-6)
_COSINE = (1.0, -0.5, 4.16666667e-2, -1.38888889e-3, 2.48015873e-5)


def _cosines_and_sines(angles: Floats) -> tuple[Floats, Floats]:
    """Taylor's polynomials of what is left beside quarters of a turn."""
    n = _round(angles * np.float32(6.36619772e-1))
    rest = angles - n * np.float32(1.5703125)  # a quarter in three parts
    rest = rest - n * np.float32(4.83751297e-4)
    rest = rest - n * np.float32(7.54978942e-8)
    square = rest * rest
    sine, cosine = rest * _polynomial(square, _SINE), _polynomial(square, _COSINE)
    quarter = n.astype(np.int32) & 3
    cosines = np.choose(quarter, [cosine, -sine, -cosine, sine])
    return cosines, np.choose(quarter, [sine, cosine, -sine, -cosine])


def _sigmoid(x: Floats) -> Floats:
    return _ONE / (_ONE + _exponential(-x))


def _rotate(heads: Floats, cosines: Floats, sines: Floats) -> Floats:
    """Turn the pairs (i, i + d/2) of (T, heads, d) by angles (T, d/2)."""
    first, second = np.split(heads, 2, axis=-1)
    cosines, sines = cosines[:, None], sines[:, None]
    return np.concatenate([first * cosines - second * sines, second * cosines + first * sines], axis=-1)
