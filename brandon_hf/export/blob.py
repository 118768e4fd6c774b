"""Write a model folder as a blob: one GGUF file, specified in docs/blob-format.md."""

import os
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from gguf import GGUFValueType, GGUFWriter
from tqdm import tqdm
from transformers import AutoConfig, AutoTokenizer, PreTrainedTokenizerFast

from brandon_hf.files import file_written_aside
from brandon_hf.modeling import BrandonConfig, BrandonForCausalLM
from brandon_hf.modeling.modeling_brandon import TernaryLinear

from .layout import (
    ALIGNMENT,
    ARCHITECTURE,
    BLOB_VERSION,
    FEATURES,
    PACKED,
    SHAPE_KEYS,
    Slot,
    check_limits,
    features_of,
    slots,
    tensors,
)
from .quantization import Quantized, check_columns, quantize
from .tokenizer import BlobTokenizer, describe_tokenizer
from .tokenizer_rules import check_tokenizer


def write_blob(folder: str | os.PathLike[str], output: str | os.PathLike[str], bits: int | None = None) -> None:
    """Write the model folder `folder` as the blob `output`; an existing file is replaced once the new one is complete.

    Heads that predict several tokens ahead are left out.

    Args:
        folder: A native model folder with its tokenizer, or one that `AutoModelForCausalLM` loads as Brandon-Tiny.
        output: The file to write.
        bits: Of the weights in blocks: 8, 4, or 2 for ternary models. Default: 2 for these, 8 for others.

    Raises:
        ValueError: The model is none of this architecture, its tokenizer or shape is one that a blob cannot express
            or larger than one may be, or a weight is not finite; the message names it.
        OSError: The folder lacks a file, or the output cannot be written.
    """
    model, tokenizer = load_folder(folder)
    write_model(model, tokenizer, Path(output), bits, name=Path(folder).resolve().name)


def load_folder(folder: str | os.PathLike[str]) -> tuple[BrandonForCausalLM, PreTrainedTokenizerFast]:
    """The model in float32 and the tokenizer of a folder, checked to be of this architecture."""
    if not Path(folder).is_dir():
        raise FileNotFoundError(f"{folder} is no folder (from the Hub: hf download OWNER/NAME --local-dir {folder})")
    config = AutoConfig.from_pretrained(folder)
    if config.model_type != BrandonConfig.model_type:
        raise ValueError(f"{folder} has model_type={config.model_type!r}; a blob holds {BrandonConfig.model_type!r}")
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    return BrandonForCausalLM.from_pretrained(folder, dtype=torch.float32).eval(), tokenizer


def write_model(
    model: BrandonForCausalLM, tokenizer: PreTrainedTokenizerFast, output: Path, bits: int | None = None, name: str = ""
) -> None:
    """As `write_blob`, from memory."""
    config = model.config
    check_limits(config)
    bits = choose_bits(config, bits)
    described = describe_tokenizer(tokenizer, config.vocab_size)
    stops = _stop_ids(model, described)
    check_tokenizer(described, stops, config.vocab_size)
    parameters = parameters_as_used(model)
    writer = _Writer(None, ARCHITECTURE)
    writer.add_custom_alignment(ALIGNMENT)
    _add_keys(writer, config, bits, name)
    writer.add_key_value(_key("stop_token_ids"), stops, GGUFValueType.ARRAY, GGUFValueType.INT32)
    writer.add_string(_key("chat_format"), described.chat_format)
    _add_tokenizer(writer, described)
    for tensor, array in _quantized_tensors(config, bits, parameters):
        writer.add_tensor(tensor, array)
    with file_written_aside(output) as aside:
        writer.write_header_to_file(aside)
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        write_checksum(aside)


def choose_bits(config: BrandonConfig, bits: int | None) -> int:
    """The bits of a model's block weights; `ValueError` if it cannot have those asked for."""
    if bits is None:
        bits = 2 if config.ternary_weights else 8
    if bits not in PACKED:
        raise ValueError(f"bits={bits} must be one of {', '.join(map(str, PACKED))}")
    if bits == 2 and not config.ternary_weights:
        raise ValueError("bits=2 needs a model with ternary_weights=True")
    for slot in slots(config, bits)[1][0]:
        if slot.bits:
            try:
                check_columns(slot.shape[1], slot.bits)
            except ValueError as error:
                raise ValueError(f"{slot.parameter}: {error}; choose bits=8") from error
    return bits


def parameters_as_used(model: BrandonForCausalLM) -> dict[str, npt.NDArray[np.float32]]:
    """The parameters by name, ternary ones as rounded by their layers."""
    found = {name: parameter.detach() for name, parameter in model.named_parameters()}
    for name, module in model.named_modules():
        if isinstance(module, TernaryLinear):
            found[f"{name}.weight"] = module.quantized_weight().detach()
    return {name: parameter.float().cpu().numpy() for name, parameter in found.items()}


def rope_frequencies(config: BrandonConfig) -> npt.NDArray[np.float32]:
    """(d / 2,) angles per position, with the rounding of the model's own."""
    exponents = torch.arange(0, config.head_dim, 2, dtype=torch.float32) / config.head_dim
    return (config.rope_theta**-exponents).numpy()


