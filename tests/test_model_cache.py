"""The key-value cache: however a text is fed, the logits are those of one pass, and registers stay out of it."""

import copy

import pytest
import torch
from model_runners import (
    CONFIGS,
    CONTEXT,
    REPRESENTATIVE,
    assert_close,
    check_cache,
    filled_cache,
    random_ids,
    static_cache,
    tiny_model,
    without_registers,
)
from transformers import DynamicCache

CHUNKS = [(1, 1, 1, 1, 1), (4, 1, 3), (1, 5), (6, 1, 1)]
PADDED = [random_ids(1, length)[0] for length in (8, 5, 3)]


@pytest.mark.parametrize("name", CONFIGS)
def test_chunks_through_a_dynamic_cache(name: str) -> None:
    model = tiny_model(name)
    for chunks in CHUNKS:
        check_cache(model, DynamicCache(config=model.config), chunks)
    check_cache(model, DynamicCache(config=model.config), (6, 1, 1), PADDED)
    check_cache(model, DynamicCache(config=model.config), (2, 1, 4, 1), PADDED)


@pytest.mark.parametrize("name", CONFIGS)
def test_chunks_through_a_static_cache(name: str) -> None:
    model = tiny_model(name)
    for chunks in CHUNKS:
        check_cache(model, static_cache(model), chunks)
    check_cache(model, static_cache(model, 8), (5, 2, 1))  # filled to the last row
    check_cache(model, static_cache(model), (6, 1, 1), PADDED)


@pytest.mark.parametrize("name", REPRESENTATIVE)
def test_chunks_in_eager_attention(name: str) -> None:
    model = tiny_model(name, attn_implementation="eager")
    for chunks in CHUNKS:
        check_cache(model, DynamicCache(config=model.config), chunks)
        check_cache(model, static_cache(model), chunks)
    check_cache(model, static_cache(model), (6, 1, 1), PADDED)
    check_cache(model, DynamicCache(config=model.config), (6, 1, 1), PADDED)


@torch.no_grad()
def test_cache_holds_tokens_alone() -> None:
    model, ids = tiny_model("everything"), random_ids(2, 5)
    cache = model(ids, use_cache=True).past_key_values
    assert cache.get_seq_length() == 5
    assert [tuple(layer.keys.shape) for layer in cache.layers] == [(2, 2, 5, 8)] * model.config.num_hidden_layers


@torch.no_grad()
def test_returned_cache_continues_the_text() -> None:
    model, ids = tiny_model(), random_ids(2, 9)
    expected = model(ids).logits
    first = model(ids[:, :4])
    second = model(ids[:, 4:6], past_key_values=first.past_key_values)
    third = model(ids[:, 6:], past_key_values=second.past_key_values, position_ids=torch.arange(6, 9)[None])
    assert_close(torch.cat([first.logits, second.logits, third.logits], dim=1), expected)


def test_no_cache_while_training_or_unless_wanted() -> None:
    ids = random_ids(1, 4)
    assert tiny_model()(ids).past_key_values is not None
    assert tiny_model()(ids, use_cache=False).past_key_values is None
    assert tiny_model(use_cache=False)(ids).past_key_values is None
    assert tiny_model().train()(ids).past_key_values is None


@pytest.mark.parametrize("name", REPRESENTATIVE)
@torch.no_grad()
def test_cropped_cache_continues_differently(name: str) -> None:
    model, ids, other = tiny_model(name), random_ids(2, 8), random_ids(2, 8, seed=2)
    cache = filled_cache(model, ids)
    cache.crop(-3)
    text = torch.cat([ids[:, :5], other[:, :4]], dim=1)
    got = [model(text[:, at : at + 2], past_key_values=cache).logits for at in (5, 7)]
    assert_close(torch.cat(got, dim=1), model(text).logits[:, 5:])


@pytest.mark.parametrize("name", ["enhanced", "everything"])
@pytest.mark.parametrize("emptied", ["reset", "cropped", "static"])
@torch.no_grad()
def test_emptied_cache_forgets_the_old_registers(name: str, emptied: str) -> None:
    model, ids = tiny_model(name), random_ids(1, 6)
    cache = static_cache(model) if emptied == "static" else DynamicCache(config=model.config)
    model(ids, past_key_values=cache, use_cache=True)
    for parameter in model.parameters():
        parameter.mul_(-1.3)
    if emptied == "cropped":
        cache.crop(-6)
    else:
        cache.reset()
        if cache.get_seq_length():
            pytest.skip("this version's DynamicCache.reset keeps the length")
    assert int(cache.get_seq_length()) == 0
    expected = model(ids, use_cache=False).logits
    got = [model(chunk, past_key_values=cache, use_cache=True).logits for chunk in ids.split([4, 1, 1], dim=1)]
    assert_close(torch.cat(got, dim=1), expected)


@torch.no_grad()
def test_compiled_prefill_forgets_the_old_registers() -> None:
    model, ids = tiny_model("enhanced"), random_ids(1, 6)
    forward = torch.compile(model.forward, backend="eager")
    cache = static_cache(model)
    forward(input_ids=ids, past_key_values=cache, use_cache=True)
    model.model.registers.mul_(-2)
    cache.reset()
    got = forward(input_ids=ids, past_key_values=cache, use_cache=True).logits
    assert_close(got, model(ids, use_cache=False).logits)


