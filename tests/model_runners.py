"""Tiny models that cover every option, and checks that any of them has to pass.

The test files apply these by parametrisation over `CONFIGS`, in the way of flash-linear-attention's shared runners.
"""

from collections.abc import Callable
from typing import Any

import torch
from transformers import DynamicCache, StaticCache
from transformers.cache_utils import Cache

from brandon_hf.modeling import BrandonConfig, BrandonForCausalLM

CONTEXT = 40
VOCABULARY = 67
PLAIN: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 24,
    "intermediate_size": 20,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": CONTEXT,
    "block_repeat": 1,
    "depth_weighted_average": False,
    "value_residual": "none",
    "num_registers": 0,
}
ENHANCED: dict[str, Any] = PLAIN | {
    "block_repeat": 2,
    "depth_weighted_average": True,
    "value_residual": "add",
    "num_registers": 4,
}
LOOPED: dict[str, Any] = ENHANCED | {
    "num_hidden_layers": 6,
    "num_loops": 3,
    "step_embedding": True,
    "loop_feedback": True,
    "resonance_gate": True,
}
CONFIGS: dict[str, dict[str, Any]] = {
    "plain": PLAIN,
    "sharing": PLAIN | {"block_repeat": 2},
    "sharing_3_of_4": PLAIN | {"block_repeat": 3},
    "dwa": PLAIN | {"depth_weighted_average": True},
    "value_add": PLAIN | {"value_residual": "add"},
    "value_learned": PLAIN | {"value_residual": "learned"},
    "registers": PLAIN | {"num_registers": 3},
    "qk_norm": PLAIN | {"qk_norm": True},
    "output_gate": PLAIN | {"attention_output_gate": True},
    "relu_squared": PLAIN | {"mlp_type": "relu_squared"},
    "untied": PLAIN | {"tie_word_embeddings": False},
    "mtp": PLAIN | {"num_mtp_heads": 2},
    "multi_query": PLAIN | {"num_key_value_heads": 1, "rope_theta": 500.0},
    "enhanced": ENHANCED,
    "loops": PLAIN | {"num_loops": 2},
    "loops_step": PLAIN | {"num_loops": 2, "step_embedding": True},
    "loops_feedback": PLAIN | {"num_loops": 2, "loop_feedback": True},
    "loops_gate": PLAIN | {"num_loops": 2, "num_registers": 2, "resonance_gate": True},
    "ternary": PLAIN | {"ternary_weights": True},
    "dream": LOOPED | {"mlp_type": "relu_squared", "ternary_weights": True},
    "everything": LOOPED
    | {
        "value_residual": "learned",
        "qk_norm": True,
        "attention_output_gate": True,
        "tie_word_embeddings": False,
        "num_mtp_heads": 2,
        "ternary_weights": True,
    },
}
# Where a check is slow, these meet every piece of code that the others meet.
REPRESENTATIVE = ("plain", "enhanced", "everything")


