"""Registers as vocabulary rows, for servers that cannot prepend them.

A server that keeps the key-value cache itself, as vLLM does, runs the rows it is given and no others. What a register
computes depends on nothing before it but other registers, so it may as well be a token: its learned row becomes a row
of the embeddings, behind the vocabulary, and the tokenizer puts these tokens before every text and chat.
"""

import os
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Regex, decoders, processors
from transformers import AutoConfig, AutoTokenizer, PreTrainedTokenizerFast

from brandon_hf.files import folder_written_aside, full_disk_named
from brandon_hf.modeling import BrandonConfig, BrandonForCausalLM

REGISTER = "<|register_{}|>"


def registers_as_tokens(model_folder: str | os.PathLike[str], output_folder: str | os.PathLike[str]) -> None:
    """Write a from_pretrained folder of the same model with `num_registers=0`, its R registers being tokens V..V+R-1.

    Given the ids its tokenizer makes, which begin with the R registers, the logits of the V real tokens are those of
    the original at each token, in float32 up to rounding. The context is R longer. `generate` never chooses a register
    (`suppress_tokens` in `generation_config.json`); a server that does not read this setting must be told, and
    probabilities must be taken over the first V logits. With tied embeddings the new rows have logits of their own,
    else zeros.

    A text that is encoded with `add_special_tokens=False` and is no chat lacks the registers: put ids V..V+R-1 before
    it. Padding goes before the registers.

    Args:
        model_folder: A Brandon model with registers.
        output_folder: The folder to write; it must not exist or be empty.

    Raises:
        ValueError: The model has no registers or `resonance_gate=True` (which changes registers between loops as no
            token is changed), the tokenizer is larger than the vocabulary or knows a register's name already, or
            `output_folder` is in use.
        OSError: The folder has no model or tokenizer, or `output_folder` cannot be written.
    """
    output = Path(output_folder).resolve()
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise ValueError(f"{output_folder} exists and is not an empty folder")
    config = AutoConfig.from_pretrained(model_folder)
    if not isinstance(config, BrandonConfig):
        raise ValueError(f"{model_folder} is a {config.model_type} model, not a {BrandonConfig.model_type} one")
    if config.num_registers == 0:
        raise ValueError(f"{model_folder}: num_registers=0, there are no registers to turn into tokens")
    if config.resonance_gate:
        raise ValueError(
            f"{model_folder}: resonance_gate=True changes the registers between loops as no token is changed, so they "
            "cannot become tokens"
        )
    tokenizer: Any = AutoTokenizer.from_pretrained(model_folder)
    names = [REGISTER.format(index) for index in range(config.num_registers)]
    _add_registers(tokenizer, names, config.vocab_size, model_folder)
    model = _with_register_rows(BrandonForCausalLM.from_pretrained(model_folder, dtype="auto"))
    with full_disk_named(output.parent), folder_written_aside(output) as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def _with_register_rows(model: BrandonForCausalLM) -> BrandonForCausalLM:
    """The same model with its registers as the last rows of the embeddings."""
    config, count = model.config, model.config.num_registers
    tensors = model.state_dict()
    registers = tensors.pop("model.registers")
    embeddings = tensors["model.embed_tokens.weight"]
    tensors["model.embed_tokens.weight"] = torch.cat([embeddings, registers.to(embeddings.dtype)])
    head = registers if config.tie_word_embeddings else torch.zeros_like(registers)
    tensors["lm_head.weight"] = torch.cat([tensors["lm_head.weight"], head.to(embeddings.dtype)])

    fields = config.to_dict() | {
        "num_registers": 0,
        "vocab_size": config.vocab_size + count,
        "max_position_embeddings": config.max_position_embeddings + count,
    }
    changed = BrandonForCausalLM(BrandonConfig.from_dict(fields)).to(embeddings.dtype)
    changed.load_state_dict(tensors)
    generation: Any = model.generation_config
    generation.suppress_tokens = [
        *(generation.suppress_tokens or []),
        *range(config.vocab_size, config.vocab_size + count),
    ]
    changed.generation_config = generation
    return changed


def _add_registers(
    tokenizer: PreTrainedTokenizerFast, names: list[str], vocab_size: int, folder: str | os.PathLike[str]
) -> None:
    """Give the tokenizer the registers as its last tokens, before every text and at the front of its chat template."""
    vocabulary = tokenizer.get_vocab()
    taken = [name for name in names if name in vocabulary]
    if taken:
        raise ValueError(f"{folder}: its tokenizer has a token {taken[0]!r} already")
    if len(tokenizer) > vocab_size:
        raise ValueError(f"{folder}: the tokenizer has {len(tokenizer)} tokens, the model vocab_size={vocab_size}")
    backend = tokenizer.backend_tokenizer
    tokenizer.add_tokens(
        [AddedToken(f"[unused {index}]", normalized=False, special=True) for index in range(len(tokenizer), vocab_size)]
    )
    # An imported SentencePiece tokenizer takes the text of special tokens for plain text, even a template's. Tokens
    # that are not special it finds, and it normalizes what follows as it does the beginning of a text.
    special = not tokenizer.split_special_tokens
    tokenizer.add_tokens(
        [AddedToken(name, normalized=False, special=special) for name in names], special_tokens=special
    )
    if not special:
        hidden = decoders.Replace(Regex(REGISTER.replace("|", r"\|").format("[0-9]+")), "")
        backend.decoder = decoders.Sequence([hidden, backend.decoder])
    before = processors.TemplateProcessing(
        single=f"{' '.join(names)} $A",
        pair=f"{' '.join(names)} $A $B",
        special_tokens=[(name, backend.token_to_id(name)) for name in names],
    )
    backend.post_processor = processors.Sequence(
        [backend.post_processor, before] if backend.post_processor else [before]
    )
    tokenizer.model_max_length += len(names)
    if isinstance(tokenizer.chat_template, str):
        tokenizer.chat_template = "".join(names) + tokenizer.chat_template
    elif tokenizer.chat_template:
        tokenizer.chat_template = {name: "".join(names) + text for name, text in tokenizer.chat_template.items()}
