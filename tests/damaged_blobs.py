"""What can be wrong with a blob, by the status it must be refused with."""

import copy
import struct
from collections.abc import Callable

from blobs import (
    ARRAY,
    BOOL,
    F32,
    I32,
    STRING,
    TENSOR_F32,
    TENSOR_I8,
    U8,
    U32,
    U64,
    VOCABULARY,
    Parts,
    pack_value,
)

Damage = Callable[[Parts], bytes | None]  # changes the parts, or gives a whole file
# By name: the kind of blob, what is done to it, and the status.
CASES: dict[str, tuple[str, Damage, str]] = {}


def case(status: str, name: str, damage: Damage, kind: str = "byte-level") -> None:
    assert name not in CASES, name
    CASES[name] = (kind, damage, status)


def set_to(name: str, kind: int, value: object) -> Damage:
    return lambda parts: parts.set(name, kind, value)


def raw(name: str, value: bytes) -> Damage:
    def damage(parts: Parts) -> None:
        parts.key(name).value = value

    return damage


def drop(name: str) -> Damage:
    return lambda parts: parts.keys.remove(parts.key(name))


def repeat(name: str) -> Damage:
    return lambda parts: parts.keys.append(parts.key(name))


def attribute(name: str, value: object) -> Damage:
    return lambda parts: setattr(parts, name, value)


def rename_key(name: str, to: bytes) -> Damage:
    return lambda parts: setattr(parts.key(name), "name", to)


def element(name: str, kind: int, index: int, value: object) -> Damage:
    """One element of an array is another."""

    def damage(parts: Parts) -> None:
        values = parts.array(name)
        values[index] = value
        parts.set_array(name, kind, values)

    return damage


def resized(name: str, kind: int, change: Callable[[list], list]) -> Damage:
    return lambda parts: parts.set_array(name, kind, change(parts.array(name)))


def both(*damages: Damage) -> Damage:
    def damage(parts: Parts) -> None:
        for one in damages:
            one(parts)

    return damage


def poke(name: str, at: int, value: bytes) -> Damage:
    """Other bytes in a tensor; `at` may count from its end."""

    def damage(parts: Parts) -> None:
        tensor = parts.tensor(name)
        start = at % len(tensor.data)
        tensor.data = tensor.data[:start] + value + tensor.data[start + len(value) :]

    return damage


# --- header and counts ------------------------------------------------------------------------------------------------

case("NOT_GGUF", "empty file", lambda parts: b"")
case("NOT_GGUF", "another magic", attribute("magic", b"GGUX"))
case("NOT_GGUF", "magic backwards", attribute("magic", b"FUGG"))
for version in (0, 2, 4, 0x03000000, 2**32 - 1):
    case("GGUF_VERSION", f"version {version}", attribute("version", version))
case("TENSOR_MISSING", "no tensors announced", attribute("tensor_count", 0))
case("TENSOR_UNKNOWN", "2^64-1 tensors announced", attribute("tensor_count", 2**64 - 1))
case("NOT_BRANDON", "no keys announced", attribute("key_count", 0))
for count in (2**31, 2**32, 2**63, 2**64 - 1):
    case("TRUNCATED", f"{count} keys announced", attribute("key_count", count))
    for array in ("tokens", "merges", "token_type", "stop_token_ids"):
        kind = STRING if array in ("tokens", "merges") else I32
        lie = struct.pack("<IQ", kind, count)
        case("TRUNCATED", f"{count} {array} announced", raw(array, lie + pack_value(ARRAY, (kind, [], 0))[12:]))
for length in (2**20, 2**32, 2**62, 2**63, 2**64 - 8, 2**64 - 1):
    bad = struct.pack("<Q", length)
    case("TRUNCATED", f"text of {length} bytes", raw("architecture", bad + b"brandon-tiny"))
    case("TRUNCATED", f"token of {length} bytes", raw("tokens", struct.pack("<IQ", STRING, VOCABULARY) + bad + b"x"))
case("KEY_TYPE", "array of arrays", raw("tokens", struct.pack("<IQ", ARRAY, 1)))
for kind in (13, 2**31, 2**32 - 1):
    case("KEY_TYPE", f"array of type {kind}", raw("tokens", struct.pack("<IQ", kind, 1)))
    case("KEY_TYPE", f"key of type {kind}", lambda parts, kind=kind: setattr(parts.key("loop_count"), "type", kind))

# --- keys -------------------------------------------------------------------------------------------------------------

