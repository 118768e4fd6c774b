"""Cross-entropy, label smoothing and z-loss against torch's own, and how sums and errors behave."""

import pytest
import torch
from torch.nn import functional

from brandon_hf.training import losses
from brandon_hf.training.losses import anti_repetition_loss, language_modeling_loss, sequence_unlikelihood_loss, z_loss

V = 11


@pytest.fixture
def batch():
    torch.manual_seed(0)
    logits = torch.randn(3, 8, V, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(0, V, (3, 8))
    labels[0, :4] = labels[1, 6:] = -100
    return logits, labels


@pytest.fixture(params=[1, 3 * V, 2**20], ids=["chunks of 1", "chunks of 3", "one chunk"])
def chunks(request, monkeypatch):
    monkeypatch.setattr(losses, "_CHUNK_ELEMENTS_CPU", request.param)


def expected_loss(logits, labels, smoothing, z_weight):
    ahead, shifted = labels[:, 1:].flatten(), logits[:, :-1].flatten(0, 1)
    normalizers = shifted[ahead != -100].logsumexp(dim=-1)
    return functional.cross_entropy(shifted, ahead, label_smoothing=smoothing) + z_weight * normalizers.square().mean()


@pytest.mark.parametrize(("smoothing", "z_weight"), [(0.0, 0.0), (0.1, 0.0), (0.0, 0.3), (0.2, 0.3)])
def test_loss_and_gradient_are_those_of_torch(batch, chunks, smoothing, z_weight):
    logits, labels = batch
    wanted = expected_loss(logits, labels, smoothing, z_weight)
    parts = language_modeling_loss(logits, labels, label_smoothing=smoothing, z_loss_weight=z_weight)
    torch.testing.assert_close(parts.total, wanted)
    torch.testing.assert_close(parts.nll, expected_loss(logits, labels, 0.0, 0.0).detach())
    torch.testing.assert_close(parts.cross_entropy, expected_loss(logits, labels, smoothing, 0.0).detach())
    actual, wanted = (torch.autograd.grad(loss, logits)[0] for loss in (parts.total, wanted))
    torch.testing.assert_close(actual, wanted)


def test_z_loss_is_the_mean_square_of_the_normalizer(batch, chunks):
    logits, labels = batch
    wanted = expected_loss(logits, labels, 0.0, 1.0) - expected_loss(logits, labels, 0.0, 0.0)
    torch.testing.assert_close(z_loss(logits, labels), wanted)
    assert torch.autograd.gradcheck(lambda scores: z_loss(scores, labels), (logits,))


def test_backward_scales_with_the_incoming_gradient_and_can_be_repeated(batch):
    logits, labels = batch
    loss = language_modeling_loss(logits, labels).total
    (once,) = torch.autograd.grad(loss, logits, retain_graph=True)
    (thrice,) = torch.autograd.grad(3 * loss, logits)
    torch.testing.assert_close(thrice, 3 * once)


def test_micro_batches_divided_by_the_global_count_add_up(batch):
    logits, labels = batch
    count = (labels[:, 1:] != -100).sum()
    for items in (count, int(count)):
        halves = [language_modeling_loss(logits[rows], labels[rows], num_items=items) for rows in ([0], [1, 2])]
        for whole, first, second in zip(language_modeling_loss(logits, labels), *halves, strict=True):
            torch.testing.assert_close(first + second, whole)


def test_only_the_total_carries_gradients(batch):
    parts = language_modeling_loss(*batch)
    assert [part.requires_grad for part in parts] == [True, False, False, False, False, False]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits_are_summed_in_fp32(dtype):
    torch.manual_seed(0)
    logits = (4 * torch.randn(2, 40, 300)).to(dtype).requires_grad_()
    labels = torch.randint(0, 300, (2, 40))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        parts = anti_repetition_loss(logits, labels, labels)
    wide = logits.detach().float().requires_grad_()
    wanted = anti_repetition_loss(wide, labels, labels)
    for actual, exact in zip(parts, wanted, strict=True):
        assert actual.dtype == torch.float32
        torch.testing.assert_close(actual, exact)
    parts.total.backward()
    wanted.total.backward()
    assert torch.equal(logits.grad, wide.grad.to(dtype))


def test_a_batch_that_predicts_nothing_has_zero_loss_and_gradient():
    logits = torch.randn(2, 5, V, requires_grad=True)
    ids, labels = torch.zeros(2, 5, dtype=torch.long), torch.full((2, 5), -100)
    labels[:, 0] = 3  # nothing stands before it to predict it from
    total = anti_repetition_loss(logits, ids, labels).total + sequence_unlikelihood_loss(logits, labels)
    total.backward()
    assert total == 0
    assert not logits.grad.any()
    assert language_modeling_loss(logits, labels, num_items=torch.tensor(0)).total == 0


def test_logits_that_are_not_contiguous_get_the_same_gradient(batch):
    logits, labels = batch
    twisted = logits.detach().transpose(0, 2).contiguous().transpose(0, 2).requires_grad_()
    losses_of = [language_modeling_loss(scores, labels).total for scores in (logits, twisted)]
    assert torch.equal(losses_of[0], losses_of[1])
    assert torch.equal(torch.autograd.grad(losses_of[0], logits)[0], torch.autograd.grad(losses_of[1], twisted)[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": torch.zeros(2, 4, dtype=torch.long)}, r"states \(2, 5, 11\) and labels \(2, 4\) do not fit"),
        ({"labels": torch.full((2, 5), 11)}, "token id 11 in labels .* is outside the vocabulary of 11"),
        ({"labels": torch.full((2, 5), -1)}, "token id -1 in labels .* is outside the vocabulary of 11"),
        ({"label_smoothing": 1.5}, r"label_smoothing=1\.5 must be between 0 and 1"),
        ({"num_items": 0}, "num_items=0 must be at least 1"),
    ],
)
def test_wrong_input_is_named(arguments, message):
    arguments = {"labels": torch.zeros(2, 5, dtype=torch.long), **arguments}
    with pytest.raises(ValueError, match=message):
        language_modeling_loss(torch.zeros(2, 5, V), **arguments)
