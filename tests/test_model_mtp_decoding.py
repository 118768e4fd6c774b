"""Drafting with the multi-token-prediction heads gives greedy decoding's tokens in fewer steps."""

from typing import Any

import pytest
import torch
from model_runners import random_ids, tiny_model
from transformers import DynamicCache, GenerationConfig
from transformers.generation.streamers import BaseStreamer

from brandon_hf.modeling import BrandonForCausalLM, MTPDecodingOutput


def drafting_model(name: str = "mtp", seed: int = 0, **fields: Any) -> BrandonForCausalLM:
    """Heads that repeat the next token: right where greedy decoding repeats itself, wrong elsewhere."""
    model = tiny_model(name, seed=seed, **fields)
    with torch.no_grad():
        for head in model.mtp_heads:
            head.proj.weight.copy_(torch.eye(24))
            head.norm.weight.fill_(1.0)
        model.model.norm.weight.fill_(1.0)
        if model.config.tie_word_embeddings:
            model.model.embed_tokens.weight.mul_(2)  # a token now often follows itself
    return model


def both(model: BrandonForCausalLM, ids: torch.Tensor, **settings: Any) -> tuple[list[int], MTPDecodingOutput]:
    """Plain greedy decoding and the drafted one, which has to agree."""
    settings = {"max_new_tokens": 16, "do_sample": False} | settings
    plain = model.generate(ids, **settings)[0].tolist()
    drafted = model.generate(ids, draft_with_mtp=True, return_dict_in_generate=True, **settings)
    assert drafted.sequences[0].tolist() == plain
    new = len(plain) - ids.shape[1]
    assert drafted.past_key_values.get_seq_length() == len(plain) - 1
    # Every step gives one token of its own besides the accepted ones; those drafted beyond a stop count for nothing.
    assert drafted.steps + drafted.accepted_tokens in (new, new + 1)
    assert 0 <= drafted.accepted_tokens <= drafted.drafted_tokens
    return plain, drafted


