"""The C engine's tokenizer as a Python object, and texts that a tokenizer is likely to get wrong."""

import ctypes
import dataclasses
import functools
import gzip
import json
import lzma
import os
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import strategies as st
from test_tokenizer_import import TEXTS, TRICKY

from brandon_hf.export.tokenizer import BlobTokenizer

ENGINE = Path(__file__).resolve().parents[1] / "brandon_hf/runtime/engine"
PARTS_OF_TOKENIZER = ("math", "reader", "tokenizer", "bytelevel", "sentencepiece")
FLAGS = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-O3", "-ffp-contract=off", "-fPIC", "-shared"]
TOKEN_STRING, TOKEN_ID, TOKEN_TYPE, MERGE, BYTE_MISSING, SCORE, CHARSMAP = range(23, 30)
TRUNCATED, READ_FAILED, TOO_LARGE = 6, 1, 30
ARENA_TOO_SMALL, BAD_TOKEN, BUFFER_TOO_SMALL, WORD_TOO_LONG = 40, 43, 44, 45

# Opens a tokenizer from the arrays of a blob, in memory of exactly the measured size.
SHIM = r"""
#include <stdlib.h>
#include <string.h>
#include "engine.h"

static int read_copy(void *context, uint64_t offset, void *to, uint32_t count) {
    const bt_source *memory = context;
    if (offset >= memory->size || count > memory->size - offset) return 0;
    memcpy(to, memory->data + offset, count);
    return 1;
}

uint64_t steps;
void __sanitizer_cov_trace_pc(void);
void __sanitizer_cov_trace_pc(void) { steps++; }

typedef struct { bt_tokenizer *tokenizer; void *memory; uint64_t bytes; } opened;

int open_tokenizer(const uint8_t *data, uint64_t size, const uint64_t *numbers, int by_callback, double part,
                   opened *made) {
    bt_source memory = {size, data, NULL, NULL};
    bt_blob blob = {0};
    bt_span *spans[] = {&blob.tokens, &blob.token_types, &blob.merges, &blob.scores, &blob.charsmap};
    bt_options options = {0};
    blob.source = memory;
    if (by_callback) blob.source = (bt_source){size, NULL, read_copy, &memory};
    blob.vocab = (uint32_t)numbers[0];
    blob.sentencepiece = (int)numbers[1];
    blob.unknown = (int32_t)numbers[2];
    blob.add_space_prefix = (int)numbers[3];
    blob.remove_extra_whitespaces = (int)numbers[4];
    options.longest_word = (uint32_t)numbers[5];
    for (int i = 0; i < 5; i++) *spans[i] = (bt_span){numbers[6 + 3 * i], numbers[7 + 3 * i], numbers[8 + 3 * i]};
    bt_arena arena = {NULL, 0, 0};
    bt_status status = bt_tokenizer_open(&made->tokenizer, &blob, &options, &arena);
    if (status) return (int)status;
    made->bytes = arena.used;
    arena = (bt_arena){malloc(made->bytes), 0, (size_t)(part * (double)made->bytes)};
    made->memory = arena.base;
    status = bt_tokenizer_open(&made->tokenizer, &blob, &options, &arena);
    if (status || arena.used > made->bytes) free(arena.base);
    return status ? (int)status : arena.used > made->bytes ? -1 : 0;
}

void close_tokenizer(opened *made) { free(made->memory); }
"""


@functools.cache
def library() -> ctypes.CDLL:
    """The engine's tokenizer, compiled once; `steps` counts what it does."""
    compiler = shutil.which(os.environ.get("CC", "gcc")) or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    with tempfile.TemporaryDirectory() as folder:
        shim, built = Path(folder) / "shim.c", Path(folder) / "tokenizer.so"
        shim.write_text(SHIM)
        sources = [str(ENGINE / f"{name}.c") for name in PARTS_OF_TOKENIZER]
        counted = ["-fsanitize-coverage=trace-pc", "-c"]  # calls the shim in each basic block
        subprocess.run([compiler, *FLAGS, *counted, *sources], cwd=folder, check=True)
        objects = [f"{name}.o" for name in PARTS_OF_TOKENIZER]
        subprocess.run([compiler, *FLAGS, f"-I{ENGINE}", *objects, "shim.c", "-o", built], cwd=folder, check=True)
        return ctypes.CDLL(str(built))


def steps_of(described: BlobTokenizer) -> int:
    """Basic blocks of the engine that opening a tokenizer goes through: a time that is the same on every machine."""
    steps = ctypes.c_uint64.in_dll(library(), "steps")
    before = steps.value
    Engine(described)
    return steps.value - before


class Opened(ctypes.Structure):
    _fields_ = [("tokenizer", ctypes.c_void_p), ("memory", ctypes.c_void_p), ("bytes", ctypes.c_uint64)]


class Refused(Exception):
    """A call gave this status."""

    def __init__(self, status: int, count: int = 0) -> None:
        super().__init__(status)
        self.status, self.count = status, count


