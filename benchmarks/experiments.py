"""What helps a small model at a fixed budget: every run a row, effects beside the spread over seeds.

    python benchmarks/experiments.py --data FOLDER [--questions mixture rate] [--seeds 1 2 3] [--workers 2]

A question is a base and some variants, each a change of the recipe `BASE`: about 1M parameters, 2M tokens of the text
in FOLDER/pretrain. All models share one tokenizer and are measured on the same held-out documents, of which none is
trained on whatever the mixture, in bits per byte by kind of text, and on BLiMP (the first pairs of each paradigm, from
FOLDER/eval). The question "original" is the ablation table of the first report: its variants are also tuned on chats
(FOLDER/instruct) and write free texts. Finished runs stand in docs/experiments.json and are not repeated; a stopped
run continues.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ablations import BASE_MODEL, BATCH, CONTEXT, PLAIN

DOCS = Path(__file__).resolve().parents[1] / "docs"
TOKENS = 2_000_000
HELD_OUT = 0.01  # share of documents; which ones, a hash of the text decides
HELD_OUT_BYTES = 200_000  # of each kind of text
BLIMP_PAIRS = 100  # of each paradigm

# Kinds of text and their files; within a kind, files count by their size.
KINDS = {
    "books": [f"gutenberg_0{number}" for number in range(8)],
    "simple books": ["gutenberg_00", "gutenberg_01"],
    "textbooks": ["openstax_ccby"],
    "stories": ["storybooks_ccby", "fairytaleqa_stories"],
    "encyclopaedia": ["wikipedia_boolq_passages", "wikisplit_sentences", "wiki_c4_samples", "cia_factbook_pd"],
    "news": ["onestopenglish", "us_speeches_pd"],
    "dialogues": ["sgd_dialogues"],
    "dictionary": ["wordset_dictionary"],
}
MEASURED = ("books", "textbooks", "stories", "encyclopaedia", "news", "dialogues")
CHATS = ("rasbt_instruction_1100", "self_instruct_seed_tasks", "dolly_15k_subset_nocontext")
MIXTURES = {  # shares of the tokens
    "generated world": {},
    "as it comes": {
        "books": 86.3,
        "textbooks": 5.7,
        "stories": 0.8,
        "encyclopaedia": 1.2,
        "news": 1.0,
        "dialogues": 3.2,
        "dictionary": 1.8,
    },
    "half books": {
        "books": 50,
        "textbooks": 20,
        "stories": 6,
        "encyclopaedia": 10,
        "news": 6,
        "dialogues": 5,
        "dictionary": 3,
    },
    "quarter books": {
        "books": 25,
        "textbooks": 30,
        "stories": 10,
        "encyclopaedia": 15,
        "news": 10,
        "dialogues": 7,
        "dictionary": 3,
    },
    "half simple books": {
        "simple books": 50,
        "textbooks": 20,
        "stories": 6,
        "encyclopaedia": 10,
        "news": 6,
        "dialogues": 5,
        "dictionary": 3,
    },
    "half books, no dictionary": {
        "books": 52,
        "textbooks": 20,
        "stories": 6,
        "encyclopaedia": 11,
        "news": 6,
        "dialogues": 5,
    },
}
BASE: dict[str, Any] = {
    "seed": 0,
    "phases": ["pretrain"],
    "model": BASE_MODEL,
    "data": {"max_tokens": TOKENS, "max_epochs": 20, "validation_fraction": HELD_OUT},
    "pretrain": {
        "max_steps": TOKENS // (BATCH * CONTEXT),
        "per_device_train_batch_size": BATCH,
        "learning_rate": 3e-3,
        "warmup_steps": 0.05,
        "decay_steps": 0.3,
        "save_steps": 200,
        "bf16": True,
        "torch_compile": True,
        "disable_tqdm": True,
    },
}
ON_MODEL = {f"model.{key}": value for key, value in PLAIN.items()}
TUNING = {
    "max_steps": TOKENS // (4 * BATCH * CONTEXT),
    "per_device_train_batch_size": BATCH,
    "learning_rate": 1e-3,
    "warmup_steps": 0.05,
    "save_steps": 200,
    "bf16": True,
    "disable_tqdm": True,
}
TUNED = {"phases": ["pretrain", "sft"], "sft": TUNING | {"unlikelihood_alpha": 0.0, "label_smoothing": 0.0}}
TEACHER = {"hidden_size": 192, "intermediate_size": 656, "num_hidden_layers": 10, **PLAIN}  # three times the parameters
DREAM = {
    "num_loops": 4,
    "num_hidden_layers": 8,  # 2 layers x 4 loops
    "block_repeat": 1,
    "hidden_size": 192,
    "intermediate_size": 536,
    "mlp_type": "relu_squared",
    "ternary_weights": True,
    "step_embedding": True,
    "loop_feedback": True,
    "resonance_gate": True,
}
FULL_STEPS = BASE["pretrain"]["max_steps"]
# question: {variant: changes of BASE}; "mixture" is this file's own. The others are compared with the first.
QUESTIONS: dict[str, dict[str, dict[str, Any]]] = {
    "mixture": {
        "half books": {},
        "as it comes": {"mixture": "as it comes"},
        "quarter books": {"mixture": "quarter books"},
        "half simple books": {"mixture": "half simple books"},
        "half books, no dictionary": {"mixture": "half books, no dictionary"},
    },
    "rate": {
        "half books": {},
        "rate 1.5e-3": {"pretrain.learning_rate": 1.5e-3},
        "rate 6e-3": {"pretrain.learning_rate": 6e-3},
        "rate 1.2e-2": {"pretrain.learning_rate": 1.2e-2},
    },
    "decay": {
        "half books": {},
        "decay 0.15": {"pretrain.decay_steps": 0.15},
        "decay 0.5": {"pretrain.decay_steps": 0.5},
        "decay to 0": {"pretrain.min_lr_ratio": 0.0},
        "linear decay": {"pretrain.decay_type": "linear"},
    },
    "batch": {
        "half books": {},
        "batch 8": {"pretrain.per_device_train_batch_size": 8, "pretrain.max_steps": TOKENS // (8 * CONTEXT)},
    },
    "optimizer": {
        "half books": {},
        "muon": {"pretrain.optimizer": "muon"},
        "muon, rate 6e-3": {"pretrain.optimizer": "muon", "pretrain.learning_rate": 6e-3},
        "muon, rate 1.2e-2": {"pretrain.optimizer": "muon", "pretrain.learning_rate": 1.2e-2},
    },
    "architecture": {
        "half books": {},
        "qk-norm": {"model.qk_norm": True},
        "output gate": {"model.attention_output_gate": True},
        "learned value mixing": {"model.value_residual": "learned"},
        "z-loss": {"pretrain.z_loss": 1e-4},
    },
    "original": {
        "baseline": {**TUNED, **ON_MODEL},
        "multi-token prediction": {
            **TUNED,
            **ON_MODEL,
            "model.num_mtp_heads": 3,
            "pretrain.mtp_warmup_fraction": 0.4,
        },
        "enhanced": TUNED,
        "dream": {**TUNED, **{f"model.{key}": value for key, value in DREAM.items()}},
        "generated world only": {**TUNED, "mixture": "generated world"},
        "three phases": {  # tokens of the first two together as in the others; its teacher's come on top
            "phases": ["pretrain", "distill", "sft"],
            "pretrain.max_steps": FULL_STEPS * 2 // 3,
            "distill": {**BASE["pretrain"], "max_steps": FULL_STEPS - FULL_STEPS * 2 // 3, "learning_rate": 1.5e-3},
            "teacher": {"model": {**BASE_MODEL, **TEACHER}, "pretrain": BASE["pretrain"]},
            "sft": TUNING | {"label_smoothing": 0.1, "unlikelihood_alpha": 0.5, "entropy_beta": 0.01, "replay": 0.1},
        },
        "30M-shaped": {**TUNED, **{f"model.{key}": value for key, value in TEACHER.items()}},
    },
}
COLUMNS = {  # of questions that do not show the kinds of text
    "original": ["mean", "blimp", "chat_loss", "repetition rate", "distinct 2-grams", "free texts with loops"]
}


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
    values["data"]["prepared"] = str(prepared(changes.pop("mixture", "half books"), options))
    for path, value in changes.items():
        set_path(values, path, value)
    for phase in values["phases"]:
        values[phase]["seed"] = seed
    return values


def prepared(mixture: str, options: argparse.Namespace) -> Path:
    """The folder of a run that only prepares the data of a mixture, for all runs that use it."""
    return options.work / "mixtures" / slug(mixture)


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
    changes = [changes for question in options.questions for changes in QUESTIONS[question].values()]
    for mixture in sorted({change.get("mixture", "half books") for change in changes}):
        values: dict[str, Any] = json.loads(json.dumps(BASE))
        values["data"]["pretrain"] = sources(mixture, options.data)
        values["data"]["chat"] = [str(options.data / "instruct" / f"{name}.jsonl.gz") for name in CHATS]
        values["tokenizer"] = {"path": str(options.work / "tokenizer")}
        Run(make_recipe(values, slug(mixture)), prepared(mixture, options)).data.prepare()
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


def measure(model: Any, final: Path, options: argparse.Namespace) -> dict[str, float]:
    """Bits per byte of each kind of held-out text, their mean, and BLiMP."""
    from brandon_hf.data import Corpus, PackedDataset, collate_blocks
    from brandon_hf.evaluation.evaluate import Settings, evaluate_model
    from brandon_hf.training.evaluation import mean_loss

    figures = {}
    for kind in MEASURED:
        folder = options.work / "held-out" / kind.replace(" ", "-") / "corpus"
        loss = mean_loss(model, PackedDataset(folder, "train", CONTEXT), collate_blocks, max_rows=10**6)
        figures[kind] = Corpus.load(folder).bits_per_byte(loss, "train")
    figures["mean"] = statistics.mean(figures.values())
    output = final.parent / "blimp"
    evaluate_model(
        str(final), output, tasks=["blimp"], data=options.data / "eval", settings=Settings(limit=BLIMP_PAIRS)
    )
    figures["blimp"] = json.loads((output / "results.json").read_text("utf-8"))["results"]["blimp"]["acc"]
    return figures


def carry_out(changes: dict[str, Any], folder: Path, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Train one variant with one seed and measure it."""
    import torch

    from brandon_hf.pipeline import Run
    from brandon_hf.pipeline.recipe import make_recipe
    from brandon_hf.pipeline.run import FOLDERS

    torch.set_num_threads(options.threads)
    start = time.monotonic()
    run = Run(make_recipe(recipe_values(changes, seed, options), folder.name), folder)
    final = run.execute()
    phases = [phase for phase in run.recipe.phases if phase != "sft"]
    pretrained = folder / FOLDERS[phases[-1]] / "final"
    model = run.load(pretrained)
    figures = measure(model, pretrained, options)
    if final != pretrained:
        figures["chat_loss"] = json.loads((final.parent / "evaluation.json").read_text("utf-8"))["chat_loss"]
        figures |= run.samples()["figures"]
    return {"parameters": model.num_parameters(), **figures, "seconds": round(time.monotonic() - start)}