INTEGERS = [
    "vocab_size",
    "embedding_length",
    "feed_forward_length",
    "block_count",
    "unique_block_count",
    "block_repeat",
    "loop_count",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "context_length",
    "register_count",
]
FLOATS = ["attention.layer_norm_rms_epsilon", "rope.freq_base"]
REQUIRED = [
    "general.alignment",
    "blob_version",
    "checksum",
    "features",
    "weight_bits",
    "chat_format",
    "stop_token_ids",
    "tokenizer.ggml.model",
    "tokenizer.ggml.tokens",
    "tokenizer.ggml.token_type",
]
OPTIONAL = [
    "tokenizer.ggml.pre",
    "bos_token_id",
    "eos_token_id",
    "padding_token_id",
    "eot_token_id",
    "add_bos_token",
]

for name in (*REQUIRED, *INTEGERS, *FLOATS):
    case("KEY_MISSING", f"no {name}", drop(name))
for name in ("general.architecture", *REQUIRED, *INTEGERS, *FLOATS, *OPTIONAL, "tokenizer.ggml.merges"):
    case("KEY_REPEATED", f"{name} twice", repeat(name))
    case("KEY_TYPE", f"{name} of 64 bits", set_to(name, U64, 1))
    case("KEY_TYPE", f"{name} an array of bytes", set_to(name, ARRAY, (U8, [1], None)))
for name in INTEGERS:
    if name != "register_count":
        case("KEY_VALUE", f"{name} zero", set_to(name, U32, 0))
    for number in (262145, 2**31, 2**32 - 1):
        case("TOO_LARGE", f"{name} {number}", set_to(name, U32, number))
for name in FLOATS:
    for number in (0.0, -1.0, float("nan"), float("inf")):
        case("KEY_VALUE", f"{name} {number}", set_to(name, F32, number))
case("NOT_BRANDON", "no architecture", drop("general.architecture"))
for text in (b"llama", b"brandon-tiny2", b"brandon-tiny\0", b"", b"brandon-tiny" * 4):
    case("NOT_BRANDON", f"architecture {text!r}", set_to("general.architecture", STRING, text))
for number in (0, 2, 2**32 - 1):
    case("BLOB_VERSION", f"blob_version {number}", set_to("blob_version", U32, number))
for bit in (10, 31):
    case("FEATURE_UNKNOWN", f"feature {bit}", set_to("features", U32, 1 << bit))
for name in (b"brandon-tiny.x", b"brandon-tiny.", b"brandon-tiny." + b"x" * 300, b"brandon-tiny.features\0"):
    case("FEATURE_UNKNOWN", f"key {name[:30]!r}", set_to(name.decode(), U32, 1))
case("NOT_BRANDON", "key with a zero in it", rename_key("general.architecture", b"general.architecture\0"))
case("KEY_MISSING", "key with a letter more", rename_key("general.alignment", b"general.alignments"))
for bits in (0, 1, 3, 5, 16, 2**32 - 1):
    case("KEY_VALUE", f"{bits} bits", set_to("weight_bits", U32, bits))
for number in (0, 1, 32, 4096):
    case("TENSOR_ALIGNMENT", f"alignment {number}", set_to("general.alignment", U32, number))

# one contradicts another
case("KEY_VALUE", "heads no multiple of key-value heads", set_to("attention.head_count_kv", U32, 3))
case("KEY_VALUE", "layers no multiple of loops", set_to("loop_count", U32, 3), "four-bits")
case("KEY_VALUE", "odd head size", set_to("attention.key_length", U32, 7))
case("KEY_VALUE", "more blocks than layers", set_to("unique_block_count", U32, 2))
case("KEY_VALUE", "repeats beyond the layers", set_to("block_repeat", U32, 3))
case("KEY_VALUE", "both value residuals", set_to("features", U32, 0b110))
for bit in (7, 8, 9):
    case("KEY_VALUE", f"feature {bit} without loops", set_to("features", U32, 1 << bit))
