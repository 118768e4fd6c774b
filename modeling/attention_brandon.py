"""Attention of Brandon models: the plain form, and two forms that are faster on a CPU.

Shapes: B sequences, H query heads, K key-value heads of size d, G = H / K query heads per key, T rows, N keys.
"""

from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional


def eager_attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float = 1.0,
    **kwargs: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Plain attention with an additive mask.

    Query (B, H, T, d), key and value (B, K, N, d) give (B, T, H, d) and the weights (B, H, T, N).
    """
    groups = query.shape[1] // key.shape[1]
    scores = query @ key.repeat_interleave(groups, dim=1).transpose(2, 3) * scaling
    if attention_mask is not None:
        scores = scores + attention_mask
    weights = torch.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype)
    weights = functional.dropout(weights, dropout)
    return (weights @ value.repeat_interleave(groups, dim=1)).transpose(1, 2), weights


def attend_one_row(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    registers: tuple[torch.Tensor, torch.Tensor] | None,
    mask: torch.Tensor | None,
) -> torch.Tensor:
    """Attention of one scaled query row, (B, H, 1, d), over (B, K, N, d) and the registers; gives (B, 1, H, d).

    The heads that share a key become the rows of one product, and the registers' keys are not copied next to the
    cached ones.
    """
    batch, kv_heads, _, head_dim = key.shape
    query = query.view(batch, kv_heads, -1, head_dim)
    scores = _times_transposed(query, key)
    if registers is not None:
        register_keys, register_values = (states.to(key.dtype) for states in registers)
        scores = torch.cat([_times_transposed(query, register_keys), scores], dim=-1)
    if mask is not None:
        scores = _masked(scores, mask)
    weights = torch.softmax(scores, dim=-1, dtype=torch.float32).to(value.dtype)
    if registers is None:
        attended = _times(weights, value)
    else:
        rows = register_keys.shape[2]
        attended = _times(weights[..., :rows], register_values) + _times(weights[..., rows:], value)
    return attended.reshape(batch, 1, -1, head_dim)


def in_compiled_step(inputs: torch.Tensor, gradients: bool = False) -> bool:
    """Whether a graph with or without gradients is being compiled for the CPU.

    Without, it fuses products written as sums; with, an additive mask makes faster loops than a boolean one.
    """
    return torch.compiler.is_compiling() and inputs.device.type == "cpu" and torch.is_grad_enabled() == gradients


def _times_transposed(rows: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    """(B, K, G, d) times (B or 1, K, N, d) transposed: (B, K, G, N)."""
    if in_compiled_step(rows):
        return (rows.unsqueeze(3) * keys.unsqueeze(2)).sum(dim=-1)
    return rows @ keys.transpose(2, 3)


def _times(weights: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """(B, K, G, N) times (B or 1, K, N, d): (B, K, G, d)."""
    if in_compiled_step(weights):
        return (weights.unsqueeze(4) * values.unsqueeze(2)).sum(dim=3)
    return weights @ values


def _masked(scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Apply a boolean (true: visible) or additive mask; masked scores stay finite."""
    return scores.masked_fill(~mask, torch.finfo(scores.dtype).min) if mask.dtype == torch.bool else scores + mask


def attend_in_blocks(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    dropout: float = 0.0,
    aligned: bool = True,
    rows_per_block: int = 128,
) -> torch.Tensor:
    """Attention of the scaled query (B, H, T, d) over (B, K, N, d), a block of rows at a time; gives (B, T, H, d).

    On the CPU these few large products outrun the fused kernel, whose blocks are too small for heads of 32. While
    training all weights are kept, B H T N / 2 numbers per layer (with dropout twice); gradient checkpointing avoids it.

    Args:
        mask: (B or 1, 1, T, N), boolean or additive. `None`: causal, which takes `aligned`.
        dropout: Probability of dropping an attention weight.
        aligned: Row i stands for key i and sees none after it, so a block only meets the keys up to its last row.
        rows_per_block: Query rows of a block.
    """
    return _BlockedAttention.apply(query, key, value, mask, dropout, aligned, rows_per_block)


