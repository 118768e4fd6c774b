"""Read a SentencePiece `.model` file: just enough of the protobuf wire format, without protobuf or sentencepiece.

transformers can read such a file only with both packages installed, and then guesses the merges in vocabulary order and
ignores the normalizer's flags. Field numbers: sentencepiece_model.proto (google/sentencepiece, Apache-2.0).
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
MODEL_TYPES = {1: "unigram", 2: "bpe", 3: "word", 4: "char"}

_Value = int | bytes


@dataclass(frozen=True)
class Piece:
    """One vocabulary entry; its id is its place in `SentencePieceModel.pieces`."""

    text: str
    score: float = 0.0
    type: int = NORMAL


@dataclass(frozen=True)
class SentencePieceModel:
    """The parts of a ModelProto that decide how text is encoded; defaults are those of the proto file."""

    pieces: list[Piece]
    model_type: str = "unigram"
    byte_fallback: bool = False
    treat_whitespace_as_suffix: bool = False
    unk_surface: str = " \u2047 "
    special_pieces: dict[str, str] = field(default_factory=dict)  # "unk" / "bos" / "eos" / "pad" -> piece
    normalizer_name: str = ""
    charsmap: bytes = b""
    add_dummy_prefix: bool = True
    remove_extra_whitespaces: bool = True
    escape_whitespaces: bool = True
    has_denormalizer: bool = False


def read_sentencepiece_model(path: str | os.PathLike[str]) -> SentencePieceModel:
    """Parse `path`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is empty, truncated or something else than a SentencePiece model; the message names it.
    """
    data = Path(path).read_bytes()
    try:
        return _parse_model(data)
    except (ValueError, struct.error) as error:  # UnicodeDecodeError is a ValueError
        raise ValueError(
            f"{os.fspath(path)} is not a complete SentencePiece model ({len(data)} bytes): {error}"
        ) from error


def _parse_model(data: bytes) -> SentencePieceModel:
    pieces, trainer, normalizer, denormalizer = [], None, None, b""
    for number, value in _fields(data):
        if number == 1:
            pieces.append(_parse_piece(_as_bytes(number, value)))
        elif number == 2:
            trainer = dict(_fields(_as_bytes(number, value)))
        elif number == 3:
            normalizer = dict(_fields(_as_bytes(number, value)))
        elif number == 5:
            denormalizer = _as_bytes(number, value)
    if not pieces:
        raise ValueError("it has no vocabulary")
    if trainer is None or normalizer is None:
        raise ValueError(f"its {'trainer' if trainer is None else 'normalizer'} settings are missing")

    def flag(spec: dict[int, _Value], number: int, default: bool) -> bool:
        return bool(spec.get(number, default))

    def text(spec: dict[int, _Value], number: int, default: str) -> str:
        value = spec.get(number)
        return default if value is None else _as_bytes(number, value).decode()

    model_type = trainer.get(3, 1)
    return SentencePieceModel(
        pieces=pieces,
        model_type=MODEL_TYPES.get(model_type, repr(model_type)) if isinstance(model_type, int) else repr(model_type),
        byte_fallback=flag(trainer, 35, False),
        treat_whitespace_as_suffix=flag(trainer, 24, False),
        unk_surface=text(trainer, 44, " \u2047 "),
        special_pieces={
            "unk": text(trainer, 45, "<unk>"),
            "bos": text(trainer, 46, "<s>"),
            "eos": text(trainer, 47, "</s>"),
            "pad": text(trainer, 48, "<pad>"),
        },
        normalizer_name=text(normalizer, 1, ""),
        charsmap=_as_bytes(2, normalizer.get(2, b"")),
        add_dummy_prefix=flag(normalizer, 3, True),
        remove_extra_whitespaces=flag(normalizer, 4, True),
        escape_whitespaces=flag(normalizer, 5, True),
        has_denormalizer=bool(denormalizer and dict(_fields(denormalizer)).get(2)),
    )


def _parse_piece(data: bytes) -> Piece:
    values = dict(_fields(data))
    (score,) = struct.unpack("<f", _as_bytes(2, values.get(2, b"\0\0\0\0")))
    kind = values.get(3, NORMAL)
    if not isinstance(kind, int) or not NORMAL <= kind <= BYTE:
        raise ValueError(f"a piece has the unknown type {kind!r}")
    return Piece(_as_bytes(1, values.get(1, b"")).decode(), score, kind)


def _as_bytes(number: int, value: _Value) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError(f"field {number} holds a number where text or a message belongs")
    return value


def _fields(data: bytes) -> Iterator[tuple[int, _Value]]:
    """Yield (field number, value) of one message: an int for a varint, bytes for every other wire type."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        wire_type = key & 7
        if wire_type == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if wire_type == 2:
            size, at = _varint(data, at)
        elif wire_type in (1, 5):
            size = 8 if wire_type == 1 else 4
        else:
            raise ValueError(f"wire type {wire_type} at byte {at} is not part of the format")
        if at + size > len(data):
            raise ValueError(f"field {key >> 3} ends {at + size - len(data)} bytes after the end of the data")
        yield key >> 3, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return (value, next position) of the base-128 number at `at`."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ValueError("the data ends inside a number")
        byte, at = data[at], at + 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError(f"the number at byte {at} is longer than 64 bits")
