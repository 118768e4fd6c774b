"""Conversations to train on: read from any of the usual schemas, weighted, split, tokenized with a mask."""

import difflib
import glob
import hashlib
import itertools
import logging
import math
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from .chat_schemas import COLUMNS, Message, messages_of
from .presets import presets
from .readers import Located, files_of, read_records

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

logger = logging.getLogger(__name__)

Encoded = tuple["np.ndarray[Any, Any]", "np.ndarray[Any, Any]"]  # token ids, assistant mask
Chat = dict[str, Any]  # {"messages": [{"role": ..., "content": ...}, ...], "source": ...}

BUILTINS = ("synthetic",)
_BATCH = 256  # chats tokenized at a time
_MARKUP = 10  # characters that the tokens around a message count for, when chats are joined


@dataclass(frozen=True)
class ChatSource:
    """One source of conversations: exactly one of `path`, `hub` and `builtin`.

    Attributes:
        path: a file, a folder or a glob of .jsonl, .json or .parquet files, also .gz, .xz or .zst of them.
        hub: the name of a data set on the Hub.
        builtin: "synthetic", the conversations this package generates.
        weight: share of the rows, relative to the other sources' weights (`weigh_chats`); None uses each row once.
        columns: what the columns are called here, {"question": "q", "answer": "a"}; only these are then read.
        max_rows: the first so many rows only.
        config, split: which part of a data set on the Hub.
        seed: of the built-in one.
        licence: recorded in the run's curation.json, for the model card.
    """

    path: str | None = None
    hub: str | None = None
    builtin: str | None = None
    weight: float | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    max_rows: int | None = None
    config: str | None = None
    split: str = "train"
    seed: int = 0
    licence: str | None = None

    def __post_init__(self) -> None:
        kinds = [kind for kind in ("path", "hub", "builtin") if getattr(self, kind) is not None]
        if len(kinds) != 1:
            found = " and ".join(kinds) or "none of them"
            raise ValueError(f"a chat source has exactly one of path, hub and builtin; found {found}")
        for key, kind, wanted in (
            ("path", str, "text"),
            ("hub", str, "text"),
            ("builtin", str, "text"),
            ("config", str, "text"),
            ("split", str, "text"),
            ("weight", (int, float), "a number"),
            ("max_rows", int, "a whole number"),
            ("seed", int, "a whole number"),
            ("licence", str, "text"),
            ("columns", Mapping, 'a mapping such as {"question": "q", "answer": "a"}'),
        ):
            value = getattr(self, key)
            if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
                raise ValueError(f"chat source {self.name}: {key}={value!r} must be {wanted}")
        if self.builtin is not None and self.builtin not in BUILTINS:
            raise ValueError(f"chat source: there is no builtin {self.builtin!r}; there is {', '.join(BUILTINS)}")
        if self.weight is not None and not (self.weight > 0 and math.isfinite(self.weight)):
            raise ValueError(f"chat source {self.name}: weight={self.weight} must be a positive number")
        if self.max_rows is not None and self.max_rows < 1:
            raise ValueError(f"chat source {self.name}: max_rows={self.max_rows} must be at least 1")
        for column in self.columns:
            if column not in COLUMNS:
                raise ValueError(
                    f"chat source {self.name}: columns maps {column!r}, which is none of {', '.join(COLUMNS)}; "
                    f"write our name first, then the file's: {{question: q}}"
                )

    @classmethod
    def from_recipe(cls, value: Any) -> "list[ChatSource]":
        """The sources a recipe's `value` stands for.

        A mapping holds the fields of `ChatSource`, or `preset` with `weight` and `max_rows`. A string is an existing
        path or glob, else the name of a preset, else "synthetic". A list holds any of these.

        Raises:
            ValueError: the value is nothing of this; an unknown key; a preset that does not exist.
        """
        if isinstance(value, list | tuple):
            if not value:
                raise ValueError("the list of chat sources is empty")
            return [source for item in value for source in cls.from_recipe(item)]
        if isinstance(value, ChatSource):
            return [value]
        if isinstance(value, str):
            return [cls._from_text(value)]
        if not isinstance(value, Mapping):
            raise ValueError(f"a chat source is a mapping, a path or the name of a preset, not {value!r}")
        known = ["preset", "weight", "max_rows"] if "preset" in value else [known.name for known in fields(cls)]
        for key in value:
            if key not in known:
                near = difflib.get_close_matches(str(key), known, 1)
                meant = f"; did you mean {near[0]}?" if near else f"; it takes {', '.join(known)}"
                raise ValueError(f"chat source {dict(value)}: unknown key {key!r}{meant}")
        if "preset" in value:
            rest = {key: item for key, item in value.items() if key != "preset"}
            return [cls._from_preset(value["preset"], **rest)]
        return [cls(**value)]

    @classmethod
    def _from_text(cls, text: str) -> "ChatSource":
        path = str(Path(text).expanduser())
        if text and (Path(path).exists() or glob.glob(path, recursive=True)):
            return cls(path=text)
        if text in presets("chat"):
            return cls._from_preset(text)
        if text in BUILTINS:
            return cls(builtin=text)
        raise ValueError(
            f"chat source {text!r} is no existing file, folder or glob (looked in {Path.cwd()}), no preset "
            f"({', '.join(presets('chat'))}) and not {', '.join(BUILTINS)}"
        )

    @classmethod
    def _from_preset(cls, name: Any, **options: Any) -> "ChatSource":
        known = presets("chat")
        if name not in known:
            raise ValueError(f"there is no chat preset {name!r}; choose one of {', '.join(known)}")
        where = {key: known[name][key] for key in ("hub", "config", "split") if key in known[name]}
        return cls(**where, **options)

    @property
    def name(self) -> str:
        """The source in a few words."""
        return " ".join(str(part) for part in (self.path or self.hub or self.builtin, self.config) if part)

    def chats(self) -> Iterator[Chat]:
        """Its conversations in order, normalised.

        Raises:
            OSError, ValueError: it cannot be read; a row is no conversation. Names the file, the line, what was found.
        """
        for place, row in itertools.islice(self._records(), self.max_rows):
            yield {"messages": messages_of(row, place, self.columns), "source": self.name}

    def _records(self) -> Iterator[Located]:
        if self.path is not None:
            for file in files_of(self.path):
                yield from read_records(file, "text")
        elif self.hub is not None:
            from datasets import load_dataset  # slow to import

            try:
                rows = load_dataset(self.hub, self.config, split=self.split, streaming=True)
                for number, row in enumerate(rows, 1):
                    yield f"{self.name}, split {self.split}, row {number}", row
            except (OSError, ValueError) as error:
                kind = OSError if isinstance(error, OSError) else ValueError
                raise kind(f"chat source {self.name}: the data set cannot be read from the Hub: {error}") from error
        else:
            from .synthetic import chats  # only who uses it pays for loading it

            for number, messages in enumerate(chats(self.seed), 1):
                yield f"synthetic chat {number}", {"messages": messages}


