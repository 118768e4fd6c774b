"""What helps a small model at a fixed budget: every run a row, effects beside the spread over seeds.

    python benchmarks/experiments.py --data FOLDER [--questions mixture rate] [--seeds 1 2 3]

A question is a base and some variants (variants.py), each a change of the recipe `BASE`: about 1M parameters, 2M
tokens of the text in FOLDER/pretrain. All models share one tokenizer and are measured on the same held-out documents,
of which none is trained on whatever the mixture, in bits per byte by kind of text, and on BLiMP (the first pairs of
each paradigm, from FOLDER/eval). The question "original" is the ablation table of the first report: its variants,
like those of "tuning" and "repetition", are also tuned on chats (FOLDER/instruct) and write free texts. The variants
of "longer" read four times the text, those of "order and batches" go on from half a run. Where changes name a `start`
or a `teacher`, that is the pretrained model of another variant and the same seed, which is trained first. Finished runs
stand in docs/experiments.json and are not repeated unless their variant has changed; a stopped run continues.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ablations import CONTEXT
from findings import page
from variants import (
    BASE,
    CHATS,
    HELD_OUT,
    KINDS,
    MEASURED,
    MIXTURES,
    QUESTIONS,
    TOKENS,
)

DOCS = Path(__file__).resolve().parents[1] / "docs"
HELD_OUT_BYTES = 200_000  # of each kind of text
BLIMP_PAIRS = 100  # of each paradigm


def set_path(values: dict[str, Any], path: str, value: Any) -> None:
    *parents, key = path.split(".")
    for parent in parents:
        values = values[parent]
    values[key] = value


def files(kind: str, data: Path) -> list[Path]:
    return [data / "pretrain" / f"{name}.jsonl.xz" for name in KINDS[kind]]


def sources(mixture: str, data: Path) -> list[dict[str, Any]]:
    """The sources of a mixture as a recipe states them."""
    if not MIXTURES[mixture]:
        return [{"builtin": "synthetic"}]
    found = []
    for kind, share in MIXTURES[mixture].items():
        sizes = [file.stat().st_size for file in files(kind, data)]
        for file, size in zip(files(kind, data), sizes, strict=True):
            found.append({"path": str(file), "weight": share * size / sum(sizes), "straight_quotes": True})
    return found


def recipe_values(changes: dict[str, Any], seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """`BASE` with the changes of a variant."""
    values: dict[str, Any] = json.loads(json.dumps(BASE))
    changes = json.loads(json.dumps(changes))
    tokens = changes.pop("tokens", TOKENS)
    values["data"]["max_tokens"] = tokens
    values["data"]["prepared"] = str(prepared(changes.pop("mixture", "half books"), tokens, options))
    changes.pop("average", None)
    if start := changes.pop("start", None):
        values["base_model"] = str(pretrained(start, seed, options))
    if teacher := changes.pop("teacher", None):
        values["teacher"] = {"path": str(pretrained(teacher, seed, options))}
    for path, value in changes.items():
        set_path(values, path, value)
    for phase in values["phases"]:
        values[phase]["seed"] = seed
    return values


def prepared(mixture: str, tokens: int, options: argparse.Namespace) -> Path:
    """The folder of a run that only prepares so many tokens of a mixture, for all runs that use them."""
    return options.work / "mixtures" / (slug(mixture) if tokens == TOKENS else f"{slug(mixture)}-{tokens}")


def pretrained(name: str, seed: int, options: argparse.Namespace) -> Path:
    """The model of a variant and a seed after pretraining."""
    return options.work / f"{slug(name)}-{seed}/phase1_pretrain/final"


def needs(job: tuple[str, str, int], options: argparse.Namespace) -> list[tuple[str, str, int]]:
    """What has to be trained before."""
    question, name, seed = job
    found = []
    for key in ("start", "teacher"):
        needed = QUESTIONS[question][name].get(key)
        if needed and not pretrained(needed, seed, options).is_dir():
            home = next(other for other, variants in QUESTIONS.items() if needed in variants)
            found.append((home, needed, seed))
    return found


def plan(options: argparse.Namespace) -> list[tuple[str, str, int]]:
    """The runs that are missing, each after those it needs."""
    done, jobs = load(), []
    for seed in options.seeds:
        for question in options.questions:
            for name in QUESTIONS[question]:
                if options.variants and name not in options.variants:
                    continue
                row = done.get(name, {}).get(str(seed))
                if row and row["changes"] == stated(question, name):
                    continue
                job = (question, name, seed)
                jobs += [one for one in [*needs(job, options), job] if all(one[1:] != other[1:] for other in jobs)]
    return jobs


def make_shared(options: argparse.Namespace) -> None:
    """The tokenizer, the mixtures and the held-out texts of all runs."""
    from transformers import AutoTokenizer

    from brandon_hf.data import prepare_corpus
    from brandon_hf.data.corpus import document_hash, sample_texts
    from brandon_hf.data.sources import Source
    from brandon_hf.pipeline import Run
    from brandon_hf.pipeline.recipe import make_recipe
    from brandon_hf.tokenization import train_tokenizer

    if not (options.work / "tokenizer").is_dir():
        texts = sample_texts(Source.from_recipe(sources("half books", options.data)), max_characters=4_000_000)
        tokenizer = train_tokenizer(texts, vocab_size=BASE["model"]["vocab_size"], model_max_length=CONTEXT)
        tokenizer.save_pretrained(options.work / "tokenizer")
    changes = [QUESTIONS[question][name] for question, name, _ in plan(options)]
    for mixture, tokens in sorted({(one.get("mixture", "half books"), one.get("tokens", TOKENS)) for one in changes}):
        values: dict[str, Any] = json.loads(json.dumps(BASE))
        values["data"]["pretrain"] = sources(mixture, options.data)
        values["data"]["max_tokens"] = tokens
        values["data"]["chat"] = [str(options.data / "instruct" / f"{name}.jsonl.gz") for name in CHATS]
        values["tokenizer"] = {"path": str(options.work / "tokenizer")}
        Run(make_recipe(values, slug(mixture)), prepared(mixture, tokens, options)).data.prepare()
    tokenizer = AutoTokenizer.from_pretrained(options.work / "tokenizer")
    for kind in MEASURED:
        folder = options.work / "held-out" / kind.replace(" ", "-")
        if (folder / "corpus").is_dir():
            continue
        rows, taken = [], 0
        for file in files(kind, options.data):
            of_file, most = 0, HELD_OUT_BYTES / len(files(kind, options.data))
            for document in Source(path=str(file), straight_quotes=True).documents(0):
                if document is None or document_hash(document.text) >= HELD_OUT * 2**64:
                    continue
                rows.append({"text": document.text})
                of_file += document.bytes
                if of_file >= most:
                    break
            taken += of_file
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "text.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        prepare_corpus([Source(path=str(folder / "text.jsonl"))], tokenizer, folder / "corpus", validation_fraction=0)
        print(f"held out: {taken:,} bytes of {kind}", flush=True)


def bits_per_byte(model: Any, options: argparse.Namespace) -> dict[str, float]:
    """Bits per byte of each kind of held-out text, and their mean."""
    from brandon_hf.data import Corpus, PackedDataset, collate_blocks
    from brandon_hf.training.evaluation import mean_loss

    figures = {}
    for kind in MEASURED:
        folder = options.work / "held-out" / kind.replace(" ", "-") / "corpus"
        loss = mean_loss(model, PackedDataset(folder, "train", CONTEXT), collate_blocks, max_rows=10**6)
        figures[kind] = Corpus.load(folder).bits_per_byte(loss, "train")
    return {**figures, "mean": statistics.mean(figures.values())}


def blimp(model: Path, output: Path, options: argparse.Namespace) -> float:
    """Accuracy on the first pairs of each paradigm."""
    from brandon_hf.evaluation.evaluate import Settings, evaluate_model

    evaluate_model(
        str(model), output, tasks=["blimp"], data=options.data / "eval", settings=Settings(limit=BLIMP_PAIRS)
    )
    return json.loads((output / "results.json").read_text("utf-8"))["results"]["blimp"]["acc"]


def carry_out(changes: dict[str, Any], folder: Path, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Train one variant with one seed and measure it."""
    import torch

    from brandon_hf.environment import environment, processor
    from brandon_hf.pipeline import Run
    from brandon_hf.pipeline.recipe import make_recipe
    from brandon_hf.pipeline.run import FOLDERS

    torch.set_num_threads(options.threads)
    start = time.monotonic()
    run = Run(make_recipe(recipe_values(changes, seed, options), folder.name), folder)
    final = run.execute()
    phases = [phase for phase in run.recipe.phases if phase != "sft"]
    measured = folder / FOLDERS[phases[-1]] / "final" if phases else Path(run.recipe.base_model)
    if changes.get("average"):
        measured = average(measured, changes["average"])
    model = run.load(measured)
    figures: dict[str, Any] = bits_per_byte(model, options)
    if not changes.get("average"):  # of those weights the run has no evaluation
        validation = json.loads((measured.parent / "evaluation.json").read_text("utf-8"))
        figures["text of its own mixture"] = validation["validation_bits_per_byte"]
    figures["blimp"] = blimp(measured, folder / "blimp", options)
    if "sft" in run.recipe.phases:
        figures["chat_loss"] = json.loads((final.parent / "evaluation.json").read_text("utf-8"))["chat_loss"]
        figures |= run.samples()["figures"]
        tuned = run.load(final)
        figures["greedy texts with loops"] = greedy_loops(tuned, run.data.tokenizer)
        figures["mean after tuning"] = bits_per_byte(tuned, options)["mean"]
    return {
        "parameters": model.num_parameters(),
        **figures,
        "seconds": round(time.monotonic() - start),
        "revision": subprocess.run(
            ("git", "describe", "--always", "--dirty"), capture_output=True, text=True
        ).stdout.strip(),
        "processor": processor(),
        "packages": environment()["packages"],
    }


