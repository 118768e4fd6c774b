"""Tiny blobs, taken apart and put together again with something wrong in them."""

import copy
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import model_runners
from peers import tiny_tokenizer

from brandon_hf.export.blob import write_model
from brandon_hf.export.tokenizer import BlobTokenizer, build_tokenizer
from brandon_hf.tokenization.sentencepiece_model import BYTE, CONTROL, NORMAL, UNKNOWN, USER_DEFINED

ALIGNMENT = 2048
VOCABULARY = 300
U8, I8, U32, I32, F32, BOOL, STRING, ARRAY, U64, F64 = 0, 1, 4, 5, 6, 7, 8, 9, 10, 12  # types of GGUF
FORMATS = {U8: "B", I8: "b", U32: "I", I32: "i", F32: "f", BOOL: "?", U64: "Q", F64: "d"}
TENSOR_F32, TENSOR_I8 = 0, 24
SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "max_position_embeddings": 64,
}
ENHANCED = SIZES | {"num_hidden_layers": 2, "num_registers": 2}
# Of every blob: the options of its model, the bits of its weights, and whether its tokenizer is SentencePiece's.
KINDS: dict[str, tuple[str, dict[str, Any], int, bool]] = {
    "byte-level": ("enhanced", ENHANCED, 8, False),
    "sentencepiece": ("plain", SIZES | {"num_hidden_layers": 2, "block_repeat": 2}, 8, True),
    "four-bits": ("everything", ENHANCED | {"num_hidden_layers": 4, "num_loops": 2, "ternary_weights": False}, 4, True),
    "ternary": ("dream", ENHANCED | {"num_hidden_layers": 4, "num_loops": 2, "block_repeat": 1}, 2, False),
}


def write_tiny(kind: str, path: Path) -> Path:
    """Write the blob of one of `KINDS`; all of its tensors count for something."""
    options, sizes, bits, sentencepiece = KINDS[kind]
    model = model_runners.tiny_model(options, **sizes)
    tokenizer = tiny_sentencepiece() if sentencepiece else tiny_tokenizer()
    model.generation_config.eos_token_id = [tokenizer.eos_token_id]
    write_model(model, tokenizer, path, bits, name="tiny")
    return path


def tiny_sentencepiece() -> Any:
    """A SentencePiece BPE with bytes, a symbol that is cut out of texts, and a character map."""
    specials = {"<unk>": UNKNOWN, "<s>": CONTROL, "</s>": CONTROL, "<sep>": USER_DEFINED}
    byte_tokens = [f"<0x{byte:02X}>" for byte in range(256)]
    letters = ["\u2581", *"abcdefgh", "\u00e9", "\u65e5"]
    merged = ["ab", "cd", "\u2581a", "abcd", "\u2581ab", "\u2581abcd", "ef", "gh", "efgh"]
    tokens = [*specials, *byte_tokens, *letters, *merged]
    types = [*specials.values(), *[BYTE] * 256, *[NORMAL] * (len(letters) + len(merged))]
    described = BlobTokenizer(
        kind="llama",
        tokens=tokens,
        types=types,
        scores=tuple(-float(merged.index(token)) if token in merged else 0.0 for token in tokens),
        charsmap=tiny_charsmap(),
        ids={"unknown": 0, "bos": 1, "eos": 2},
        add_bos=True,
    )
    return build_tokenizer(described, 64)


def tiny_charsmap() -> bytes:
    """SentencePiece's character map of "A" to "a", a tab to a space and a newline to nothing (see engine's reader)."""
    strings = b"a\0 \0\0"
    units = [0] * 1280
    units[0] = 256 << 10  # the children of the root are at 256
    for leaves, (letter, value) in zip((512, 768, 1024), (("A", 0), ("\t", 2), ("\n", 4)), strict=True):
        node = 256 ^ ord(letter)
        units[node] = (node ^ leaves) << 10 | 1 << 8 | ord(letter)
        units[leaves] = 1 << 31 | value
    return struct.pack("<I", 4 * len(units)) + struct.pack(f"<{len(units)}I", *units) + strings


@dataclass
class Key:
    """A key and the bytes of its value, without the type."""

    name: bytes
    type: int
    value: bytes


@dataclass
class Tensor:
    """A row of the table, and the tensor's bytes."""

    name: bytes
    dimensions: list[int]
    type: int
    offset: int
    data: bytes