def load_chats(sources: Any) -> list[Chat]:
    """All conversations of the sources, each row once: {"messages": [{"role", "content"}, ...], "source": name}.

    The schema of each row is recognised by its columns: `messages`; ShareGPT's `conversations`; instruction, input,
    output (the input after a blank line); a question and an answer; a `system` column beside any of these goes first.
    Curate and split the result, then apply the sources' weights with `weigh_chats`.

    Args:
        sources: what `ChatSource.from_recipe` takes.

    Raises:
        OSError, ValueError: a source cannot be read or holds no row; a row is no conversation (names file, line and
            columns); a source stands there twice.
    """
    chats: list[Chat] = []
    with tqdm(desc="Reading chats", unit="chat", delay=1) as progress:
        for source in _distinct(ChatSource.from_recipe(sources)):
            before = len(chats)
            for chat in source.chats():
                chats.append(chat)
                progress.update()
            if len(chats) == before:
                raise ValueError(f"chat source {source.name} holds no conversation")
    return chats


def weigh_chats(chats: Sequence[Chat], sources: Any, seed: int = 0) -> list[Chat]:
    """Repeat or sample rows so that each source's share of the rows is its weight's share; the total stays the same.

    A source with more rows than its share loses some at random; one with fewer has each row as often as needed, some
    once more. Without weights the chats come back as they are. Order: by source; the trainer shuffles.

    Raises:
        ValueError: some sources have a weight and others none, or no row of a weighted source is left.
    """
    weights = {source.name: source.weight for source in _distinct(ChatSource.from_recipe(sources))}
    if missing := [name for name, weight in weights.items() if weight is None]:
        if len(missing) == len(weights):
            return list(chats)
        raise ValueError(f"chat source {missing[0]} has no weight and others have one; give every source a weight")
    total = sum(weight for weight in weights.values() if weight is not None)
    rng = random.Random(seed)
    weighed: list[Chat] = []
    for name, weight in weights.items():
        rows = [chat for chat in chats if chat["source"] == name]
        if not rows:
            raise ValueError(f"chat source {name} has weight={weight}, and none of its rows is left")
        whole, rest = divmod(max(1, round(len(chats) * (weight or 0) / total)), len(rows))
        weighed += rows * whole + rng.sample(rows, rest)
    return weighed


