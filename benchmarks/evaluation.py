"""How long the complete benchmarks take, and what bfloat16 changes.

    python benchmarks/evaluation.py --data FOLDER [--model FOLDER] [--limit N]

Without --model, a model of the flagship's shape with random weights, and a tokenizer of 8192 entries trained on the
benchmarks' own text (for its speed only). Writes docs/benchmarks/evaluation.json and .md.
"""

import argparse
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import torch
from transformers import set_seed

from brandon_hf.environment import processor
from brandon_hf.evaluation.benchmarks import read_rows
from brandon_hf.evaluation.evaluate import Settings, evaluate_model
from brandon_hf.modeling import BrandonConfig, BrandonForCausalLM
from brandon_hf.tokenization import train_tokenizer

DOCS = Path(__file__).resolve().parents[1] / "docs/benchmarks"
METRICS = {
    "blimp": "acc",
    "hellaswag": "acc_norm",
    "arc_easy": "acc_norm",
    "piqa": "acc_norm",
    "winogrande": "acc",
    "lambada_openai": "acc",
    "wikitext": "bits_per_byte",
}


def flagship(folder: Path, data: Path) -> Path:
    """The flagship's shape with random weights in bfloat16."""
    if not folder.is_dir():
        texts = [row["page"] for row in read_rows(data, "wikitext")]
        texts += [f"{row['ctx_a']} {row['endings'][0]}" for row in read_rows(data, "hellaswag")]
        tokenizer = train_tokenizer(texts, vocab_size=8192, model_max_length=512)
        set_seed(0)
        config = BrandonConfig(
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
        BrandonForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


def measured(model: Path, dtype: str, options: argparse.Namespace) -> dict[str, Any]:
    """The results of one evaluation, and the seconds of each task."""
    output = options.work / f"{model.name}-{dtype}"
    shutil.rmtree(output, ignore_errors=True)  # what is done already takes no time
    seconds = {}
    for task in METRICS:
        start = time.monotonic()
        settings = Settings(dtype=dtype, limit=options.limit)
        evaluate_model(str(model), output, tasks=[task], data=options.data, settings=settings)
        seconds[task] = time.monotonic() - start
    document = json.loads((output / "results.json").read_text("utf-8"))
    return {"results": {task: document["results"][task] for task in METRICS}, "seconds": seconds}


def product_speed(dtype: str, seconds: float = 1.0) -> float:
    """How fast this machine multiplies 2,048 rows with the flagship's feed-forward matrix, in GFLOP/s."""
    rows, weight = (torch.randn(shape, dtype=getattr(torch, dtype)) for shape in ((2048, 256), (1440, 256)))
    count, start = 0, time.monotonic()
    while time.monotonic() - start < seconds:
        torch.nn.functional.linear(rows, weight)
        count += 1
    return 2 * 2048 * weight.numel() * count / (time.monotonic() - start) / 1e9


def table(found: dict[str, dict[str, Any]], by: str) -> str:
    """Each task with its figure in each dtype, and how far apart they lie."""
    lines = ["| task | metric | float32 | bfloat16 | difference | standard error | minutes |", "|---" * 7 + "|"]
    for task, metric in METRICS.items():
        wide, half = (
            found[dtype]["results"].get(task) if dtype in found else None for dtype in ("float32", "bfloat16")
        )
        one = half or wide or {}
        gap = f"{half[metric] - wide[metric]:+.4f}" if wide and half else ""
        error = f"{one[f'{metric}_stderr']:.4f}" if f"{metric}_stderr" in one else ""
        cells = [f"{part[metric]:.4f}" if part else "" for part in (wide, half)]
        lines.append(
            f"| {task} | {metric} | {cells[0]} | {cells[1]} | {gap} | {error} | {found[by]['seconds'][task] / 60:.1f} |"
        )
    lines.append(f"| all | | | | | | {sum(found[by]['seconds'].values()) / 60:.1f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="files of the benchmarks")
    parser.add_argument("--model", type=Path, help="model folder")
    parser.add_argument("--dtypes", nargs="+", default=["bfloat16", "float32"], choices=("bfloat16", "float32"))
    parser.add_argument("--limit", type=int, help="only the first examples of each task")
    parser.add_argument("--work", type=Path, default=Path("runs/evaluation-benchmark"), help="folder of the results")
    options = parser.parse_args()
    model = options.model or flagship(options.work / "flagship", options.data)
    machine = {"threads": torch.get_num_threads(), "cores": os.cpu_count()}
    machine["gflops"] = {dtype: product_speed(dtype) for dtype in ("float32", "bfloat16")}
    found = {dtype: measured(model, dtype, options) for dtype in options.dtypes}
    machine["processor"] = processor()
    name = f"{'trained model' if options.model else 'flagship of random weights'} on {machine['processor']}"
    path = DOCS / "evaluation.json"
    document = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    document[name] = {"limit": options.limit, **machine, **found}
    DOCS.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    sections = [
        "# Evaluation\n\nWritten by `python benchmarks/evaluation.py`. Minutes are those of bfloat16, where it ran."
    ]
    for title, one in document.items():
        dtypes = {dtype: one[dtype] for dtype in ("float32", "bfloat16") if dtype in one}
        by = "bfloat16" if "bfloat16" in dtypes else "float32"
        about = f"{one['threads']} threads; a matrix product runs at "
        about += " and ".join(f"{speed:.0f} GFLOP/s in {dtype}" for dtype, speed in one["gflops"].items())
        about += f". The first {one['limit']} examples." if one["limit"] else "."
        sections.append(f"## {title[0].upper()}{title[1:]}\n\n{about}\n\n{table(dtypes, by)}")
    (DOCS / "evaluation.md").write_text("\n\n".join(sections) + "\n", "utf-8")
    print("\n\n".join(sections))


if __name__ == "__main__":
    main()