class Engine:
    """A tokenizer in the C engine."""

    def __init__(self, described: BlobTokenizer, longest_word=0, by_callback=False, part=1.0, **spans):
        self.library, self.opened = library(), Opened()
        data, numbers = pack(described, longest_word, spans)
        array = (ctypes.c_uint64 * len(numbers))(*(number % 2**64 for number in numbers))
        self.data = ctypes.create_string_buffer(data, len(data))
        status = self.library.open_tokenizer(
            self.data, ctypes.c_uint64(len(data)), array, by_callback, ctypes.c_double(part), ctypes.byref(self.opened)
        )
        if status:
            self.opened.memory = None
            raise Refused(status)

    def __del__(self):
        if self.opened.memory:
            self.library.close_tokenizer(ctypes.byref(self.opened))

    def encode(self, text: str | bytes, specials: bool = True, capacity: int | None = None) -> list[int]:
        data = text.encode() if isinstance(text, str) else text
        capacity = 32 * len(data) + 1 if capacity is None else capacity
        ids, count = (ctypes.c_int32 * capacity)(), ctypes.c_uint32()
        status = self.library.bt_tokenizer_encode(
            ctypes.c_void_p(self.opened.tokenizer),
            *(data, ctypes.c_size_t(len(data)), specials, ids, capacity, ctypes.byref(count)),
        )
        if status:
            raise Refused(status, count.value)
        return ids[: count.value]

    def decode(self, ids: list[int], specials: bool = True, started: bool = False, capacity: int = 512) -> bytes:
        text, count, state = ctypes.create_string_buffer(512), ctypes.c_uint32(), ctypes.c_int(started)
        made = b""
        for token in ids:
            status = self.library.bt_tokenizer_decode(
                ctypes.c_void_p(self.opened.tokenizer),
                *(token, specials, ctypes.byref(state), text, capacity, ctypes.byref(count)),
            )
            if status:
                raise Refused(status, count.value)
            made += text.raw[: count.value]
        return made


def pack(described: BlobTokenizer, longest_word: int, changed_spans) -> tuple[bytes, list[int]]:
    """The arrays as they stand in a blob, and the numbers that the shim takes."""

    def strings(texts) -> bytes:
        encoded = [text if isinstance(text, bytes) else text.encode() for text in texts]
        return b"".join(struct.pack("<Q", len(text)) + text for text in encoded)

    arrays = {
        "tokens": (len(described.tokens), strings(described.tokens)),
        "types": (len(described.types), struct.pack(f"<{len(described.types)}i", *described.types)),
        "merges": (len(described.merges), strings(described.merges)),
        "scores": (len(described.scores), struct.pack(f"<{len(described.scores)}f", *described.scores)),
        "charsmap": (len(described.charsmap), described.charsmap),
    }
    data, spans = b"odd", []
    for name, (count, content) in arrays.items():
        spans += changed_spans.get(name, [len(data), count, len(content)])
        data += content
    flags = [described.add_space_prefix, described.remove_extra_whitespaces]
    head = [len(described.tokens), described.kind == "llama", described.ids.get("unknown", -1), *flags, longest_word]
    return data, [int(number) for number in head] + spans


def status_of(call, *arguments, **named) -> int:
    with pytest.raises(Refused) as refused:
        call(*arguments, **named)
    return refused.value.status


# --- texts ------------------------------------------------------------------------------------------------------------

CORPUS = [
    *TEXTS,
    "Once upon a time there was a little cat named Tom. He didn't like the rain, and it rained every day. " * 2,
    "def f(x):\n    return x ** 2  # square\n\n\nprint(f(10_000))\t\t\r\n",
    "=" * 80 + "\n" + "-" * 33 + "1999-12-31 23:59",
]
SPECIALS = ["<|pad|>", "<|bos|>", "<|eos|>", "<|im_start|>", "<|im_end|>"]
PARTS = [
    *TRICKY,
    *SPECIALS,
    *("<|im_start|", "<|im_", "<<|bos|>", "|>>", "don't", "'", "''", "'s", " 'a", " '", "a'b'c'", "_", "\x7f", "\x80"),
    *("\x00\x00", " \t", "\t ", "  (", " (", "=" * 40, "ab" * 20, "é'é", "12", " 1", "\u00a0", "Once upon", "\x0b"),
    *("\U0010ffff", TEXTS[0], "over the lazy", " brown fox "),
]
texts = st.one_of(st.text(), st.lists(st.sampled_from(PARTS), max_size=12).map("".join))


def documents(folder: Path, each: int):
    """The beginnings of the first texts of every file of the shared data."""
    if not folder.is_dir():
        pytest.skip(f"no real text: {folder} does not exist")
    for path in sorted(folder.rglob("*.jsonl.*")):
        with (lzma if path.suffix == ".xz" else gzip).open(path, "rt", encoding="utf-8") as lines:
            for _, line in zip(range(each), lines, strict=False):
                yield "\n".join(value for value in json.loads(line).values() if isinstance(value, str))[:3000]


# --- damage -----------------------------------------------------------------------------------------------------------


def with_token(described: BlobTokenizer, index: int, text) -> BlobTokenizer:
    tokens = list(described.tokens)
    tokens[index] = text
    return dataclasses.replace(described, tokens=tokens)


def with_type(described: BlobTokenizer, index: int, kind: int) -> BlobTokenizer:
    types = list(described.types)
    types[index] = kind
    return dataclasses.replace(described, types=types)
