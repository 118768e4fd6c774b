"""One forward pass: attention implementations, padding, outputs, precision, errors."""

from pathlib import Path

import pytest
import torch
from model_runners import (
    CONFIGS,
    CONTEXT,
    REPRESENTATIVE,
    assert_close,
    check_padding,
    left_padded,
    random_ids,
    tiny_model,
)

from brandon_hf.modeling.attention_brandon import attend_in_blocks

TESTS = Path(__file__).parent


@pytest.mark.parametrize("name", CONFIGS)
def test_padding_changes_no_logit(name: str) -> None:
    check_padding(tiny_model(name))


@pytest.mark.parametrize("name", REPRESENTATIVE)
def test_padding_changes_no_logit_in_eager_attention(name: str) -> None:
    check_padding(tiny_model(name, attn_implementation="eager"))


@pytest.mark.parametrize("name", CONFIGS)
@torch.no_grad()
def test_eager_and_sdpa_agree(name: str) -> None:
    eager, sdpa = (tiny_model(name, attn_implementation=kind) for kind in ("eager", "sdpa"))
    assert (eager.config._attn_implementation, sdpa.config._attn_implementation) == ("eager", "sdpa")
    ids, mask = left_padded([random_ids(1, 9)[0], random_ids(1, 5)[0]])
    assert_close(eager(ids).logits, sdpa(ids).logits)
    padded = [model(ids, attention_mask=mask).logits[mask.bool()] for model in (eager, sdpa)]
    assert_close(*padded)


@pytest.mark.parametrize("length", [1, 127, 128, 129, 300])
@pytest.mark.parametrize("masked", [False, True])
def test_attention_in_blocks_is_attention(length: int, masked: bool) -> None:
    torch.manual_seed(0)
    query, key, value = (torch.randn(2, heads, length, 4, requires_grad=True) for heads in (4, 2, 2))
    visible = torch.ones(length, length, dtype=torch.bool).tril().expand(2, 1, -1, -1)
    if masked:
        visible = visible & (torch.rand(2, 1, length, length) < 0.7) | torch.eye(length, dtype=torch.bool)
    weights, results = torch.randn(2, length, 4, 4), []
    for blocked in (True, False):
        if blocked:
            attended = attend_in_blocks(query, key, value, visible if masked else None, dropout=0.0)
        else:
            scores = (query @ key.repeat_interleave(2, 1).mT).masked_fill(~visible, -torch.inf)
            attended = (scores.softmax(-1) @ value.repeat_interleave(2, 1)).transpose(1, 2)
        results.append((attended, *torch.autograd.grad((attended * weights).sum(), (query, key, value))))
    for got, expected in zip(*results, strict=True):
        assert_close(got, expected, 1e-4)


@torch.no_grad()
def test_blocks_and_eager_agree_on_a_text_of_several_blocks() -> None:
    fields = {"max_position_embeddings": 300, "num_hidden_layers": 2}
    eager, sdpa = (tiny_model("enhanced", attn_implementation=kind, **fields) for kind in ("eager", "sdpa"))
    ids = random_ids(2, 290)
    mask = torch.ones_like(ids)
    mask[1, :140] = 0
    assert_close(eager(ids).logits, sdpa(ids).logits, 1e-4)
    assert_close(*(m(ids, attention_mask=mask).logits[mask.bool()] for m in (eager, sdpa)), 1e-4)


@pytest.mark.parametrize("name", ["plain", "registers", "everything"])
@torch.no_grad()
def test_attention_weights_lack_what_the_registers_take(name: str) -> None:
    model = tiny_model(name)
    ids, mask = left_padded([random_ids(1, 7)[0], random_ids(1, 4)[0]])
    outputs = model(ids, attention_mask=mask, output_attentions=True, use_cache=False)
    assert_close(outputs.logits[mask.bool()], model(ids, attention_mask=mask).logits[mask.bool()])
    assert len(outputs.attentions) == model.config.num_hidden_layers
    for weights in outputs.attentions:
        assert weights.shape == (2, 4, 7, 7)
        weights = weights.transpose(1, 2)
        assert weights[0].transpose(0, 1).triu(1).abs().max() == 0
        assert weights[1, 3:, :, :3].abs().max() == 0  # padding
        sums = weights.sum(-1)[mask.bool()]
        if model.config.num_registers:
            assert (sums < 1).all()
            assert (sums > 0).all()
        else:
            assert_close(sums, torch.ones_like(sums))


