"""Read documents from local files, streaming: a compressed file is never in memory as a whole.

| ending | a record is |
|---|---|
| `.txt` | a piece of text between lines `<|endoftext|>`, or of the whole file if there are none |
| `.jsonl` | a line with a JSON object |
| `.json` | an item of one JSON list (read at once: JSON lists do not stream) |
| `.parquet` | a row |

Each also with `.gz`, `.xz` or `.zst` after it.
"""

import codecs
import glob
import gzip
import io
import json
import lzma
import random
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import pyarrow  # type: ignore[import-untyped]  # ships no types
import pyarrow.parquet  # type: ignore[import-untyped]  # ships no types
from tqdm import tqdm

Record: TypeAlias = dict[str, Any]
Located: TypeAlias = tuple[str, Record]  # where the record stands, in words, and the record

FORMATS = (".txt", ".jsonl", ".json", ".parquet")
TEXT_SEPARATOR = "<|endoftext|>"
TEXT_PIECE = (
    100_000  # characters: longer documents of a .txt file are cut, at the end of a paragraph where there is one
)
_MAX_OPEN_FILES = 32  # each open .xz file holds a dictionary of up to 64 MiB


def _zstd(path: Path) -> BinaryIO:
    return io.BufferedReader(pyarrow.input_stream(str(path), compression="zstd", buffer_size=1 << 18))


_OPENERS: dict[str, Callable[[Path], Any]] = {
    ".gz": gzip.open,
    ".xz": lzma.open,
    ".zst": _zstd,
}


def files_of(path: str) -> list[Path]:
    """The files that `path` - a file, a folder (with all below it) or a glob - stands for, sorted.

    In a folder, hidden files and files of other formats are passed over, and so is the test split of a data set whose
    training split lies beside it (`x_test.jsonl` beside `x_train.jsonl`): who wants to train on it has to name it.

    Raises:
        FileNotFoundError: nothing is there.
        ValueError: there is something, but no file of a known format.
    """
    root = Path(path).expanduser()
    if root.is_file():
        found = [root]
    elif root.is_dir():
        inside = (file for file in root.rglob("*") if file.is_file())
        found = [file for file in inside if not any(part.startswith(".") for part in file.relative_to(root).parts)]
        found = [file for file in found if _format(file)]
        training = {file for file in found if "train" in file.name}
        found = [file for file in found if file.with_name(file.name.replace("test", "train")) not in training - {file}]
    else:
        found = [Path(match) for match in glob.glob(str(root), recursive=True) if Path(match).is_file()]
        if not found:
            raise FileNotFoundError(f"{path}: there is no such file or folder, and no file matches it as a pattern")
    readable = f"{', '.join(FORMATS)}, also with {', '.join(_OPENERS)} after it"
    if not found:
        raise ValueError(f"{path}: this folder holds no file to read; readable are {readable}")
    if unknown := [file for file in found if not _format(file)]:
        raise ValueError(f"{unknown[0]}: unknown kind of file; readable are {readable}")
    return sorted(found)


def read_records(file: Path, text_column: str) -> Iterator[Located]:
    """The records of one file with the place of each; the pieces of a `.txt` file stand under `text_column`.

    Raises:
        OSError: the file cannot be read, or is corrupt or cut off.
        ValueError: invalid JSON or UTF-8, a record that is no mapping, or no record at all. Names file and line.
    """
    format_ = _format(file)
    read = {".txt": _read_text, ".jsonl": _read_jsonl, ".json": _read_json, ".parquet": _read_parquet}[format_]
    empty = True
    try:
        opener = _OPENERS.get(file.suffix.lower(), lambda path: path.open("rb"))
        with opener(file) as stream:
            for place, value in read(stream, file):
                empty = False
                record = {text_column: value} if format_ == ".txt" else value
                if not isinstance(record, dict):
                    raise ValueError(f"{place}: found {_shortened(record)}, not an object with named columns")
                yield place, record
    except (EOFError, lzma.LZMAError, zlib.error, pyarrow.ArrowException) as error:
        raise OSError(f"{file}: corrupt or cut off: {error}") from error
    except OSError as error:
        raise OSError(f"{file}: cannot be read: {error}") from error
    if empty:
        raise ValueError(f"{file}: the file is empty: it holds no document")


def check_columns(place: str, record: Record, columns: tuple[str, ...]) -> None:
    """See that the record at `place` has `columns`.

    Raises:
        ValueError: a column is missing; names those that are there.
    """
    if missing := [column for column in columns if column not in record]:
        raise ValueError(f"{place}: there is no column {missing[0]!r}; the columns are {', '.join(map(repr, record))}")


def mixed_records(files: list[Path], text_column: str, rng: random.Random) -> Iterator[Located]:
    """The records of several files in a random order that is representative from the start.

    The next record comes from a file drawn such that each file's share of the text is its share of the bytes on disk.
    At most 32 files are open at once: they are opened in an order drawn in proportion to their sizes.
    """
    sizes = {file: file.stat().st_size for file in files}
    # Exponential keys: sorting by them draws without replacement in proportion to the sizes (Efraimidis & Spirakis).
    waiting = sorted(files, key=lambda file: rng.expovariate(1) / max(sizes[file], 1), reverse=True)
    opened: list[_OpenFile] = []
    while waiting or opened:
        while waiting and len(opened) < _MAX_OPEN_FILES:
            file = waiting.pop()
            opened.append(_OpenFile(read_records(file, text_column), text_column, sizes[file]))
        chosen = rng.choices(opened, [file.estimated_records for file in opened])[0]
        yield chosen.record
        if not chosen.advance():
            opened.remove(chosen)