def average(final: Path, count: int) -> Path:
    """A copy of the model in `final` whose weights are the mean of those of its last `count` checkpoints."""
    from safetensors.torch import load_file, save_file

    checkpoints = sorted(final.parent.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))[-count:]
    if len(checkpoints) < count:
        raise FileNotFoundError(f"{final.parent} has {len(checkpoints)} checkpoints, {count} are to be averaged")
    weights = [load_file(checkpoint / "model.safetensors") for checkpoint in checkpoints]
    mean = {name: sum(one[name].float() for one in weights) / count for name in weights[0]}
    output = final.parent / "averaged"
    shutil.copytree(final, output, dirs_exist_ok=True)
    save_file(mean, output / "model.safetensors", metadata={"format": "pt"})
    return output


def greedy_loops(model: Any, tokenizer: Any) -> int:
    """How many of the 20 free texts loop when the likeliest token is always taken."""
    from brandon_hf.metrics.repetition import sequence_loops
    from brandon_hf.pipeline.samples import OPENINGS, REQUESTS
    from brandon_hf.pipeline.samples import write as write_texts

    chats = [[{"role": "user", "content": request}] for request in REQUESTS]
    texts = write_texts(model, tokenizer, [*OPENINGS, *chats], max_new_tokens=128)
    return sum(bool(sequence_loops(text)) for text, _ in texts)


