"""Write a plain Brandon as a GGUF file of arch `llama`, which stock llama.cpp loads.

Shared blocks and loops are unrolled: the file is as large as a model that shares nothing. Given the same prompt ids,
llama.cpp generates the same greedy text up to ties within rounding (F16 rounds weights and activations to 11 bits).

llama.cpp does not know the rule of `brandon_hf/tokenization/train.py`. `PRE_TOKENIZER` is the rule of its own that cuts
text least, and what our merges never join needs no cut: of real text 99.99 % of the tokens are equal, and 99.5 % of
pieces of 500 characters as a whole (docs/benchmarks/llama_tokenizer.md).
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from brandon_hf.files import file_written_aside
from brandon_hf.modeling import BrandonConfig, BrandonForCausalLM

from .blob import load_folder, parameters_as_used
from .tokenizer import BlobTokenizer, describe_tokenizer

PRE_TOKENIZER = "superbpe"
TENSOR_TYPES = {
    "f16": (gguf.GGMLQuantizationType.F16, gguf.LlamaFileType.MOSTLY_F16),
    "f32": (gguf.GGMLQuantizationType.F32, gguf.LlamaFileType.ALL_F32),
    "q8_0": (gguf.GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
}

# What a llama has of each option; no other value can be written. Heads that predict several tokens only draft.
_OF_A_LLAMA: dict[str, Any] = {
    "depth_weighted_average": False,
    "value_residual": "none",
    "num_registers": 0,
    "qk_norm": False,
    "attention_output_gate": False,
    "mlp_type": "swiglu",
    "step_embedding": False,
    "loop_feedback": False,
    "resonance_gate": False,
}

Floats = npt.NDArray[np.float32]


def write_llama(model_folder: str | os.PathLike[str], output: str | os.PathLike[str], tensor_type: str = "f16") -> None:
    """Write the model of a from_pretrained folder as the GGUF file `output`, with its tokenizer and chat template.

    Args:
        model_folder: A Brandon model with the byte-level tokenizer of `train_tokenizer`.
        output: The file to write; an existing one is replaced.
        tensor_type: Of the matrices: "f16", "f32" or "q8_0" (8 bits with a scale per 32 columns; a matrix whose
            columns are no multiple of 32 is then F16). Norms are F32.

    Raises:
        ValueError: The model has an option that a llama lacks, its tokenizer is of another kind or does not fit the
            vocabulary, or a weight is no finite F16 number; the message names it.
        OSError: The folder has no model, or `output` cannot be written.
    """
    if tensor_type not in TENSOR_TYPES:
        raise ValueError(f"tensor_type={tensor_type!r} must be one of {', '.join(map(repr, TENSOR_TYPES))}")
    model, tokenizer = load_folder(model_folder)
    config = model.config
    _refuse_what_a_llama_lacks(config, model_folder)
    described = describe_tokenizer(tokenizer, config.vocab_size)
    generation: Any = model.generation_config
    _refuse_other_tokenizers(described, generation.eos_token_id, model_folder)

    output = Path(output)
    kind, file_type = TENSOR_TYPES[tensor_type]
    with file_written_aside(output) as aside:
        writer = gguf.GGUFWriter(aside, "llama")
        writer.add_name(Path(model_folder).resolve().name)
        writer.add_file_type(file_type)
        _add_shape(writer, config)
        _add_tokenizer(writer, described)
        count = 2 + (not config.tie_word_embeddings) + 9 * config.num_hidden_layers
        for name, tensor in tqdm(
            _tensors(model), desc=f"writing {output.name}", total=count, unit="tensor", disable=None
        ):
            try:
                data, stored = _stored(tensor, kind)
            except ValueError as error:
                raise ValueError(f"{model_folder}: tensor {name!r}: {error}") from None
            writer.add_tensor(name, data, raw_dtype=stored)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


def _refuse_what_a_llama_lacks(config: BrandonConfig, folder: str | os.PathLike[str]) -> None:
    foreign = [
        f"{name}={getattr(config, name)!r}" for name, value in _OF_A_LLAMA.items() if getattr(config, name) != value
    ]
    if foreign:
        hint = "; --registers-as-tokens writes a model folder without registers" if config.num_registers else ""
        raise ValueError(
            f"{folder}: {', '.join(foreign)} {'has' if len(foreign) == 1 else 'have'} no place in a llama: "
            f"export it as a {BrandonConfig.model_type} blob, without --format llama{hint}"
        )


def _refuse_other_tokenizers(described: BlobTokenizer, stops: int | list[int] | None, folder: Any) -> None:
    if described.kind != "gpt2":
        raise ValueError(
            f"{folder}: its tokenizer is an imported SentencePiece model, which llama.cpp would run without its "
            "normalization and with other spaces: export it as a brandon-tiny blob, without --format llama"
        )
    if not described.merges:
        raise ValueError(f"{folder}: its tokenizer has no merges, without which llama.cpp loads no tokenizer")
    known = {described.ids[name] for name in ("eos", "eot") if name in described.ids}
    if not known.issuperset([stops] if isinstance(stops, int) else stops or []):
        raise ValueError(
            f"{folder}: generation_config.json has eos_token_id={stops}; a llama stops at eos and <|im_end|> alone"
        )


def _add_shape(writer: gguf.GGUFWriter, config: Any) -> None:
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_theta)


def _add_tokenizer(writer: gguf.GGUFWriter, described: BlobTokenizer) -> None:
    writer.add_tokenizer_model(described.kind)
    writer.add_tokenizer_pre(PRE_TOKENIZER)
    writer.add_token_list(described.tokens)
    writer.add_token_types(described.types)
    writer.add_token_merges(described.merges)
    for name, token_id in described.ids.items():
        writer.add_uint32(f"tokenizer.ggml.{name}_token_id", token_id)
    writer.add_add_bos_token(described.add_bos)
    if described.chat_template:
        # `generation` marks what training counts; stock Jinja, which llama.cpp's bindings use, does not know it.
        plain = re.sub(r"\{%(-?) *(?:end)?generation *(-?)%\}", r"{#\1 \2#}", described.chat_template)
        writer.add_chat_template(plain)


def _tensors(model: BrandonForCausalLM) -> Iterator[tuple[str, Floats]]:
    """Names and values in llama.cpp's terms, a block once for every layer that applies it."""
    config, parameters = model.config, parameters_as_used(model)
    yield "token_embd.weight", parameters["model.embed_tokens.weight"]
    if not config.tie_word_embeddings:
        yield "output.weight", parameters["lm_head.weight"]
    yield "output_norm.weight", parameters["model.norm.weight"]
    heads, kv_heads = config.num_attention_heads, config.num_key_value_heads
    cuts = [heads * config.head_dim, (heads + kv_heads) * config.head_dim]
    for layer in range(config.num_hidden_layers):
        block = f"model.blocks.{layer % config.layers_per_loop // config.block_repeat}"
        query, key, value = np.split(parameters[f"{block}.attention.qkv_proj.weight"], cuts)
        gate, up = np.split(parameters[f"{block}.mlp.gate_up_proj.weight"], 2)
        for name, tensor in (
            ("attn_norm", parameters[f"{block}.attention_norm.weight"]),
            ("attn_q", pairs_as_neighbours(query, heads)),
            ("attn_k", pairs_as_neighbours(key, kv_heads)),
            ("attn_v", value),
            ("attn_output", parameters[f"{block}.attention.o_proj.weight"]),
            ("ffn_norm", parameters[f"{block}.mlp_norm.weight"]),
            ("ffn_gate", gate),
            ("ffn_up", up),
            ("ffn_down", parameters[f"{block}.mlp.down_proj.weight"]),
        ):
            yield f"blk.{layer}.{name}.weight", tensor


def pairs_as_neighbours(rows: Floats, heads: int) -> Floats:
    """Reorder the rows (heads d, D) of queries or keys for llama.cpp, which turns the neighbours (2 i, 2 i + 1).

    Brandon turns the pairs (i, i + d / 2) of a head; scores do not change when both move alike.
    """
    return rows.reshape(heads, 2, -1, rows.shape[1]).swapaxes(1, 2).reshape(rows.shape)


def _stored(tensor: Floats, kind: gguf.GGMLQuantizationType) -> tuple[npt.NDArray[Any], gguf.GGMLQuantizationType]:
    """The bytes of a tensor and the type they are of."""
    if tensor.ndim == 1:
        kind = gguf.GGMLQuantizationType.F32
    elif kind == gguf.GGMLQuantizationType.Q8_0 and tensor.shape[1] % gguf.GGML_QUANT_SIZES[kind][0]:
        kind = gguf.GGMLQuantizationType.F16
    largest = np.abs(tensor).max()
    limit = np.finfo(np.float32 if kind == gguf.GGMLQuantizationType.F32 else np.float16).max
    if not largest <= limit:
        raise ValueError(f"its largest magnitude, {largest}, is no finite {kind.name} number")
    return gguf.quants.quantize(tensor, kind), kind
