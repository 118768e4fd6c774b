"""How much of the benchmarks stands in the training text: examples with a run of words in common.

    python benchmarks/overlap.py --eval FOLDER [--recipes 5m 5m_more ...] --override data.folder=FOLDER [--words 8 13]

The training text is what the recipes read, whole files, and the beginning of what never ends; the benchmarks are those
of `brandon eval --data`.
Words are compared in lower case, without punctuation. An example counts once, however many runs it shares; one that is
shorter than the run cannot. Writes docs/benchmarks/overlap.json and .md.
"""

import argparse
import gzip
import itertools
import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from brandon_hf.data.chat import load_chats
from brandon_hf.pipeline.recipe import load_recipe

DOCS = Path(__file__).resolve().parents[1] / "docs/benchmarks"
RECIPES = ["5m", "5m_chat", "5m_more"]  # of the packaged model
GENERATED = 50_000  # documents of a source that never ends
MOST_WORDS = 64
FILTER_BITS = 26
WORD = re.compile(r"[a-z0-9]+")


def examples(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Each benchmark's name and texts, all answers included, example by example."""
    for file in sorted(folder.glob("*.jsonl.gz")):
        name = file.name.removesuffix(".jsonl.gz")
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            for line in lines:
                yield name, list(texts(json.loads(line))) or [""]


def texts(value: Any) -> Iterator[str]:
    """All texts in a record that hold a space: what is written, not labels and names."""
    if isinstance(value, str):
        if " " in value.strip():
            yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


class Numbers(dict[str, int]):
    """A random number for each word that is looked up."""

    def __init__(self) -> None:
        self.random = random.Random(0)

    def __missing__(self, word: str) -> int:
        self[word] = number = self.random.getrandbits(64)
        return number


class Runs:
    """Hashes of all runs of so many words in a text."""

    def __init__(self) -> None:
        self.numbers = Numbers()
        self.factors = np.random.default_rng(0).integers(1, 2**63, MOST_WORDS, dtype=np.uint64) | np.uint64(1)

    def words(self, text: str) -> np.ndarray:
        """A number of 64 bits for each word."""
        found = WORD.findall(text.lower().replace("\u2019", "").replace("'", ""))
        return np.fromiter(map(self.numbers.__getitem__, found), np.uint64, len(found))

    def of(self, words: np.ndarray, length: int) -> np.ndarray:
        """One hash for each place where a run of `length` words begins."""
        places = max(0, len(words) - length + 1)
        total = np.full(places, length, np.uint64)
        for k in range(length):
            total += words[k : k + places] * self.factors[k]  # wraps around
        return total


class Overlap:
    """Which examples of the benchmarks share a run of `length` words with what `look` was shown."""

    def __init__(self, runs: Runs, length: int, parts: list[tuple[str, list[np.ndarray]]]):
        self.runs, self.length = runs, length
        hashes = [np.concatenate([runs.of(words, length) for words in of]) for _, of in parts]
        self.names = [name for name, _ in parts]
        self.ends = np.cumsum([len(found) for found in hashes])
        self.ordered, self.places = np.unique(np.concatenate(hashes), return_inverse=True)
        self.seen = self.everywhere = np.zeros(len(self.ordered), bool)
        self.maybe = np.zeros(1 << FILTER_BITS, bool)  # by the first bits of a hash: spares most searches
        self.maybe[self.ordered >> np.uint64(64 - FILTER_BITS)] = True

    def look(self, words: np.ndarray) -> None:
        found = self.runs.of(words, self.length)
        found = found[self.maybe[found >> np.uint64(64 - FILTER_BITS)]]
        at = np.searchsorted(self.ordered, found).clip(max=len(self.ordered) - 1)
        self.seen[at[self.ordered[at] == found]] = True

    def next_text(self) -> None:
        self.everywhere = self.everywhere | self.seen
        self.seen = np.zeros(len(self.ordered), bool)

    def shared(self, seen: np.ndarray) -> dict[str, int]:
        """Examples with a run among those `seen`, by benchmark."""
        counts = dict.fromkeys(self.names, 0)
        before = np.concatenate([[0], np.cumsum(seen[self.places])])
        for name, first, last in zip(self.names, np.append(0, self.ends), self.ends, strict=False):
            counts[name] += bool(before[last] > before[first])
        return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--eval", type=Path, required=True, metavar="FOLDER", help="files of the benchmarks")
    parser.add_argument(
        "--recipes", nargs="+", default=RECIPES, help=f"whose text is looked through (default: {' '.join(RECIPES)})"
    )
    parser.add_argument("--override", nargs="+", default=[], metavar="KEY=VALUE", help="of the recipes")
    parser.add_argument("--words", nargs="+", type=int, default=[8, 13], help="lengths of runs")
    options = parser.parse_args()
    if not all(0 < length <= MOST_WORDS for length in options.words):
        parser.error(f"--words {options.words} must lie between 1 and {MOST_WORDS}")
    recipes = [load_recipe(name, options.override) for name in options.recipes]
    runs = Runs()
    parts = [
        (name, [runs.words(part) for part in found])
        for name, found in tqdm(examples(options.eval), desc="benchmarks", unit="example")
    ]
    overlaps = [Overlap(runs, length, parts) for length in options.words]
    report: dict[str, Any] = {
        "recipes": options.recipes,
        "examples": dict(Counter(name for name, _ in parts)),
        "texts": {},
    }

    def look(title: str, written: Iterator[str]) -> None:
        count = 0
        for text in tqdm(written, desc=title, unit="text"):
            words = runs.words(text)
            count += len(words)
            for overlap in overlaps:
                overlap.look(words)
        report["texts"][title] = {"words": count, **{str(each.length): each.shared(each.seen) for each in overlaps}}
        for overlap in overlaps:
            overlap.next_text()

    for source in {source.name: source for recipe in recipes for source in recipe.pretrain_sources()}.values():
        documents = (document for document in source.documents(0) if document is not None)
        some = itertools.islice(documents, GENERATED if source.builtin else None)
        look(title_of(source.name), (document.text for document in some))
    for chat_source in {source.name: source for recipe in recipes for source in recipe.chat_sources()}.values():
        chats = load_chats(chat_source)
        look(title_of(chat_source.name), (message["content"] for chat in chats for message in chat["messages"]))
    report["all"] = {str(each.length): each.shared(each.everywhere) for each in overlaps}
    DOCS.mkdir(parents=True, exist_ok=True)
    (DOCS / "overlap.json").write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    (DOCS / "overlap.md").write_text(page(report), "utf-8")
    print(page(report))


def title_of(source: str) -> str:
    """The name of a source's file, without folders and endings."""
    return Path(source).name.partition(".")[0]


def page(report: dict[str, Any]) -> str:
    names = list(report["examples"])
    text = (
        "# Overlap of training text and benchmarks\n\nWritten by `python benchmarks/overlap.py`: "
        f"the files that the recipes {', '.join(report['recipes'])} read. "
        "Of each benchmark, the examples that share a run of words with the text.\n"
    )
    for length, everywhere in report["all"].items():
        text += f"\n## {length} words\n\n| text | million words | {' | '.join(names)} |\n"
        text += "|---" * (2 + len(names)) + "|\n"
        for title, found in report["texts"].items():
            cells = " | ".join(f"{found[length][name]:,}" for name in names)
            text += f"| {title} | {found['words'] / 1e6:.2f} | {cells} |\n"
        words = sum(found["words"] for found in report["texts"].values())
        text += f"| all | {words / 1e6:.1f} | {' | '.join(f'{everywhere[name]:,}' for name in names)} |\n"
        shares = (f"{everywhere[name] / report['examples'][name]:.2%}" for name in names)
        text += f"| share of all examples | | {' | '.join(shares)} |\n"
    return text


if __name__ == "__main__":
    main()
