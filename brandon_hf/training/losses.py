"""Losses over next-token logits: cross-entropy, z-loss, and the anti-repetition objective of fine-tuning.

The convention everywhere: `logits` (B, T, V) of positions 0 to T-1; `labels` (B, T) as in transformers: the token *at*
each position, -100 where nothing is predicted; these functions shift. Sums over the predicted tokens are divided by
`num_items`, the number of predicted tokens in the whole accumulated global batch (default: those of these labels), so
that the losses of micro-batches add up. The arithmetic is in fp32 (or wider), whatever the type of the logits.

All terms come from one softmax, and no second tensor of the logits' size lives beside their gradient: the softmax is
taken over a chunk of the predicted positions at a time, and once more in the backward pass.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch.autograd.function import once_differentiable

from brandon_hf.modeling.modeling_brandon import document_indices

# Logits per chunk: few enough for a processor's cache (measured: benchmarks/losses.py), more to keep a GPU busy.
_CHUNK_ELEMENTS_CPU, _CHUNK_ELEMENTS_GPU = 2**19, 2**24
# Below this 1 - p, -log(1 - p) continues as its tangent: a sure repetition keeps a finite loss and a gradient.
_SMALLEST_COMPLEMENT = 1e-5


class LossParts(NamedTuple):
    """A loss and what it is made of; scalars, means over the predicted tokens. Only `total` carries gradients."""

    total: torch.Tensor
    nll: torch.Tensor  # -log p(label), without smoothing
    cross_entropy: torch.Tensor  # with label smoothing
    z_loss: torch.Tensor
    unlikelihood: torch.Tensor
    entropy: torch.Tensor  # nats; 0 where its weight is 0


class PredictedTokens(NamedTuple):
    """The N predicted tokens and where the logits that predict them stand; three (N,) tensors of integers."""

    rows: torch.Tensor
    columns: torch.Tensor
    tokens: torch.Tensor


def predicted_tokens(states: torch.Tensor, labels: torch.Tensor, vocabulary: int) -> PredictedTokens:
    """What is predicted from `states` (B, T, ...), logits or hidden states, by `labels` (B, T).

    Raises:
        ValueError: shapes do not fit or a label is no token id.
    """
    if states.dim() != 3 or states.shape[:2] != labels.shape:
        raise ValueError(
            f"states {tuple(states.shape)} and labels {tuple(labels.shape)} do not fit: "
            "logits or hidden states must be (B, T, ...) and labels (B, T), of all positions (the loss shifts)"
        )
    ahead = labels[:, 1:]
    rows, columns = (ahead != -100).nonzero(as_tuple=True)
    tokens = ahead[rows, columns]
    check_ids("labels (-100: not predicted)", tokens, vocabulary)
    return PredictedTokens(rows, columns, tokens)


def check_ids(name: str, ids: torch.Tensor, vocabulary: int) -> None:
    """Raise a ValueError if an id is outside the vocabulary."""
    if ids.numel():
        smallest, largest = (int(bound) for bound in ids.aminmax())
        if smallest < 0 or largest >= vocabulary:
            wrong = smallest if smallest < 0 else largest
            raise ValueError(f"token id {wrong} in {name} is outside the vocabulary of {vocabulary}")


def item_count(num_items: int | torch.Tensor | None, default: int, device: torch.device) -> int | torch.Tensor:
    """What sums over predicted tokens are divided by: `num_items`, or `default` (at least 1).

    Raises:
        ValueError: `num_items` is an int below 1.
    """
    if isinstance(num_items, torch.Tensor):
        return num_items.to(device).clamp(min=1)
    if num_items is not None and num_items < 1:
        raise ValueError(f"num_items={num_items} must be at least 1: it counts the predicted tokens")
    return max(default, 1) if num_items is None else num_items


def language_modeling_loss(
    logits: torch.Tensor,
    labels: torch.Tensor,
    *,
    label_smoothing: float = 0.0,
    z_loss_weight: float = 0.0,
    num_items: int | torch.Tensor | None = None,
) -> LossParts:
    """Cross-entropy, with torch's label smoothing, plus `z_loss_weight` times the z-loss.

    Args:
        logits: (B, T, V).
        labels: (B, T), shifted here.
        z_loss_weight: 1e-4 in PaLM (arXiv:2204.02311, section 5).

    Raises:
        ValueError: shapes do not fit, a label is no token id, `label_smoothing` is outside [0, 1].
    """
    weights = _Weights(smoothing=label_smoothing, z_loss=z_loss_weight)
    return _loss(logits, predicted_tokens(logits, labels, logits.shape[-1]), weights, num_items)


def z_loss(logits: torch.Tensor, labels: torch.Tensor, num_items: int | torch.Tensor | None = None) -> torch.Tensor:
    """Mean of logsumexp(logits)^2 over the predicted tokens, a scalar; keeps logits from drifting (arXiv:2204.02311).

    Args:
        logits: (B, T, V).
        labels: (B, T), shifted here.

    Raises:
        ValueError: shapes do not fit or a label is no token id.
    """
    return _loss(
        logits, predicted_tokens(logits, labels, logits.shape[-1]), _Weights(likelihood=0.0, z_loss=1.0), num_items
    ).total


def anti_repetition_loss(
    logits: torch.Tensor,
    input_ids: torch.Tensor,
    labels: torch.Tensor,
    *,
    label_smoothing: float = 0.1,
    unlikelihood_alpha: float = 0.5,
    entropy_beta: float = 0.01,
    excluded_ids: Sequence[int] = (),
    position_ids: torch.Tensor | None = None,
    num_items: int | torch.Tensor | None = None,
    legacy: bool = False,
) -> LossParts:
    """Smoothed cross-entropy + alpha * token-level unlikelihood - beta * entropy of the predictions.

    Unlikelihood (arXiv:1908.04319) is the sum of -log(1 - p(c)) over the distinct tokens c that stand
    before the predicted one in its document, but for that token itself. The entropy term is the confidence penalty of
    arXiv:1701.06548.

    Args:
        logits: (B, T, V).
        input_ids: (B, T), what the logits were computed from.
        labels: (B, T), shifted here.
        excluded_ids: Ids that are never negatives. Pass `tokenizer.all_special_ids`: each turn of a chat has to end
            with the same token, and padding on the left is no text.
        position_ids: (B or 1, T); where they do not increase by one a document begins, as in the model.
        legacy: The original's numbers: the last token read is no negative, the predicted one may be, and the sum of
            the unlikelihood is divided by V as well, which leaves next to nothing of it.

    Returns:
        `unlikelihood` and `entropy` are reported before they are multiplied by alpha, beta and, if legacy, 1 / V.

    Raises:
        ValueError: shapes do not fit, an id is outside the vocabulary, `label_smoothing` is outside [0, 1], or
            `legacy` meets what the original did not have, `excluded_ids` or `position_ids`.
    """
    if legacy and (excluded_ids or position_ids is not None):
        raise ValueError("legacy=True is the original's loss, which has no excluded_ids and no position_ids")
    if input_ids.shape != labels.shape:
        raise ValueError(f"input_ids {tuple(input_ids.shape)} and labels {tuple(labels.shape)} must have one shape")
    if position_ids is not None and position_ids.shape not in {labels.shape, (1, labels.shape[1])}:
        raise ValueError(f"position_ids {tuple(position_ids.shape)} must be {tuple(labels.shape)} or one row of it")
    predicted = predicted_tokens(logits, labels, logits.shape[-1])
    vocabulary = logits.shape[-1]
    negatives = None
    if unlikelihood_alpha:
        check_ids("input_ids", input_ids, vocabulary)
        negatives = _previous_tokens(input_ids, predicted, excluded_ids, position_ids, legacy)
    weights = _Weights(
        smoothing=label_smoothing,
        unlikelihood=unlikelihood_alpha / vocabulary if legacy else unlikelihood_alpha,
        entropy=-entropy_beta,
    )
    return _loss(logits, predicted, weights, num_items, negatives)


def sequence_unlikelihood_loss(
    logits: torch.Tensor, labels: torch.Tensor, *, n: int = 4, num_items: int | torch.Tensor | None = None
) -> torch.Tensor:
    """Sequence-level unlikelihood of text that the model wrote itself (arXiv:1908.04319), a scalar.

    Each predicted token that completes an n-gram seen before among the row's predicted tokens gets -log(1 - p(token));
    the sum is divided by `num_items`, so it is a mean over all predicted tokens.

    Args:
        logits: (B, T, V) of the sampled rows.
        labels: (B, T), the sampled tokens, -100 at the prompt and at padding; shifted here.
        n: Tokens in an n-gram.

    Raises:
        ValueError: shapes do not fit, a label is no token id, or `n` is below 1.
    """
    predicted = predicted_tokens(logits, labels, logits.shape[-1])
    items = item_count(num_items, len(predicted.rows), logits.device)
    # The first label is predicted from nothing and yet part of the text.
    repeated = repeated_ngram_mask(labels, n, labels != -100)[:, 1:][predicted.rows, predicted.columns]
    predicted = PredictedTokens(*(index[repeated] for index in predicted))

    def token_itself(chunk: slice) -> tuple[torch.Tensor, torch.Tensor]:
        tokens = predicted.tokens[chunk, None]
        return tokens, torch.ones_like(tokens, dtype=torch.bool)

    return _loss(logits, predicted, _Weights(likelihood=0.0, unlikelihood=1.0), items, token_itself).total


def repeated_ngram_mask(ids: torch.Tensor, n: int, mask: torch.Tensor | None = None) -> torch.Tensor:
    """True where a token completes an n-gram that ended earlier in its row; both may overlap.

    Args:
        ids: (B, T) integers.
        n: Tokens in an n-gram.
        mask: (B, T) bool, False at tokens that belong to no n-gram (padding, prompt); default: none such.

    Returns:
        (B, T) bool.

    Raises:
        ValueError: `n` is below 1 or `mask` has another shape.
    """
    if n < 1:
        raise ValueError(f"n={n} tokens make no n-gram: n must be at least 1")
    if mask is None:
        mask = torch.ones_like(ids, dtype=torch.bool)
    mask = mask.bool()
    if mask.shape != ids.shape:
        raise ValueError(f"mask {tuple(mask.shape)} and ids {tuple(ids.shape)} must have one shape")
    repeated = torch.zeros_like(mask)
    if ids.shape[1] < n:
        return repeated
    whole = mask.unfold(1, n, 1).all(dim=-1)  # windows, by their first token
    rows, starts = whole.nonzero(as_tuple=True)
    # A number for each distinct n-gram of a row, from those of its first i tokens and the next token.
    names = ids.unique(return_inverse=True)[1]
    key = rows
    for i in range(n):
        key = (key * names.numel() + names[rows, starts + i]).unique(return_inverse=True)[1]
    repeated[rows, starts + n - 1] = _occurred_before(key)
    return repeated


def _occurred_before(keys: torch.Tensor) -> torch.Tensor:
    """(N,) integers -> (N,) bool, False at the first occurrence of each value."""
    order = keys.argsort(stable=True)
    ordered = keys[order]
    repeated = torch.zeros_like(keys, dtype=torch.bool)
    repeated[order[1:]] = ordered[1:] == ordered[:-1]
    return repeated


@dataclass(frozen=True)
class _Weights:
    """What each term is multiplied by in the total."""

    likelihood: float = 1.0
    smoothing: float = 0.0  # the share of the uniform distribution in the targets
    z_loss: float = 0.0
    unlikelihood: float = 0.0
    entropy: float = 0.0


# Token ids (n, K) of a chunk of n predicted positions and whether each counts, (n, K); no id may count twice in a row.
_Negatives = Callable[[slice], tuple[torch.Tensor, torch.Tensor]]


def _previous_tokens(
    input_ids: torch.Tensor,
    predicted: PredictedTokens,
    excluded_ids: Sequence[int],
    position_ids: torch.Tensor | None,
    legacy: bool,
) -> _Negatives:
    """The tokens up to each position, at their first occurrence in the document."""
    batch, length = input_ids.shape
    documents = None if position_ids is None else document_indices(position_ids, None)
    documents = torch.zeros_like(input_ids) if documents is None else documents.expand(batch, length)
    texts = torch.arange(batch, device=input_ids.device)[:, None] * length + documents
    keys = texts * (int(input_ids.max()) + 1 if input_ids.numel() else 1) + input_ids
    counts = ~_occurred_before(keys.flatten()).view(batch, length)
    if excluded_ids:
        counts &= ~torch.isin(input_ids, torch.tensor(list(excluded_ids), device=input_ids.device))
    places = torch.arange(length, device=input_ids.device)

    def negatives(chunk: slice) -> tuple[torch.Tensor, torch.Tensor]:
        rows, columns, tokens = (index[chunk] for index in predicted)
        ids, last = input_ids[rows], columns[:, None]
        if legacy:
            return ids, counts[rows] & (places < last)
        kept = counts[rows] & (places <= last) & (ids != tokens[:, None])
        return ids, kept & (documents[rows] == documents[rows, columns][:, None])

    return negatives


def _loss(
    logits: torch.Tensor,
    predicted: PredictedTokens,
    weights: _Weights,
    num_items: int | torch.Tensor | None,
    negatives: _Negatives | None = None,
) -> LossParts:
    if not 0 <= weights.smoothing <= 1:
        raise ValueError(f"label_smoothing={weights.smoothing} must be between 0 and 1")
    total, parts = _ChunkedLoss.apply(logits, predicted, weights, negatives)
    items = item_count(num_items, len(predicted.rows), logits.device)
    return LossParts(total / items, *(parts / items).unbind())


class _ChunkedLoss(torch.autograd.Function):
    """Sums over the predicted tokens: the weighted total, which carries the gradient, and its parts.

    With z the logits, p their softmax, H its entropy and r = p / (1 - p) at the negatives (0 elsewhere), the gradient
    of the total is p * (likelihood + 2 z_loss * logsumexp - unlikelihood * sum(r) - entropy * (log p + H)) plus
    unlikelihood * r, minus likelihood * target distribution.
    """

    @staticmethod
    def forward(
        ctx: Any, logits: torch.Tensor, predicted: PredictedTokens, weights: _Weights, negatives: _Negatives | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        index = predicted.rows * logits.shape[1] + predicted.columns
        flat = logits.flatten(0, 1)
        wide = torch.promote_types(logits.dtype, torch.float32)
        parts = torch.zeros(5, dtype=wide, device=logits.device)
        normalizers = torch.empty(len(index), dtype=wide, device=logits.device)
        entropies = torch.zeros_like(normalizers)
        for chunk in _chunks(index, logits):
            scores = flat.index_select(0, index[chunk]).to(wide)
            largest = scores.amax(dim=-1, keepdim=True)
            scores -= largest
            exponentials = scores.exp()
            sums = exponentials.sum(dim=-1)
            log_sums = sums.log()
            normalizers[chunk] = log_sums + largest[:, 0]
            nll = log_sums - scores.gather(1, predicted.tokens[chunk, None])[:, 0]
            parts[0] += nll.sum()
            parts[1] += (1 - weights.smoothing) * nll.sum()
            if weights.smoothing:
                parts[1] += weights.smoothing * (log_sums - scores.mean(dim=-1)).sum()
            parts[2] += normalizers[chunk].square().sum()
            if negatives is not None:
                ids, kept = negatives(chunk)
                complements = 1 - exponentials.gather(1, ids) / sums[:, None]
                clamped = complements.clamp(min=_SMALLEST_COMPLEMENT)
                parts[3] += torch.where(kept, 1 - complements / clamped - clamped.log(), 0).sum()
            if weights.entropy:
                entropies[chunk] = log_sums - exponentials.mul_(scores).sum(dim=-1) / sums
                parts[4] += entropies[chunk].sum()
        ctx.save_for_backward(logits, index, predicted.tokens, normalizers, entropies)
        ctx.weights, ctx.negatives = weights, negatives
        total = (
            weights.likelihood * parts[1]
            + weights.z_loss * parts[2]
            + weights.unlikelihood * parts[3]
            + weights.entropy * parts[4]
        )
        ctx.mark_non_differentiable(parts)
        return total, parts

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_total: torch.Tensor, _: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        logits, index, tokens, normalizers, entropies = ctx.saved_tensors
        weights, negatives = ctx.weights, ctx.negatives
        flat = logits.flatten(0, 1)
        gradient = torch.empty_like(flat)
        gradient[torch.ones_like(flat[:, 0], dtype=torch.bool).index_fill_(0, index, False)] = 0
        for chunk in _chunks(index, logits):
            log_probs = flat.index_select(0, index[chunk]).to(normalizers.dtype).sub_(normalizers[chunk, None])
            probs = log_probs.exp()
            factor = weights.likelihood + 2 * weights.z_loss * normalizers[chunk] - weights.entropy * entropies[chunk]
            if negatives is not None:
                ids, kept = negatives(chunk)
                repeated = probs.gather(1, ids)
                odds = torch.where(kept, repeated / (1 - repeated).clamp(min=_SMALLEST_COMPLEMENT), 0)
                odds *= weights.unlikelihood
                factor -= odds.sum(dim=-1)
                odds *= grad_total
            factor = (grad_total * factor)[:, None]
            probs *= log_probs.mul_(-weights.entropy * grad_total).add_(factor) if weights.entropy else factor
            if negatives is not None:
                probs.scatter_add_(1, ids, odds)
            if weights.likelihood:
                if weights.smoothing:
                    probs -= weights.likelihood * weights.smoothing / logits.shape[-1] * grad_total
                label = -weights.likelihood * (1 - weights.smoothing) * grad_total
                probs.scatter_add_(1, tokens[chunk, None], label.expand(len(probs), 1))
            gradient.index_copy_(0, index[chunk], probs.to(gradient.dtype))
        return gradient.view_as(logits), None, None, None


def _chunks(index: torch.Tensor, logits: torch.Tensor) -> list[slice]:
    elements = _CHUNK_ELEMENTS_CPU if logits.device.type == "cpu" else _CHUNK_ELEMENTS_GPU
    size = max(1, elements // logits.shape[-1])
    return [slice(start, start + size) for start in range(0, len(index), size)]
