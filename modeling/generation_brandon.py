"""Greedy decoding that drafts with the multi-token-prediction heads and verifies in the next step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from transformers.cache_utils import Cache
from transformers.generation.logits_process import LogitsProcessorList
from transformers.generation.stopping_criteria import StoppingCriteriaList
from transformers.generation.utils import GenerateDecoderOnlyOutput


@dataclass
class MTPDecodingOutput(GenerateDecoderOnlyOutput):
    """`GenerateDecoderOnlyOutput` with the drafting's yield.

    Args:
        steps: Forward passes, the one over the prompt included.
        drafted_tokens: Tokens drafted.
        accepted_tokens: Drafted tokens that were greedy decoding's choice.
        accepted_tokens_per_step: Accepted tokens divided by the steps that verified a draft; 0 if none did.
    """

    steps: int | None = None
    drafted_tokens: int | None = None
    accepted_tokens: int | None = None
    accepted_tokens_per_step: float | None = None


@torch.no_grad()
def mtp_decoding(
    model: Any,
    input_ids: Any,
    logits_processor: LogitsProcessorList,
    stopping_criteria: StoppingCriteriaList,
    generation_config: Any,
    streamer: Any = None,
    **model_kwargs: Any,
) -> Any:
    """Greedy decoding in fewer steps: self-speculative decoding of arXiv:2404.19737, section 3.2.

    A step runs over the last token and its drafts. A draft is kept if it is what greedy decoding chooses there, logits
    processors included, so the tokens are those of greedy decoding (up to ties within rounding, as several rows are
    computed at once). After the last kept token the heads draft anew. Called by `generate(..., draft_with_mtp=True)`.

    Args:
        model: A `BrandonForCausalLM` with `num_mtp_heads` of at least 1.
        input_ids: (1, T) prompt.
        logits_processor, stopping_criteria, generation_config, streamer, model_kwargs: As `generate` prepares them.

    Returns:
        (1, T + new) ids, or `MTPDecodingOutput` with `return_dict_in_generate`.

    Raises:
        ValueError: The model has no such heads, or sampling, beams, several prompts, prompt embeddings, scores or a
            static cache are asked for.
    """
    cache: Any = model_kwargs.get("past_key_values")
    for reason, refused in (
        (f"num_mtp_heads={model.config.num_mtp_heads}", not model.config.num_mtp_heads),
        ("do_sample=True", generation_config.do_sample),
        (f"num_beams={generation_config.num_beams}", (generation_config.num_beams or 1) > 1),
        (f"a batch of {len(input_ids)}", len(input_ids) != 1),
        ("output_scores or output_logits", generation_config.output_scores or generation_config.output_logits),
        (
            "output_hidden_states or output_attentions",
            generation_config.output_hidden_states or generation_config.output_attentions,
        ),
        ("prompt_lookup_num_tokens", generation_config.prompt_lookup_num_tokens is not None),
        ("inputs_embeds", model_kwargs.get("inputs_embeds") is not None),
        (
            "a cache that holds the whole prompt",
            isinstance(cache, Cache) and int(cache.get_seq_length()) >= input_ids.shape[1],
        ),
        (f"cache {type(cache).__name__}", not isinstance(cache, Cache) or cache.is_compileable),
    ):
        if refused:
            raise ValueError(f"draft_with_mtp=True does not work with {reason}")

    attention_mask = model_kwargs.get("attention_mask")
    chunk, rows = input_ids[:, int(cache.get_seq_length()) :], 1
    steps = verified = drafted = accepted = 0
    while True:
        if attention_mask is not None:
            change = input_ids.shape[1] + rows - 1 - attention_mask.shape[1]  # negative where drafts were rejected
            attention_mask = torch.nn.functional.pad(attention_mask, (0, change), value=1)
        outputs = model.model(input_ids=chunk, attention_mask=attention_mask, past_key_values=cache, use_cache=True)
        hidden = outputs.last_hidden_state[:, -rows:]
        logits = model.lm_head(hidden).float()
        drafts = chunk[:, chunk.shape[1] - rows + 1 :]
        steps, verified, drafted = steps + 1, verified + (rows > 1), drafted + rows - 1
        for row in range(rows):
            token = logits_processor(input_ids, logits[:, row]).argmax(dim=-1, keepdim=True)
            input_ids = torch.cat([input_ids, token], dim=1)
            if streamer is not None:
                streamer.put(token[0].cpu())
            kept = row < rows - 1 and bool(token == drafts[:, row])
            accepted += kept
            finished = bool(stopping_criteria(input_ids, None).all())
            if finished or not kept:
                break
        rejected = rows - 1 - row
        if rejected:
            cache.crop(-rejected)
        if finished:
            break
        room = max(generation_config.max_length - input_ids.shape[1] - 1, 0)
        guesses = [model.lm_head(head(hidden[:, row])).argmax(-1, keepdim=True) for head in model.mtp_heads[:room]]
        chunk, rows = torch.cat([token, *guesses], dim=1), 1 + len(guesses)

    if streamer is not None:
        streamer.end()
    if not generation_config.return_dict_in_generate:
        return input_ids
    return MTPDecodingOutput(
        sequences=input_ids,
        past_key_values=cache,
        steps=steps,
        drafted_tokens=drafted,
        accepted_tokens=accepted,
        accepted_tokens_per_step=accepted / verified if verified else 0.0,
    )
