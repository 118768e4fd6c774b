"""Uses at the edge: what cannot be right raises, and the rest is right."""

import pytest
import torch
from model_runners import assert_close, left_padded, random_ids, tiny_model
from transformers import DynamicCache


@torch.no_grad()
def test_second_turns_of_different_length_continue_from_a_cache() -> None:
    model = tiny_model("enhanced")
    first = random_ids(2, 5)
    second, padding = left_padded([random_ids(1, 6, seed=1)[0], random_ids(1, 3, seed=2)[0]])
    cache = DynamicCache(config=model.config)
    model(first, past_key_values=cache, use_cache=True)
    ids, mask = torch.cat([first, second], 1), torch.cat([torch.ones_like(first), padding], 1)
    settings = {"attention_mask": mask, "max_new_tokens": 4, "do_sample": False, "pad_token_id": 0}
    continued = model.generate(ids, past_key_values=cache, **settings)
    assert torch.equal(continued, model.generate(ids, use_cache=False, **settings))


@torch.no_grad()
def test_compiled_packed_rows_with_a_cache_raise() -> None:
    model, ids = tiny_model("registers"), random_ids(1, 8)
    torch._dynamo.reset()
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    whole, packed = torch.arange(8)[None], torch.tensor([[0, 1, 2, 3, 0, 1, 2, 3]])
    got = compiled(ids, position_ids=whole, past_key_values=DynamicCache(config=model.config), use_cache=True)
    assert_close(got.logits, model(ids).logits)
    with pytest.raises(RuntimeError, match="packed documents"):
        compiled(ids, position_ids=packed, past_key_values=DynamicCache(config=model.config), use_cache=True)


def test_additive_mask_trains_under_autocast() -> None:
    model, ids = tiny_model("enhanced").train(), random_ids(2, 6)
    mask = torch.zeros(1, 1, 6, 6).masked_fill(~torch.ones(6, 6, dtype=torch.bool).tril(), torch.finfo().min)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = model(ids, attention_mask=mask, labels=ids).loss
        plain = model(ids, labels=ids).loss
    loss.backward()
    assert loss.item() == pytest.approx(plain.item(), rel=1e-2)


def test_generating_while_checkpointing_gradients_is_refused() -> None:
    model = tiny_model("enhanced").train()
    model.gradient_checkpointing_enable()
    with pytest.raises(ValueError, match=r"model\.eval\(\)"):
        model.generate(random_ids(1, 4), max_new_tokens=3, do_sample=False)


@pytest.mark.parametrize("columns", [3, 11])
@torch.no_grad()
def test_mask_of_another_length_is_refused(columns: int) -> None:
    model, cache = tiny_model("enhanced"), DynamicCache()
    model(random_ids(1, 5), past_key_values=cache, use_cache=True)
    with pytest.raises(ValueError, match=f"covers {columns} tokens, not 5 cached and 3 new"):
        model(random_ids(1, 3), past_key_values=cache, attention_mask=torch.ones(1, columns, dtype=torch.long))


def test_integer_mask_over_keys_is_refused() -> None:
    with pytest.raises(ValueError, match=r"torch\.int64"):
        tiny_model("enhanced")(random_ids(1, 3), attention_mask=torch.ones(1, 1, 3, 3, dtype=torch.long))


def test_ids_beyond_the_vocabulary_are_refused_before_generation() -> None:
    model = tiny_model("enhanced")
    ids = torch.tensor([[1, model.config.vocab_size]])
    with pytest.raises(ValueError, match=f"token id {model.config.vocab_size} .*vocab_size={model.config.vocab_size}"):
        model.generate(ids, max_new_tokens=2)
    with pytest.raises(ValueError, match=f"vocab_size={model.config.vocab_size}"):
        model(ids)
