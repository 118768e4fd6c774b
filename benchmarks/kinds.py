"""What a model of the package can do, by sort of task: derived chats of a seed that no recipe uses, answered greedily.

    python benchmarks/kinds.py [MODEL ...] [--rows 200] --seen FILE ...

A MODEL is one that comes with the package, or a model folder. Requests that stand in FILEs (of `brandon make-chats`)
are left out, so name those that the models were trained on. Models run in the engine with int8 weights. Of numbers an
answer is correct if its last number is the reference's; where the reference says yes or no, if it says the same; of
copying, spelling and sorting, if it is the same but for capitals and a full stop; of the others, if it ends with the
reference's words or the reference with its ("Glass." for "It is made of glass."), or begins with them where the request
asks who. Beside them stand the 80 prompts of blind.yaml, in the categories and with the checks of the protocol
`strict`; who wrote them knew neither what the chats are made of nor what any model answered. What they ask may stand in
the chats in other words. Which of them failed is not written down, so that they stay blind. Writes
docs/benchmarks/kinds.json and .md.
"""

import argparse
import gzip
import json
import re
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml
from tqdm import tqdm

from brandon_hf.data.derived import derived_chats, every_prompt
from brandon_hf.data.derived.numbers import WORDS
from brandon_hf.export.blob import load_folder, write_model
from brandon_hf.metrics.checks import follows
from brandon_hf.pretrained import DEFAULT, list_pretrained, pretrained_blob
from brandon_hf.runtime import Engine

OUTPUT = Path(__file__).resolve().parents[1] / "docs/benchmarks/kinds"
SEED = 10_007
BLIND = Path(__file__).with_name("blind.yaml")
YES_NO = "yes or no"
# Tasks of kinds whose requests have one correct answer, or nearly; a request counts for the first pattern it holds.
TASKS: dict[str, dict[str, str]] = {
    "numbers": {
        "sorting": r"\b(sort|order|arrange)\b",
        "sequences": r"next|continue|go on|comes",
        "quotients": r" / |go into|\b(divided?|equally|half|third|quarter)\b",
        "sums": r"\+|\b(plus|add|sum|put)\b|how much is \S+ and|make how much",
        "differences": r" - |\b(minus|subtract|take|difference|less)\b",
        "products": r" [*x] |\b(times|multiply|product|twice|double)\b",
        "little stories": r"how many|how much",
        "other": "",
    },
    "words": {"spelling": r"spell|letter|hyphen|dash", "opposites": r"opposite|contrary|antonym", "other": ""},
    "copying": {"all": ""},
    "reading": {"all": ""},
    "facts": {"all": ""},
}
SAME = ("copying: all", "words: spelling", "numbers: sorting")


def folded(text: str) -> list[str]:
    """The words of a text in small letters, numbers in digits."""
    return [str(WORDS.index(word)) if word in WORDS else word for word in re.findall(r"\w+", text.lower())]


def is_correct(task: str, request: str, answer: str, reference: str) -> bool:
    """Whether an answer says what the reference says; see above."""
    if task in SAME:
        return answer.strip().rstrip(".").lower() == reference.strip().rstrip(".").lower()
    given, wanted = folded(answer), folded(reference)
    if task.endswith(YES_NO):
        return given[:1] == wanted[:1]
    if task.startswith("numbers"):
        return [word for word in given if word.isdigit()][-1:] == [word for word in wanted if word.isdigit()][-1:]
    short, long = sorted((given, wanted), key=len)
    if short and "who" in folded(request) and long[: len(short)] == short:
        return True
    return short != [] and long[-len(short) :] == short


def task_of(kind: str, request: str, reference: str) -> str:
    if folded(reference)[:1] in (["yes"], ["no"]):
        return f"{kind}: {YES_NO}"
    return f"{kind}: " + next(name for name, pattern in TASKS[kind].items() if re.search(pattern, request.lower()))