def run_all(jobs: list[tuple[str, str, int]], options: argparse.Namespace) -> None:
    """Each job in a process of its own, `options.workers` at a time; results are written as they come."""
    running: dict[subprocess.Popen[bytes], tuple[str, str, int]] = {}
    while jobs or running:
        while jobs and len(running) < options.workers:
            question, name, seed = job = jobs.pop(0)
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
            row = {"changes": QUESTIONS[question][name], "seed": seed, **json.loads(outcome.read_text("utf-8"))}
            document.setdefault(name, {})[str(seed)] = row
            write(document)
        print(
            f"{name}, seed {seed}: {'done' if process.returncode == 0 else f'FAILED, see its log in {options.work}'}",
            flush=True,
        )


def slug(name: str) -> str:
    return "".join(character if character.isalnum() or character in ".-" else "_" for character in name)


def load() -> dict[str, dict[str, Any]]:
    path = DOCS / "experiments.json"
    return json.loads(path.read_text("utf-8"))["runs"] if path.is_file() else {}


def write(runs: dict[str, dict[str, Any]]) -> None:
    """docs/experiments.json and .md."""
    about = {"tokens": TOKENS, "context": CONTEXT, "base": BASE, "mixtures": MIXTURES, "kinds": KINDS}
    (DOCS / "experiments.json").write_text(json.dumps({"about": about, "runs": runs}, indent=1) + "\n", "utf-8")
    (DOCS / "experiments.md").write_text(page(runs), "utf-8")