class _BlockedAttention(torch.autograd.Function):
    """The heads of a group are rows of one product: a block is (B K, G rows, d) against (B K, keys, d)."""

    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        mask: torch.Tensor | None,
        dropout: float,
        aligned: bool,
        rows_per_block: int,
    ) -> torch.Tensor:
        batch, heads, length, size = query.shape
        groups = (batch, key.shape[1], heads // key.shape[1])
        keys, values = key.flatten(0, 1), value.flatten(0, 1)
        attended = query.new_empty(batch, length, heads, size)
        by_group = attended.view(batch, length, *groups[1:], size).permute(0, 2, 3, 1, 4)
        kept = []
        for start, stop, seen in _blocks(length, key.shape[2], aligned, rows_per_block):
            rows = query.view(*groups, length, size)[:, :, :, start:stop].reshape(len(keys), -1, size)
            scores = torch.bmm(rows, keys[:, :seen].transpose(1, 2)).view(*groups, stop - start, seen)
            if mask is None:
                future = torch.ones(stop - start, stop - start, dtype=torch.bool, device=scores.device).triu(1)
                scores[..., start:].masked_fill_(future, torch.finfo(scores.dtype).min)
            else:
                scores = _masked(scores, mask[:, :, None, start:stop, :seen])
            weights = torch.softmax(scores.view(len(keys), -1, seen), dim=-1).to(values.dtype)
            dropped = functional.dropout(weights, dropout) if dropout else weights
            by_group[:, :, :, start:stop] = torch.bmm(dropped, values[:, :seen]).view(*groups, -1, size)
            if any(ctx.needs_input_grad):
                kept.append((weights, dropped))
        ctx.save_for_backward(query, key, value, attended, *(tensor for pair in kept for tensor in pair))
        ctx.settings = (aligned, rows_per_block)
        return attended

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """With weights P, values V and output O: dP = dO V', dS = P (dP - sum(dO O)), dQ = dS K, dK = dS' Q."""
        query, key, value, attended, *kept = ctx.saved_tensors
        batch, heads, length, size = query.shape
        groups = (batch, key.shape[1], heads // key.shape[1])
        keys, values = key.flatten(0, 1), value.flatten(0, 1)
        gradient = gradient.to(query.dtype)
        by_group = gradient.view(batch, length, *groups[1:], size).permute(0, 2, 3, 1, 4)
        sums = (gradient * attended).sum(-1).view(batch, length, *groups[1:]).permute(0, 2, 3, 1)
        precise = torch.promote_types(query.dtype, torch.float32)  # keys gather from several blocks
        to_query, to_keys, to_values = (
            torch.empty_like(query),
            torch.zeros_like(keys, dtype=precise),
            torch.zeros_like(values, dtype=precise),
        )
        for start, stop, seen in _blocks(length, key.shape[2], *ctx.settings):
            weights, dropped, *kept = kept
            outer = by_group[:, :, :, start:stop].reshape(len(keys), -1, size)
            to_values[:, :seen] += torch.bmm(dropped.transpose(1, 2), outer)
            inner = torch.bmm(outer, values[:, :seen].transpose(1, 2))
            to_scores = inner.mul_(dropped).sub_(weights * sums[:, :, :, start:stop].reshape(len(keys), -1, 1))
            into = to_query.view(*groups, length, size)[:, :, :, start:stop]
            into.copy_(torch.bmm(to_scores, keys[:, :seen]).view_as(into))
            rows = query.view(*groups, length, size)[:, :, :, start:stop].reshape(len(keys), -1, size)
            to_keys[:, :seen] += torch.bmm(to_scores.transpose(1, 2), rows)
        return to_query, to_keys.to(key.dtype).view_as(key), to_values.to(value.dtype).view_as(value), *[None] * 4


def _blocks(length: int, keys: int, aligned: bool, rows_per_block: int) -> list[tuple[int, int, int]]:
    """First row, row after the last, and number of keys of each block."""
    starts = range(0, length, rows_per_block)
    stops = [min(start + rows_per_block, length) for start in starts]
    return [(start, stop, stop if aligned else keys) for start, stop in zip(starts, stops, strict=True)]
