"""Packed documents: none sees another, in any mode; a mode that cannot keep them apart raises."""

import pytest
import torch
from model_runners import (
    CONFIGS,
    CONTEXT,
    REPRESENTATIVE,
    assert_close,
    check_packing,
    packed,
    random_ids,
    tiny_model,
)
from transformers import DataCollatorWithFlattening, DynamicCache

LENGTHS = [5, 1, 6]


@pytest.mark.parametrize("name", CONFIGS)
def test_packed_documents_get_their_own_logits(name: str) -> None:
    check_packing(tiny_model(name))


@pytest.mark.parametrize("name", REPRESENTATIVE)
def test_packed_documents_get_their_own_logits_in_eager_attention(name: str) -> None:
    check_packing(tiny_model(name, attn_implementation="eager"))


@pytest.mark.parametrize("name", REPRESENTATIVE)
@torch.no_grad()
def test_packed_documents_after_left_padding(name: str) -> None:
    model, ids = tiny_model(name), random_ids(1, 9)
    mask = torch.tensor([[0, 0, 1, 1, 1, 1, 1, 1, 1]])
    positions = torch.cat([torch.zeros(1, 2, dtype=torch.long), packed([3, 4])], dim=1)
    got = model(ids, attention_mask=mask, position_ids=positions).logits
    assert_close(got[:, 2:5], model(ids[:, 2:5]).logits)
    assert_close(got[:, 5:], model(ids[:, 5:]).logits)


@torch.no_grad()
def test_padding_between_documents_keeps_them_apart() -> None:
    model, ids = tiny_model(), random_ids(1, 9)
    mask = torch.tensor([[1, 1, 1, 0, 0, 1, 1, 1, 1]])
    positions = torch.tensor([[0, 1, 2, 0, 0, 0, 1, 2, 3]])
    got = model(ids, attention_mask=mask, position_ids=positions, use_cache=False).logits
    assert_close(got[:, :3], model(ids[:, :3]).logits)
    assert_close(got[:, 5:], model(ids[:, 5:]).logits)


@torch.no_grad()
def test_one_document_is_not_taken_for_several() -> None:
    """Padded batches with the positions `generate` makes for them are cached as ever."""
    model, ids = tiny_model(), random_ids(2, 6)
    mask = torch.tensor([[0, 0, 0, 1, 1, 1], [1, 1, 1, 1, 1, 1]])
    positions = (mask.cumsum(1) - 1).masked_fill(mask == 0, 1)
    outputs = model(ids, attention_mask=mask, position_ids=positions, use_cache=True)
    assert outputs.past_key_values.get_seq_length() == 6
    assert_close(outputs.logits[0, 3:], model(ids[:1, 3:]).logits[0])
    assert model(ids, position_ids=torch.arange(6)[None], use_cache=True).past_key_values is not None


@torch.no_grad()
def test_packed_row_may_be_longer_than_the_context() -> None:
    """Padding-free collators put a whole batch in one row; only each document has to fit."""
    model, ids = tiny_model(), random_ids(1, CONTEXT + 10)
    got = model(ids, position_ids=packed([CONTEXT, 10])).logits
    assert_close(got[:, :CONTEXT], model(ids[:, :CONTEXT]).logits)
    assert_close(got[:, CONTEXT:], model(ids[:, CONTEXT:]).logits)


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_packed_documents_are_never_cached(implementation: str) -> None:
    model, ids = tiny_model(attn_implementation=implementation), random_ids(1, 12)
    assert model(ids, position_ids=packed(LENGTHS)).past_key_values is None
    refused = pytest.raises(ValueError, match=r"packed documents.*use_cache=False")
    with refused:
        model(ids, position_ids=packed(LENGTHS), use_cache=True)
    with refused:
        model(ids, position_ids=packed(LENGTHS), past_key_values=DynamicCache(config=model.config))


@pytest.mark.parametrize("name", ["plain", "enhanced", "mtp", "everything"])
@pytest.mark.parametrize("training", [False, True])
def test_loss_of_a_packed_row_is_the_token_weighted_loss_of_its_documents(name: str, training: bool) -> None:
    model, ids = tiny_model(name).train(training), random_ids(1, 12)
    mtp = bool(model.config.num_mtp_heads)
    labels = ids.clone()
    labels[0, [0, 5, 6]] = -100  # document starts
    together = model(ids, position_ids=packed(LENGTHS), labels=labels, output_mtp_logits=mtp).loss
    totals = torch.zeros(1 + model.config.num_mtp_heads, 2)
    for document in ids.split(LENGTHS, dim=1):
        outputs = model(document, output_mtp_logits=mtp)
        for head, logits in enumerate([outputs.logits, *(outputs.mtp_logits or ())]):
            for place in range(document.shape[1] - 1 - head):  # naive: predict the token head + 1 places ahead
                target = document[0, place + 1 + head]
                totals[head, 0] -= logits[0, place].log_softmax(-1)[target]
                totals[head, 1] += 1
    assert_close(together, (totals[:, 0] / totals[:, 1]).mean())


def test_flattening_collator_fits() -> None:
    model = tiny_model("mtp").train()
    documents = [random_ids(1, length, seed=length)[0].tolist() for length in LENGTHS]
    batch = DataCollatorWithFlattening()([{"input_ids": document} for document in documents])
    assert batch["labels"][0, 5] == -100
    expected = model(batch["input_ids"], labels=batch["labels"], position_ids=packed(LENGTHS)).loss
    assert_close(model(**batch).loss, expected)


def test_no_gradient_crosses_documents() -> None:
    model, ids = tiny_model("everything"), random_ids(1, 12)
    embeddings = model.get_input_embeddings()(ids).detach().requires_grad_()
    outputs = model(inputs_embeds=embeddings, position_ids=packed(LENGTHS), output_mtp_logits=True)
    sum(logits[0, 6:].sum() for logits in (outputs.logits, *outputs.mtp_logits)).backward()
    assert embeddings.grad[0, :6].abs().max() == 0
    assert embeddings.grad[0, 6:].abs().amax(-1).min() > 0


@torch.no_grad()
def test_compiled_packed_forward_has_no_graph_break() -> None:
    torch._dynamo.reset()  # what other tests compiled counts against its limit
    model, ids = tiny_model("everything"), random_ids(1, 12)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    got = compiled(ids, position_ids=packed(LENGTHS))
    assert got.past_key_values is None
    start = 0
    for document in ids.split(LENGTHS, dim=1):
        stop = start + document.shape[1]
        assert_close(got.logits[:, start:stop], model(document).logits)
        start = stop