def page(runs: dict[str, dict[str, Any]]) -> str:
    lines = [
        "# Experiments",
        "",
        f"Written by `python benchmarks/experiments.py`, which says how. {TOKENS:,} tokens per run, about a million "
        "parameters. Bits per byte of held-out text by kind, their mean, and the accuracy on "
        f"{BLIMP_PAIRS} pairs of each BLiMP paradigm. Effects are paired by seed: mean ± standard deviation.",
    ]
    for question, variants in QUESTIONS.items():
        names = [name for name in variants if name in runs]
        if len(names) < 2:
            continue
        columns = COLUMNS.get(question, [*MEASURED, "mean", "blimp"])
        lines += ["", f"## {question.capitalize()}", "", f"| variant | parameters | seeds | {' | '.join(columns)} |"]
        lines.append("|---" * (3 + len(columns)) + "|")
        for name in names:
            rows = list(runs[name].values())
            cells = [statistics.mean(row[column] for row in rows) for column in columns]
            shown = " | ".join(f"{cell:.3f}" for cell in cells)
            lines.append(f"| {name} | {rows[0]['parameters']:,} | {len(rows)} | {shown} |")
        base = names[0]
        if base != next(iter(variants)):
            continue
        lines += ["", f"| against {base} | {' | '.join(columns)} |", "|---" * (1 + len(columns)) + "|"]
        for name in names[1:]:
            shared = sorted(runs[name].keys() & runs[base].keys())
            cells = []
            for column in columns:
                gaps = [runs[name][seed][column] - runs[base][seed][column] for seed in shared]
                spread = f" ± {statistics.stdev(gaps):.3f}" if len(gaps) > 1 else ""
                cells.append(f"{statistics.mean(gaps):+.3f}{spread}" if gaps else "")
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with pretrain/ and eval/")
    parser.add_argument("--work", type=Path, default=Path("runs/experiments"), help="folder of the runs")
    parser.add_argument("--questions", nargs="+", default=list(QUESTIONS), choices=QUESTIONS)
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
    done = load()
    jobs: list[tuple[str, str, int]] = []
    for seed in options.seeds:
        for question in options.questions:
            for name in QUESTIONS[question]:
                known = str(seed) in done.get(name, {}) or any(job[1:] == (name, seed) for job in jobs)
                if not known:
                    jobs.append((question, name, seed))
    run_all(jobs, options)
    write(load())
    print(page(load()))


if __name__ == "__main__":
    main()
