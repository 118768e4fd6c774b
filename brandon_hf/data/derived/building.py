"""Chats of several kinds in one stream, mixed, without repeats and without requests that are held out."""

import difflib
import gzip
import io
import json
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import yaml
from tqdm import tqdm

from brandon_hf.data.readers import files_of, read_records
from brandon_hf.files import file_written_aside

from .held_out import HeldOut
from .wording import Chat

DEFAULT_ROWS = 60_000
_GIVE_UP = 400  # rejected chats in a row after which a kind counts as exhausted

_AS_STATED = "as stated for files of these names: "

Texts = Callable[[str], Iterator[str]]  # the texts of one source, by its name


@dataclass(frozen=True)
class Kind:
    """One kind of chats.

    Attributes:
        name: as `kinds` names it.
        summary: what is asked, in a few words.
        share: of the rows, relative to the other kinds'.
        make: from the texts of its sources and a generator of random numbers to chats; may never end.
        sources: names of the files it reads, without their endings.
        licence: of what its chats are made from; of its sources, the one that files of these names have at their
            publishers. What a user's file holds is not checked.
    """

    name: str
    summary: str
    share: float
    make: Callable[[Texts, random.Random], Iterator[Chat]]
    sources: tuple[str, ...] = ()
    licence: str = "Apache-2.0 (this package)"


@dataclass
class KindReport:
    """What became of one kind: rows made, requests left out because they are held out, repeats."""

    rows: int = 0
    held_out: int = 0
    repeated: int = 0
    exhausted: bool = False
    files: list[str] = field(default_factory=list)


def derive(
    kinds: Sequence[Kind],
    folder: str | Path | None,
    seed: int,
    held_out: Iterable[str],
    rows: int,
    report: dict[str, KindReport] | None = None,
) -> Iterator[dict[str, Any]]:
    """Rows of all `kinds` in random order, in proportion to their shares: {"messages": [...], "kind": name}.

    A kind that runs out of different chats ends early. `report` receives the figures of each kind.
    """
    if isinstance(rows, bool) or not isinstance(rows, int) or rows < 1:
        raise ValueError(f"rows={rows!r} must be a whole number of at least 1")
    files = _files(kinds, folder)
    excluded = HeldOut(held_out)
    rng = random.Random(f"{seed}/order")
    reports = report if report is not None else {}
    streams: dict[str, Iterator[Chat]] = {}
    for kind in kinds:
        reports[kind.name] = KindReport(files=[str(files[source]) for source in kind.sources])
        made = kind.make(_reader(files), random.Random(f"{seed}/{kind.name}"))
        streams[kind.name] = _accepted(made, excluded, reports[kind.name])
    return _mixed(kinds, streams, rng, rows)


def write_rows(chats: Iterable[dict[str, Any]], output: Path) -> int:
    """Write chats as JSON lines, compressed if the name ends in .gz; complete or not at all. Returns their number.

    Raises:
        ValueError: the name ends in neither .jsonl nor .jsonl.gz.
    """
    count = 0
    with file_written_aside(output) as aside, _opened(aside, output) as stream:
        for chat in chats:
            stream.write(json.dumps(chat, ensure_ascii=False) + "\n")
            count += 1
    return count


def check_output(output: Path) -> None:
    """See that a file of chats can have this name.

    Raises:
        ValueError: it ends in neither .jsonl nor .jsonl.gz; it is a folder.
    """
    if not output.name.endswith((".jsonl", ".jsonl.gz")):
        raise ValueError(f"{output}: the name of a file of chats ends in .jsonl or .jsonl.gz")
    if output.is_dir():
        raise ValueError(f"{output} is a folder; name a file in it, as {output / 'chats.jsonl.gz'}")


def write_manifest(path: Path, kinds: Sequence[Kind], reports: dict[str, KindReport], seed: int) -> None:
    """Write what chats are made of: per kind rows, files with their sizes, licence, what was left out."""
    by_name = {kind.name: kind for kind in kinds}
    listed = {
        name: {
            "what": by_name[name].summary,
            "rows": report.rows,
            "files": {Path(file).name: Path(file).stat().st_size for file in report.files},
            "licence": (_AS_STATED if report.files else "") + by_name[name].licence,
            "left out": {"asked of finished models": report.held_out, "repeated": report.repeated},
        }
        for name, report in reports.items()
    }
    total = sum(report.rows for report in reports.values())
    with file_written_aside(path) as aside:
        aside.write_text(yaml.safe_dump({"seed": seed, "rows": total, "kinds": listed}, sort_keys=False), "utf-8")