def quantize_slot(slot: Slot, parameter: npt.NDArray[np.float32]) -> Quantized:
    """A matrix as stored; an error names the parameter."""
    try:
        return quantize(parameter, slot.bits)
    except ValueError as error:
        raise ValueError(f"{slot.parameter} cannot be stored: {error}") from error


def write_checksum(path: Path) -> None:
    """Put the CRC-32 of the file, whose checksum is still zero, into it."""
    data = path.read_bytes()
    with path.open("r+b") as file:
        file.seek(find_checksum(data))
        file.write(zlib.crc32(data).to_bytes(4, "little"))


def find_checksum(data: bytes) -> int:
    """Where the four bytes of the checksum stand.

    Raises:
        ValueError: The file has no such key.
    """
    name = _key("checksum").encode()
    key = len(name).to_bytes(8, "little") + name + int(GGUFValueType.UINT32).to_bytes(4, "little")
    at = data.find(key)
    if at < 0:
        raise ValueError(f"it has no key {_key('checksum')}")
    return at + len(key)


class _Writer(GGUFWriter):
    """gguf-py's writer, which otherwise refuses an empty array even where its type is given."""

    def _pack_val(self, val: Any, vtype: Any, add_vtype: bool, sub_type: Any = None) -> bytes:
        if vtype == GGUFValueType.ARRAY and sub_type is not None and not len(val):
            kind = self._pack("I", vtype) if add_vtype else b""
            return kind + self._pack("I", sub_type) + self._pack("Q", 0)
        return super()._pack_val(val, vtype, add_vtype, sub_type)


def _key(name: str) -> str:
    return f"{ARCHITECTURE}.{name}"


def _add_keys(writer: GGUFWriter, config: BrandonConfig, bits: int, name: str) -> None:
    writer.add_uint32(_key("blob_version"), BLOB_VERSION)
    writer.add_uint32(_key("checksum"), 0)
    present = features_of(config)
    writer.add_uint32(_key("features"), sum(1 << bit for bit, feature in enumerate(FEATURES) if present[feature]))
    writer.add_uint32(_key("weight_bits"), bits)
    for key, attribute in SHAPE_KEYS.items():
        writer.add_uint32(_key(key), getattr(config, attribute))
    writer.add_float32(_key("attention.layer_norm_rms_epsilon"), config.rms_norm_eps)
    writer.add_float32(_key("rope.freq_base"), config.rope_theta)
    writer.add_name(name)


def _add_tokenizer(writer: GGUFWriter, described: BlobTokenizer) -> None:
    def add_array(name: str, values: Any, kind: GGUFValueType) -> None:
        writer.add_key_value(f"tokenizer.ggml.{name}", values, GGUFValueType.ARRAY, kind)

    writer.add_tokenizer_model(described.kind)
    add_array("tokens", described.tokens, GGUFValueType.STRING)
    add_array("token_type", described.types, GGUFValueType.INT32)
    if described.kind == "gpt2":
        writer.add_tokenizer_pre("brandon")
        add_array("merges", described.merges, GGUFValueType.STRING)
    else:
        add_array("scores", described.scores, GGUFValueType.FLOAT32)
        if described.charsmap:
            writer.add_precompiled_charsmap(described.charsmap)
        writer.add_bool("tokenizer.ggml.add_space_prefix", described.add_space_prefix)
        writer.add_bool("tokenizer.ggml.remove_extra_whitespaces", described.remove_extra_whitespaces)
    for name, index in described.ids.items():
        writer.add_uint32(f"tokenizer.ggml.{name}_token_id", index)
    writer.add_bool("tokenizer.ggml.add_bos_token", described.add_bos)
    writer.add_string("tokenizer.chat_template", described.chat_template)


def _stop_ids(model: BrandonForCausalLM, described: BlobTokenizer) -> list[int]:
    generation: Any = model.generation_config
    eos = generation.eos_token_id if generation.eos_token_id is not None else model.config.eos_token_id
    stops = dict.fromkeys(eos if isinstance(eos, list) else [] if eos is None else [eos])
    if described.chat_format != "none":
        stops[described.ids["eot"]] = None
    return list(stops)


def _quantized_tensors(
    config: BrandonConfig, bits: int, parameters: dict[str, npt.NDArray[np.float32]]
) -> Iterable[tuple[str, npt.NDArray[Any]]]:
    """Names and arrays of the file's tensors, in its order."""
    shared, blocks = slots(config, bits)
    arrays: dict[str, npt.NDArray[Any]] = {}
    for slot in tqdm([*shared, *(slot for block in blocks for slot in block)], "quantising", disable=None, leave=False):
        parameter = rope_frequencies(config) if not slot.parameter else parameters[slot.parameter]
        if slot.bits:
            quantized = quantize_slot(slot, parameter)
            arrays[f"{slot.name}.scale"], arrays[f"{slot.name}.weight"] = quantized.scale, quantized.weight
            if quantized.group is not None:
                arrays[f"{slot.name}.group"] = quantized.group
        elif np.isfinite(parameter).all():
            arrays[slot.name] = parameter
        else:
            raise ValueError(f"{slot.parameter} holds numbers that are not finite")
    for name, _, shape in tensors(config, bits):
        array = np.ascontiguousarray(arrays[name])
        assert array.shape == shape, name
        yield name, array
