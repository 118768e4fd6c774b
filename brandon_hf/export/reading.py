"""Read a blob back, checked for every rule of docs/blob-format.md."""

import os
import zlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType

from brandon_hf.modeling import BrandonConfig

from .blob import find_checksum
from .layout import (
    ALIGNMENT,
    ARCHITECTURE,
    BLOB_VERSION,
    FEATURES,
    MAX_MERGES,
    PACKED,
    SHAPE_KEYS,
    check_limits,
    slots,
    tensors,
)
from .quantization import Floats, Int8, check_columns, unpack
from .tokenizer import SPECIAL_IDS, BlobTokenizer
from .tokenizer_rules import check_tokenizer


@dataclass(frozen=True)
class StoredTensor:
    """A tensor as it stands in the file.

    Args:
        name, type: As in the format's table; the type is `"F32"` or `"I8"`.
        offset, size: In bytes, from the start of the file and without padding.
        array: Its numbers, rows first, packed as they are.
    """

    name: str
    type: str
    offset: int
    size: int
    array: npt.NDArray[Any]


@dataclass(frozen=True)
class Blob:
    """What a blob holds.

    Args:
        path, size: Of the file, in bytes.
        name: Of the model, or empty.
        config: Its shape and options.
        bits: Of the weights in blocks.
        checksum: CRC-32, verified.
        features: Names of those it has, of `layout.FEATURES`.
        tokenizer: Its tokenizer.
        stop_ids: Generation ends after one of these.
        tensors: By name, in the order of the file.
    """

    path: Path
    size: int
    name: str
    config: BrandonConfig
    bits: int
    checksum: int
    features: tuple[str, ...]
    tokenizer: BlobTokenizer = field(repr=False)
    stop_ids: tuple[int, ...]
    tensors: dict[str, StoredTensor] = field(repr=False)

    def floats(self, name: str) -> Floats:
        """A tensor of floats."""
        return self.tensors[name].array

    def integers(self, name: str, bits: int = 8) -> tuple[Int8, Floats]:
        """A matrix (R, C) without `.weight` in its name, unpacked to int8, and the scales (R,) of its rows."""
        group = self.tensors.get(f"{name}.group")
        weight = unpack(self.tensors[f"{name}.weight"].array, group.array if group else None, bits)
        return weight, self.floats(f"{name}.scale")

    @cached_property
    def parameters(self) -> dict[str, Floats]:
        """All parameters by their names in the model, in float32."""
        shared, blocks = slots(self.config, self.bits)
        found = {}
        for slot in [*shared, *(slot for block in blocks for slot in block)]:
            if slot.bits:
                weight, scale = self.integers(slot.name, slot.bits)
                found[slot.parameter] = weight * scale[:, None]
            elif slot.parameter:
                found[slot.parameter] = self.floats(slot.name)
        return found


def read_blob(path: str | os.PathLike[str]) -> Blob:
    """Read and check the blob at `path`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no blob, is damaged, or breaks the format; the message says how.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    data = path.read_bytes()
    try:
        checksum = _verified_checksum(data)
        reader = _parse(path)
        return _build(path, reader, checksum)
    except ValueError as error:
        raise ValueError(f"{path} is no complete Brandon blob: {error}") from error


class _BoundedReader(GGUFReader):
    """gguf-py's reader, which otherwise takes what lies beyond the end as empty, and numbers of arrays one by one."""

    def _get(self, offset: int, dtype: Any, count: int = 1, override_order: Any = None) -> npt.NDArray[Any]:
        if offset + int(count) * np.dtype(dtype).itemsize > len(self.data):
            raise ValueError("a count or length reaches beyond the end of the file")
        return super()._get(offset, dtype, count, override_order)

    def _get_field_parts(
        self, orig_offs: int, raw_type: int
    ) -> tuple[int, list[npt.NDArray[Any]], list[int], list[GGUFValueType]]:
        if raw_type == GGUFValueType.ARRAY:
            kind, count = self._get(orig_offs, np.uint32), self._get(orig_offs + 4, np.uint64)
            dtype = self.gguf_scalar_to_np.get(GGUFValueType(kind[0]))
            if dtype is not None and count[0]:  # all numbers are one part
                values = self._get(orig_offs + 12, dtype, count[0])
                return 12 + values.nbytes, [kind, count, values], [2], [GGUFValueType.ARRAY, GGUFValueType(kind[0])]
            if count[0] > MAX_MERGES:
                raise ValueError(f"an array has {count[0]} texts; none of a blob has more than {MAX_MERGES}")
        return super()._get_field_parts(orig_offs, raw_type)


