"""What sorts of request a model answers rightly: derived chats of a seed that no recipe uses, answered greedily.

    python benchmarks/kinds.py [MODEL ...] [--rows 200] [--seen FILE ...]

A MODEL is one that comes with the package, or a model folder. Requests that stand in FILEs (of `brandon make-chats`)
are left out, so name those a model was trained on. An answer is right if it says yes or no as the reference does, if it
is the same list, if its last number is the reference's, or else if it begins or ends with the reference's words, or the
reference with its. Models run in the engine with int8 weights. Writes docs/benchmarks/kinds.json and .md.
"""

import argparse
import gzip
import json
import re
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from brandon_hf.data.derived import derived_chats, every_prompt
from brandon_hf.data.derived.numbers import WORDS
from brandon_hf.export.blob import load_folder, write_model
from brandon_hf.pretrained import DEFAULT, list_pretrained, pretrained_blob
from brandon_hf.runtime import Engine

OUTPUT = Path(__file__).resolve().parents[1] / "docs/benchmarks/kinds"
SEED = 10_007
# Kinds whose requests have one right answer, or nearly. A row counts for the first pattern that its request holds.
SORTS: dict[str, dict[str, str]] = {
    "numbers": {
        "sequences": r"next|continue|go on|comes",
        "sums": r"\+|\b(plus|add|sum)\b",
        "differences": r" - |\b(minus|subtract|take|difference|left)\b",
        "products": r" [*x] |\b(times|multiply|product|twice|double)\b",
        "quotients": r" / |\b(divided?|equally|half|third|quarter)\b",
        "sorting": r"\b(sort|order|arrange)\b",
        "other": "",
    },
    "words": {"spelling and letters": r"spell|letter", "opposites": r"opposite|contrary", "other": ""},
    "copying": {"all": ""},
    "reading": {"all": ""},
    "facts": {"yes or no": r"yes or no|^(is|are|do|does|can|has|have)\b", "other": ""},
}


def folded(text: str) -> list[str]:
    """The words of a text in small letters, numbers in digits."""
    return [str(WORDS.index(word)) if word in WORDS else word for word in re.findall(r"\w+", text.lower())]


def right(answer: str, reference: str) -> bool:
    """Whether an answer says what the reference says; see above."""
    given, wanted = folded(answer), folded(reference)
    if wanted[0] in ("yes", "no"):
        return given[:1] == wanted[:1]
    if "," in reference or "\n" in reference:
        return given == wanted
    if numbers := [word for word in wanted if word.isdigit()]:
        return [word for word in given if word.isdigit()][-1:] == numbers[-1:]
    short, long = sorted((given, wanted), key=len)
    return short != [] and short in (long[: len(short)], long[-len(short) :])


def sort_of(kind: str, request: str) -> str:
    return next(name for name, pattern in SORTS[kind].items() if re.search(pattern, request.lower()))


def requests(files: Iterable[Path]) -> Iterator[str]:
    """Every request of files of chats."""
    for file in files:
        with gzip.open(file, "rt") if file.suffix == ".gz" else file.open() as lines:
            for line in lines:
                yield from (said["content"] for said in json.loads(line)["messages"] if said["role"] == "user")


def unseen(kind: str, seen: set[str], rows: int) -> Iterator[tuple[str, str]]:
    """Requests of one exchange that are not in `seen`, and their answers: up to `rows` of each sort."""
    count: dict[str, int] = defaultdict(int)
    for row in derived_chats(None, [kind], SEED, held_out=every_prompt(), rows=100 * rows):
        messages = row["messages"]
        if len(messages) != 2 or messages[0]["content"] in seen:
            continue
        request, answer = (message["content"] for message in messages)
        sort = sort_of(kind, request)
        if count[sort] < rows:
            count[sort] += 1
            yield request, answer
        if len(count) == len(SORTS[kind]) and min(count.values()) == rows:
            return


def measure(engine: Engine, seen: set[str], rows: int) -> dict[str, dict[str, Any]]:
    """Per sort of request how many there were, the share of right answers, and some wrong ones."""
    outcomes: dict[str, list[tuple[bool, str, str, str]]] = defaultdict(list)
    for kind in SORTS:
        for request, reference in tqdm(unseen(kind, seen, rows), desc=kind, unit="answer", mininterval=2):
            chat = [{"role": "user", "content": request}]
            answer = "".join(engine.generate(chat, max_new_tokens=80, temperature=0.0))
            outcomes[f"{kind}: {sort_of(kind, request)}"].append((right(answer, reference), request, reference, answer))
    return {
        sort: {
            "n": len(rows_of),
            "right": statistics.mean(outcome[0] for outcome in rows_of),
            "wrong": [outcome[1:] for outcome in rows_of if not outcome[0]][:5],
        }
        for sort, rows_of in outcomes.items()
    }


def page(document: dict[str, Any]) -> str:
    models = document["models"]
    lines = [
        "# What sorts of request are answered rightly",
        "",
        "Written by `python benchmarks/kinds.py`, which says how: percent of right answers to derived chats of seed "
        f"{SEED}, without the {document['seen']:,} requests of the chats that were trained on. Some wrong answers are "
        "in the file beside this one.",
        "",
        f"| sort of request | requests | {' | '.join(models)} |",
        "|---|--:" + "|--:" * len(models) + "|",
    ]
    for sort, first in next(iter(models.values())).items():
        cells = [f"{100 * of[sort]['right']:.0f}" for of in models.values()]
        lines.append(f"| {sort} | {first['n']} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def engine_of(model: str, folder: Path) -> Engine:
    """The engine with a model; its file is written to `folder` unless the model comes with the package."""
    if model in list_pretrained():
        return Engine(pretrained_blob(model))
    write_model(*load_folder(model), folder / "model.gguf", name="measured")
    return Engine(str(folder / "model.gguf"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", metavar="MODEL", nargs="*", default=[DEFAULT], help=f"(default: {DEFAULT})")
    parser.add_argument("--rows", type=int, default=200, help="of each sort of request (default: %(default)s)")
    parser.add_argument("--seen", type=Path, nargs="*", default=[], help="files of chats the models were trained on")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="without its ending")
    options = parser.parse_args()
    seen = set(requests(options.seen))
    document: dict[str, Any] = {"seen": len(seen), "seed": SEED, "models": {}}
    for model in options.models:
        with tempfile.TemporaryDirectory() as folder:
            engine = engine_of(model, Path(folder))
            document["models"][Path(model).name] = measure(engine, seen, options.rows)
    options.output.with_suffix(".json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf-8")
    options.output.with_suffix(".md").write_text(page(document), "utf-8")
    print(page(document))


if __name__ == "__main__":
    main()