def join_chats(chats: Sequence[Chat], share: float, seed: int = 0, *, max_characters: int) -> list[Chat]:
    """Chats in random order, some of them one conversation: up to `share` of them go on from the chat before.

    For models that are to answer what is asked last, whatever was said before. A chat with a system message stays
    alone, and no conversation grows over `max_characters`, in which each message counts `_MARKUP` more. What follows
    the last answer of a chat is left out where another goes on. Where chats join, "source" is the first one's.

    Raises:
        ValueError: `share` is not in [0, 1).
    """
    if not 0 <= share < 1:
        raise ValueError(f"share={share} must be at least 0 and below 1")
    if not share:
        return list(chats)
    rng = random.Random(f"{seed}/join")
    joined: list[Chat] = []
    room = -1
    for chat in rng.sample(chats, len(chats)):
        messages = chat["messages"]
        length = sum(len(message["content"]) + _MARKUP for message in messages)
        alone = any(message["role"] == "system" for message in messages)
        if not alone and length <= room and messages[0]["role"] == "user" and rng.random() < share:
            before = joined[-1]["messages"]
            joined[-1] = {**joined[-1], "messages": [*before[: _answer_ends(before)[-1]], *messages]}
            room -= length
        else:
            joined.append(chat)
            room = -1 if alone or not _answer_ends(messages) else max_characters - length
    return joined


def split_chats(chats: Sequence[Chat], fraction: float) -> tuple[list[Chat], list[Chat]]:
    """Training and validation chats; chats with the same first question are never on both sides.

    The side is decided by a hash of the first user message (case and spaces aside), so a question keeps its side when
    other data joins. About `fraction` of the questions, and at least one, is for validation.

    Raises:
        ValueError: `fraction` is not in [0, 1), or there are not two questions to split.
    """
    if not 0 <= fraction < 1:
        raise ValueError(f"fraction={fraction} must be at least 0 and below 1")
    if fraction == 0:
        return list(chats), []
    hashes = [_question_hash(chat["messages"]) for chat in chats]
    ordered = sorted(set(hashes))
    if len(ordered) < 2:
        raise ValueError(f"fraction={fraction} needs at least two different questions to split; found {len(ordered)}")
    count = sum(value < fraction for value in ordered)
    last = ordered[min(max(count, 1), len(ordered) - 1) - 1]
    sides: tuple[list[Chat], list[Chat]] = ([], [])
    for chat, value in zip(chats, hashes, strict=True):
        sides[value <= last].append(chat)
    return sides


