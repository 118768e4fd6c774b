"""`generate` in all its modes, against decoding written out by hand without a cache."""

import copy
from typing import Any

import pytest
import torch
from model_runners import (
    CONFIGS,
    CONTEXT,
    REPRESENTATIVE,
    check_left_padded_generation,
    filled_cache,
    random_ids,
    static_cache,
    tiny_model,
)
from transformers import CompileConfig, DynamicCache

from brandon_hf.modeling import BrandonForCausalLM

GREEDY: dict[str, Any] = {"max_new_tokens": 8, "do_sample": False}


@torch.no_grad()
def greedy(model: BrandonForCausalLM, ids: torch.Tensor, new: int = 8) -> torch.Tensor:
    """The most probable token, again and again, from a whole forward pass each time."""
    for _ in range(new):
        ids = torch.cat([ids, model(ids, use_cache=False).logits[:, -1:].argmax(-1)], dim=1)
    return ids


@pytest.mark.parametrize("name", CONFIGS)
def test_greedy_generation_with_every_kind_of_cache(name: str) -> None:
    model, ids = tiny_model(name), random_ids(4, 5)
    expected = greedy(model, ids).tolist()
    assert model.generate(ids, **GREEDY).tolist() == expected
    assert model.generate(ids, use_cache=False, **GREEDY).tolist() == expected
    assert model.generate(ids, cache_implementation="static", **GREEDY).tolist() == expected
    assert model.generate(ids, cache_implementation="static", **GREEDY).tolist() == expected  # reuses the cache
    assert len({token for row in expected for token in row[5:]}) > 1  # else it would prove little


@pytest.mark.parametrize("name", CONFIGS)
def test_left_padded_batch_generates_what_its_texts_generate_alone(name: str) -> None:
    check_left_padded_generation(tiny_model(name))


@pytest.mark.parametrize("name", REPRESENTATIVE)
@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_left_padded_batch_in_other_modes(name: str, implementation: str) -> None:
    model = tiny_model(name, attn_implementation=implementation)
    check_left_padded_generation(model, cache_implementation="static")
    check_left_padded_generation(model, use_cache=False)
    check_left_padded_generation(model, num_beams=3)


@pytest.mark.parametrize("name", REPRESENTATIVE)
def test_sampling_is_seeded_and_stays_the_same_in_a_static_cache(name: str) -> None:
    model, ids, texts = tiny_model(name), random_ids(2, 5), []
    for seed, settings in ((0, {}), (0, {}), (0, {"cache_implementation": "static"}), (1, {})):
        torch.manual_seed(seed)
        texts.append(
            model.generate(ids, max_new_tokens=8, do_sample=True, top_k=0, temperature=1.5, **settings).tolist()
        )
    assert texts[0] == texts[1] == texts[2] != texts[3]


@pytest.mark.parametrize("name", REPRESENTATIVE)
def test_beams_find_the_most_probable_text(name: str) -> None:
    """With as many beams as tokens, two steps are searched exhaustively."""
    model, ids = tiny_model(name), random_ids(1, 4)
    with torch.no_grad():
        first = model(ids).logits[0, -1].log_softmax(-1)
        tries = torch.cat([ids.expand(67, -1), torch.arange(67)[:, None]], dim=1)
        both = first[:, None] + model(tries).logits[:, -1].log_softmax(-1)
    best = divmod(int(both.argmax()), 67)
    got = model.generate(ids, num_beams=67, max_new_tokens=2, do_sample=False)
    assert tuple(got[0, 4:].tolist()) == best
    settings: dict[str, Any] = {"num_beams": 3, "num_return_sequences": 2, **GREEDY}
    cached, anew = (model.generate(ids, use_cache=cache, **settings).tolist() for cache in (True, False))
    assert cached == anew


@pytest.mark.parametrize("name", REPRESENTATIVE)
def test_assisted_generation_is_greedy(name: str) -> None:
    model, ids = tiny_model(name), random_ids(1, 6)
    expected = greedy(model, ids, 12).tolist()
    for assistant in (tiny_model("registers", num_hidden_layers=1), copy.deepcopy(model)):
        got = model.generate(ids, assistant_model=assistant, max_new_tokens=12, do_sample=False)
        assert got.tolist() == expected


@pytest.mark.parametrize("name", REPRESENTATIVE)
def test_prompt_lookup_is_greedy(name: str) -> None:
    model, ids = tiny_model(name), random_ids(1, 4).repeat(1, 3)
    got = model.generate(ids, prompt_lookup_num_tokens=3, max_new_tokens=12, do_sample=False)
    assert got.tolist() == greedy(model, ids, 12).tolist()


@pytest.mark.parametrize("name", REPRESENTATIVE)
@pytest.mark.parametrize("static", [False, True])
def test_returned_cache_continues_the_text(name: str, static: bool) -> None:
    model, ids = tiny_model(name), random_ids(1, 5)
    cache = static_cache(model) if static else DynamicCache(config=model.config)
    first = model.generate(ids, past_key_values=cache, return_dict_in_generate=True, **GREEDY)
    text = torch.cat([first.sequences, random_ids(1, 3, seed=9)], dim=1)  # the user's next turn
    second = model.generate(text, past_key_values=first.past_key_values, **GREEDY)
    assert second.tolist() == greedy(model, text).tolist()


@pytest.mark.parametrize("name", REPRESENTATIVE)
def test_prefix_is_computed_once_for_several_prompts(name: str) -> None:
    model, prefix = tiny_model(name), random_ids(1, 6)
    cache = filled_cache(model, prefix)
    for seed in (7, 8):
        text = torch.cat([prefix, random_ids(1, 3, seed=seed)], dim=1)
        got = model.generate(text, past_key_values=copy.deepcopy(cache), **GREEDY)
        assert got.tolist() == greedy(model, text).tolist()