def chosen(known: Sequence[Kind], names: Iterable[str] | None) -> list[Kind]:
    """The kinds with these names, in the order of `known`; all for None.

    Raises:
        ValueError: there is no kind of that name, none is named, or one is named twice.
    """
    if names is None:
        return list(known)
    wanted = [names] if isinstance(names, str) else list(names)
    all_names = [kind.name for kind in known]
    if not wanted:
        raise ValueError(f"no kind of chats is named; there are {', '.join(all_names)}")
    for name in wanted:
        if name not in all_names:
            near = difflib.get_close_matches(str(name), all_names, 1)
            meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(all_names)}"
            raise ValueError(f"there is no kind of chats {name!r}; {meant}")
        if wanted.count(name) > 1:
            raise ValueError(f"the kind of chats {name!r} is named twice")
    return [kind for kind in known if kind.name in wanted]


def _opened(aside: Path, output: Path) -> TextIO:
    if not output.name.endswith(".gz"):
        return aside.open("w", encoding="utf-8", newline="\n")
    binary = gzip.GzipFile(filename="", mode="wb", fileobj=aside.open("wb"), mtime=0)  # same rows, same bytes
    return io.TextIOWrapper(binary, encoding="utf-8", newline="\n")


def _files(kinds: Sequence[Kind], folder: str | Path | None) -> dict[str, Path]:
    """The file of each source that the kinds need."""
    needed = [(source, kind.name) for kind in kinds for source in kind.sources]
    if not needed:
        return {}
    if folder is None:
        without = ", ".join(dict.fromkeys(name for _, name in needed))
        raise ValueError(
            f"the kinds {without} are made from text: name the folder with {needed[0][0]}.jsonl and others"
        )
    if not Path(folder).expanduser().is_dir():
        raise FileNotFoundError(f"{folder}: there is no such folder of text")
    there = {file.name.split(".")[0]: file for file in files_of(str(folder))}
    for source, name in needed:
        if source not in there:
            raise FileNotFoundError(
                f"{folder}: the kind {name!r} needs {source}.jsonl (or .txt, .parquet, also with .gz, .xz, .zst); "
                f"the files there are {', '.join(sorted(there))}"
            )
    return {source: there[source] for source, _ in needed}


def _reader(files: dict[str, Path]) -> Texts:
    def texts(source: str) -> Iterator[str]:
        file = files[source]
        with tqdm(desc=f"Reading {file.name}", unit="text", delay=1, leave=False) as progress:
            for place, record in read_records(file, "text"):
                if not isinstance(record.get("text"), str):
                    raise ValueError(f"{place}: there is no text under 'text'; the columns are {', '.join(record)}")
                progress.update()
                yield record["text"]

    return texts


def _accepted(made: Iterator[Chat], excluded: HeldOut, report: KindReport) -> Iterator[Chat]:
    """The chats that are neither held out nor there already; ends when hardly any new ones come."""
    seen: set[str] = set()
    rejected = 0
    for chat in made:
        said = "\n".join(message["content"] for message in chat).lower()
        if said in seen:
            report.repeated += 1
        elif any(_excluded(message, excluded) for message in chat):
            report.held_out += 1
        else:
            seen.add(said)
            rejected = 0
            report.rows += 1
            yield [{"role": message["role"], "content": message["content"]} for message in chat]
            continue
        rejected += 1
        if rejected >= _GIVE_UP:
            break
    report.exhausted = True


def _excluded(message: dict[str, str], excluded: HeldOut) -> bool:
    """Whether a request asks what is held out, in its words or by its key, or an answer holds a prompt."""
    if message["role"] == "user":
        return message.get("asks") in excluded.keys or message["content"] in excluded
    return message["role"] == "assistant" and excluded.within(message["content"])


def _mixed(
    kinds: Sequence[Kind], streams: dict[str, Iterator[Chat]], rng: random.Random, rows: int
) -> Iterator[dict[str, Any]]:
    total = sum(kind.share for kind in kinds)
    left = {kind.name: round(rows * kind.share / total) for kind in kinds}
    for kind in kinds:  # what rounding gave or took
        if missing := rows - sum(left.values()):
            left[kind.name] = max(0, left[kind.name] + missing)
    while left := {name: count for name, count in left.items() if count > 0}:
        name = rng.choices(list(left), list(left.values()))[0]
        chat = next(streams[name], None)
        if chat is None:
            del left[name]
            continue
        left[name] -= 1
        yield {"messages": chat, "kind": name}