def tokenize_chats(chats: Sequence[Chat], tokenizer: "PreTrainedTokenizerBase", max_length: int) -> "Dataset":
    """Tokenize whole conversations.

    A chat of more than `max_length` tokens loses its last exchanges; turns after the last answer go too. A chat of
    which not even the first exchange fits is left out, and so is one whose text holds a special token (`<|im_end|>`
    inside a message would end the turn); how many is logged as a warning.

    Returns:
        A data set with the columns `input_ids` and `assistant_masks`: 1 exactly on the assistant's words and the
        `<|im_end|>` after them.

    Raises:
        ValueError: the tokenizer has no chat template, or one without `{% generation %}`; a row without an answer;
            no row is left.
    """
    from datasets import Dataset, Features, Sequence, Value  # slow to import

    if not re.search(r"{%-?\s*generation\b", str(tokenizer.chat_template)):
        raise ValueError("the tokenizer needs a chat template with {% generation %} around the assistant's words")
    columns: dict[str, list[Any]] = {"input_ids": [], "assistant_masks": []}
    too_long = forged = 0
    with tqdm(total=len(chats), desc="Tokenizing chats", unit="chat", delay=1) as progress:
        for start in range(0, len(chats), _BATCH):
            rows = []
            for number, chat in enumerate(chats[start : start + _BATCH], start):
                messages = chat["messages"]
                if any(token in message["content"] for message in messages for token in tokenizer.all_special_tokens):
                    forged += 1
                elif not (ends := _answer_ends(messages)):
                    raise ValueError(f"row {number}: there is no assistant's answer to learn: {messages!s:.80}")
                else:
                    rows.append((number, messages[: ends[-1]]))
            for (number, messages), (ids, mask) in zip(
                rows, _encoded([row[1] for row in rows], tokenizer), strict=True
            ):
                if len(ids) > max_length:
                    ids, mask = _shortened(messages, tokenizer, max_length)
                if not len(ids):
                    too_long += 1
                    continue
                if not mask.any():
                    raise ValueError(f"row {number}: the chat template marks no token as the assistant's")
                columns["input_ids"].append(ids)
                columns["assistant_masks"].append(mask)
            progress.update(min(_BATCH, len(chats) - start))
    if too_long or forged:
        logger.warning(
            "%d of %d chats left out: the first exchange of %d is over max_length=%d tokens, the text of %d holds a "
            "special token",
            too_long + forged,
            len(chats),
            too_long,
            max_length,
            forged,
        )
    if not columns["input_ids"]:
        raise ValueError(f"none of {len(chats)} chats can be used at max_length={max_length} tokens")
    features = Features({"input_ids": Sequence(Value("int32")), "assistant_masks": Sequence(Value("int8"))})
    return Dataset.from_dict(columns, features=features)


def _distinct(sources: list[ChatSource]) -> list[ChatSource]:
    seen: set[str] = set()
    for source in sources:
        if source.name in seen:
            raise ValueError(f"chat source {source.name} stands there twice; give it a larger weight instead")
        seen.add(source.name)
    return sources


def _question_hash(messages: list[Message]) -> float:
    """A number in [0, 1) that the first user message decides."""
    question = next((message["content"] for message in messages if message["role"] == "user"), "")
    digest = hashlib.sha256(" ".join(question.lower().split()).encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def _answer_ends(messages: list[Message]) -> list[int]:
    """Where the chat can end: after each answer to a user."""
    ends = [at + 1 for at, message in enumerate(messages) if message["role"] == "assistant"]
    first_question = next((at for at, message in enumerate(messages) if message["role"] == "user"), len(messages))
    return [end for end in ends if end > first_question + 1] or ends[:1]


def _shortened(messages: list[Message], tokenizer: "PreTrainedTokenizerBase", max_length: int) -> Encoded:
    """As many exchanges as fit; empty if the first does not."""
    best: Encoded = (np.empty(0, np.int32), np.empty(0, np.int8))
    ends = _answer_ends(messages)
    low, high = 0, len(ends)  # the first `low` ends fit, from `high` on they do not
    while low < high:
        middle = (low + high) // 2
        (encoded,) = _encoded([messages[: ends[middle]]], tokenizer)
        if len(encoded[0]) <= max_length:
            low, best = middle + 1, encoded
        else:
            high = middle
    return best


def _encoded(chats: list[list[Message]], tokenizer: "PreTrainedTokenizerBase") -> Iterator[Encoded]:
    """Token ids and assistant mask of each chat."""
    if not chats:
        return
    encoded: Any = tokenizer.apply_chat_template(
        chats, return_dict=True, return_assistant_tokens_mask=True, tokenizer_kwargs={"verbose": False}
    )
    for ids, mask in zip(encoded["input_ids"], encoded["assistant_masks"], strict=True):
        yield np.asarray(ids, dtype=np.int32), np.asarray(mask, dtype=np.int8)