@torch.no_grad()
def test_attention_weights_of_a_cached_step_cover_the_past() -> None:
    model, ids = tiny_model(), random_ids(1, 6)
    whole = model(ids, output_attentions=True, use_cache=False).attentions
    cache = model(ids[:, :4], use_cache=True).past_key_values
    step = model(ids[:, 4:], past_key_values=cache, output_attentions=True).attentions
    for got, expected in zip(step, whole, strict=True):
        assert_close(got, expected[:, :, 4:])


@pytest.mark.parametrize("name", REPRESENTATIVE)
@torch.no_grad()
def test_hidden_states_leave_the_registers_out(name: str) -> None:
    model, ids = tiny_model(name), random_ids(2, 5)
    outputs = model.model(ids, output_hidden_states=True)
    assert [tuple(state.shape) for state in outputs.hidden_states] == [(2, 5, 24)] * (
        model.config.num_hidden_layers + 1
    )
    assert_close(outputs.hidden_states[0], model.model.embed_tokens(ids))
    assert torch.equal(outputs.hidden_states[-1], outputs.last_hidden_state)
    assert model.model(ids).hidden_states is None


@torch.no_grad()
def test_embeddings_in_place_of_ids() -> None:
    model, ids = tiny_model(), random_ids(2, 5)
    embeddings = model.get_input_embeddings()(ids)
    assert_close(model(inputs_embeds=embeddings).logits, model(ids).logits)


@torch.no_grad()
def test_tuples_hold_what_the_output_holds() -> None:
    model, ids = tiny_model("mtp"), random_ids(1, 5)
    output = model(ids, labels=ids, use_cache=False, output_mtp_logits=True)
    loss, logits, mtp_logits = model(ids, labels=ids, use_cache=False, output_mtp_logits=True, return_dict=False)
    assert torch.equal(loss, output.loss)
    assert torch.equal(logits, output.logits)
    assert torch.equal(mtp_logits[1], output.mtp_logits[1])


@torch.no_grad()
def test_mtp_logits_only_when_asked_for() -> None:
    model, ids = tiny_model("mtp"), random_ids(2, 5)
    assert model(ids).mtp_logits is None
    assert [tuple(x.shape) for x in model(ids, output_mtp_logits=True).mtp_logits] == [(2, 5, 67)] * 2
    assert tiny_model("plain")(ids, output_mtp_logits=True).mtp_logits is None


@torch.no_grad()
def test_kept_logits_are_those_of_the_whole() -> None:
    model, ids = tiny_model("mtp"), random_ids(2, 6)
    whole = model(ids, output_mtp_logits=True)
    last = model(ids, logits_to_keep=2, output_mtp_logits=True)
    assert_close(last.logits, whole.logits[:, -2:])
    assert_close(last.mtp_logits[0], whole.mtp_logits[0][:, -2:])
    chosen = torch.tensor([4, 1])
    assert_close(model(ids, logits_to_keep=chosen).logits, whole.logits[:, chosen])


@torch.no_grad()
def test_masks_over_tokens_may_come_prepared() -> None:
    model = tiny_model()
    ids, mask = left_padded([random_ids(1, 6)[0], random_ids(1, 3)[0]])
    expected = model(ids, attention_mask=mask).logits[mask.bool()]
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    visible = torch.ones(6, 6, dtype=torch.bool).tril() & mask.bool()[:, None, None]
    additive = torch.zeros(visible.shape).masked_fill(~visible, torch.finfo(torch.float32).min)
    for implementation in ("sdpa", "eager"):
        model.set_attn_implementation(implementation)
        for prepared in (visible, additive):
            got = model(ids, attention_mask=prepared, position_ids=positions).logits
            assert_close(got[mask.bool()], expected)


