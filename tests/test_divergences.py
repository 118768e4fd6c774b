"""Distillation against naive versions with the logits of the whole batch."""

import math

import pytest
import torch
from torch.nn import functional

from brandon_hf.training.divergences import (
    DIVERGENCES,
    distillation_loss,
    divergence_between,
    top_k_distillation_loss,
)

B, T, V, D, E = 3, 6, 9, 4, 5
every_divergence = pytest.mark.parametrize("name", DIVERGENCES)


def naive_divergence(p, q, name, m):
    """One pair of distributions, token by token, from the definitions."""

    def kl(first, second):
        return sum(a * math.log(a / b) for a, b in zip(first, second, strict=True))

    p, q = p.tolist(), q.tolist()
    if name == "forward_kl":
        return kl(p, q)
    if name == "reverse_kl":
        return kl(q, p)
    if name == "skew_forward_kl":
        return kl(p, [m * a + (1 - m) * b for a, b in zip(p, q, strict=True)])
    if name == "skew_reverse_kl":
        return kl(q, [m * b + (1 - m) * a for a, b in zip(p, q, strict=True)])
    middle = [m * a + (1 - m) * b for a, b in zip(p, q, strict=True)]
    return m * kl(p, middle) + (1 - m) * kl(q, middle)


def full_loss(hidden, head, teacher_logits, labels, name, temperature, alpha, mixture=None):
    """The loss from the logits of all positions at once: total, divergence, cross-entropy."""
    keep = labels[:, 1:].flatten() != -100
    student, teacher = ((x[:, :-1].flatten(0, 1))[keep] for x in (hidden @ head.T, teacher_logits))
    gold = labels[:, 1:].flatten()[keep]
    p, q = ((x / temperature).log_softmax(dim=-1) for x in (teacher, student))
    divergence = divergence_between(p, q, name, mixture).mean()
    cross_entropy = functional.cross_entropy(student, gold)
    return alpha * temperature**2 * divergence + (1 - alpha) * cross_entropy, divergence, cross_entropy


@pytest.fixture
def batch():
    torch.manual_seed(0)
    shapes = {"hidden": (B, T, D), "head": (V, D), "teacher_hidden": (B, T, E), "teacher_head": (V, E)}
    tensors = {name: torch.randn(shape, dtype=torch.float64) for name, shape in shapes.items()}
    for name in ("hidden", "head"):
        tensors[name].requires_grad_()
    labels = torch.randint(0, V, (B, T))
    labels[0, :3] = labels[2, 4:] = -100
    return *tensors.values(), labels


@pytest.mark.parametrize(
    ("name", "mixture"),
    [*((name, None) for name in DIVERGENCES), ("js", 0.3), ("skew_forward_kl", 0.3), ("skew_reverse_kl", 0.3)],
)
def test_divergence_is_that_of_its_definition(name, mixture):
    torch.manual_seed(0)
    p, q = torch.randn(2, 20, V, dtype=torch.float64).log_softmax(dim=-1)
    share = mixture or {"js": 0.5, "skew_forward_kl": 0.1, "skew_reverse_kl": 0.1}.get(name)
    wanted = [naive_divergence(a.exp(), b.exp(), name, share) for a, b in zip(p, q, strict=True)]
    actual = divergence_between(p, q, name, mixture)
    torch.testing.assert_close(actual, torch.tensor(wanted, dtype=torch.float64))
    assert (actual > 0).all()


@every_divergence
def test_divergence_of_equal_distributions_is_zero(name):
    p = torch.randn(20, V, dtype=torch.float64).log_softmax(dim=-1)
    torch.testing.assert_close(divergence_between(p, p, name), torch.zeros(20, dtype=torch.float64), atol=1e-12, rtol=0)


@every_divergence
@pytest.mark.parametrize("chunk_size", [1, 4, 1000])
def test_loss_and_gradients_are_those_of_full_logits(batch, name, chunk_size):
    hidden, head, teacher_hidden, teacher_head, labels = batch
    actual = distillation_loss(
        hidden, head, teacher_hidden, teacher_head, labels, divergence=name, alpha=0.3, chunk_size=chunk_size
    )
    wanted = full_loss(hidden, head, teacher_hidden @ teacher_head.T, labels, name, 2.0, 0.3)
    for ours, theirs in zip(actual, wanted, strict=True):
        torch.testing.assert_close(ours, theirs)
    gradients = [torch.autograd.grad(2 * total, (hidden, head)) for total in (actual.total, wanted[0])]
    torch.testing.assert_close(*gradients)


def test_mixture_reaches_the_divergence(batch):
    *inputs, labels = batch
    wanted = full_loss(inputs[0], inputs[1], inputs[2] @ inputs[3].T, labels, "js", 2.0, 0.5, mixture=0.9)
    torch.testing.assert_close(distillation_loss(*batch, divergence="js", mixture=0.9).total, wanted[0])


