"""Where pretraining text comes from: local files, data sets of the Hub, what this package generates."""

import difflib
import glob
import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

from .presets import presets
from .readers import Located, Record, check_columns, check_files, files_of, mixed_records

BUILTINS = ("synthetic", "primer")
_BUFFER_DOCUMENTS, _BUFFER_CHARACTERS = 10_000, 16_000_000  # the shuffle buffer of a source, whichever is full first
STRAIGHT_QUOTES = str.maketrans(
    {"\u2018": "'", "\u2019": "'", "\u201b": "'", "\u201c": '"', "\u201d": '"', "\u201f": '"'}
)
_ABOUT_PRESETS = ("columns", "note")  # what presets.yaml says beyond the fields of a source


class Document(NamedTuple):
    """A text and its length in UTF-8."""

    text: str
    bytes: int


@dataclass(frozen=True)
class Source:
    """One source of a mixture: exactly one of `path`, `hub` and `builtin`.

    Attributes:
        path: a file, a folder or a glob of .txt, .jsonl, .json or .parquet files, also .gz, .xz or .zst of them. A
            relative path starts at the working directory.
        hub: the name of a data set on the Hub, read by streaming.
        builtin: "synthetic", text about a small world, or "primer", elementary facts and sums; they never end.
        weight: share of the mixture in tokens, relative to the other sources' weights.
        text_column: the column (or JSON key) that holds the text; .txt files have no columns.
        config, split: which part of a data set on the Hub.
        seed: of the built-in corpus.
        filters: column -> the value, the list of values, or {min: ..., max: ...} that lets a record pass.
        straight_quotes: whether typographic quotation marks and apostrophes become straight ones.
        min_characters, max_characters: shorter and longer documents are left out.
        licence: recorded in the corpus's manifest, for the model card.
    """

    path: str | None = None
    hub: str | None = None
    builtin: str | None = None
    weight: float = 1.0
    text_column: str = "text"
    config: str | None = None
    split: str = "train"
    seed: int = 0
    filters: Mapping[str, Any] = field(default_factory=dict)
    straight_quotes: bool = False
    min_characters: int = 0
    max_characters: int | None = None
    licence: str | None = None

    def __post_init__(self) -> None:
        kinds = [name for name in ("path", "hub", "builtin") if getattr(self, name) is not None]
        if len(kinds) != 1:
            found = " and ".join(kinds) or "none of them"
            raise ValueError(f"a source has exactly one of path, hub and builtin; found {found}")
        for name, kind, wanted in (
            ("path", str, "text"),
            ("hub", str, "text"),
            ("builtin", str, "text"),
            ("config", str, "text"),
            ("text_column", str, "text"),
            ("split", str, "text"),
            ("weight", (int, float), "a number"),
            ("seed", int, "a whole number"),
            ("filters", Mapping, "a mapping of columns"),
            ("straight_quotes", bool, "true or false"),
            ("min_characters", int, "a whole number"),
            ("max_characters", int, "a whole number"),
        ):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)):
                raise ValueError(f"source {self.name}: {name}={value!r} must be {wanted}")
        if not (self.weight > 0 and math.isfinite(self.weight)):
            raise ValueError(f"source {self.name}: weight={self.weight} must be a positive number")
        if self.builtin is not None and self.builtin not in BUILTINS:
            raise ValueError(f"source: there is no builtin {self.builtin!r}; there is {', '.join(BUILTINS)}")
        if self.max_characters is not None and self.max_characters < max(self.min_characters, 1):
            raise ValueError(
                f"source {self.name}: no document passes min_characters={self.min_characters} and "
                f"max_characters={self.max_characters}"
            )
        for column, wanted_value in self.filters.items():
            if isinstance(wanted_value, Mapping) and (not wanted_value or wanted_value.keys() - {"min", "max"}):
                raise ValueError(
                    f"source {self.name}: filter {column!r}: {dict(wanted_value)} must have the keys min, max or both"
                )

    @classmethod
    def from_recipe(cls, value: Any) -> "list[Source]":
        """The sources a recipe's `value` stands for.

        A mapping holds the fields of `Source`, or `preset` and `weight`. A string is an existing path or glob, else the
        name of a preset, else "synthetic" or "primer". A list holds any of these. The sources of a preset share its
        weight.

        Raises:
            ValueError: the value is nothing of this; an unknown key; a preset that does not exist.
        """
        if isinstance(value, list):
            if not value:
                raise ValueError("the list of sources is empty")
            return [source for item in value for source in cls.from_recipe(item)]
        if isinstance(value, Source):
            return [value]
        if isinstance(value, str):
            return cls._from_text(value)
        if not isinstance(value, Mapping):
            raise ValueError(f"a source is a mapping, a path or the name of a preset, not {value!r}")
        if "preset" in value:
            if unknown := sorted(map(str, value.keys() - {"preset", "weight"})):
                raise ValueError(f"source {dict(value)}: beside preset stands only weight, not {', '.join(unknown)}")
            return _preset(value["preset"], value.get("weight", 1.0))
        known = {known.name for known in fields(cls)}
        for key in value:
            if key not in known:
                near = difflib.get_close_matches(str(key), known, 1)
                meant = f"; did you mean {near[0]}?" if near else f"; a source has {', '.join(sorted(known))}"
                raise ValueError(f"source {dict(value)}: unknown key {key!r}{meant}")
        return [cls(**value)]

    @classmethod
    def _from_text(cls, text: str) -> "list[Source]":
        path = str(Path(text).expanduser())
        if text and (Path(path).exists() or glob.glob(path, recursive=True)):
            return [cls(path=text)]
        if text in presets("pretrain"):
            return _preset(text, 1.0)
        if text in BUILTINS:
            return [cls(builtin=text)]
        raise ValueError(
            f"source {text!r} is no existing file, folder or glob (looked in {Path.cwd()}), no preset "
            f"({', '.join(presets('pretrain'))}) and not {', '.join(BUILTINS)}"
        )

    @property
    def name(self) -> str:
        """The source in a few words."""
        return " ".join(filter(None, (self.path or self.hub or self.builtin, self.config)))

    @property
    def endless(self) -> bool:
        """Whether it never runs out."""
        return self.builtin is not None

    def inputs(self) -> dict[str, Any]:
        """What determines its documents, as plain values: the options, and name and size of each file."""
        values = {key: value for key, value in asdict(self).items() if key not in ("path", "licence")}
        if self.path is not None:
            root = Path(self.path).expanduser()
            base = root if root.is_dir() else root.parent
            values["files"] = {
                file.relative_to(base).as_posix() if file.is_relative_to(base) else file.as_posix(): file.stat().st_size
                for file in files_of(self.path)
            }
        return values

    def check(self) -> None:
        """Read the first record of every file (or of the data set) and see that the columns are there.

        Raises:
            OSError, ValueError: it cannot be read; names the file, the line and what was found.
        """
        columns = (self.text_column, *self.filters)
        if self.path is not None:
            files = files_of(self.path)
            if self.filters and (plain := [file for file in files if ".txt" in file.suffixes]):
                raise ValueError(f"source {self.name}: filters need columns, and {plain[0]} has none")
            check_files(files, self.text_column, columns)
        elif self.hub is not None:
            first = next(self._hub_records(self.hub, seed=None), None)
            if first is None:
                raise ValueError(f"source {self.name}: split {self.split!r} is empty")
            check_columns(*first, columns)

    def documents(self, seed: int | str) -> "Iterator[Document | None]":
        """One pass over the documents in an order shuffled by `seed`; None in place of each record that is left out.

        Files of a folder are mixed from the start (`readers.mixed_records`), documents shuffled in a buffer.

        Raises:
            OSError, ValueError: as `check`, for what is found later.
        """
        rng = random.Random(seed)
        return shuffled((self._document(place, record) for place, record in self._records(rng)), rng)

    def _records(self, rng: random.Random) -> Iterator[Located]:
        if self.path is not None:
            return mixed_records(files_of(self.path), self.text_column, rng)
        if self.hub is not None:
            return self._hub_records(self.hub, seed=rng.getrandbits(32))
        texts = self._generated()
        return ((f"{self.builtin} document {number}", {"text": text}) for number, text in enumerate(texts, 1))

    def _generated(self) -> Iterator[str]:
        if self.builtin == "synthetic":
            from .synthetic import documents  # only who uses it pays for loading it

            return documents(self.seed)
        from .derived import every_prompt, primer

        return primer.documents(self.seed, every_prompt())

    def _hub_records(self, hub: str, seed: int | None) -> Iterator[Located]:
        from datasets import load_dataset  # slow to import

        try:
            dataset = load_dataset(hub, self.config, split=self.split, streaming=True)
            if seed is not None:
                dataset = dataset.shuffle(seed=seed, buffer_size=1)  # the order of its files; ours is the buffer
            for number, record in enumerate(dataset, 1):
                yield f"{self.name}, split {self.split}, row {number}", record
        except (OSError, ValueError) as error:
            kind = OSError if isinstance(error, OSError) else ValueError
            raise kind(f"source {self.name}: the data set cannot be read from the Hub: {error}") from error

    def _document(self, place: str, record: Record) -> Document | None:
        check_columns(place, record, (self.text_column,))
        text = record[self.text_column]
        if text is None:
            return None
        if not isinstance(text, str):
            raise ValueError(f"{place}: column {self.text_column!r} holds {type(text).__name__} {text!r:.60}, not text")
        if self.straight_quotes:
            text = text.translate(STRAIGHT_QUOTES)
        if not self.min_characters <= len(text) <= (self.max_characters or math.inf) or not text.strip():
            return None
        if not all(_passes(record.get(column), wanted, column, place) for column, wanted in self.filters.items()):
            return None
        try:
            return Document(text, len(text.encode()))
        except UnicodeEncodeError as error:
            found = f"U+{ord(error.object[error.start]):04X}"
            raise ValueError(f"{place}: the text holds {found}, half of a surrogate pair: not valid Unicode") from error