def run_all(jobs: list[tuple[str, str, int]], options: argparse.Namespace) -> int:
    """Each job in a process of its own, `options.workers` at a time; results are written as they come.

    Returns:
        How many failed.
    """
    failed = 0
    running: dict[subprocess.Popen[bytes], tuple[str, str, int]] = {}
    while jobs or running:
        while jobs and len(running) < options.workers:
            unfinished = {job[1:] for job in (*jobs, *running.values())}
            ready = [job for job in jobs if not any(one[1:] in unfinished for one in needs(job, options))]
            if not ready:
                break
            question, name, seed = job = ready[0]
            jobs.remove(job)
            command = [sys.executable, __file__, *sys.argv[1:], "--job", question, name, str(seed)]
            with (options.work / f"{slug(name)}-{seed}.log").open("w") as log:
                running[subprocess.Popen(command, stdout=log, stderr=log)] = job
        time.sleep(0.5)
        process = next((process for process in running if process.poll() is not None), None)
        if process is None:
            continue
        question, name, seed = running.pop(process)
        outcome = options.work / f"{slug(name)}-{seed}.json"
        if process.returncode == 0 and outcome.is_file():
            document = load()
            row = {"changes": stated(question, name), "seed": seed, **json.loads(outcome.read_text("utf-8"))}
            before = document.setdefault(name, {}).get(str(seed))
            if not before or before["changes"] != row["changes"]:  # a model trained again for others changes no row
                document[name][str(seed)] = row
            write(document, options.work)
        else:
            failed += 1
        print(
            f"{name}, seed {seed}: {'done' if process.returncode == 0 else f'FAILED, see its log in {options.work}'}",
            flush=True,
        )
    return failed


