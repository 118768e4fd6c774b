"""Losses of a model on held-out data, weighted by tokens."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import PreTrainedModel


@torch.no_grad()
def mean_loss(
    model: PreTrainedModel,
    dataset: Any,
    collate: Callable[[Any], dict[str, torch.Tensor]],
    *,
    batch_size: int = 16,
    max_rows: int = 256,
) -> float:
    """Mean next-token cross-entropy (nats) over the labelled tokens of the first `max_rows` rows of `dataset`."""
    training = model.training
    model.eval()
    total, count = 0.0, 0
    rows: Sequence[int] = range(min(len(dataset), max_rows))
    for start in range(0, len(rows), batch_size):
        batch = collate([dataset[row] for row in rows[start : start + batch_size]])
        batch = {name: tensor.to(model.device) for name, tensor in batch.items()}
        labels = batch.pop("labels")
        logits = model(**batch, use_cache=False).logits[:, :-1].float()
        ahead = labels[:, 1:]
        total += torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), ahead.flatten(), ignore_index=-100, reduction="sum"
        ).item()
        count += int((ahead != -100).sum())
    model.train(training)
    return total / max(count, 1)