@dataclass
class Parts:
    """A blob in its parts; the counts are those of the lists where they are None."""

    keys: list[Key] = field(default_factory=list)
    tensors: list[Tensor] = field(default_factory=list)
    magic: bytes = b"GGUF"
    version: int = 3
    key_count: int | None = None
    tensor_count: int | None = None

    def key(self, name: str) -> Key:
        """The key whose name ends with `name`."""
        return next(key for key in self.keys if key.name.endswith(name.encode()))

    def set(self, name: str, kind: int, value: Any) -> None:
        """Give a key, which is added where there is none, another value."""
        if not any(key.name.endswith(name.encode()) for key in self.keys):
            self.keys.append(Key(name.encode(), kind, b""))
        key = self.key(name)
        key.type, key.value = kind, pack_value(kind, value)

    def array(self, name: str) -> list[Any]:
        """The elements of an array; strings as bytes."""
        return unpack_array(self.key(name).value)

    def set_array(self, name: str, element: int, values: Iterable[Any], count: int | None = None) -> None:
        """Give an array other elements; `count` is a lie about their number."""
        self.set(name, ARRAY, (element, list(values), count))

    def tensor(self, name: str) -> Tensor:
        """The tensor of this name."""
        return next(tensor for tensor in self.tensors if tensor.name == name.encode())

    def place(self) -> None:
        """Let the tensors follow each other as the format says."""
        offset = 0
        for tensor in self.tensors:
            tensor.offset = offset
            offset += -(-len(tensor.data) // ALIGNMENT) * ALIGNMENT

    def copy(self) -> "Parts":
        """A copy to damage."""
        return copy.deepcopy(self)

    def join(self, checksum: int | None = None) -> bytes:
        """The file. Its checksum is right unless another is given."""
        header = self.magic + struct.pack("<I", self.version)
        header += struct.pack("<Q", len(self.tensors) if self.tensor_count is None else self.tensor_count)
        header += struct.pack("<Q", len(self.keys) if self.key_count is None else self.key_count)
        at = None
        for key in self.keys:
            header += pack_value(STRING, key.name) + struct.pack("<I", key.type)
            if key.name == b"brandon-tiny.checksum" and len(key.value) == 4:
                at, header = len(header), header + bytes(4)
            else:
                header += key.value
        for tensor in self.tensors:
            header += pack_value(STRING, tensor.name) + struct.pack("<I", len(tensor.dimensions))
            header += struct.pack(f"<{len(tensor.dimensions)}Q", *tensor.dimensions)
            header += struct.pack("<IQ", tensor.type, tensor.offset)
        data = bytearray(header.ljust(-(-len(header) // ALIGNMENT) * ALIGNMENT, b"\0"))
        start = len(data)
        for tensor in self.tensors:
            end = start + tensor.offset + len(tensor.data)
            if end < 1 << 28:  # beyond, a test says that it stands somewhere else than it does
                data.extend(bytes(max(0, -(-end // ALIGNMENT) * ALIGNMENT - len(data))))
                data[start + tensor.offset : end] = tensor.data
        if at is not None:
            data[at : at + 4] = struct.pack("<I", zlib.crc32(data) if checksum is None else checksum)
        return bytes(data)


def pack_value(kind: int, value: Any) -> bytes:
    """A value as GGUF writes it. An array is (type of its elements, elements, their number if that is a lie)."""
    if kind == STRING:
        text = value if isinstance(value, bytes) else value.encode()
        return struct.pack("<Q", len(text)) + text
    if kind == ARRAY:
        element, values, count = value
        packed = bytes(values) if element == U8 else b"".join(pack_value(element, one) for one in values)
        return struct.pack("<IQ", element, len(values) if count is None else count) + packed
    return struct.pack("<" + FORMATS[kind], value)


def unpack_array(value: bytes) -> list[Any]:
    """The inverse of `pack_value` for an array."""
    element, count = struct.unpack_from("<IQ", value)
    if element != STRING:
        return list(struct.unpack_from(f"<{count}{FORMATS[element]}", value, 12))
    strings, at = [], 12
    for _ in range(count):
        (length,) = struct.unpack_from("<Q", value, at)
        strings.append(value[at + 8 : at + 8 + length])
        at += 8 + length
    return strings


def take_apart(data: bytes) -> Parts:
    """The parts of a good blob."""
    version, tensors, keys = struct.unpack_from("<IQQ", data, 4)
    parts, at = Parts(magic=data[:4], version=version), 24

    def string() -> bytes:
        nonlocal at
        (length,) = struct.unpack_from("<Q", data, at)
        at += 8 + length
        return data[at - length : at]

    for _ in range(keys):
        name = string()
        (kind,) = struct.unpack_from("<I", data, at)
        start = at = at + 4
        if kind == STRING:
            string()
        elif kind == ARRAY:
            element, count = struct.unpack_from("<IQ", data, at)
            at += 12
            if element == STRING:
                for _ in range(count):
                    string()
            else:
                at += count * struct.calcsize("<" + FORMATS[element])
        else:
            at += struct.calcsize("<" + FORMATS[kind])
        parts.keys.append(Key(name, kind, data[start:at]))
    for _ in range(tensors):
        name = string()
        (number,) = struct.unpack_from("<I", data, at)
        dimensions = list(struct.unpack_from(f"<{number}Q", data, at + 4))
        kind, offset = struct.unpack_from("<IQ", data, at + 4 + 8 * number)
        at += 16 + 8 * number
        parts.tensors.append(Tensor(name, dimensions, kind, offset, b""))
    start = -(-at // ALIGNMENT) * ALIGNMENT
    for tensor in parts.tensors:
        size = 4 if tensor.type == TENSOR_F32 else 1
        for dimension in tensor.dimensions:
            size *= dimension
        tensor.data = data[start + tensor.offset : start + tensor.offset + size]
    return parts
