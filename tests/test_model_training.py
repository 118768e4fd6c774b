"""Training: losses, gradients, checkpointing, dropout, compilation."""

import pytest
import torch
from model_runners import (
    CONFIGS,
    REPRESENTATIVE,
    assert_close,
    check_checkpointing,
    gradients,
    left_padded,
    random_ids,
    tiny_model,
)
from torch.nn import functional


@pytest.mark.parametrize("name", CONFIGS)
def test_every_parameter_gets_a_gradient(name: str) -> None:
    model, ids = tiny_model(name).train(), random_ids(3, 9)
    for parameter, gradient in gradients(model, lambda m: m(ids, labels=ids).loss).items():
        assert gradient is not None, parameter
        assert gradient.isfinite().all(), parameter
        rows = gradient[1:] if parameter.endswith("value_weights") else gradient  # layer 0 mixes nothing
        assert rows.abs().max() > 0, parameter
        if parameter.endswith("value_weights"):
            assert (rows.abs() > 0).all()


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("use_reentrant", [False, True])
def test_gradient_checkpointing_changes_no_gradient(name: str, use_reentrant: bool) -> None:
    check_checkpointing(tiny_model(name), use_reentrant)


def test_gradient_checkpointing_repeats_dropout() -> None:
    model, ids = tiny_model("enhanced", dropout=0.3).train(), random_ids(2, 7)

    def loss(m: torch.nn.Module) -> torch.Tensor:
        torch.manual_seed(0)
        return m(ids, labels=ids).loss

    plain = gradients(model, loss)
    model.gradient_checkpointing_enable({"use_reentrant": False})
    for name, gradient in gradients(model, loss).items():
        assert torch.equal(gradient, plain[name]), name


def test_gradient_checkpointing_drops_activations() -> None:
    model, ids = tiny_model("enhanced", num_hidden_layers=12).train(), random_ids(2, 9)
    kept = []
    for checkpointing in (False, True):
        if checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        saved: list[int] = []
        pack = lambda x, saved=saved: (saved.append(x.numel()), x)[1]  # noqa: E731 - a hook
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
            model(ids, labels=ids)
        kept.append(sum(saved))
    assert kept[1] < kept[0] / 2


@pytest.mark.parametrize("name", CONFIGS)
def test_loss_falls_when_one_batch_is_repeated(name: str) -> None:
    model, ids = tiny_model(name).train(), random_ids(2, 8)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-2)
    losses = []
    for _ in range(15):
        loss = model(ids, labels=ids).loss
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < losses[0] / 2


def naive_losses(model: torch.nn.Module, ids: torch.Tensor, labels: torch.Tensor) -> tuple[list[float], list[int]]:
    """Summed losses and counts of the next-token prediction and of each further head, token by token."""
    outputs = model(ids, output_mtp_logits=True)
    sums, counts = [], []
    for ahead, logits in enumerate([outputs.logits, *(outputs.mtp_logits or ())], start=1):
        terms = [
            -logits[row, place].log_softmax(-1)[labels[row, place + ahead]].item()
            for row in range(ids.shape[0])
            for place in range(ids.shape[1] - ahead)
            if labels[row, place + ahead] != -100
        ]
        sums.append(sum(terms))
        counts.append(len(terms))
    return sums, counts


@pytest.mark.parametrize("name", ["plain", "mtp"])
def test_loss_is_the_mean_over_heads_of_the_mean_over_tokens(name: str) -> None:
    model, ids = tiny_model(name), random_ids(2, 7)
    labels = ids.clone()
    labels[0, :3], labels[1, 5] = -100, -100
    sums, counts = naive_losses(model, ids, labels)
    means = [total / count for total, count in zip(sums, counts, strict=True)]
    assert model(ids, labels=labels, output_mtp_logits=True).loss.item() == pytest.approx(sum(means) / len(means))
    assert model.train()(ids, labels=labels).loss.item() == pytest.approx(sum(means) / len(means))
    # Outside training the loss is the next token's, so that perplexities compare.
    assert model.eval()(ids, labels=labels).loss.item() == pytest.approx(means[0])


@pytest.mark.parametrize("name", ["plain", "mtp"])
def test_loss_is_divided_by_the_number_of_items_in_the_batch(name: str) -> None:
    model, ids = tiny_model(name), random_ids(2, 7)
    sums, _ = naive_losses(model, ids, ids)
    for count in (50, torch.tensor(50)):
        loss = model(ids, labels=ids, output_mtp_logits=True, num_items_in_batch=count).loss
        assert loss.item() == pytest.approx(sum(sums) / len(sums) / 50)