@pytest.mark.parametrize("temperature", [0.5, 3.0])
def test_divergence_is_taken_at_the_temperature_and_scaled_by_its_square(batch, temperature):
    *inputs, labels = batch
    wanted = full_loss(inputs[0], inputs[1], inputs[2] @ inputs[3].T, labels, "reverse_kl", temperature, 1.0)
    loss = distillation_loss(*batch, temperature=temperature, alpha=1.0)
    torch.testing.assert_close(loss.divergence, wanted[1].detach())
    torch.testing.assert_close(loss.total, (temperature**2 * wanted[1]))


def test_alpha_weighs_divergence_against_cross_entropy(batch):
    hard = distillation_loss(*batch, alpha=0.0)
    torch.testing.assert_close(hard.total, hard.cross_entropy)
    soft = distillation_loss(*batch, alpha=1.0, temperature=1.0)
    torch.testing.assert_close(soft.total, soft.divergence)


def test_teacher_head_may_be_a_function_and_gets_no_gradient(batch):
    hidden, head, teacher_hidden, teacher_head, labels = batch
    layer = torch.nn.Linear(E, V, bias=False).double()
    layer.weight.data.copy_(teacher_head)
    teacher_hidden.requires_grad_()
    loss = distillation_loss(hidden, head, teacher_hidden, layer, labels)
    torch.testing.assert_close(loss.total, distillation_loss(*batch).total)
    loss.total.backward()
    assert teacher_hidden.grad is None
    assert layer.weight.grad is None


@pytest.mark.parametrize("trained", ["hidden", "head"])
def test_the_other_half_of_the_student_may_be_frozen(batch, trained):
    hidden, head, *rest = batch
    together = torch.autograd.grad(distillation_loss(*batch).total, (hidden, head))
    frozen = (hidden, head.detach()) if trained == "hidden" else (hidden.detach(), head)
    (alone,) = torch.autograd.grad(distillation_loss(*frozen, *rest).total, hidden if trained == "hidden" else head)
    torch.testing.assert_close(alone, together[trained == "head"])