gate_alone = both(set_to("features", U32, 1 << 9), set_to("register_count", U32, 0))
case("KEY_VALUE", "resonance gate without registers", gate_alone, "four-bits")
case("KEY_VALUE", "four bits of 20 columns", set_to("feed_forward_length", U32, 20), "four-bits")
case("KEY_VALUE", "two bits of 18 columns", set_to("feed_forward_length", U32, 18), "ternary")
wide = both(set_to("attention.head_count", U32, 4096), set_to("attention.key_length", U32, 4096))
case("TOO_LARGE", "heads wider than the engine's widest", wide)
case("KEY_VALUE", "another vocabulary than tokens", set_to("vocab_size", U32, VOCABULARY - 1))
case("KEY_VALUE", "a token missing", resized("tokens", STRING, lambda tokens: tokens[:-1]))
case("KEY_VALUE", "a token more", resized("tokens", STRING, lambda tokens: [*tokens, b"x"]))
case("KEY_VALUE", "a type missing", resized("token_type", I32, lambda types: types[:-1]))
case("KEY_VALUE", "a score missing", resized("scores", F32, lambda scores: scores[:-1]), "sentencepiece")
case("KEY_VALUE", "no scores", drop("scores"), "sentencepiece")
case("KEY_VALUE", "unknown chat format", set_to("chat_format", STRING, "chatm"))
huge = both(
    set_to("vocab_size", U32, 262144),
    lambda parts: setattr(parts.key("tokens"), "value", struct.pack("<IQ", STRING, 262144) + bytes(64)),
)
case("TRUNCATED", "vocabulary larger than the file", huge)

# --- tokenizer --------------------------------------------------------------------------------------------------------

case("TOKENIZER_KIND", "unknown model", set_to("tokenizer.ggml.model", STRING, "bert"))
case("TOKENIZER_KIND", "unknown rule", set_to("tokenizer.ggml.pre", STRING, "gpt-2"))
case("TOKENIZER_KIND", "no rule", drop("tokenizer.ggml.pre"))
case("KEY_MISSING", "no merges", drop("merges"))
case("KEY_TYPE", "merges of numbers", set_to("merges", ARRAY, (I32, [1, 2], None)))
for name in ("bos", "eos", "padding", "eot"):
    for number in (VOCABULARY, 2**31, 2**32 - 1):
        case("TOKEN_ID", f"{name} {number}", set_to(f"{name}_token_id", U32, number))
case("TOKEN_ID", "another unknown than the unknown piece", set_to("unknown_token_id", U32, 5), "sentencepiece")
case("TOKEN_ID", "add_bos without bos", both(set_to("add_bos_token", BOOL, True), drop("bos_token_id")))
for number in (-1, VOCABULARY, 2**31 - 1):
    case("TOKEN_ID", f"stop token {number}", set_to("stop_token_ids", ARRAY, (I32, [0, number], None)))
case("TOO_LARGE", "nine stop tokens", set_to("stop_token_ids", ARRAY, (I32, [0] * 9, None)))

LAST = VOCABULARY - 1  # a token that merges make, or one that is not used
for text in (b"", b"x" * 513, b"x" * 5000, b"a b", b"\xff", b"\xc5", b"\xc5\x84", "\u65e5".encode(), b"a"):
    case("TOKEN_STRING", f"normal token {text[:8]!r} of {len(text)} bytes", element("tokens", STRING, LAST, text))