def tiny_model(name: str = "enhanced", seed: int = 0, **overrides: Any) -> BrandonForCausalLM:
    """A model in eval mode whose options all matter: what starts as the identity, or equal, is moved off it."""
    torch.manual_seed(seed)
    model = BrandonForCausalLM(BrandonConfig(**CONFIGS[name] | overrides)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return model


def random_ids(batch: int, length: int, seed: int = 1) -> torch.Tensor:
    """(B, T) token ids."""
    return torch.randint(0, VOCABULARY, (batch, length), generator=torch.Generator().manual_seed(seed))


def assert_close(actual: torch.Tensor, expected: torch.Tensor, tolerance: float = 2e-5) -> None:
    """Same shape, and equal up to rounding in float32."""
    torch.testing.assert_close(actual, expected, atol=tolerance, rtol=tolerance)


def left_padded(texts: list[torch.Tensor], filler: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    """Texts of shape (T_i,) as a left-padded batch: ids (B, T) and its mask. The filler is an ordinary token."""
    length = max(len(text) for text in texts)
    ids = torch.full((len(texts), length), filler)
    mask = torch.zeros_like(ids)
    for row, text in enumerate(texts):
        ids[row, length - len(text) :] = text
        mask[row, length - len(text) :] = 1
    return ids, mask


def packed(lengths: list[int]) -> torch.Tensor:
    """(1, T) positions of documents that lie one behind the other."""
    return torch.cat([torch.arange(length) for length in lengths])[None]


@torch.no_grad()
def check_padding(model: BrandonForCausalLM) -> None:
    """Padding, on whichever side, changes no logit of the text; what the padding consists of does not matter."""
    texts = [random_ids(1, length, seed=length)[0] for length in (9, 4, 1)]
    ids, mask = left_padded(texts)
    left = model(ids, attention_mask=mask).logits
    right_ids, right_mask = (
        torch.stack([row.roll(int(n)) for row, n in zip(x, mask.sum(1), strict=True)]) for x in (ids, mask)
    )
    right = model(right_ids, attention_mask=right_mask).logits
    for row, text in enumerate(texts):
        alone = model(text[None]).logits[0]
        assert_close(left[row, -len(text) :], alone)
        assert_close(right[row, : len(text)], alone)


@torch.no_grad()
def check_cache(
    model: BrandonForCausalLM, cache: Cache, chunks: tuple[int, ...], texts: list[torch.Tensor] | None = None
) -> None:
    """Feeding a batch in chunks through the cache gives the logits of one pass without; it stores tokens alone."""
    texts = texts or [random_ids(1, sum(chunks), seed=seed)[0] for seed in (1, 2)]
    ids, mask = left_padded(texts)
    padding = mask if bool((mask == 0).any()) else None
    expected = model(ids, attention_mask=padding, use_cache=False).logits
    start = 0
    for length in chunks:
        stop = start + length
        got = model(
            ids[:, start:stop],
            attention_mask=None if padding is None else padding[:, :stop],
            past_key_values=cache,
            use_cache=True,
        ).logits
        real = mask[:, start:stop].bool()
        assert_close(got[real], expected[:, start:stop][real])
        assert int(cache.get_seq_length()) == stop
        start = stop


def static_cache(model: BrandonForCausalLM, length: int = CONTEXT) -> StaticCache:
    """A static cache, longer than most texts here."""
    return StaticCache(config=model.config, max_cache_len=length)


@torch.no_grad()
def filled_cache(model: BrandonForCausalLM, ids: torch.Tensor) -> DynamicCache:
    """A dynamic cache over the text (B, T)."""
    cache = DynamicCache(config=model.config)
    model(ids, past_key_values=cache, use_cache=True)
    return cache


def without_registers(cache: Cache) -> DynamicCache:
    """A cache with the same keys and values that knows nothing of registers, as other tools build it."""
    foreign = DynamicCache()
    for index, layer in enumerate(cache.layers):
        foreign.update(layer.keys.clone(), layer.values.clone(), index)
    return foreign


@torch.no_grad()
def check_packing(model: BrandonForCausalLM) -> None:
    """Packed documents get the logits they get alone, in a batch with other boundaries, with and without padding."""
    rows = ([5, 1, 6], [3, 9], [4, 4, 1, 1])  # the last one is padded on the right
    length = 12
    ids = random_ids(len(rows), length)
    positions, mask = torch.zeros_like(ids), torch.zeros_like(ids)
    for row, lengths in enumerate(rows):
        positions[row, : sum(lengths)] = packed(lengths)[0]
        mask[row, : sum(lengths)] = 1
    together = model(ids, attention_mask=mask, position_ids=positions).logits
    unmasked = model(ids[:2], position_ids=positions[:2]).logits
    all_ones = model(ids[:2], attention_mask=mask[:2], position_ids=positions[:2]).logits
    for row, lengths in enumerate(rows):
        start = 0
        for document in ids[row, : sum(lengths)].split(lengths):
            alone = model(document[None]).logits[0]
            stop = start + len(document)
            assert_close(together[row, start:stop], alone)
            if row < 2:
                assert_close(unmasked[row, start:stop], alone)
                assert_close(all_ones[row, start:stop], alone)
            start = stop


def gradients(
    model: BrandonForCausalLM, loss: Callable[[BrandonForCausalLM], torch.Tensor]
) -> dict[str, torch.Tensor | None]:
    """The gradient of `loss(model)` with respect to each parameter."""
    model.zero_grad(set_to_none=True)
    loss(model).backward()
    return {name: parameter.grad for name, parameter in model.named_parameters()}


def check_checkpointing(model: BrandonForCausalLM, use_reentrant: bool) -> None:
    """Gradient checkpointing gives the very same gradients; reentrant, they may be summed up in another order."""
    ids = random_ids(2, 7)
    model.train()
    plain = gradients(model, lambda m: m(ids, labels=ids).loss)
    model.gradient_checkpointing_enable({"use_reentrant": use_reentrant})
    checkpointed = gradients(model, lambda m: m(ids, labels=ids).loss)
    model.gradient_checkpointing_disable()
    for name, gradient in plain.items():
        assert gradient is not None, name
        if use_reentrant:
            assert_close(checkpointed[name], gradient)
        else:
            assert torch.equal(checkpointed[name], gradient), name


@torch.no_grad()
def check_left_padded_generation(model: BrandonForCausalLM, **kwargs: Any) -> None:
    """A left-padded batch generates what each of its texts generates alone, greedily."""
    texts = [random_ids(1, length, seed=length)[0] for length in (8, 3, 1)]
    ids, mask = left_padded(texts)
    settings: dict[str, Any] = {"max_new_tokens": 6, "do_sample": False} | kwargs
    batch = model.generate(ids, attention_mask=mask, **settings)
    for row, text in enumerate(texts):
        alone = model.generate(text[None], **settings)
        assert batch[row, ids.shape[1] :].tolist() == alone[0, len(text) :].tolist()