class _OpenFile:
    """A file that is being read, one record ahead, with the mean length of its records so far."""

    def __init__(self, records: Iterator[Located], text_column: str, size: int) -> None:
        self._records, self._text_column, self._size = records, text_column, size
        self._count = self._characters = 0
        self.advance()

    @property
    def estimated_records(self) -> float:
        return self._size * self._count / self._characters

    def advance(self) -> bool:
        """Go to the next record; False at the end."""
        record = next(self._records, None)
        if record is None:
            return False
        self.record = record
        text = record[1].get(self._text_column)
        self._count += 1
        self._characters += len(text) + 1 if isinstance(text, str) else 1
        return True


def check_files(files: list[Path], text_column: str, columns: tuple[str, ...]) -> None:
    """Read the first record of every file and see that it has `columns`. Raises what `read_records` raises."""
    for file in tqdm(files, desc="checking files", delay=1, leave=False):
        check_columns(*next(read_records(file, text_column)), columns)


def _format(file: Path) -> str:
    """The ending that says the format, or "" for an unknown one."""
    name = file.name.lower()
    for compression in _OPENERS:
        name = name.removesuffix(compression)
    return next((ending for ending in FORMATS if name.endswith(ending)), "")


def _read_text(stream: BinaryIO, file: Path) -> Iterator[tuple[str, str]]:
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    document, length, start, line = [""], 0, 1, 1  # start: line on which the document began
    # A "line" of readline is at most one piece long, so that a file without line ends does not fill the memory.
    while raw := stream.readline(TEXT_PIECE):
        text = _decoded(raw, decoder, f"{file}, line {line}").replace("\r\n", "\n")
        ended = text.strip() == TEXT_SEPARATOR
        if not ended:
            document.append(text)
            length += len(text)
        line += raw.endswith(b"\n")
        if not ended and length <= TEXT_PIECE:
            continue
        pieces = _pieces("".join(document))
        rest = "" if ended else pieces.pop()
        yield from ((f"{file}, from line {start}", piece.strip("\n")) for piece in pieces if piece.strip())
        document, length, start = [rest], len(rest), line
    _decoded(b"", decoder, f"{file}, line {line}", final=True)
    for piece in _pieces("".join(document)):
        if piece.strip():
            yield f"{file}, from line {start}", piece.strip("\n")


def _pieces(text: str) -> list[str]:
    """`text` in pieces of at most TEXT_PIECE characters, cut after a paragraph, a line, a word or anywhere."""
    pieces = []
    while len(text) > TEXT_PIECE:
        cuts = (text.rfind(end, TEXT_PIECE // 2, TEXT_PIECE) + len(end) for end in ("\n\n", "\n", " "))
        cut = next((cut for cut in cuts if cut > TEXT_PIECE // 2), TEXT_PIECE)
        pieces.append(text[:cut])
        text = text[cut:]
    return [*pieces, text]


def _read_jsonl(stream: BinaryIO, file: Path) -> Iterator[tuple[str, Any]]:
    for number, raw in enumerate(stream, 1):
        place = f"{file}, line {number}"
        line = _decoded(raw, codecs.getincrementaldecoder("utf-8-sig" if number == 1 else "utf-8")(), place, final=True)
        if line.strip():
            yield place, _parsed(line, place)


def _read_json(stream: BinaryIO, file: Path) -> Iterator[tuple[str, Any]]:
    text = _decoded(stream.read(), codecs.getincrementaldecoder("utf-8-sig")(), str(file), final=True)
    values = _parsed(text, str(file)) if text.strip() else []
    if not isinstance(values, list):
        raise ValueError(f"{file}: found {_shortened(values)}, not a JSON list; one object per line is .jsonl")
    yield from ((f"{file}, item {number}", value) for number, value in enumerate(values, 1))


def _read_parquet(stream: BinaryIO, file: Path) -> Iterator[tuple[str, Any]]:
    with tempfile.TemporaryFile() as unpacked:  # Parquet is read from its end, which a compressed stream cannot do
        if file.suffix.lower() in _OPENERS:
            shutil.copyfileobj(stream, unpacked, 1 << 20)
            unpacked.seek(0)
            stream = unpacked
        row = 0
        for batch in pyarrow.parquet.ParquetFile(stream).iter_batches(batch_size=256):
            for record in batch.to_pylist():
                row += 1
                yield f"{file}, row {row}", record


def _decoded(raw: bytes, decoder: codecs.IncrementalDecoder, place: str, final: bool = False) -> str:
    try:
        return decoder.decode(raw, final)
    except UnicodeDecodeError as error:
        found = error.object[error.start : error.end].hex(" ")
        raise ValueError(f"{place}: not valid UTF-8 (byte {found}); convert the file to UTF-8") from error


def _parsed(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{place}: not valid JSON ({error}): {_shortened(text.strip())}") from error


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