@pytest.mark.parametrize("name", REPRESENTATIVE)
@torch.no_grad()
def test_cached_rows_may_be_repeated_and_reordered(name: str) -> None:
    model, ids, more = tiny_model(name), random_ids(2, 5), random_ids(6, 3, seed=4)
    cache = filled_cache(model, ids)
    cache.batch_repeat_interleave(3)
    cache.reorder_cache(torch.tensor([5, 0, 1, 3, 2, 4]))
    texts = torch.cat([ids[[1, 0, 0, 1, 0, 1]], more], dim=1)
    assert_close(model(more, past_key_values=cache).logits, model(texts).logits[:, 5:])
    cache.batch_select_indices(torch.tensor([2]))
    assert_close(
        model(more[:1], past_key_values=cache).logits, model(torch.cat([texts[2:3], more[:1]], 1)).logits[:, 8:]
    )


@pytest.mark.parametrize("name", REPRESENTATIVE)
@torch.no_grad()
def test_copied_prefix_serves_several_texts(name: str) -> None:
    model, prefix = tiny_model(name), random_ids(1, 6)
    cache = filled_cache(model, prefix)
    for seed in (5, 6):
        rest = random_ids(1, 3, seed=seed)
        mine = copy.deepcopy(cache)
        got = torch.cat([model(part, past_key_values=mine).logits for part in rest.split([2, 1], dim=1)], dim=1)
        assert_close(got, model(torch.cat([prefix, rest], dim=1)).logits[:, 6:])
    assert cache.get_seq_length() == 6


@pytest.mark.parametrize("name", ["plain", "registers", "enhanced", "loops_gate", "everything"])
@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@torch.no_grad()
def test_cache_built_elsewhere_gets_its_registers(name: str, implementation: str) -> None:
    model, ids = tiny_model(name, attn_implementation=implementation), random_ids(2, 9)
    expected = model(ids, use_cache=False).logits
    for chunks in ([1, 3], [3, 1], [4]):
        cache = without_registers(filled_cache(model, ids[:, :5]))
        got = [model(part, past_key_values=cache).logits for part in ids[:, 5:].split(chunks, dim=1)]
        assert_close(torch.cat(got, dim=1), expected[:, 5:])
        assert cache.get_seq_length() == 9


@torch.no_grad()
def test_cache_built_elsewhere_may_be_padded() -> None:
    model, ids = tiny_model(), random_ids(2, 7)
    mask = torch.ones_like(ids)
    mask[0, :3] = 0
    cache = DynamicCache(config=model.config)
    model(ids[:, :4], attention_mask=mask[:, :4], past_key_values=cache, use_cache=True)
    got = model(ids[:, 4:], attention_mask=mask, past_key_values=without_registers(cache)).logits
    assert_close(got, model(ids, attention_mask=mask, use_cache=False).logits[:, 4:])


def test_learned_prefix_of_keys_and_values_trains_and_generates() -> None:
    peft = pytest.importorskip("peft")
    base = tiny_model("enhanced")
    settings = peft.PrefixTuningConfig(
        task_type="CAUSAL_LM",
        num_virtual_tokens=3,
        num_layers=base.config.num_hidden_layers,
        num_attention_heads=base.config.num_key_value_heads,
        token_dim=base.config.num_key_value_heads * base.config.head_dim,
    )
    model, ids = peft.get_peft_model(base, settings), random_ids(2, 6)
    prefix = model.prompt_encoder["default"].embedding.weight
    with torch.no_grad():
        prefix.normal_()
    model.train()
    model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=ids).loss.backward()
    assert prefix.grad.abs().max() > 0

    model.eval()
    with torch.no_grad():
        states = prefix.view(1, 3, base.config.num_hidden_layers, 2, 2, 8)
        cache = DynamicCache(config=base.config)
        for layer in range(base.config.num_hidden_layers):
            key, value = (states[:, :, layer, which].transpose(1, 2).repeat(2, 1, 1, 1) for which in (0, 1))
            cache.update(key, value, layer)
        ones = torch.ones(2, 9, dtype=torch.long)
        expected = base(ids, attention_mask=ones, past_key_values=cache).logits
        assert_close(model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits, expected)
        assert (expected - base(ids).logits).abs().max() > 1e-2
        new = model.generate(input_ids=ids, max_new_tokens=4, do_sample=False)
        assert new.shape == (2, 10)
        text = ids
        for _ in range(4):
            logits = model(input_ids=text, attention_mask=torch.ones_like(text)).logits
            text = torch.cat([text, logits[:, -1:].argmax(-1)], dim=1)
        assert new.tolist() == text.tolist()


@torch.no_grad()
def test_cache_may_fill_the_whole_context() -> None:
    model, ids = tiny_model(), random_ids(1, CONTEXT)
    check_cache(model, DynamicCache(config=model.config), (CONTEXT - 1, 1))
    cache = filled_cache(model, ids[:, :-1])
    assert_close(model(ids[:, -1:], past_key_values=cache).logits, model(ids).logits[:, -1:])
