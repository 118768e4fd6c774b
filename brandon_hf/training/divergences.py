"""Distillation: divergences between a teacher's and a student's next-token distributions.

Shapes, labels and `num_items` follow `losses.py`. Logits of the whole batch never exist: those of a chunk of predicted
tokens are computed from the hidden states, and the gradients of hidden states and head are formed right there, so that
the backward pass needs no logits either.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import inf, log
from typing import Any, NamedTuple

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional

from .losses import check_ids, item_count, predicted_tokens

# The divergences and the mixture that `mixture=None` means, for those that have one.
DIVERGENCES: dict[str, float | None] = {
    "forward_kl": None,
    "reverse_kl": None,
    "js": 0.5,
    "skew_forward_kl": 0.1,
    "skew_reverse_kl": 0.1,
}
# The least probability of a cached teacher's tokens outside its top k: rounding may have left none.
_SMALLEST_REST = 1e-6


class DistillationLoss(NamedTuple):
    """Scalars, means over the predicted tokens. Only `total` carries gradients."""

    total: torch.Tensor
    divergence: torch.Tensor  # nats, at the temperature, without the factor temperature^2
    cross_entropy: torch.Tensor  # nats, of the student at temperature 1


def divergence_between(
    teacher_log_probs: torch.Tensor, student_log_probs: torch.Tensor, name: str, mixture: float | None = None
) -> torch.Tensor:
    """The divergence of the distributions in the last dimension, in nats; (..., V) twice -> (...).

    With p the teacher, q the student and m the mixture:

    - `forward_kl`: KL(p | q). Covers all the teacher does (Hinton et al., arXiv:1503.02531).
    - `reverse_kl`: KL(q | p). Keeps to what the teacher does most (MiniLLM, arXiv:2306.08543).
    - `js`: m KL(p | r) + (1 - m) KL(q | r) with r = m p + (1 - m) q (arXiv:2306.13649); m = 0.5 by default.
    - `skew_forward_kl`: KL(p | m p + (1 - m) q) (DistiLLM, arXiv:2402.03898); m = 0.1 by default.
    - `skew_reverse_kl`: KL(q | m q + (1 - m) p) (DistiLLM); m = 0.1 by default.

    Raises:
        ValueError: unknown name, a mixture outside (0, 1), or one for a divergence that has none.
    """
    share = mixture_of(name, mixture)
    p, q = teacher_log_probs, student_log_probs
    if name == "forward_kl":
        return _kl(p, q)
    if name == "reverse_kl":
        return _kl(q, p)
    if name == "skew_forward_kl":
        return _kl(p, _mixed(p, q, share))
    if name == "skew_reverse_kl":
        return _kl(q, _mixed(q, p, share))
    middle = _mixed(p, q, share)
    return share * _kl(p, middle) + (1 - share) * _kl(q, middle)


def mixture_of(name: str, mixture: float | None) -> float:
    """The mixture to use, 0 for a divergence that has none."""
    if name not in DIVERGENCES:
        raise ValueError(f"unknown divergence {name!r}: choose one of {', '.join(DIVERGENCES)}")
    default = DIVERGENCES[name]
    if mixture is None:
        return default or 0.0
    if default is None:
        raise ValueError(f"divergence {name!r} has no mixture, but mixture={mixture} was given")
    if not 0 < mixture < 1:
        raise ValueError(f"mixture={mixture} must lie between 0 and 1, both excluded")
    return mixture


def _kl(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    return (p.exp() * (p - q)).sum(dim=-1)


def _mixed(p: torch.Tensor, q: torch.Tensor, share: float) -> torch.Tensor:
    """Log-probabilities of share * p + (1 - share) * q."""
    return torch.logaddexp(p + log(share), q + log(1 - share))


def distillation_loss(
    student_hidden: torch.Tensor,
    student_head_weight: torch.Tensor,
    teacher_hidden: torch.Tensor,
    teacher_head: torch.Tensor | Callable[[torch.Tensor], torch.Tensor],
    labels: torch.Tensor,
    *,
    divergence: str = "reverse_kl",
    temperature: float = 2.0,
    alpha: float = 0.5,
    mixture: float | None = None,
    num_items: int | torch.Tensor | None = None,
    chunk_size: int = 256,
) -> DistillationLoss:
    """alpha * temperature^2 * divergence + (1 - alpha) * cross-entropy, the original's weighting.

    The original divides its divergence by the number of rows alone, which makes it T times as heavy; here both terms
    are means over the predicted tokens.

    Args:
        student_hidden: (B, T, D), what the student's head reads.
        student_head_weight: (V, D).
        teacher_hidden: (B, T, E); no gradient flows into it.
        teacher_head: (V, E), or a function from (n, E) to logits (n, V).
        labels: (B, T), shifted here.
        divergence: One of `DIVERGENCES`; `mixture` is its parameter, see `divergence_between`.
        temperature: Divides both models' logits in the divergence.
        chunk_size: Predicted tokens whose logits exist at a time; changes memory and speed, not the result.

    Raises:
        ValueError: shapes do not fit, a label is no token id, or an option is out of its range.
    """
    _check_states("teacher_hidden", teacher_hidden, labels)
    if isinstance(teacher_head, torch.Tensor):
        if teacher_head.shape[1:] != teacher_hidden.shape[2:]:
            raise ValueError(f"teacher_head {tuple(teacher_head.shape)} must be (V, {teacher_hidden.shape[-1]})")
        head: Callable[[torch.Tensor], torch.Tensor] = partial(functional.linear, weight=teacher_head)
    else:
        head = teacher_head
    states = teacher_hidden.detach().flatten(0, 1)

    def from_teacher(student: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            logits = head(states[positions])
        if logits.shape != student.shape:
            raise ValueError(
                f"the teacher has {logits.shape[-1]} tokens, the student {student.shape[-1]}: both need one tokenizer"
            )
        teacher = (_wide(logits) / temperature).log_softmax(dim=-1)
        return divergence_between(teacher, student, divergence, mixture)

    options = _Options(divergence, mixture, temperature, alpha, chunk_size)
    return _distillation(student_hidden, student_head_weight, labels, from_teacher, options, num_items)


def top_k_distillation_loss(
    student_hidden: torch.Tensor,
    student_head_weight: torch.Tensor,
    teacher_ids: torch.Tensor,
    teacher_log_probs: torch.Tensor,
    labels: torch.Tensor,
    *,
    divergence: str = "reverse_kl",
    temperature: float = 2.0,
    alpha: float = 0.5,
    mixture: float | None = None,
    num_items: int | torch.Tensor | None = None,
    chunk_size: int = 256,
) -> DistillationLoss:
    """`distillation_loss` from a teacher's k most probable tokens, written down earlier.

    Both distributions are reduced to k + 1 outcomes, the k tokens and all others together; with k = V nothing is lost.

    Args:
        student_hidden: (B, T, D), what the student's head reads.
        student_head_weight: (V, D).
        teacher_ids: (B, T, k), distinct ids; at the position from which the next token is predicted, like logits.
        teacher_log_probs: (B, T, k), their log-probabilities under the whole vocabulary, at `temperature`.
        labels: (B, T), shifted here; what stands at positions that predict nothing is not read.

    The options are those of `distillation_loss`.

    Raises:
        ValueError: shapes do not fit, an id is outside the vocabulary, or an option is out of its range.
    """
    _check_states("teacher_ids", teacher_ids, labels)
    if teacher_ids.shape != teacher_log_probs.shape:
        raise ValueError(
            f"teacher_ids {tuple(teacher_ids.shape)} and teacher_log_probs {tuple(teacher_log_probs.shape)} "
            "must have one shape"
        )
    ids, log_probs = teacher_ids.flatten(0, 1), _wide(teacher_log_probs.detach()).flatten(0, 1)

    def from_top_k(student: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        chosen, teacher = ids[positions], log_probs[positions]
        check_ids("teacher_ids", chosen, student.shape[-1])
        reduced = student.gather(1, chosen)
        if chosen.shape[-1] < student.shape[-1]:
            others = student.scatter(1, chosen, -torch.inf).logsumexp(dim=-1, keepdim=True)
            rest = -torch.expm1(teacher.logsumexp(dim=-1, keepdim=True))
            reduced = torch.cat([reduced, others], dim=-1)
            teacher = torch.cat([teacher, rest.clamp(min=_SMALLEST_REST).log()], dim=-1)
        return divergence_between(teacher, reduced, divergence, mixture)

    options = _Options(divergence, mixture, temperature, alpha, chunk_size)
    return _distillation(student_hidden, student_head_weight, labels, from_top_k, options, num_items)


@dataclass(frozen=True)
class _Options:
    """The options of both losses, in their ranges."""

    divergence: str
    mixture: float | None
    temperature: float
    alpha: float
    chunk_size: int

    def __post_init__(self) -> None:
        mixture_of(self.divergence, self.mixture)
        if not 0 < self.temperature < inf:
            raise ValueError(f"temperature={self.temperature} must be above 0")
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha={self.alpha}, the weight of the divergence, must be between 0 and 1")
        if self.chunk_size < 1:
            raise ValueError(f"chunk_size={self.chunk_size} must be at least 1")


# The divergence, (n,), of the student's log-probabilities (n, V) at n positions, (n,) indices into B * T.
_FromTeacher = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def _distillation(
    hidden: torch.Tensor,
    head_weight: torch.Tensor,
    labels: torch.Tensor,
    from_teacher: _FromTeacher,
    options: _Options,
    num_items: int | torch.Tensor | None,
) -> DistillationLoss:
    if head_weight.dim() != 2 or head_weight.shape[1] != hidden.shape[-1]:
        raise ValueError(
            f"student_head_weight {tuple(head_weight.shape)} must be (V, D) for student_hidden {tuple(hidden.shape)}"
        )
    predicted = predicted_tokens(hidden, labels, len(head_weight))
    positions = predicted.rows * labels.shape[1] + predicted.columns

    def sums(logits: torch.Tensor, chunk: slice) -> tuple[torch.Tensor, torch.Tensor]:
        """Of a chunk: the divergence and the cross-entropy."""
        logits = _wide(logits)
        log_probs = (logits / options.temperature).log_softmax(dim=-1)
        cross_entropy = functional.cross_entropy(logits, predicted.tokens[chunk], reduction="sum")
        return from_teacher(log_probs, positions[chunk]).sum(), cross_entropy

    states = hidden.flatten(0, 1)[positions]
    weights = (options.alpha * options.temperature**2, 1 - options.alpha)
    total, parts = _ChunkedDistillation.apply(
        states, head_weight, sums, weights, options.chunk_size, torch.is_grad_enabled()
    )
    items = item_count(num_items, len(positions), hidden.device)
    return DistillationLoss(total / items, *(parts / items).unbind())


class _ChunkedDistillation(torch.autograd.Function):
    """The weighted sum of two losses of logits, and the two; the gradients are formed along with the losses."""

    @staticmethod
    def forward(
        ctx: Any,
        states: torch.Tensor,
        head_weight: torch.Tensor,
        sums: Callable[[torch.Tensor, slice], tuple[torch.Tensor, torch.Tensor]],
        weights: tuple[float, float],
        chunk_size: int,
        training: bool,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        wide = torch.promote_types(states.dtype, torch.float32)
        totals = torch.zeros(2, dtype=wide, device=states.device)
        needed = [training and needs for needs in ctx.needs_input_grad[:2]]
        inputs = [states.detach(), head_weight.detach().requires_grad_(needed[1])]
        # The head's gradient is a sum over chunks, so it is kept wide.
        gradients = [
            torch.zeros_like(states) if needed[0] else None,
            torch.zeros_like(head_weight, dtype=wide) if needed[1] else None,
        ]
        for start in range(0, len(states), chunk_size):
            chunk = slice(start, start + chunk_size)
            inputs[0] = states[chunk].detach().requires_grad_(needed[0])
            with torch.set_grad_enabled(any(needed)):
                parts = sums(functional.linear(*inputs), chunk)
                total = weights[0] * parts[0] + weights[1] * parts[1]
            totals += torch.stack(parts).detach()
            wanted = [tensor for tensor in inputs if tensor.requires_grad]
            found = iter(torch.autograd.grad(total, wanted) if wanted else ())
            if gradients[0] is not None:
                gradients[0][chunk] = next(found)
            if gradients[1] is not None:
                gradients[1] += next(found)
        ctx.save_for_backward(*gradients)
        ctx.mark_non_differentiable(totals)
        return weights[0] * totals[0] + weights[1] * totals[1], totals

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_total: torch.Tensor, _: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        states, head = ctx.saved_tensors
        return (
            None if states is None else (states.to(grad_total.dtype) * grad_total).to(states.dtype),
            None if head is None else head * grad_total,
            *[None] * 4,
        )


def _wide(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def _check_states(name: str, states: torch.Tensor, labels: torch.Tensor) -> None:
    if states.dim() != 3 or states.shape[:2] != labels.shape:
        raise ValueError(f"{name} {tuple(states.shape)} must be (B, T, ...) for labels {tuple(labels.shape)}")