def _verified_checksum(data: bytes) -> int:
    if data[:4] != b"GGUF":
        raise ValueError("it does not begin with GGUF" if data else "it is empty")
    at = find_checksum(data)
    stored = int.from_bytes(data[at : at + 4], "little")
    actual = zlib.crc32(data[at + 4 :], zlib.crc32(bytes(4), zlib.crc32(data[:at])))
    if stored != actual:
        raise ValueError(f"it is cut off or damaged: its checksum is {stored:08x}, but its bytes give {actual:08x}")
    return stored


def _parse(path: Path) -> GGUFReader:
    try:
        return _BoundedReader(path)
    except Exception as error:  # gguf-py raises many kinds for wrong files
        raise ValueError(f"gguf-py cannot read it: {error or type(error).__name__}") from error


def _build(path: Path, reader: GGUFReader, checksum: int) -> Blob:
    keys = _Keys(reader)
    if (container := int(reader.fields["GGUF.version"].contents())) != 3:
        raise ValueError(f"it is of GGUF version {container}, not 3")
    if (architecture := keys.text("general.architecture")) != ARCHITECTURE:
        raise ValueError(f"general.architecture is {architecture!r}, not {ARCHITECTURE!r}")
    if (alignment := keys.integer("general.alignment")) != ALIGNMENT:
        raise ValueError(f"general.alignment is {alignment}, not {ALIGNMENT}")
    if (version := keys.own("blob_version")) != BLOB_VERSION:
        raise ValueError(f"blob_version is {version}; this reads {BLOB_VERSION}")
    keys.own("checksum")
    bits, features = keys.own("weight_bits"), keys.own("features")
    if bits not in PACKED:
        raise ValueError(f"weight_bits is {bits}, not {', '.join(map(str, PACKED))}")
    if features >> len(FEATURES):
        raise ValueError(f"features is {features:#x}, which has bits that this does not know")
    present = tuple(name for bit, name in enumerate(FEATURES) if features >> bit & 1)
    name = keys.text("general.name", "")
    tokenizer, stop_ids = _read_tokenizer(keys)
    config = _read_config(keys, present, bits, tokenizer)
    if unknown := keys.unread(f"{ARCHITECTURE}."):
        raise ValueError(f"key {unknown[0]} is not part of the format")
    check_tokenizer(tokenizer, stop_ids, config.vocab_size)
    blob = Blob(
        path=path,
        size=path.stat().st_size,
        name=name,
        config=config,
        bits=bits,
        checksum=checksum,
        features=present,
        tokenizer=tokenizer,
        stop_ids=stop_ids,
        tensors=_read_tensors(reader, config, bits),
    )
    _check_values(blob)
    return blob


class _Keys:
    """The file's keys, taken by name and type."""

    def __init__(self, reader: GGUFReader):
        self.fields = {name: found for name, found in reader.fields.items() if not name.startswith("GGUF.")}
        self.read: set[str] = set()

    def take(self, name: str, kinds: list[GGUFValueType], default: Any = None) -> Any:
        self.read.add(name)
        found = self.fields.get(name)
        if found is None:
            if default is None:
                raise ValueError(f"key {name} is missing")
            return default
        types = list(found.types)
        if types == [GGUFValueType.ARRAY]:  # an empty one; gguf-py leaves out of what
            types.append(GGUFValueType(found.parts[3][0]))
        if types != kinds:
            raise ValueError(f"key {name} is of type {[kind.name for kind in types]}")
        return found.contents()

    def integer(self, name: str, default: int | None = None) -> int:
        return self.take(name, [GGUFValueType.UINT32], default)

    def own(self, name: str) -> int:
        return self.integer(f"{ARCHITECTURE}.{name}")

    def number(self, name: str) -> float:
        """A float32 as the shortest decimal that it is nearest to."""
        return float(str(np.float32(self.take(f"{ARCHITECTURE}.{name}", [GGUFValueType.FLOAT32]))))

    def text(self, name: str, default: str | None = None) -> str:
        return self.take(name, [GGUFValueType.STRING], default)

    def flag(self, name: str, default: bool | None = None) -> bool:
        return self.take(name, [GGUFValueType.BOOL], default)

    def array(self, name: str, kind: GGUFValueType, default: list[Any] | None = None) -> list[Any]:
        return self.take(name, [GGUFValueType.ARRAY, kind], default)

    def unread(self, prefix: str) -> list[str]:
        return sorted(name for name in self.fields.keys() - self.read if name.startswith(prefix))