@pytest.mark.parametrize("name", REPRESENTATIVE)
def test_embeddings_as_prompt(name: str) -> None:
    model, ids = tiny_model(name), random_ids(2, 5)
    embeddings = model.get_input_embeddings()(ids).detach()
    expected = greedy(model, ids)
    assert model.generate(inputs_embeds=embeddings, **GREEDY).tolist() == expected[:, 5:].tolist()
    assert model.generate(ids, inputs_embeds=embeddings, **GREEDY).tolist() == expected.tolist()
    static = model.generate(inputs_embeds=embeddings, cache_implementation="static", **GREEDY)
    assert static.tolist() == expected[:, 5:].tolist()


def test_weights_changed_between_two_calls_with_a_static_cache() -> None:
    model, ids = tiny_model("everything"), random_ids(1, 5)
    model.generate(ids, cache_implementation="static", **GREEDY)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(-1.2)
    got = model.generate(ids, cache_implementation="static", **GREEDY)
    assert got.tolist() == greedy(model, ids).tolist()


@pytest.mark.parametrize("name", REPRESENTATIVE)
@torch.no_grad()
def test_compiled_steps_over_a_static_cache_have_no_graph_break(name: str) -> None:
    model, ids = tiny_model(name), random_ids(1, 5)
    torch._dynamo.reset()
    compiled = torch.compile(model.forward, backend="eager", fullgraph=True)
    cache, text = static_cache(model), ids
    logits = compiled(input_ids=ids, past_key_values=cache, use_cache=True).logits  # the prompt
    for _ in range(8):
        text = torch.cat([text, logits[:, -1:].argmax(-1)], dim=1)
        logits = compiled(input_ids=text[:, -1:], past_key_values=cache, use_cache=True).logits
    assert text.tolist() == greedy(model, ids).tolist()


@pytest.mark.parametrize("name", REPRESENTATIVE)
def test_generate_compiles_its_steps_without_graph_break(name: str) -> None:
    model = tiny_model(name)
    torch._dynamo.reset()
    settings = CompileConfig(backend="eager", fullgraph=True)
    settings._compile_all_devices = True  # transformers compiles on accelerators only by default
    check_left_padded_generation(model, cache_implementation="static", compile_config=settings)
    ids = random_ids(1, 5)
    got = model.generate(ids, cache_implementation="static", compile_config=settings, **GREEDY)
    assert got.tolist() == greedy(model, ids).tolist()


@pytest.mark.slow
@torch.no_grad()
def test_steps_compiled_by_inductor_are_greedy() -> None:
    model, ids = tiny_model("output_gate", num_hidden_layers=1, num_registers=2), random_ids(1, 5)
    torch._dynamo.reset()
    compiled = torch.compile(model.forward, fullgraph=True, dynamic=False)
    cache, text = static_cache(model), ids
    logits = model(ids, past_key_values=cache, use_cache=True).logits
    for _ in range(6):
        text = torch.cat([text, logits[:, -1:].argmax(-1)], dim=1)
        logits = compiled(input_ids=text[:, -1:], past_key_values=cache, use_cache=True).logits
    assert text.tolist() == greedy(model, ids, 6).tolist()


@pytest.mark.parametrize("as_embeddings", [False, True])
@pytest.mark.parametrize(
    ("prompt", "settings", "new"),
    [
        (12, {"max_new_tokens": CONTEXT - 11}, CONTEXT - 11),
        (12, {"max_length": CONTEXT + 1}, CONTEXT - 11),
        (CONTEXT, {"max_new_tokens": 1}, 1),
    ],
)
def test_text_beyond_the_context_is_refused_before_any_work(
    prompt: int, settings: dict[str, int], new: int, as_embeddings: bool
) -> None:
    model, ids = tiny_model(), random_ids(1, prompt)
    inputs = {"inputs_embeds": model.get_input_embeddings()(ids)} if as_embeddings else {"input_ids": ids}
    calls = []
    model.model.register_forward_pre_hook(lambda *_: calls.append(1))
    for extra in ({}, {"num_beams": 2}, {"cache_implementation": "static"}):
        with pytest.raises(ValueError, match=rf"{prompt} tokens and {new} new.*max_position_embeddings={CONTEXT}"):
            model.generate(**inputs, **settings, do_sample=False, **extra)
    assert not calls


@pytest.mark.parametrize("as_embeddings", [False, True])
def test_text_that_just_fits_is_generated(as_embeddings: bool) -> None:
    model, ids = tiny_model(), random_ids(1, 12)
    inputs = {"inputs_embeds": model.get_input_embeddings()(ids)} if as_embeddings else {"input_ids": ids}
    got = model.generate(**inputs, max_new_tokens=CONTEXT - 12, do_sample=False)
    assert got[0, -(CONTEXT - 12) :].tolist() == greedy(model, ids, CONTEXT - 12)[0, 12:].tolist()


def test_default_length_stops_at_the_context() -> None:
    model = tiny_model()
    assert model.generate(random_ids(1, 10), do_sample=False).shape == (1, 30)  # transformers' 20 new tokens
    assert model.generate(random_ids(1, CONTEXT - 5), do_sample=False).shape == (1, CONTEXT)
    for length in (CONTEXT, CONTEXT + 3):
        with pytest.raises(ValueError, match=str(CONTEXT)):
            model.generate(random_ids(1, length), do_sample=False)
    full = model.get_input_embeddings()(random_ids(1, CONTEXT))
    with pytest.raises(ValueError, match=f"{CONTEXT} tokens.*max_position_embeddings={CONTEXT}"):
        model.generate(inputs_embeds=full, do_sample=False)