def stated(question: str, name: str) -> dict[str, Any]:
    """The changes of a variant as a file holds them."""
    changes: dict[str, Any] = json.loads(json.dumps(QUESTIONS[question][name]))
    return changes


def slug(name: str) -> str:
    return "".join(character if character.isalnum() or character in ".-" else "_" for character in name)


def load() -> dict[str, dict[str, Any]]:
    path = DOCS / "experiments.json"
    return json.loads(path.read_text("utf-8"))["runs"] if path.is_file() else {}


def write(runs: dict[str, dict[str, Any]], work: Path) -> None:
    """docs/experiments.json and .md."""
    about = {"tokens": TOKENS, "context": CONTEXT, "base": BASE, "mixtures": MIXTURES, "kinds": KINDS}
    held_out = held_out_sizes(work) or json.loads((DOCS / "experiments.json").read_text("utf-8"))["about"]["held_out"]
    document = {"about": {**about, "held_out": held_out}, "runs": runs}
    (DOCS / "experiments.json").write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    (DOCS / "experiments.md").write_text(page(runs, held_out, BLIMP_PAIRS), "utf-8")


def held_out_sizes(work: Path) -> dict[str, tuple[int, int]]:
    """Documents and bytes of each kind of held-out text."""
    sizes = {}
    for kind in MEASURED:
        file = work / "held-out" / kind.replace(" ", "-") / "text.jsonl"
        if file.is_file():
            texts = [json.loads(line)["text"].encode() for line in file.read_text("utf-8").splitlines()]
            sizes[kind] = (len(texts), sum(map(len, texts)))
    return sizes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with pretrain/ and eval/")
    parser.add_argument("--work", type=Path, default=Path("runs/experiments"), help="folder of the runs")
    parser.add_argument("--questions", nargs="+", default=list(QUESTIONS), choices=QUESTIONS)
    parser.add_argument("--variants", nargs="+", help="only these of the questions")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--workers", type=int, default=2, help="runs at a time")
    parser.add_argument("--threads", type=int, default=1, help="threads of each")
    parser.add_argument("--job", nargs=3, metavar=("QUESTION", "VARIANT", "SEED"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    if options.job:
        question, name, seed = options.job
        folder = options.work / f"{slug(name)}-{seed}"
        figures = carry_out(QUESTIONS[question][name], folder, int(seed), options)
        (options.work / f"{folder.name}.json").write_text(json.dumps(figures), "utf-8")
        return
    make_shared(options)
    failed = run_all(plan(options), options)
    write(load(), options.work)
    if failed:
        sys.exit(f"{failed} runs failed")


if __name__ == "__main__":
    main()
