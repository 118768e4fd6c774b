"""What helps at 1M parameters and 2M tokens of real text: three seeds of each variant, effects beside their spread.

    python benchmarks/ablations.py --pretrain FOLDER --chat FILE [--workers 2] [--tokens 2000000]

Each variant is a recipe carried out by `brandon_hf.pipeline`, so a stopped benchmark continues. All seeds see the same
text; the seed decides initial weights and order. Writes docs/benchmarks/ablations.json and .md.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[1] / "docs/benchmarks"
SEEDS = (1, 2, 3)
CONTEXT, BATCH = 256, 16
BASE_MODEL = {
    "vocab_size": 2048,
    "hidden_size": 128,
    "intermediate_size": 352,
    "num_hidden_layers": 8,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": CONTEXT,
}
PLAIN = {"depth_weighted_average": False, "value_residual": "none", "num_registers": 0}
COSINE = {"lr_scheduler_type": "cosine_with_min_lr"}
# name: (what changes in the model, what changes in pretraining)
PRETRAINED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "base": ({}, {}),
    "cosine": ({}, COSINE),
    "plain": (PLAIN, {}),
    "deep-narrow": ({"num_hidden_layers": 16, "hidden_size": 96, "intermediate_size": 253}, {}),
    "shallow-wide": ({"num_hidden_layers": 4, "hidden_size": 176, "intermediate_size": 430}, {}),
    "vocabulary 1k": ({"vocab_size": 1024}, {}),
    "vocabulary 4k": ({"vocab_size": 4096}, {}),
}
TEACHER = {"num_hidden_layers": 10, "hidden_size": 224, "intermediate_size": 608}
# Continued from the base of the same seed.
CONTINUED: dict[str, dict[str, Any]] = {
    "continued without teacher": {"distill": {"alpha": 0.0}},
    "continued with teacher": {"distill": {"alpha": 0.5}},
    "tuned plainly": {"sft": {"label_smoothing": 0.0, "unlikelihood_alpha": 0.0, "entropy_beta": 0.0}},
    "tuned against repetition": {"sft": {"label_smoothing": 0.1, "unlikelihood_alpha": 0.5, "entropy_beta": 0.01}},
}
PAIRS = (
    ("WSD against cosine", "base", "cosine"),
    ("enhanced against plain", "base", "plain"),
    ("deep-narrow against shallow-wide", "deep-narrow", "shallow-wide"),
    ("vocabulary 1k against 2k", "vocabulary 1k", "base"),
    ("vocabulary 4k against 2k", "vocabulary 4k", "base"),
    ("distilled against not", "continued with teacher", "continued without teacher"),
    ("against repetition, or plainly tuned", "tuned against repetition", "tuned plainly"),
)
FIGURES = {
    "validation_bits_per_byte": "bits per byte",
    "chat_loss": "chat loss",
    "free texts with loops": "loops in 20",
    "distinct 2-grams": "distinct 2-grams",
    "repetition rate": "repetition rate",
}


def recipe_values(name: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """The recipe of a variant."""
    data = {"pretrain": options.pretrain, "chat": options.chat, "max_tokens": options.tokens, "max_epochs": 1}
    data["validation_fraction"] = 0.05
    schedule = {"warmup_steps": 0.05, "per_device_train_batch_size": BATCH, "disable_tqdm": True, "seed": seed}
    steps = options.tokens // (BATCH * CONTEXT)
    values: dict[str, Any] = {"seed": 0, "data": data, "model": dict(BASE_MODEL), "samples": {"max_new_tokens": 128}}
    if name in PRETRAINED or name == "teacher":
        model, pretrain = PRETRAINED.get(name, (TEACHER, {}))
        values["model"] |= model
        values["phases"] = ["pretrain"]
        values["pretrain"] = {
            **schedule,
            "max_steps": steps,
            "learning_rate": 3e-3,
            "decay_steps": 0.3,
            "save_steps": 200,
            **pretrain,
        }
        return values
    phase, settings = next(iter(CONTINUED[name].items()))
    values["base_model"] = str(options.work / f"base-{seed}/phase1_pretrain/final")
    values["phases"] = [phase]
    values[phase] = {**schedule, "max_steps": steps // 4, "learning_rate": 1e-3, "save_steps": 200, **settings}
    if phase == "distill":
        values[phase] |= {"decay_steps": 0.3}
        values["teacher"] = {"path": str(options.work / "teacher-1/phase1_pretrain/final")}
    return values


def carry_out(name: str, seed: int, options: argparse.Namespace) -> dict[str, float]:
    """Train one variant with one seed and return its figures."""
    import torch

    from brandon_hf.pipeline import Run
    from brandon_hf.pipeline.recipe import make_recipe

    torch.set_num_threads(options.threads)
    folder = options.work / f"{name.replace(' ', '-')}-{seed}"
    run = Run(make_recipe(recipe_values(name, seed, options), folder.name), folder)
    final = run.execute()
    figures = json.loads((final.parent / "evaluation.json").read_text())
    figures["parameters"] = run.load(final).num_parameters()
    if name in CONTINUED:
        figures |= run.samples()["figures"]
    return figures


def run_all(jobs: list[tuple[str, int]], options: argparse.Namespace, arguments: list[str]) -> None:
    """Each job in a process of its own, `options.workers` at a time."""
    waiting, running = list(jobs), {}
    while waiting or running:
        while waiting and len(running) < options.workers:
            job = waiting.pop(0)
            log = (options.work / f"{job[0].replace(' ', '-')}-{job[1]}.log").open("w")
            command = [sys.executable, __file__, *arguments, "--job", job[0], str(job[1])]
            running[subprocess.Popen(command, stdout=log, stderr=log)] = job
        pid, status = os.wait()
        process = next(process for process in running if process.pid == pid)
        name, seed = running.pop(process)
        print(f"{name}, seed {seed}: {'done' if status == 0 else f'FAILED, see its log in {options.work}'}", flush=True)


def table(results: dict[str, dict[str, dict[str, float]]]) -> str:
    """All variants with mean and standard deviation over the seeds, then the pairs."""

    def cell(values: list[float]) -> str:
        spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
        return f"{statistics.mean(values):.3f}{spread}" if values else ""

    lines = [
        "| variant | parameters | seeds | " + " | ".join(FIGURES.values()) + " |",
        "|---" * (3 + len(FIGURES)) + "|",
    ]
    for name, by_seed in results.items():
        seeds = list(by_seed.values())
        cells = [cell([figures[key] for figures in seeds if key in figures]) for key in FIGURES]
        lines.append(f"| {name} | {int(seeds[0]['parameters']):,} | {len(seeds)} | " + " | ".join(cells) + " |")
    lines += ["", "| effect | figure | difference, seed by seed | mean ± standard deviation |", "|---|---|---|---|"]
    for title, one, other in PAIRS:
        shared = sorted(results.get(one, {}).keys() & results.get(other, {}).keys())
        for key, label in FIGURES.items():
            both = [seed for seed in shared if key in results[one][seed] and key in results[other][seed]]
            gaps = [results[one][seed][key] - results[other][seed][key] for seed in both]
            if gaps:
                lines.append(f"| {title} | {label} | {', '.join(f'{gap:+.3f}' for gap in gaps)} | {cell(gaps)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pretrain", required=True, help="pretraining text, as in a recipe's data.pretrain")
    parser.add_argument("--chat", required=True, help="chats, as in data.chat")
    parser.add_argument("--work", type=Path, default=Path("runs/ablations"), help="folder of the runs")
    parser.add_argument("--tokens", type=int, default=2_000_000, help="tokens of pretraining")
    parser.add_argument("--workers", type=int, default=2, help="runs at a time")
    parser.add_argument("--threads", type=int, default=1, help="threads of each")
    parser.add_argument("--variants", nargs="+", default=list(PRETRAINED), choices=PRETRAINED, help="to pretrain")
    parser.add_argument("--results-only", action="store_true", help="train nothing, write the tables of what there is")
    parser.add_argument("--job", nargs=2, metavar=("VARIANT", "SEED"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    if options.job:
        name, seed = options.job[0], int(options.job[1])
        figures = carry_out(name, seed, options)
        (options.work / f"{name.replace(' ', '-')}-{seed}.json").write_text(json.dumps(figures))
        return
    first = [("teacher", 1), *((name, seed) for seed in SEEDS for name in options.variants)]
    second = [(name, seed) for seed in SEEDS for name in CONTINUED]
    for jobs in () if options.results_only else (first, second):
        todo = [job for job in jobs if not (options.work / f"{job[0].replace(' ', '-')}-{job[1]}.json").is_file()]
        run_all(todo, options, sys.argv[1:])
    results: dict[str, dict[str, dict[str, float]]] = {}
    for name in ("teacher", *PRETRAINED, *CONTINUED):
        for seed in SEEDS:
            path = options.work / f"{name.replace(' ', '-')}-{seed}.json"
            if path.is_file():
                results.setdefault(name, {})[str(seed)] = json.loads(path.read_text())
    about = {"tokens": options.tokens, "context": CONTEXT, "batch": BATCH}
    DOCS.mkdir(parents=True, exist_ok=True)
    (DOCS / "ablations.json").write_text(json.dumps({"about": about, "results": results}, indent=1) + "\n")
    text = (
        "# Ablations\n\nWritten by `python benchmarks/ablations.py`. "
        f"{options.tokens:,} tokens of pretraining per run; continued runs have a quarter of that.\n\n"
    )
    (DOCS / "ablations.md").write_text(text + table(results) + "\n")
    print(table(results))


if __name__ == "__main__":
    main()