@torch.no_grad()
def test_tokens_only_see_earlier_ones() -> None:
    model, ids = tiny_model("everything"), random_ids(1, 8)
    changed = ids.clone()
    changed[0, 5] = (ids[0, 5] + 1) % 67
    before, after = model(ids).logits, model(changed).logits
    assert_close(before[:, :5], after[:, :5])
    assert (before[:, 5:] - after[:, 5:]).abs().amax(-1).min() > 1e-3


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@torch.no_grad()
def test_half_precision_is_close_to_full(name: str, dtype: torch.dtype) -> None:
    if CONFIGS[name].get("ternary_weights"):
        pytest.skip("rounding may flip in half precision, and a flipped weight is a different model")
    ids, mask = left_padded([random_ids(1, 10)[0], random_ids(1, 6)[0]])
    expected = tiny_model(name)(ids, attention_mask=mask).logits[mask.bool()]
    got = tiny_model(name).to(dtype)(ids, attention_mask=mask).logits
    assert got.dtype == dtype
    assert got.isfinite().all()
    error = (got[mask.bool()].float() - expected).norm() / expected.norm()
    assert error < (0.06 if dtype == torch.bfloat16 else 0.01)


@pytest.mark.parametrize("name", ["dream", "everything"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@torch.no_grad()
def test_ternary_half_precision_is_finite_in_every_mode(name: str, dtype: torch.dtype) -> None:
    model, ids = tiny_model(name).to(dtype), random_ids(2, 6)
    cache = model(ids, use_cache=True).past_key_values
    assert model(ids[:, :1], past_key_values=cache).logits.isfinite().all()


@pytest.mark.parametrize("name", CONFIGS)
def test_autocast_trains_and_steps(name: str) -> None:
    model, ids = tiny_model(name), random_ids(2, 6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = model.train()(ids, labels=ids).loss
        with torch.no_grad():
            cache = model.eval()(ids, use_cache=True).past_key_values
            assert model(ids[:, :1], past_key_values=cache).logits.isfinite().all()
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert loss.item() == pytest.approx(model.train()(ids, labels=ids).loss.item(), rel=0.05)


@torch.no_grad()
def test_positions_are_exact_in_half_precision() -> None:
    # Positions and angles beyond 256 would be rounded if they were computed in bfloat16.
    model = tiny_model("plain", max_position_embeddings=2000, rope_theta=100.0).to(torch.bfloat16)
    ids = random_ids(1, 5)
    near = model(ids, position_ids=torch.arange(5)[None]).logits.float()
    far = model(ids, position_ids=torch.arange(1001, 1006)[None]).logits.float()
    assert (near - far).abs().max() < 0.15  # only distances count


@torch.no_grad()
def test_text_beyond_the_context_is_refused() -> None:
    model = tiny_model()
    model(random_ids(1, CONTEXT))
    with pytest.raises(ValueError, match=f"{CONTEXT + 1} tokens.*max_position_embeddings={CONTEXT}"):
        model(random_ids(1, CONTEXT + 1))


def test_exactly_one_kind_of_input() -> None:
    model, ids = tiny_model(), random_ids(1, 3)
    with pytest.raises(ValueError, match="exactly one of input_ids and inputs_embeds"):
        model()
    with pytest.raises(ValueError, match="exactly one of input_ids and inputs_embeds"):
        model(ids, inputs_embeds=model.get_input_embeddings()(ids))


def test_flex_attention_is_refused_on_the_cpu() -> None:
    """Torch's CPU kernel corrupts memory with the masks that registers and padding need."""
    model = tiny_model("enhanced")
    model.set_attn_implementation("flex_attention")
    with pytest.raises(ValueError, match="flex_attention"):
        model(random_ids(1, 5))