def _read_config(keys: _Keys, present: tuple[str, ...], bits: int, tokenizer: BlobTokenizer) -> BrandonConfig:
    shape: dict[str, Any] = {attribute: keys.own(key) for key, attribute in SHAPE_KEYS.items()}
    unique = shape.pop("num_unique_blocks")
    if {"value_residual_add", "value_residual_learned"} <= set(present):
        raise ValueError("features has both forms of value residual")
    options: dict[str, Any] = {name: name in present for name in FEATURES if hasattr(BrandonConfig, name)}
    config = BrandonConfig(
        **shape,
        **options,
        mlp_type="relu_squared" if "relu_squared" in present else "swiglu",
        value_residual=next((name[15:] for name in present if name.startswith("value_residual_")), "none"),
        rms_norm_eps=keys.number("attention.layer_norm_rms_epsilon"),
        rope_theta=keys.number("rope.freq_base"),
        ternary_weights=bits == 2,
        bos_token_id=tokenizer.ids.get("bos"),
        eos_token_id=tokenizer.ids.get("eos"),
        pad_token_id=tokenizer.ids.get("padding"),
    )
    check_limits(config)
    if unique != config.num_unique_blocks:
        raise ValueError(f"unique_block_count is {unique}; the other counts give {config.num_unique_blocks}")
    for slot in slots(config, bits)[1][0]:
        if slot.bits:
            check_columns(slot.shape[1], slot.bits)
    return config


def _read_tokenizer(keys: _Keys) -> tuple[BlobTokenizer, tuple[int, ...]]:
    prefix = "tokenizer.ggml."
    kind = keys.text(f"{prefix}model")
    if kind not in ("gpt2", "llama"):
        raise ValueError(f"tokenizer.ggml.model is {kind!r}, not 'gpt2' or 'llama'")
    byte_level = kind == "gpt2"
    rule = keys.text(f"{prefix}pre", None if byte_level else "")
    if byte_level and rule != "brandon":
        raise ValueError(f"tokenizer.ggml.pre is {rule!r}, not 'brandon'")
    stop_ids = tuple(keys.array(f"{ARCHITECTURE}.stop_token_ids", GGUFValueType.INT32))
    merges = keys.array(f"{prefix}merges", GGUFValueType.STRING, None if byte_level else [])
    ids = {name: keys.integer(f"{prefix}{name}_token_id", -1) for name in SPECIAL_IDS}
    described = BlobTokenizer(
        kind=kind,
        tokens=keys.array(f"{prefix}tokens", GGUFValueType.STRING),
        types=keys.array(f"{prefix}token_type", GGUFValueType.INT32),
        ids={name: index for name, index in ids.items() if index >= 0},
        add_bos=keys.flag(f"{prefix}add_bos_token", False),
        chat_template=keys.text("tokenizer.chat_template", ""),
        chat_format=keys.text(f"{ARCHITECTURE}.chat_format"),
        merges=tuple(merges) if byte_level else (),
        scores=tuple(keys.array(f"{prefix}scores", GGUFValueType.FLOAT32, [] if byte_level else None)),
        charsmap=bytes(keys.array(f"{prefix}precompiled_charsmap", GGUFValueType.UINT8, [])),
        add_space_prefix=keys.flag(f"{prefix}add_space_prefix", True),
        remove_extra_whitespaces=keys.flag(f"{prefix}remove_extra_whitespaces", True),
    )
    return described, stop_ids


def _read_tensors(reader: GGUFReader, config: BrandonConfig, bits: int) -> dict[str, StoredTensor]:
    found = {}
    stored = iter(reader.tensors)
    offset = int(reader.data_offset)
    for name, kind, shape in tensors(config, bits):
        tensor = next(stored, None)
        if tensor is None or tensor.name != name:
            raise ValueError(f"tensor {name} is not there, but {tensor.name if tensor else 'the end of the table'}")
        actual = GGMLQuantizationType(tensor.tensor_type).name
        if actual != kind or tensor.data.shape != shape:
            raise ValueError(f"tensor {name} is {actual} {tensor.data.shape}, not {kind} {shape}")
        if tensor.data_offset != offset:
            raise ValueError(f"tensor {name} is at byte {tensor.data_offset}, not {offset}")
        found[name] = StoredTensor(name, kind, offset, int(tensor.n_bytes), tensor.data)
        offset += -(-int(tensor.n_bytes) // ALIGNMENT) * ALIGNMENT
    if (extra := next(stored, None)) is not None:
        raise ValueError(f"tensor {extra.name} is not part of the format")
    if offset != len(reader.data):
        raise ValueError(f"it has {len(reader.data)} bytes, but its tensors end at {offset}")
    return found


def _check_values(blob: Blob) -> None:
    for name, tensor in blob.tensors.items():
        if tensor.type == "F32" and not np.isfinite(tensor.array).all():
            raise ValueError(f"tensor {name} holds numbers that are not finite")
        if name.endswith(".scale") and np.signbit(tensor.array).any():
            raise ValueError(f"tensor {name} holds a negative scale, or -0.0")
    shared, blocks = slots(blob.config, blob.bits)
    for slot in [*shared, *(slot for block in blocks for slot in block)]:
        if slot.bits:
            try:
                blob.integers(slot.name, slot.bits)
            except ValueError as error:
                raise ValueError(f"tensor {slot.name}.weight: {error}") from error