def requests(files: Iterable[Path]) -> Iterator[str]:
    """Every request of files of chats."""
    for file in files:
        opened = gzip.open if file.suffix == ".gz" else open
        with opened(file, "rt", encoding="utf-8") as lines:
            for line in lines:
                yield from (said["content"] for said in json.loads(line)["messages"] if said["role"] == "user")


def unseen(kind: str, seen: set[str], rows: int) -> Iterator[tuple[str, str, str]]:
    """Up to `rows` of each task, the request and the reference; of one exchange, without requests in `seen`."""
    count: dict[str, int] = defaultdict(int)
    for row in derived_chats(None, [kind], SEED, held_out=every_prompt(), rows=40 * rows * len(TASKS[kind])):
        messages = row["messages"]
        request, reference = messages[0]["content"], messages[-1]["content"]
        if len(messages) != 2 or request in seen or re.search(r"\b(begin|start|end)\b", request.lower()):
            continue
        task = task_of(kind, request, reference)
        count[task] += 1
        if count[task] <= rows:
            yield task, request, reference


def measure(engine: Engine, seen: set[str], rows: int) -> dict[str, dict[str, Any]]:
    """Per task how many requests there were, the accuracy, and some wrong answers."""
    outcomes: dict[str, list[tuple[bool, str, str, str]]] = defaultdict(list)

    def answered(request: str) -> str:
        return "".join(engine.generate([{"role": "user", "content": request}], max_new_tokens=80, temperature=0.0))

    for kind in TASKS:
        for task, request, reference in tqdm(unseen(kind, seen, rows), desc=kind, unit="answer", mininterval=2):
            answer = answered(request)
            outcomes[task].append((is_correct(task, request, answer, reference), request, reference, answer))
    measured: dict[str, dict[str, Any]] = {
        task: {
            "n": len(of_task),
            "accuracy": sum(outcome[0] for outcome in of_task) / len(of_task),
            "wrong": [outcome[1:] for outcome in of_task if not outcome[0]][:5],
        }
        for task, of_task in sorted(outcomes.items())
    }
    followed: dict[str, list[bool]] = defaultdict(list)
    for row in tqdm(yaml.safe_load(BLIND.read_text("utf-8"))["instructions"], desc="blind prompts", unit="answer"):
        if row["prompt"] not in seen:
            is_followed = follows(answered(row["prompt"]), row["check"])
            followed["blind prompts: all"].append(is_followed)
            followed[f"blind prompts: {row['category']}"].append(is_followed)
    return measured | {task: {"n": len(found), "accuracy": sum(found) / len(found)} for task, found in followed.items()}


def page(document: dict[str, Any]) -> str:
    models = document["models"]
    lines = [
        "# Accuracy by task",
        "",
        "Written by `python benchmarks/kinds.py`, which says how: percent of correct answers to derived chats of seed "
        f"{SEED}, without the {document['seen']:,} requests that were trained on, and to prompts that were written by "
        "another hand. Some wrong answers are in the file beside this one.",
        "",
        f"| task | requests | {' | '.join(models)} |",
        "|---|--:" + "|--:" * len(models) + "|",
    ]
    for task, first in next(iter(models.values())).items():
        cells = [f"{100 * of[task]['accuracy']:.0f}" for of in models.values()]
        lines.append(f"| {task} | {first['n']} | {' | '.join(cells)} |")
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
    parser.add_argument("--rows", type=int, default=200, help="of each task (default: %(default)s)")
    parser.add_argument("--seen", type=Path, nargs="+", required=True, help="chats that the models were trained on")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="without its ending")
    options = parser.parse_args()
    seen = set(requests(options.seen))
    document: dict[str, Any] = {"seen": len(seen), "seed": SEED, "models": {}}
    for model in dict.fromkeys(options.models):
        with tempfile.TemporaryDirectory() as folder:
            document["models"][model] = measure(engine_of(model, Path(folder)), seen, options.rows)
    options.output.with_suffix(".json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf-8")
    options.output.with_suffix(".md").write_text(page(document), "utf-8")
    print(page(document))


if __name__ == "__main__":
    main()