SETTINGS: list[dict[str, Any]] = [
    {},
    {"repetition_penalty": 1.3},
    {"no_repeat_ngram_size": 2},
    {"min_new_tokens": 10, "eos_token_id": 3},
    {"suppress_tokens": [1, 2, 3, 4, 5, 6, 7, 8]},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("name", ["mtp", "everything"])
def test_drafting_is_greedy(name: str, settings: dict[str, Any]) -> None:
    for seed in range(4):
        both(drafting_model(name, seed=seed), random_ids(1, 6, seed=seed), **settings)


def test_drafts_are_accepted_and_rejected() -> None:
    accepted = rejected = 0
    for seed in range(6):
        plain, output = both(drafting_model(seed=seed), random_ids(1, 6, seed=seed))
        accepted += output.accepted_tokens
        rejected += output.drafted_tokens - output.accepted_tokens
        if output.accepted_tokens:
            assert output.steps < len(plain) - 6
            # The first step verifies nothing, and the last may have had no room left to draft for.
            verifying = output.accepted_tokens / output.accepted_tokens_per_step
            assert verifying in (pytest.approx(output.steps - 1), pytest.approx(output.steps - 2))
    assert accepted > 5
    assert rejected > 5


def perfect_model() -> BrandonForCausalLM:
    """A model that repeats its last token for ever, and whose heads know it."""
    model = drafting_model()
    with torch.no_grad():
        for block in model.model.blocks:
            block.attention.o_proj.weight.zero_()
            block.mlp.down_proj.weight.zero_()
        torch.nn.init.orthogonal_(model.model.embed_tokens.weight)
        rows = torch.nn.functional.normalize(model.model.embed_tokens.weight, dim=1)
        model.model.embed_tokens.weight.copy_(rows)
    return model


def test_right_drafts_save_steps() -> None:
    ids = torch.tensor([[5, 9, 11]])
    plain, output = both(perfect_model(), ids, max_new_tokens=16)
    assert plain == [5, 9, 11] + [11] * 16
    # The prompt's step gives one token, five more give three each.
    assert (output.steps, output.accepted_tokens, output.drafted_tokens) == (6, 10, 10)
    assert output.accepted_tokens_per_step == 2.0


@pytest.mark.parametrize(
    ("new", "steps", "drafted"), [(1, 1, 0), (2, 2, 0), (3, 2, 1), (4, 2, 2), (5, 3, 2), (6, 3, 3)]
)
def test_length_ends_where_it_is_told(new: int, steps: int, drafted: int) -> None:
    """And nothing is drafted that there is no room for."""
    plain, output = both(perfect_model(), torch.tensor([[5, 9, 11]]), max_new_tokens=new)
    assert len(plain) == 3 + new
    assert (output.steps, output.drafted_tokens) == (steps, drafted)
    assert output.accepted_tokens_per_step == pytest.approx(drafted / max(1, -(-drafted // 2)))
    both(drafting_model(), torch.tensor([[5, 9, 11]]), max_new_tokens=new)


def test_text_ends_at_the_end_token_amid_accepted_drafts() -> None:
    for eos in (11, [3, 11]):
        plain, output = both(perfect_model(), torch.tensor([[5, 9, 11]]), eos_token_id=eos, pad_token_id=0)
        assert plain == [5, 9, 11, 11]
        assert output.steps == 1
    # The third token after the prompt comes from a draft: let the text end there.
    model = perfect_model()
    with torch.no_grad():
        stops = model.generate(
            torch.tensor([[5, 9, 11]]),
            draft_with_mtp=True,
            do_sample=False,
            max_new_tokens=16,
            stopping_criteria=[lambda ids, scores: torch.tensor([ids.shape[1] >= 5])],
            return_dict_in_generate=True,
        )
    assert stops.sequences.tolist() == [[5, 9, 11, 11, 11]]
    assert stops.past_key_values.get_seq_length() == 4
    for seed in range(5):
        model, ids = drafting_model(seed=seed), random_ids(1, 6, seed=seed).clamp(min=1)  # no padding in it
        text = both(model, ids)[0]
        for eos in set(text[8:12]):
            both(model, ids, eos_token_id=eos, pad_token_id=0)


def test_whole_context_may_be_drafted() -> None:
    model = drafting_model()
    both(model, random_ids(1, 6), max_new_tokens=34)
    with pytest.raises(ValueError, match=r"6 tokens and 35 new.*max_position_embeddings=40"):
        model.generate(random_ids(1, 6), max_new_tokens=35, draft_with_mtp=True, do_sample=False)


@pytest.mark.parametrize("name", ["mtp", "everything"])
def test_drafting_continues_from_a_cache(name: str) -> None:
    model, ids = drafting_model(name), random_ids(1, 6)
    settings: dict[str, Any] = {"max_new_tokens": 7, "do_sample": False}
    first = model.generate(
        ids,
        past_key_values=DynamicCache(config=model.config),
        draft_with_mtp=True,
        return_dict_in_generate=True,
        **settings,
    )
    text = torch.cat([first.sequences, random_ids(1, 2, seed=3)], dim=1)
    expected = model.generate(text, **settings).tolist()
    got = model.generate(text, past_key_values=first.past_key_values, draft_with_mtp=True, **settings)
    assert got.tolist() == expected


def test_drafting_with_a_padded_prompt() -> None:
    model = drafting_model("everything")
    ids = random_ids(1, 8)
    mask = torch.tensor([[0, 0, 0, 1, 1, 1, 1, 1]])
    settings: dict[str, Any] = {"max_new_tokens": 9, "do_sample": False}
    got = model.generate(ids, attention_mask=mask, draft_with_mtp=True, **settings)
    assert got[0, 8:].tolist() == model.generate(ids[:, 3:], **settings)[0, 5:].tolist()


class Recorder(BaseStreamer):
    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.ended = 0

    def put(self, value: torch.Tensor) -> None:
        self.tokens += value.flatten().tolist()

    def end(self) -> None:
        self.ended += 1


@pytest.mark.parametrize("draft_with_mtp", [False, True])
def test_streamer_gets_every_token_once(draft_with_mtp: bool) -> None:
    recorder, ids = Recorder(), random_ids(1, 6)
    got = drafting_model().generate(
        ids, draft_with_mtp=draft_with_mtp, max_new_tokens=9, do_sample=False, streamer=recorder
    )
    assert recorder.tokens == got[0].tolist()
    assert recorder.ended == 1


def test_ids_alone_by_default() -> None:
    got = drafting_model().generate(random_ids(1, 4), draft_with_mtp=True, max_new_tokens=3, do_sample=False)
    assert isinstance(got, torch.Tensor)
    assert got.shape == (1, 7)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"do_sample": True}, "do_sample=True"),
        ({"num_beams": 2}, "num_beams=2"),
        ({"output_scores": True, "return_dict_in_generate": True}, "output_scores"),
        ({"cache_implementation": "static"}, "cache StaticCache"),
        ({"use_cache": False}, "cache NoneType"),
    ],
)
def test_mode_that_cannot_draft_is_refused(settings: dict[str, Any], named: str) -> None:
    model = drafting_model()
    calls = []
    model.model.register_forward_pre_hook(lambda *_: calls.append(1))
    with pytest.raises(ValueError, match=f"draft_with_mtp=True does not work with {named}"):
        model.generate(random_ids(1, 4), draft_with_mtp=True, max_new_tokens=3, **{"do_sample": False} | settings)
    assert not calls


def test_input_that_cannot_draft_is_refused() -> None:
    settings = GenerationConfig(max_new_tokens=3, do_sample=False)
    with pytest.raises(ValueError, match="a batch of 2"):
        drafting_model().generate(random_ids(2, 4), draft_with_mtp=True, generation_config=settings)
    with pytest.raises(ValueError, match="num_mtp_heads=0"):
        tiny_model("plain").generate(random_ids(1, 4), draft_with_mtp=True, generation_config=settings)
    model = drafting_model()
    embeddings = model.get_input_embeddings()(random_ids(1, 4))
    with pytest.raises(ValueError, match="inputs_embeds"):
        model.generate(inputs_embeds=embeddings, draft_with_mtp=True, generation_config=settings)
