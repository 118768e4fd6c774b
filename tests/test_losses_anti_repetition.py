"""The anti-repetition objective against naive loops, and against the original's numbers."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch.nn import functional

import brandon_hf  # noqa: F401  # registers the classes
from brandon_hf.modeling import BrandonForCausalLM
from brandon_hf.training import losses
from brandon_hf.training.losses import anti_repetition_loss, repeated_ngram_mask, sequence_unlikelihood_loss

V = 7


def naive_parts(logits, ids, labels, smoothing, alpha, beta, excluded=(), documents=None):
    """Total, unlikelihood and entropy by loops over rows, positions and previous tokens."""
    likelihood, unlikelihood, entropy, count = 0.0, 0.0, 0.0, 0
    for b in range(len(ids)):
        for t in range(ids.shape[1] - 1):
            gold = int(labels[b, t + 1])
            if gold == -100:
                continue
            probs = logits[b, t].softmax(dim=-1)
            likelihood += functional.cross_entropy(logits[b, t], torch.tensor(gold), label_smoothing=smoothing)
            seen = {int(ids[b, s]) for s in range(t + 1) if documents is None or documents[b][s] == documents[b][t]} - {
                gold,
                *excluded,
            }
            unlikelihood += sum(-torch.log(1 - probs[c]) for c in seen)
            entropy += -(probs * probs.log()).sum()
            count += 1
    total = (likelihood + alpha * unlikelihood - beta * entropy) / max(count, 1)
    return [torch.as_tensor(value, dtype=logits.dtype) for value in (total, unlikelihood / count, entropy / count)]


@st.composite
def batches(draw):
    shape = draw(st.integers(1, 3)), draw(st.integers(2, 9))
    ids = torch.tensor([[draw(st.integers(0, V - 1)) for _ in range(shape[1])] for _ in range(shape[0])])
    hidden = torch.tensor([[draw(st.booleans()) for _ in range(shape[1])] for _ in range(shape[0])])
    labels = ids.masked_fill(hidden, -100)
    labels[0, -1] = ids[0, -1]  # something to predict
    return ids, labels, draw(st.integers(0, 10**6))


@settings(deadline=None, max_examples=40)
@given(batches(), st.sampled_from([1, 2 * V, 2**20]), st.sampled_from([(), (0,), (2, 5)]))
def test_objective_and_gradient_are_those_of_a_naive_loop(batch, elements, excluded):
    ids, labels, seed = batch
    torch.manual_seed(seed)
    logits = (2 * torch.randn(*ids.shape, V, dtype=torch.float64)).requires_grad_()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(losses, "_CHUNK_ELEMENTS_CPU", elements)
        parts = anti_repetition_loss(
            logits,
            ids,
            labels,
            label_smoothing=0.2,
            unlikelihood_alpha=0.7,
            entropy_beta=0.3,
            excluded_ids=excluded,
        )
        (gradient,) = torch.autograd.grad(parts.total, logits)
    wanted = naive_parts(logits, ids, labels, 0.2, 0.7, 0.3, excluded)
    torch.testing.assert_close([parts.total, parts.unlikelihood, parts.entropy], [w.detach() for w in wanted])
    torch.testing.assert_close(gradient, torch.autograd.grad(wanted[0], logits)[0])


def test_gradient_is_the_derivative():
    torch.manual_seed(0)
    logits = torch.randn(2, 6, V, dtype=torch.float64, requires_grad=True)
    logits.data[0, 2, 1] = 15  # the tangent, where p is nearly 1
    ids = torch.randint(0, V, (2, 6))
    ids[0, 0], ids[0, 3] = 1, 2
    assert torch.autograd.gradcheck(lambda z: anti_repetition_loss(z, ids, ids, entropy_beta=0.5).total, (logits,))


@pytest.mark.parametrize("rows", [2, 1], ids=["positions of each row", "positions for all rows"])
def test_previous_tokens_are_those_of_the_document(rows):
    torch.manual_seed(0)
    ids = torch.randint(0, V, (2, 9))
    positions = torch.tensor([[0, 1, 2, 3, 0, 1, 0, 1, 2], [0, 1, 2, 3, 4, 5, 6, 0, 1]])[:rows]
    documents = [[0, 0, 0, 0, 1, 1, 2, 2, 2], [0] * 7 + [1] * 2] if rows == 2 else [[0, 0, 0, 0, 1, 1, 2, 2, 2]] * 2
    logits = torch.randn(2, 9, V, dtype=torch.float64)
    parts = anti_repetition_loss(logits, ids, ids, position_ids=positions)
    wanted = naive_parts(logits, ids, ids, 0.1, 0.5, 0.01, documents=documents)
    torch.testing.assert_close([parts.total, parts.unlikelihood, parts.entropy], wanted)
    assert not torch.isclose(parts.total, anti_repetition_loss(logits, ids, ids).total)


def test_without_alpha_and_beta_it_is_smoothed_cross_entropy():
    torch.manual_seed(0)
    logits, ids = torch.randn(2, 6, V), torch.randint(0, V, (2, 6))
    total = anti_repetition_loss(logits, ids, ids, unlikelihood_alpha=0, entropy_beta=0).total
    wanted = functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten(), label_smoothing=0.1)
    torch.testing.assert_close(total, wanted)


def test_the_entropy_term_favours_flat_predictions():
    flat, peaked = torch.zeros(1, 3, V), torch.zeros(1, 3, V)
    peaked[..., 0] = 5
    ids = torch.ones(1, 3, dtype=torch.long)
    gain = [
        anti_repetition_loss(z, ids, ids, entropy_beta=1.0).total
        - anti_repetition_loss(z, ids, ids, entropy_beta=0).total
        for z in (flat, peaked)
    ]
    torch.testing.assert_close(gain[0], torch.tensor(-math.log(V)))
    assert gain[0] < gain[1] < 0


def test_a_sure_repetition_has_a_finite_loss_and_gradient():
    logits = torch.full((1, 3, V), -1e4)
    logits[..., 0] = 1e4
    logits.requires_grad_()
    ids = torch.tensor([[0, 1, 2]])
    parts = anti_repetition_loss(logits, ids, ids)
    parts.total.backward()
    assert all(part.isfinite() for part in parts)
    assert logits.grad.isfinite().all()
    assert parts.unlikelihood > 10


@pytest.mark.parametrize("name", ["baseline_deduplicated", "dream", "enhanced", "mtp"])
@torch.no_grad()
def test_legacy_gives_the_numbers_of_the_original(shared, name):
    folder = shared / "reference_checkpoints" / name
    expected = load_file(folder / "expected.safetensors")
    model = BrandonForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ids = expected["input_ids"].long()
    labels = ids.masked_fill(expected["target_mask"] == 0, -100)
    parts = anti_repetition_loss(model(ids).logits, ids, labels, legacy=True)
    for actual, term in ((parts.total, "anti_repetition"), (parts.cross_entropy, "label_smoothing")):
        torch.testing.assert_close(actual[None], expected[f"loss_{term}_masked"], rtol=1e-5, atol=0)


def test_legacy_takes_tokens_before_the_last_and_the_gold_and_divides_by_the_vocabulary():
    torch.manual_seed(0)
    logits, ids = torch.randn(1, 5, V, dtype=torch.float64), torch.tensor([[1, 2, 1, 2, 3]])
    one_minus = (1 - logits[0].softmax(dim=-1)).log()
    seen = -(one_minus[1, 1] + one_minus[2, [1, 2]].sum() + one_minus[3, [1, 2]].sum())
    alpha, none = (anti_repetition_loss(logits, ids, ids, unlikelihood_alpha=a, legacy=True).total for a in (0.5, 0.0))
    torch.testing.assert_close(alpha - none, 0.5 * seen / (4 * V))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"legacy": True, "excluded_ids": [0]}, "legacy=True is the original's loss"),
        ({"legacy": True, "position_ids": torch.arange(5)[None]}, "legacy=True is the original's loss"),
        ({"input_ids": torch.zeros(2, 4, dtype=torch.long)}, r"input_ids \(2, 4\) and labels \(2, 5\) must have one"),
        ({"input_ids": torch.full((2, 5), -100)}, "token id -100 in input_ids is outside the vocabulary of 7"),
        ({"position_ids": torch.arange(4)[None]}, r"position_ids \(1, 4\) must be \(2, 5\) or one row of it"),
    ],
)
def test_wrong_input_is_named(arguments, message):
    ids = torch.zeros(2, 5, dtype=torch.long)
    with pytest.raises(ValueError, match=message):
        anti_repetition_loss(torch.zeros(2, 5, V), **{"input_ids": ids, "labels": ids, **arguments})


def naive_repeats(row, n, mask):
    """The n-grams of one row in order, each looked up among those before it."""
    seen, repeated = set(), [False] * len(row)
    for end in range(n, len(row) + 1):
        if all(mask[end - n : end]):
            gram = tuple(row[end - n : end])
            repeated[end - 1] = gram in seen
            seen.add(gram)
    return repeated


@settings(deadline=None)
@given(st.data())
def test_repeated_ngrams_are_those_of_a_naive_loop(data):
    rows, length, n = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 14)), data.draw(st.integers(1, 5))
    table = st.lists(st.lists(st.integers(-1, 2), min_size=length, max_size=length), min_size=rows, max_size=rows)
    ids = data.draw(table)
    mask = [[value >= 0 for value in row] for row in data.draw(table)]
    actual = repeated_ngram_mask(torch.tensor(ids), n, torch.tensor(mask))
    assert actual.tolist() == [naive_repeats(row, n, kept) for row, kept in zip(ids, mask, strict=True)]
    assert repeated_ngram_mask(torch.tensor(ids), n).tolist() == [naive_repeats(row, n, [True] * length) for row in ids]


def test_ngram_arguments_are_checked():
    with pytest.raises(ValueError, match="n=0 tokens make no n-gram"):
        repeated_ngram_mask(torch.zeros(1, 3), 0)
    with pytest.raises(ValueError, match=r"mask \(1, 2\) and ids \(1, 3\) must have one shape"):
        repeated_ngram_mask(torch.zeros(1, 3), 2, torch.ones(1, 2))


@pytest.mark.parametrize("n", [1, 2, 3])
def test_sequence_unlikelihood_is_that_of_a_naive_loop(n):
    torch.manual_seed(0)
    labels = torch.randint(0, 2, (3, 12))
    labels[0, :5] = labels[1, 9:] = labels[2, [3, 6]] = -100
    labels[2, [4, 7]] = 1  # the same token after a gap is no repeated bigram
    logits = torch.randn(3, 12, V, dtype=torch.float64, requires_grad=True)
    total = 0.0
    for row, scores in zip(labels.tolist(), logits, strict=True):
        repeated = naive_repeats(row, n, [label != -100 for label in row])
        total += sum(-torch.log(1 - scores[t - 1].softmax(dim=-1)[row[t]]) for t in range(1, 12) if repeated[t])
    wanted = total / (labels[:, 1:] != -100).sum()
    actual = sequence_unlikelihood_loss(logits, labels, n=n)
    assert actual > 0
    torch.testing.assert_close(actual, wanted)
    torch.testing.assert_close(*(torch.autograd.grad(loss, logits)[0] for loss in (actual, wanted)))
    torch.testing.assert_close(sequence_unlikelihood_loss(logits, labels, n=n, num_items=5), total / 5)