def shuffled(documents: "Iterator[Document | None]", rng: random.Random) -> "Iterator[Document | None]":
    """`documents` in a random order: each leaves a buffer of some 16 million characters at random."""
    buffer: list[Document] = []
    characters = 0
    for document in documents:
        if document is None:
            yield None
            continue
        buffer.append(document)
        characters += len(document.text)
        while characters > _BUFFER_CHARACTERS or len(buffer) > _BUFFER_DOCUMENTS:
            chosen = rng.randrange(len(buffer))
            buffer[chosen], buffer[-1] = buffer[-1], buffer[chosen]
            characters -= len(buffer[-1].text)
            yield buffer.pop()
    rng.shuffle(buffer)
    yield from buffer


def _preset(name: Any, weight: float) -> list[Source]:
    known = presets("pretrain")
    if name not in known:
        raise ValueError(f"there is no preset {name!r}; choose one of {', '.join(known)}")
    if isinstance(weight, bool) or not isinstance(weight, int | float):
        raise ValueError(f"preset {name}: weight={weight!r} must be a number")
    sources = [
        Source(**{key: value for key, value in item.items() if key not in _ABOUT_PRESETS})
        for item in known[name]["sources"]
    ]
    total = sum(source.weight for source in sources)
    return [replace(source, weight=source.weight * weight / total) for source in sources]


def _passes(value: Any, wanted: Any, column: str, place: str) -> bool:
    if isinstance(wanted, Mapping):
        if value is None:
            return False
        try:
            return bool(wanted.get("min", value) <= value <= wanted.get("max", value))
        except TypeError as error:
            raise ValueError(f"{place}: {column}={value!r} cannot be compared with {dict(wanted)}") from error
    return value in wanted if isinstance(wanted, list | tuple) else value == wanted
