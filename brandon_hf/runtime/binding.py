"""`Engine`: a blob, run by the C engine."""

import codecs
import ctypes
import os
import re
import secrets
import threading
from array import array
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .info import describe
from .library import (
    ARENA_TOO_SMALL,
    BUFFER_TOO_SMALL,
    KERNELS,
    KV,
    OPTION,
    READ_FAILED,
    WEIGHTS,
    Options,
    Sampling,
    load,
)

Messages = Sequence[Mapping[str, str]]  # a chat: {"role", "content"} each
_LONGEST_TOKEN = 512  # bytes, of the engine
_MOST = 2**32 - 1


class Engine:
    """A blob in memory, with one context.

    What a call shares with the beginning of the context is not computed again. Several threads may call one engine, but
    what they evaluate takes turns in the one context; engines beside each other run in parallel. Ctrl-C stops a
    generation between two tokens. The memory is given back with the object.

    Args:
        path: A file of `brandon export`.
        context: Tokens that fit, by default as many as the model reads.
        kv: How keys and values are kept: float32, float16 or int8.
        kernel: best, portable, avx2 or avx512; all give the same bits.
        weights: resident (copied, fastest), in_place (used in the mapped file) or streamed (a block at a time).

    Raises:
        OSError: The file cannot be read, or the engine was not built here.
        ValueError: An option is none, or the blob is damaged; the message says what is wrong with it.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        context: int | None = None,
        kv: str = "float32",
        kernel: str = "best",
        weights: str = "resident",
    ):
        self._host = ctypes.c_void_p()
        self._library, self.path = load(), Path(path)
        options = Options(
            kv=_index("kv", kv, KV),
            kernel=_index("kernel", kernel, KERNELS),
            weights=_index("weights", weights, WEIGHTS),
        )
        if context is not None:
            options.context = _whole("context", context, 1, _MOST)
        ctypes.set_errno(0)
        status = self._library.bt_host_open(ctypes.byref(self._host), os.fsencode(path), ctypes.byref(options))
        if status == READ_FAILED and ctypes.get_errno():
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))
        if status == OPTION:
            raise ValueError(
                f"{path} cannot run with {context=}, {kernel=}, {weights=}: the context is longer than the model's, "
                "this processor lacks the kernel, or it needs resident weights"
            )
        if status == ARENA_TOO_SMALL:
            raise MemoryError(f"{path}: there is not enough memory")
        self._check(status)
        self._engine = self._library.bt_host_engine(self._host)
        found = self._library.bt_get_info(self._engine).contents
        self.info = describe(found, kv, weights, self.path.stat().st_size)
        self._ids: list[int] = []  # at least what the context begins with
        self._turn = 0  # counts what was evaluated: a generation notices that another call came between
        self._lock = threading.Lock()

    def __del__(self) -> None:
        if getattr(self, "_host", None):
            self._library.bt_host_close(self._host)

    def __repr__(self) -> str:
        return f"Engine({str(self.path)!r}, context={self.info.context}, kernel={self.info.kernel!r})"

    # --- text ---------------------------------------------------------------------------------------------------------

    def encode(self, text: str, specials: bool = True) -> list[int]:
        """The ids of a text, without bos. With `specials`, the spelling of a special token becomes that token.

        Raises:
            ValueError: A word of the text is longer than the tokenizer has room for.
        """
        data = text.encode("utf-8", "surrogatepass")
        with self._lock:
            return self._encode(data, specials)

    def decode(self, ids: Sequence[int], specials: bool = False) -> str:
        """The text of ids; special tokens give none unless `specials`. Wrong UTF-8 is replaced by U+FFFD.

        Raises:
            ValueError: An id is not in the vocabulary.
        """
        decoder = _Decoder(self, specials, begins=True)
        return "".join([*map(decoder.add, ids), decoder.end()])

    def chat_ids(self, messages: Messages) -> list[int]:
        """The ids of a chat up to where the assistant's answer begins. What is spelled in a message stays text.

        Raises:
            ValueError: The blob has no chat format, or a message is none.
        """
        parts: list[tuple[str, str | None]] = []
        for message in messages:
            role, content = message.get("role"), message.get("content")
            if not isinstance(role, str) or not re.fullmatch(r"\w{1,16}", role, re.ASCII):
                raise ValueError(f"role {role!r} must be a word: system, user or assistant")
            if not isinstance(content, str):
                raise ValueError(f"the content of a message must be text, not {content!r}")
            parts.append((role, content))
        parts.append(("assistant", None))
        ids: list[int] = []
        with self._lock:
            for number, (role, content) in enumerate(parts):
                data = None if content is None else content.encode("utf-8", "surrogatepass")
                capacity = 64 + (0 if data is None else len(self._encode(data, specials=False)))
                found, count = (ctypes.c_int32 * capacity)(), ctypes.c_uint32()
                self._check(
                    self._library.bt_chat(
                        *(self._engine, role.encode(), data, len(data or b""), number == 0),
                        *(found, capacity, ctypes.byref(count)),
                    )
                )
                ids += found[: count.value]
        return ids

    def is_stop(self, token_id: int) -> bool:
        """Whether generation ends with this token."""
        return bool(self._library.bt_is_stop(self._engine, token_id))

    # --- evaluation ---------------------------------------------------------------------------------------------------

    def logits(self, ids: Sequence[int]) -> "array[float]":
        """The logits after the last of the ids: `array("f")` of as many floats as the vocabulary has tokens.

        Raises:
            ValueError: There is no id, one is not in the vocabulary, or they do not fit into the context.
        """
        with self._lock:
            self._evaluate(self._checked(ids))
            return self._logits()

    def score(self, ids: Sequence[int]) -> tuple[list[float], list[bool]]:
        """Of each id but the first: its log-probability (nats) after those before it, and whether it is the greedy one.

        The last id is not evaluated, so one more fits than `info.context`.

        Raises:
            ValueError: There are fewer than two ids, one is not in the vocabulary, or they do not fit.
        """
        return self.score_after(ids[:1], ids[1:])

    def score_after(self, context: Sequence[int], target: Sequence[int]) -> tuple[list[float], list[bool]]:
        """As `score`, of the ids of `target` after `context`, which is not computed again if it was the last one too.

        Raises:
            ValueError: One of both is empty, an id is not in the vocabulary, or they do not fit.
        """
        if not len(context) or not len(target):
            raise ValueError(f"context and target must have an id each, not {len(context)} and {len(target)}")
        known = self._checked([*context, *target][:-1])
        last = self._checked(target[-1:])[0]
        with self._lock:
            self._evaluate(known[: len(context) - 1], again=False)
            rest = known[len(context) - 1 :]  # the context's last token gives the first log-probability
            scores, greedy = (ctypes.c_float * len(rest))(), (ctypes.c_uint8 * len(rest))()
            self._check(self._library.bt_score(self._engine, _ids(rest), len(rest), scores, greedy))
            self._ids += rest
            after = self._logits()
        of_last, is_best = _log_probability(after, last)
        return [*scores[:-1], of_last], [*map(bool, greedy[:-1]), is_best]

    # --- generation ---------------------------------------------------------------------------------------------------

    def generate(
        self, prompt: str | Sequence[int] | Messages, *, max_new_tokens: int | None = None, **sampling: Any
    ) -> Iterator[str]:
        """Continue a text or ids, or answer a chat: pieces of text as they are there, whole characters only.

        Args:
            prompt: A text, which begins with bos where the model's texts do; ids; or messages of a chat.
            max_new_tokens: Tokens to write at most; by default until the context is full.
            **sampling: As `generate_ids`.

        Raises:
            ValueError: At once, if an option is out of range or the prompt does not fit into the context.
        """
        ids = self.prompt_ids(prompt)
        chat = not isinstance(prompt, str) and isinstance(prompt[0], Mapping) if len(prompt) else False
        return self._text(self.generate_ids(ids, max_new_tokens=max_new_tokens, **sampling), begins=chat)

    def chat(self, messages: Messages, **options: Any) -> str:
        """The whole answer to a chat; options as `generate`."""
        return "".join(self.generate(messages, **options))

    def generate_ids(
        self,
        ids: Sequence[int],
        *,
        max_new_tokens: int | None = None,
        temperature: float = 0.0,
        top_k: int = 0,
        top_p: float = 1.0,
        min_p: float = 0.0,
        repetition_penalty: float = 1.0,
        no_repeat_ngram_size: int = 0,
        seed: int | None = None,
        stop: bool = True,
    ) -> Iterator[int]:
        """The ids that follow, a stop token included; it ends there, or where the context is full.

        Args:
            ids: Of the prompt.
            max_new_tokens: Tokens to write at most.
            temperature: 0 always takes the most probable token.
            top_k, top_p, min_p, repetition_penalty, no_repeat_ngram_size: As transformers' `generate`; by default off.
            seed: Makes sampling repeatable.
            stop: Whether to end at stop tokens.

        Raises:
            ValueError: At once, if an option is out of range or the prompt does not fit into the context.
            RuntimeError: Another call used the engine while this one was under way.
        """
        known = self._checked(ids)
        most = _MOST if max_new_tokens is None else _whole("max_new_tokens", max_new_tokens, 1, _MOST)
        options = Sampling(
            temperature=_between("temperature", temperature, 0, 1e6),
            top_k=_whole("top_k", top_k, 0, _MOST),
            top_p=_between("top_p", top_p, 1e-9, 1),
            min_p=_between("min_p", min_p, 0, 1),
            repetition_penalty=_between("repetition_penalty", repetition_penalty, 1e-6, 1e6),
            no_repeat_ngram=_whole("no_repeat_ngram_size", no_repeat_ngram_size, 0, _MOST),
            seed=secrets.randbits(64) if seed is None else _whole("seed", seed, 0, 2**64 - 1),
        )
        return self._generate(known, most, options, stop)

    def prompt_ids(self, prompt: str | Sequence[int] | Messages) -> list[int]:
        """The ids of what `generate` takes."""
        if isinstance(prompt, str):
            start = [self.info.bos] if self.info.add_bos and self.info.bos is not None else []
            return [*start, *self.encode(prompt)]
        items: list[Any] = list(prompt)
        return self.chat_ids(items) if items and isinstance(items[0], Mapping) else items

    def _generate(self, ids: list[int], most: int, options: Sampling, stop: bool) -> Iterator[int]:
        found = ctypes.c_int32()
        with self._lock:
            self._check(self._library.bt_set_sampling(self._engine, ctypes.byref(options)))
            self._evaluate(ids)
            turn = self._turn
        for number in range(most):
            with self._lock:
                if turn != self._turn:
                    raise RuntimeError("this engine was used for something else before the text was complete")
                if number:
                    self._evaluate([*self._ids, found.value], again=False)
                    turn = self._turn
                self._check(self._library.bt_sample(self._engine, ctypes.byref(found)))
            yield found.value
            if (stop and self.is_stop(found.value)) or self._library.bt_position(self._engine) >= self.info.context:
                return

    def _text(self, ids: Iterator[int], begins: bool) -> Iterator[str]:
        decoder = _Decoder(self, specials=False, begins=begins)
        for token_id in ids:
            if text := decoder.add(token_id):
                yield text
        if text := decoder.end():
            yield text

    # --- the library --------------------------------------------------------------------------------------------------

    def _encode(self, data: bytes, specials: bool) -> list[int]:
        capacity = len(data) + 16
        while True:
            ids, count = (ctypes.c_int32 * capacity)(), ctypes.c_uint32()
            status = self._library.bt_encode(
                self._engine, data, len(data), specials, ids, capacity, ctypes.byref(count)
            )
            if status != BUFFER_TOO_SMALL:
                self._check(status)
                return ids[: count.value]
            capacity = count.value

    def _checked(self, ids: Sequence[int]) -> list[int]:
        known = [int(token_id) for token_id in ids]
        if not 0 < len(known) <= self.info.context:
            raise ValueError(f"{len(known)} tokens do not fit: the context takes 1 to {self.info.context}")
        for token_id in known:
            if not 0 <= token_id < self.info.vocab_size:
                raise ValueError(f"token id {token_id} is not in the vocabulary of {self.info.vocab_size}")
        return known

    def _evaluate(self, ids: list[int], again: bool = True) -> None:
        """Let the context be these ids. With `again`, there are logits afterwards: the last is computed in any case."""
        library, self._turn = self._library, self._turn + 1
        shared = min(library.bt_position(self._engine), len(self._ids), len(ids) - again)
        if self._ids[:shared] != ids[:shared]:
            shared = next(at for at in range(shared) if self._ids[at] != ids[at])
        # in this order, so that an interrupt between two steps leaves `_ids` true
        del self._ids[shared:]
        self._check(library.bt_rewind(self._engine, shared))
        rest = ids[shared:]
        if rest:
            self._check(library.bt_eval(self._engine, _ids(rest), len(rest)))
            self._ids += rest

    def _logits(self) -> "array[float]":
        found = self._library.bt_logits(self._engine)
        assert found, "evaluated before"
        logits = array("f")
        logits.frombytes(ctypes.string_at(found, self.info.vocab_size * logits.itemsize))
        return logits

    def _check(self, status: int) -> None:
        if status:
            message = f"{self.path}: {self._library.bt_message(status).decode()}"
            raise OSError(message) if status == READ_FAILED else ValueError(message)


class _Decoder:
    """Ids to text, token after token; the bytes of a character wait for each other.

    Args:
        begins: Whether it is a text from its beginning, where SentencePiece has a space of its own.
    """

    def __init__(self, engine: Engine, specials: bool, begins: bool):
        self.engine, self.specials = engine, specials
        self._started = ctypes.c_int(not begins)
        self._bytes, self._count = ctypes.create_string_buffer(_LONGEST_TOKEN), ctypes.c_uint32()
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def add(self, token_id: int) -> str:
        """The text that is complete with this token."""
        status = self.engine._library.bt_decode_next(
            *(self.engine._engine, token_id, self.specials, ctypes.byref(self._started)),
            *(self._bytes, _LONGEST_TOKEN, ctypes.byref(self._count)),
        )
        if status:
            raise ValueError(f"token id {token_id} is not in the vocabulary of {self.engine.info.vocab_size}")
        return self._utf8.decode(self._bytes.raw[: self._count.value])

    def end(self) -> str:
        """What is left of a character that was never completed."""
        return self._utf8.decode(b"", final=True)


def _ids(ids: list[int]) -> Any:
    return (ctypes.c_int32 * len(ids))(*ids)


def _log_probability(logits: "array[float]", token_id: int) -> tuple[float, bool]:
    values = np.frombuffer(logits, np.float32).astype(np.float64)
    most = values.max()
    return float(values[token_id] - most - np.log(np.exp(values - most).sum())), bool(values[token_id] >= most)


def _index(name: str, value: str, names: Sequence[str]) -> int:
    if value not in names:
        raise ValueError(f"{name}={value!r} must be one of {', '.join(names)}")
    return names.index(value)


def _whole(name: str, value: int, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{name}={value!r} must be a whole number from {least} to {most}")
    return value


def _between(name: str, value: float, least: float, most: float) -> float:
    if not least <= value <= most:  # NaN too
        raise ValueError(f"{name}={value} must be from {least:g} to {most:g}")
    return value