@torch.no_grad()
def test_evaluation_gives_the_same_loss_and_forms_no_gradients(batch, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(torch.autograd, "grad", None)
        loss = distillation_loss(*batch)
    assert not loss.total.requires_grad
    with torch.enable_grad():
        torch.testing.assert_close(loss.total, distillation_loss(*batch).total.detach())


def test_micro_batches_divided_by_the_global_count_add_up(batch):
    *inputs, labels = batch
    count = (labels[:, 1:] != -100).sum()

    def of(rows, **options):
        hidden, head, teacher_hidden, teacher_head = inputs
        return distillation_loss(hidden[rows], head, teacher_hidden[rows], teacher_head, labels[rows], **options)

    for items in (count, int(count)):
        for whole, first, second in zip(
            of([0, 1, 2]), of([0], num_items=items), of([1, 2], num_items=items), strict=True
        ):
            torch.testing.assert_close(first + second, whole)


def test_a_batch_that_predicts_nothing_has_zero_loss_and_gradient(batch):
    *inputs, labels = batch
    total = distillation_loss(*inputs, torch.full_like(labels, -100)).total
    total.backward()
    assert total == 0
    assert not inputs[0].grad.any()
    assert not inputs[1].grad.any()


@every_divergence
@pytest.mark.parametrize("top_k", [False, True])
def test_extreme_logits_give_finite_losses_and_gradients(name, top_k):
    identity = torch.eye(V)
    hidden = torch.zeros(1, 3, V)
    hidden[0, 0, 0], hidden[0, 0, 1], hidden[0, 1, 2] = 1e4, -1e4, 1e4
    teacher = torch.zeros(1, 3, V)
    teacher[0, 0, 1], teacher[0, 0, 0], teacher[0, 1, 2] = 1e4, -1e4, -1e4
    hidden.requires_grad_()
    weight = identity.clone().requires_grad_()
    labels = torch.tensor([[0, 1, 2]])
    if top_k:
        log_probs, ids = (teacher / 2).log_softmax(dim=-1).topk(2)
        loss = top_k_distillation_loss(hidden, weight, ids, log_probs, labels, divergence=name)
    else:
        loss = distillation_loss(hidden, weight, teacher, identity, labels, divergence=name)
    loss.total.backward()
    assert all(part.isfinite() for part in loss)
    assert hidden.grad.isfinite().all()
    assert weight.grad.isfinite().all()


def test_under_bf16_autocast_only_the_matrix_products_are_rounded():
    torch.manual_seed(0)
    hidden, teacher_hidden = torch.randn(2, 30, 16, requires_grad=True), torch.randn(2, 30, 16)
    head, teacher_head = torch.randn(200, 16, requires_grad=True), torch.randn(200, 16)
    labels = torch.randint(0, 200, (2, 30))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = distillation_loss(hidden, head, teacher_hidden, teacher_head, labels, chunk_size=7)
        student, teacher = functional.linear(hidden, head), functional.linear(teacher_hidden, teacher_head)
        assert student.dtype == torch.bfloat16
    # The same rounded logits, through an identity as the head.
    exact = distillation_loss(student.float(), torch.eye(200), teacher.float(), torch.eye(200), labels)
    assert loss.total.dtype == torch.float32
    torch.testing.assert_close(loss.total, exact.total, rtol=1e-5, atol=0)
    ours = torch.autograd.grad(loss.total, (hidden, head))
    for actual, wanted in zip(ours, torch.autograd.grad(exact.total, (hidden, head)), strict=True):
        assert actual.dtype == torch.float32
        torch.testing.assert_close(actual, wanted, rtol=0.05, atol=0.02 * wanted.abs().max().item())


def test_gradients_of_bf16_models_are_scaled_before_they_are_rounded():
    torch.manual_seed(0)
    hidden, head, teacher, teacher_head = (torch.randn(s).bfloat16() for s in ((2, 9, D), (V, D), (2, 9, E), (V, E)))
    labels = torch.randint(0, V, (2, 9))
    inputs = hidden.requires_grad_(), head.requires_grad_()

    def gradients(items):
        loss = distillation_loss(*inputs, teacher, teacher_head, labels, num_items=items, chunk_size=2)
        return torch.autograd.grad(loss.total, inputs)

    whole, part = gradients(1), gradients(1000)
    assert [gradient.dtype for gradient in part] == [torch.bfloat16] * 2
    assert torch.equal(part[0], (whole[0].float() * torch.tensor(1 / 1000)).bfloat16())


def test_the_gradient_of_a_bf16_head_is_summed_over_chunks_in_fp32():
    torch.manual_seed(0)
    hidden, head = torch.randn(1, 1, D).bfloat16(), torch.randn(V, D).bfloat16().requires_grad_()

    def gradient(tokens):
        states, labels = hidden.expand(1, tokens + 1, D), torch.ones(1, tokens + 1, dtype=torch.long)
        total = distillation_loss(states, head, states, -head, labels, num_items=1, chunk_size=1).total
        return torch.autograd.grad(total, head)[0]

    torch.testing.assert_close(gradient(300), (300 * gradient(1).float()).bfloat16())


def top_k_of(logits, k, temperature=2.0):
    log_probs, ids = (logits / temperature).log_softmax(dim=-1).topk(k)
    return ids, log_probs


@every_divergence
def test_top_k_of_the_whole_vocabulary_is_the_full_loss(batch, name):
    hidden, head, teacher_hidden, teacher_head, labels = batch
    ids, log_probs = top_k_of(teacher_hidden @ teacher_head.T, V)
    actual = top_k_distillation_loss(hidden, head, ids, log_probs, labels, divergence=name, chunk_size=4)
    wanted = distillation_loss(*batch, divergence=name)
    for ours, theirs in zip(actual, wanted, strict=True):
        torch.testing.assert_close(ours, theirs)
    gradients = [torch.autograd.grad(loss.total, (hidden, head)) for loss in (actual, wanted)]
    torch.testing.assert_close(*gradients)


@every_divergence
@pytest.mark.parametrize("k", [1, 3, V - 1])
def test_top_k_compares_k_tokens_and_the_rest(batch, name, k):
    hidden, head, teacher_hidden, teacher_head, labels = batch
    ids, log_probs = top_k_of(teacher_hidden @ teacher_head.T, k)
    actual = top_k_distillation_loss(hidden, head, ids, log_probs, labels, divergence=name)
    student = (hidden @ head.T / 2).softmax(dim=-1)
    total, count = 0.0, 0
    for b in range(B):
        for t in range(T - 1):
            if labels[b, t + 1] == -100:
                continue
            p = torch.cat([log_probs[b, t].exp(), 1 - log_probs[b, t].exp().sum()[None]])
            q = torch.cat([student[b, t, ids[b, t]], 1 - student[b, t, ids[b, t]].sum()[None]])
            total, count = total + naive_divergence(p, q, name, DIVERGENCES[name]), count + 1
    torch.testing.assert_close(actual.divergence, torch.tensor(total / count, dtype=torch.float64))
    torch.testing.assert_close(actual.cross_entropy, distillation_loss(*batch).cross_entropy)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_top_k_takes_a_mixture_and_log_probs_of_half_precision(batch, dtype):
    hidden, head, teacher_hidden, teacher_head, labels = (x.float() if x.is_floating_point() else x for x in batch)
    ids, log_probs = top_k_of(teacher_hidden @ teacher_head.T, 3)
    rounded = log_probs.to(dtype)
    options = {"divergence": "js", "mixture": 0.9}
    loss = top_k_distillation_loss(hidden, head, ids, rounded, labels, **options)
    wanted = top_k_distillation_loss(hidden, head, ids, rounded.float(), labels, **options)
    assert torch.equal(loss.total, wanted.total)
    assert loss.total != top_k_distillation_loss(hidden, head, ids, rounded, labels, divergence="js").total


def test_top_k_gradient_is_the_derivative(batch):
    hidden, head, teacher_hidden, teacher_head, labels = batch
    ids, log_probs = top_k_of(teacher_hidden @ teacher_head.T, 3)
    assert torch.autograd.gradcheck(
        lambda states, weight: top_k_distillation_loss(states, weight, ids, log_probs, labels, chunk_size=5).total,
        (hidden, head),
    )


def test_top_k_at_positions_that_predict_nothing_is_not_read(batch):
    hidden, head, teacher_hidden, teacher_head, labels = batch
    ids, log_probs = top_k_of(teacher_hidden @ teacher_head.T, 3)
    wanted = top_k_distillation_loss(hidden, head, ids, log_probs, labels).total
    unread = functional.pad(labels[:, 1:], (0, 1), value=-100) == -100
    ids[unread], log_probs[unread] = -1, torch.nan
    assert torch.equal(top_k_distillation_loss(hidden, head, ids, log_probs, labels).total, wanted)


@pytest.mark.parametrize("log_probs", [[-0.5, -1.0], [0.0, -40.0]], ids=["more than 1", "all of it"])
def test_rounded_top_k_that_leaves_nothing_for_the_rest_stays_finite(log_probs):
    hidden = torch.zeros(1, 2, V, requires_grad=True)
    teacher = torch.tensor(log_probs, dtype=torch.float16).expand(1, 2, 2)
    ids = torch.tensor([0, 1]).expand(1, 2, 2)
    loss = top_k_distillation_loss(hidden, torch.eye(V), ids, teacher, torch.zeros(1, 2, dtype=torch.long))
    loss.total.backward()
    assert loss.total.isfinite()
    assert hidden.grad.isfinite().all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"divergence": "kl"}, "unknown divergence 'kl': choose one of forward_kl, reverse_kl, js"),
        ({"divergence": "forward_kl", "mixture": 0.5}, r"'forward_kl' has no mixture, but mixture=0\.5 was given"),
        ({"divergence": "js", "mixture": 1.0}, r"mixture=1\.0 must lie between 0 and 1"),
        ({"temperature": 0.0}, r"temperature=0\.0 must be above 0"),
        ({"alpha": 1.5}, r"alpha=1\.5, the weight of the divergence, must be between 0 and 1"),
        ({"chunk_size": 0}, "chunk_size=0 must be at least 1"),
        ({"num_items": 0}, "num_items=0 must be at least 1"),
        ({"teacher_hidden": torch.zeros(B, T - 1, E)}, r"teacher_hidden \(3, 5, 5\) must be \(B, T, \.\.\.\)"),
        ({"teacher_head": torch.zeros(V, E + 1)}, r"teacher_head \(9, 6\) must be \(V, 5\)"),
        ({"teacher_head": torch.zeros(V + 1, E)}, "the teacher has 10 tokens, the student 9"),
        ({"student_head_weight": torch.zeros(V, D + 1)}, r"student_head_weight \(9, 5\) must be \(V, D\)"),
        ({"student_hidden": torch.zeros(B, T + 1, D)}, r"states \(3, 7, 4\) and labels \(3, 6\) do not fit"),
        ({"labels": torch.full((B, T), V)}, "token id 9 in labels"),
    ],
)
def test_wrong_input_is_named(options, message):
    arguments = {
        "student_hidden": torch.zeros(B, T, D),
        "student_head_weight": torch.zeros(V, D),
        "teacher_hidden": torch.zeros(B, T, E),
        "teacher_head": torch.zeros(V, E),
        "labels": torch.zeros(B, T, dtype=torch.long),
    }
    with pytest.raises(ValueError, match=message):
        distillation_loss(**{**arguments, **options})


def test_wrong_top_k_is_named(batch):
    hidden, head, *_, labels = batch
    ids, log_probs = torch.zeros(B, T, 2, dtype=torch.long), torch.zeros(B, T, 2)
    with pytest.raises(ValueError, match=r"teacher_ids \(3, 6, 2\) and teacher_log_probs \(3, 6, 1\) must have one"):
        top_k_distillation_loss(hidden, head, ids, log_probs[..., :1], labels)
    with pytest.raises(ValueError, match="token id 9 in teacher_ids is outside the vocabulary of 9"):
        top_k_distillation_loss(hidden, head, ids + V, log_probs, labels)
