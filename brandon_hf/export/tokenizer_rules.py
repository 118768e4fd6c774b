"""The rules of docs/blob-format.md for a blob's tokenizer, which the writer and all readers enforce."""

import math
import re
from collections.abc import Sequence

import numpy as np
from tokenizers import pre_tokenizers

from brandon_hf.tokenization.sentencepiece_model import BYTE, NORMAL, UNKNOWN

from .layout import MAX_CHARSMAP_BYTES, MAX_MERGES, MAX_STOPS, MAX_TOKEN_BYTES
from .tokenizer import CHAT_FORMATS, BlobTokenizer

_ALPHABET = frozenset(pre_tokenizers.ByteLevel.alphabet())


def check_tokenizer(described: BlobTokenizer, stop_ids: Sequence[int], vocab_size: int) -> None:
    """Check a tokenizer and the ids that generation ends after.

    Raises:
        ValueError: It breaks a rule of the format; the message names the token, merge or value.
    """
    if len(described.tokens) != vocab_size:
        raise ValueError(f"it has {len(described.tokens)} tokens for vocab_size={vocab_size}")
    _check_ids(described, stop_ids, vocab_size)
    _check_tokens(described)
    if described.kind == "gpt2":
        _check_byte_level(described)
    else:
        _check_sentencepiece(described)


def _check_ids(described: BlobTokenizer, stop_ids: Sequence[int], vocab_size: int) -> None:
    if len(stop_ids) > MAX_STOPS:
        raise ValueError(f"stop_token_ids (eos_token_id) has {len(stop_ids)} ids; a blob holds {MAX_STOPS}")
    named = [(f"{name}_token_id", token_id) for name, token_id in described.ids.items()]
    for name, token_id in [*named, *(("stop_token_ids (eos_token_id)", token_id) for token_id in stop_ids)]:
        if not 0 <= token_id < vocab_size:
            raise ValueError(f"{name}: id {token_id} is outside the vocabulary of {vocab_size}")
    if described.add_bos and "bos" not in described.ids:
        raise ValueError("add_bos_token is true, but there is no bos_token_id")
    if described.chat_format not in ("none", CHAT_FORMATS[described.kind]):
        raise ValueError(
            f"chat_format is {described.chat_format!r}; a tokenizer of kind {described.kind} has "
            f"'none' or {CHAT_FORMATS[described.kind]!r}"
        )


def _check_tokens(described: BlobTokenizer) -> None:
    """Types and spellings of tokens."""
    types = described.types
    if len(types) != len(described.tokens):
        raise ValueError(f"token_type has {len(types)} entries for {len(described.tokens)} tokens")
    if len(set(described.tokens)) < len(described.tokens):
        raise ValueError("a token occurs twice")
    byte_level = described.kind == "gpt2"
    for text, kind in zip(described.tokens, types, strict=True):
        if not NORMAL <= kind <= BYTE or (byte_level and kind == BYTE):
            raise ValueError(f"token {text[:40]!r} has type {kind}, which none of kind {described.kind} has")
        if byte_level and kind == NORMAL and not _ALPHABET.issuperset(text):
            raise ValueError(f"token {text[:40]!r} is not spelled in GPT-2's byte alphabet")
        if kind == BYTE and not re.fullmatch("<0x[0-9A-F]{2}>", text):
            raise ValueError(f"token {text[:40]!r} of type {BYTE} is not spelled <0xHH>")
        size = len(text) if byte_level and kind == NORMAL else len(text.encode())
        if not 0 < size <= MAX_TOKEN_BYTES:
            raise ValueError(f"token {text[:40]!r} stands for {size} bytes, not 1 to {MAX_TOKEN_BYTES}")


def _check_byte_level(described: BlobTokenizer) -> None:
    if described.scores:
        raise ValueError(f"it has {len(described.scores)} scores, which a tokenizer of kind gpt2 has not")
    if len(described.merges) > MAX_MERGES:
        raise ValueError(f"it has {len(described.merges)} merges; a blob holds {MAX_MERGES}")
    normal = {text for text, kind in zip(described.tokens, described.types, strict=True) if kind == NORMAL}
    if missing := _ALPHABET - normal:
        raise ValueError(f"the tokenizer lacks {len(missing)} of the 256 bytes, {min(missing)!r} among them")
    if len(set(described.merges)) < len(described.merges):
        raise ValueError("a merge occurs twice")
    for merge in described.merges:
        left, _, right = merge.partition(" ")
        if not normal.issuperset((left, right, left + right)):
            raise ValueError(f"merge {merge[:80]!r} does not name two normal tokens that make a third")


def _check_sentencepiece(described: BlobTokenizer) -> None:
    if len(described.scores) != len(described.tokens):
        raise ValueError(f"it has {len(described.scores)} scores for {len(described.tokens)} tokens")
    if not all(map(math.isfinite, described.scores)):
        raise ValueError("a score is not finite")
    if described.types.count(UNKNOWN) != 1:
        raise ValueError(f"{described.types.count(UNKNOWN)} tokens have type {UNKNOWN}, unknown; there must be one")
    unknown = described.types.index(UNKNOWN)
    if described.ids.get("unknown", unknown) != unknown:
        raise ValueError(f"unknown_token_id is {described.ids['unknown']}, but token {unknown} has type {UNKNOWN}")
    if (count := described.types.count(BYTE)) not in (0, 256):
        raise ValueError(f"{count} tokens have type {BYTE}, byte; there must be 256 or none")
    if described.charsmap:
        _check_charsmap(described.charsmap)


def _check_charsmap(charsmap: bytes) -> None:
    """Check that no walk leaves the trie and that every value is a string."""
    size = int.from_bytes(charsmap[:4], "little")
    strings = len(charsmap) - 4 - size
    if len(charsmap) > MAX_CHARSMAP_BYTES:
        raise ValueError(f"precompiled_charsmap has {len(charsmap)} bytes; a blob holds {MAX_CHARSMAP_BYTES}")
    if len(charsmap) < 4 or size % 4 or not size or strings < 1 or charsmap[-1]:
        raise ValueError("precompiled_charsmap is not a trie of 32-bit units and strings that end in zero")
    units = np.frombuffer(charsmap, "<u4", size // 4, offset=4)
    inner = units >> 31 == 0
    bases = np.arange(len(units), dtype=np.uint32) ^ units >> 10 << (units >> 6 & 8)
    sound = inner[0] and bool(((bases | 255)[inner] < len(units)).all())
    leaves = units[bases[inner & (units >> 8 & 1 == 1)]] if sound else units[:0]
    if not sound or not ((leaves >> 31 == 1) & (leaves & 0x7FFFFFFF < strings)).all():
        raise ValueError("precompiled_charsmap has a trie that leads outside of itself")