for text in (b"", b"x" * 513, b"\xff\xfe", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\x80", b"<|eos|>"):
    case(
        "TOKEN_STRING",
        f"special token {text[:8]!r} of {len(text)} bytes",
        both(element("tokens", STRING, LAST, text), element("token_type", I32, LAST, 3)),
    )
for kind in (-(2**31), -1, 0, 6, 7, 2**31 - 1):
    case("TOKEN_TYPE", f"token of type {kind}", element("token_type", I32, LAST, kind))
case("TOKEN_TYPE", "no unknown piece", element("token_type", I32, 0, 3), "sentencepiece")
case("TOKEN_TYPE", "two unknown pieces", element("token_type", I32, 1, 2), "sentencepiece")
for text in (b"<0x4>", b"<0xGG>", b"<0xab>", b"A", b"<0x041>"):
    case("TOKEN_STRING", f"byte token {text!r}", element("tokens", STRING, 4, text), "sentencepiece")
case("BYTE_MISSING", "byte A twice", element("tokens", STRING, 4, b"<0x41>"), "sentencepiece")
case("BYTE_MISSING", "no byte 0", element("token_type", I32, 4, 5), "sentencepiece")
case("BYTE_MISSING", "no byte Q", lambda parts: drop_byte(parts, b"Q"))
for text in (
    b"",
    b" ",
    b"a",
    b"a ",
    b" a",
    b"a  b",
    b"a b c",
    b"qq zz",
    b"a zz",
    b"\xff a",
    b"x" * 600 + b" a",
    b"Q Q",
):
    case("MERGE", f"merge {text[:8]!r} of {len(text)} bytes", element("merges", STRING, 0, text))
case("MERGE", "a merge twice", resized("merges", STRING, lambda merges: [*merges, merges[0]]))
case(
    "TOO_LARGE",
    "more merges than tokens can have",
    raw("merges", struct.pack("<IQ", STRING, 2**20 + 1) + bytes(8 * 2**20 + 8)),
)
for number in ("nan", "inf", "-inf"):
    for index in (0, LAST):
        case("SCORE", f"score {index} {number}", element("scores", F32, index, float(number)), "sentencepiece")


def drop_byte(parts: Parts, text: bytes) -> None:
    types = parts.array("token_type")
    types[parts.array("tokens").index(text)] = 5
    parts.set_array("token_type", I32, types)


def charsmap(change: Callable[[bytearray], bytes | bytearray | None]) -> Damage:
    def damage(parts: Parts) -> None:
        data = bytearray(parts.array("precompiled_charsmap"))
        changed = change(data)
        parts.set_array("precompiled_charsmap", U8, data if changed is None else changed)

    return damage


def unit(index: int, value: int) -> Damage:
    return charsmap(lambda data: struct.pack_into("<I", data, 4 + 4 * index, value))


LETTER = 256 ^ ord("A")
for name, damage in {
    "of three bytes": charsmap(lambda data: data[:3]),
    "without a trie": charsmap(lambda data: bytes(4) + data[4:]),
    "without strings": charsmap(lambda data: data[: 4 + struct.unpack_from("<I", data)[0]]),
    "cut in the trie": charsmap(lambda data: data[:100]),
    "of an odd trie": charsmap(lambda data: struct.pack("<I", 5117) + data[4:]),
    "of a trie of 2^32-4 bytes": charsmap(lambda data: struct.pack("<I", 2**32 - 4) + data[4:]),
    "without a last zero": charsmap(lambda data: data[:-1] + b"x"),
    "whose root is a leaf": unit(0, 2**31),
    "whose root leads out": unit(0, 2000 << 10),
    "whose node leads out": unit(LETTER, 2**20 << 10 | 1 << 8 | ord("A")),
    "whose node leads far out": unit(LETTER, 2**20 << 10 | 1 << 9 | 1 << 8 | ord("A")),
    "whose node leads to no leaf": unit(LETTER, 1 << 8 | ord("A")),
    "whose value is outside": unit(512, 2**31 | 6),
    "whose value is far outside": unit(512, 2**32 - 1),
    "of noise": charsmap(lambda data: data[:4] + bytes(index * 167 % 251 for index in range(len(data) - 4))),
}.items():
    case("CHARSMAP", f"character map {name}", damage, "sentencepiece")
case("TOO_LARGE", "character map of 16 MB", charsmap(lambda data: bytes(2**24 + 1)), "sentencepiece")

# --- tensors' values --------------------------------------------------------------------------------------------------

WRONG = {"NaN": float("nan"), "infinity": float("inf"), "-infinity": float("-inf")}
for name in ("token_embd.scale", "output_norm.weight", "rope_freqs.weight", "registers.weight", "dwa.weight"):
    for number, value in WRONG.items():
        case("NOT_FINITE", f"{number} first in {name}", poke(name, 0, struct.pack("<f", value)))
        case("NOT_FINITE", f"{number} last in {name}", poke(name, -4, struct.pack("<f", value)))
for name in ("step_embd.weight", "feedback_norm.weight", "resonance_gate.weight", "value_residual.weight"):
    case("NOT_FINITE", f"NaN in {name}", poke(name, -4, struct.pack("<f", WRONG["NaN"])), "four-bits")
for part in ("attn_qkv", "attn_output", "ffn_up", "ffn_down"):
    for block in (0, 1):
        name = f"blk.{block}.{part}"
        case("NOT_FINITE", f"negative scale in {name}", poke(f"{name}.scale", -4, struct.pack("<f", -1.0)), "ternary")
        for at in (0, -1):
            for code in (0x0F, 0xF0, 0x00) if block == 0 else ():  # that blob has one block
                place = f"{code:#x} at {at} in {name}"
                case("WEIGHT_RANGE", f"4-bit code {place}", poke(f"{name}.weight", at, bytes([code])), "four-bits")
            for group in (0, 19, 128, 255) if block == 0 else ():
                place = f"{group} at {at} in {name}"
                case("WEIGHT_RANGE", f"multiplier {place}", poke(f"{name}.group", at, bytes([group])), "four-bits")
            for code in (0b11, 0b1100, 0b110000, 0b11000000):
                place = f"{code:#010b} at {at} in {name}"
                case("WEIGHT_RANGE", f"2-bit code {place}", poke(f"{name}.weight", at, bytes([code])), "ternary")
for name in ("token_embd", "blk.0.attn_qkv", "blk.0.attn_output", "blk.0.ffn_up", "blk.0.ffn_down"):
    case("WEIGHT_RANGE", f"-128 in {name}", poke(f"{name}.weight", -1, b"\x80"))
    case("NOT_FINITE", f"-0 in {name}.scale", poke(f"{name}.scale", 0, b"\0\0\0\x80"))
case("WEIGHT_RANGE", "-128 in output.weight", poke("output.weight", -1, b"\x80"), "four-bits")
case("NOT_FINITE", "negative scale in output.scale", poke("output.scale", 0, struct.pack("<f", -1)), "four-bits")
case("CHECKSUM", "another checksum", lambda parts: parts.join(checksum=1))
case("CHECKSUM", "a byte changed", lambda parts: parts.join()[:-5000] + b"!" + parts.join()[-4999:])
case("TENSOR_OVERLAP", "a byte after the end", lambda parts: parts.join() + b"\0")

# --- the table of tensors: each for every tensor ---------------------------------------------------------------------


def swap(parts: Parts, index: int) -> None:
    other = (index + 1) % len(parts.tensors)
    parts.tensors[index], parts.tensors[other] = parts.tensors[other], parts.tensors[index]
    parts.place()


def without(parts: Parts, index: int) -> None:
    del parts.tensors[index]
    parts.place()


def twice(parts: Parts, index: int) -> None:
    parts.tensors.insert(index, copy.copy(parts.tensors[index]))
    parts.place()


def change(name: str, to: Callable[[object], object]) -> Callable[[Parts, int], None]:
    def damage(parts: Parts, index: int) -> None:
        tensor = parts.tensors[index]
        setattr(tensor, name, to(getattr(tensor, name)))

    return damage


TABLE: dict[str, tuple[str, Callable[[Parts, int], None]]] = {
    "missing": ("TENSOR_MISSING", without),
    "swapped with the next": ("TENSOR_MISSING", swap),
    "twice": ("TENSOR_REPEATED", twice),
    "renamed": ("TENSOR_UNKNOWN", change("name", lambda name: name + b"s")),
    "without a name": ("TENSOR_UNKNOWN", change("name", lambda name: b"")),
    "with a long name": ("TENSOR_UNKNOWN", change("name", lambda name: name + b"x" * 100)),
    "with a zero in the name": ("TENSOR_UNKNOWN", change("name", lambda name: name + b"\0")),
    "of another block": ("TENSOR_UNKNOWN", change("name", lambda name: b"blk.7." + name)),
    "of half precision": ("TENSOR_TYPE", change("type", lambda kind: 1)),
    "of the other type": ("TENSOR_TYPE", change("type", lambda kind: TENSOR_F32 + TENSOR_I8 - kind)),
    "of an unknown type": ("TENSOR_TYPE", change("type", lambda kind: 2**32 - 1)),
    "a column more": ("TENSOR_SHAPE", change("dimensions", lambda shape: [shape[0] + 1, *shape[1:]])),
    "2^32 columns more": ("TENSOR_SHAPE", change("dimensions", lambda shape: [shape[0] + 2**32, *shape[1:]])),
    "2^32 rows": ("TENSOR_SHAPE", change("dimensions", lambda shape: [shape[0], 2**32])),
    "empty": ("TENSOR_SHAPE", change("dimensions", lambda shape: [0] * len(shape))),
    "without dimensions": ("TENSOR_SHAPE", change("dimensions", lambda shape: [])),
    "of three dimensions": ("TENSOR_SHAPE", change("dimensions", lambda shape: [*shape, 1, 1][:3])),
    "of 2000 dimensions": ("TENSOR_SHAPE", change("dimensions", lambda shape: shape * 2000)),
    "a byte further": ("TENSOR_ALIGNMENT", change("offset", lambda offset: offset + 1)),
    "a half sector further": ("TENSOR_ALIGNMENT", change("offset", lambda offset: offset + 1024)),
    "a sector further": ("TENSOR_OVERLAP", change("offset", lambda offset: offset + 2048)),
    "far beyond the end": ("TENSOR_OVERLAP", change("offset", lambda offset: offset + 2**63)),
    "at the very end of 64 bits": ("TENSOR_OVERLAP", change("offset", lambda offset: 2**64 - 2048)),
}