@pytest.mark.parametrize("length", [1, 2, 3])
def test_texts_shorter_than_the_reach_of_the_heads(length: int) -> None:
    model, ids = tiny_model("mtp"), random_ids(2, length)
    loss = model(ids, labels=ids, output_mtp_logits=True, num_items_in_batch=4).loss
    sums, _ = naive_losses(model, ids, ids)
    assert loss.item() == pytest.approx(sum(sums) / 3 / 4)
    if length > 1:
        assert model(ids, labels=ids, output_mtp_logits=True).loss.isfinite()


def test_padded_batch_trains_as_its_texts() -> None:
    model = tiny_model("enhanced").train()
    texts = [random_ids(1, length, seed=length)[0] for length in (8, 5)]
    ids, mask = left_padded(texts)
    labels = ids.masked_fill(mask == 0, -100)
    labels[1, 3] = -100  # padding predicts no first token
    together = gradients(model, lambda m: m(ids, attention_mask=mask, labels=labels, num_items_in_batch=11).loss)
    apart = gradients(
        model, lambda m: sum(m(text[None], labels=text[None], num_items_in_batch=11).loss for text in texts)
    )
    for name, gradient in together.items():
        assert_close(gradient, apart[name], 1e-4)


@pytest.mark.parametrize("name", REPRESENTATIVE)
def test_dropout_only_while_training(name: str) -> None:
    model, ids = tiny_model(name, dropout=0.5), random_ids(2, 6)
    without = tiny_model(name, dropout=0.0)
    assert torch.equal(model(ids).logits, without(ids).logits)
    model.train()
    first, second = model(ids).logits, model(ids).logits
    assert (first - second).abs().max() > 1e-3
    torch.manual_seed(0)
    again = model(ids).logits
    torch.manual_seed(0)
    assert torch.equal(model(ids).logits, again)


@pytest.mark.parametrize("place", ["embeddings", "attention", "feed-forward"])
def test_dropout_reaches_every_place(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Called on embeddings, on attention weights and on the feed-forward network's output."""
    model, ids = tiny_model("plain", dropout=0.25).train(), random_ids(2, 6)
    shapes = {"embeddings": (2, 6, 24), "attention": (4, 12, 6), "feed-forward": (2, 6, 24)}
    times = {"embeddings": 1 + 4, "attention": 4, "feed-forward": 1 + 4}
    seen: list[tuple[int, ...]] = []
    original = functional.dropout

    def record(rows: torch.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> torch.Tensor:
        if training and p == 0.25:
            seen.append(tuple(rows.shape))
        return original(rows, p, training, inplace)

    monkeypatch.setattr(functional, "dropout", record)
    model(ids)
    assert seen.count(shapes[place]) == times[place]


@pytest.mark.parametrize("name", REPRESENTATIVE)
def test_compiled_training_step_has_no_graph_break(name: str) -> None:
    model, ids = tiny_model(name).train(), random_ids(2, 7)
    torch._dynamo.reset()
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    plain = gradients(model, lambda m: m(ids, labels=ids).loss)
    got = gradients(model, lambda m: compiled(ids, labels=ids).loss)
    for parameter, gradient in plain.items():
        assert_close(got[parameter], gradient, 1e-4)


@torch.no_grad()
def test_compiled_forward_with_padding_has_no_graph_break() -> None:
    model = tiny_model("everything")
    ids, mask = left_padded([random_ids(1, 7)[0], random_ids(1, 4)[0]])
    torch._dynamo.reset()
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    got = compiled(ids, attention_mask=mask, use_cache=False).logits
    assert_close(got[mask.bool()], model(ids, attention_mask=mask, use_cache=False).logits[mask.bool()])


def test_frozen_embeddings_still_train_the_rest() -> None:
    """As adapters do: reentrant checkpointing then needs inputs that require gradients."""
    model, ids = tiny_model("enhanced").train(), random_ids(2, 6)
    model.get_input_embeddings().weight.requires_grad_(False)
    model.gradient_checkpointing_enable({"use_reentrant": True})
    model.enable_input_require_grads()
    model(ids, labels=ids).loss.backward()
    assert model.model.blocks[0].attention.qkv_proj.weight.grad.abs().max() > 0
