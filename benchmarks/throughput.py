"""What each step of tuning gives to training speed, through the trainer, on the CPU or on a GPU.

    python benchmarks/throughput.py [--recipes 5m 10m_fast] [--batch 8]

Each line changes one thing more than the line above, in a process of its own. Tokens per second are the median over
steps after the first ones; the model's products (6 per weight and token, a block that is applied twice counted twice,
attention left out) are also given as a share of what a plain matrix product of this machine reaches in the same
precision. Writes docs/benchmarks/throughput.json and .md, a section for each device; what is not measured stays.
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm
from training import LENGTH, RandomBlocks, StepTimes

from brandon_hf.environment import processor
from brandon_hf.modeling import BrandonConfig, BrandonForCausalLM
from brandon_hf.recipes import load_model_config
from brandon_hf.training.arguments import PretrainArguments, build_arguments
from brandon_hf.training.pretrain import PretrainTrainer

OUTPUT = Path(__file__).resolve().parents[1] / "docs/benchmarks/throughput"
WARM = 3  # steps that are not counted: they compile
RESULT = "tokens per second: "
MODELS = {"5m": load_model_config("5m"), "10m_fast": load_model_config("10m_enhanced", dropout=0.0)}


GIVEN_BACK = {"GLIBC_TUNABLES": ""}  # states nothing, but `keep_freed_memory` takes it for the user's wish


@dataclass
class Step:
    """One step of tuning: its name, what it changes for all that follow, and how the process is started."""

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    processes: int = 1


def tuning(batch: int) -> list[Step]:
    """The steps, in the order in which they are added."""
    float32 = {"bf16": False, "per_device_train_batch_size": 4}
    muon = Step("Muon", {"optimizer": "muon"})
    steps = [
        Step("bf16", {"bf16": True}),
        Step("compiled", {"torch_compile": True}),
        Step(f"{batch} rows", {"per_device_train_batch_size": batch}),
    ]
    if torch.accelerator.is_available():
        graphs = [Step("CUDA graphs", {"torch_compile_mode": "reduce-overhead"})] if torch.cuda.is_available() else []
        return [Step("float32, 4 rows", float32), *steps, *graphs, muon]
    steps = [Step("float32, 4 rows", float32, GIVEN_BACK), Step("freed memory kept"), *steps, muon]
    processes = torch.get_num_threads()
    if processes > 1 and batch % processes == 0:
        rows = {"per_device_train_batch_size": batch // processes}
        steps.append(Step(f"{processes} processes of one thread", rows, {"OMP_NUM_THREADS": "1"}, processes))
    return steps


def products_per_token(config: BrandonConfig) -> float:
    """Multiply-adds of weights, forward and backward, times two."""
    model = BrandonForCausalLM(config)
    blocks = sum(weight.numel() for weight in model.model.blocks.parameters() if weight.ndim == 2)
    repeats = config.num_hidden_layers / config.num_unique_blocks
    return 6 * (blocks * repeats + config.vocab_size * config.hidden_size)


def speed_of_products(device: torch.device, dtype: torch.dtype, size: int) -> float:
    """Floating-point operations per second of a square matrix product."""
    one, other = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    seconds = []
    for _ in range(8):
        start = time.perf_counter()
        (one @ other).flatten()[0].item()
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 / statistics.median(seconds[2:])


def tokens_per_second(recipe: str, settings: dict[str, Any], steps: int) -> float:
    """Tokens per second of all processes of this launch; this one trains."""
    fixed = {"max_steps": steps + WARM, "learning_rate": 1e-3, "warmup_steps": 0.0, "decay_steps": 1}
    fixed |= {"save_strategy": "no", "disable_tqdm": True, "logging_steps": 10**6}
    times = StepTimes()
    with tempfile.TemporaryDirectory() as folder:
        trainer = PretrainTrainer(
            BrandonForCausalLM(MODELS[recipe]),
            build_arguments(PretrainArguments, {**fixed, **settings}, "pretrain", folder),
            train_dataset=RandomBlocks(MODELS[recipe].vocab_size),
            callbacks=[times],
        )
        trainer.train()
    tokens = settings["per_device_train_batch_size"] * LENGTH * trainer.args.world_size
    return tokens / statistics.median(times.seconds[WARM:])


def measured(recipe: str, step: Step, settings: dict[str, Any], steps: int) -> float:
    """Tokens per second in a process of its own, or several."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(step.processes)]
    command = [sys.executable, *(launcher if step.processes > 1 else []), __file__, "--steps", str(steps)]
    command += ["--one", recipe, json.dumps(settings)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    run = subprocess.run(command, env=environment | step.environment, capture_output=True, text=True)
    found = re.findall(rf"{RESULT}([\d.]+)", run.stdout)
    if run.returncode or not found:
        raise RuntimeError(f"{recipe}, {step.name}: {run.stderr}")
    return float(found[0])


def page(sections: dict[str, Any]) -> str:
    text = "# Training throughput\n\nWritten by `python benchmarks/throughput.py`, which says what is counted.\n"
    for device, section in sections.items():
        text += f"\n## {device}\n"
        for recipe, run in section.items():
            products = ", ".join(f"{value / 1e9:,.0f} GFLOP/s in {name}" for name, value in run["products"].items())
            text += f"\n{run['threads']} threads of {run['processor']}. Plain matrix products: {products}.\n"
            text += f"\n| {recipe} | tokens/s | times the line above | share of products |\n|---|--:|--:|--:|\n"
            before = None
            for row in run["rows"]:
                gain = "" if before is None else f"{row['tokens_per_second'] / before:.2f}"
                text += f"| {row['step']} | {row['tokens_per_second']:,.0f} | {gain} | {row['share']:.0%} |\n"
                before = row["tokens_per_second"]
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument("--batch", type=int, help="rows of the larger batch (default: 8 on a CPU, 128 on a GPU)")
    parser.add_argument("--steps", type=int, default=5, help="measured of each line")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        speed = tokens_per_second(options.one[0], json.loads(options.one[1]), options.steps)
        if os.environ.get("RANK", "0") == "0":
            print(f"{RESULT}{speed}")
        return
    device = torch.accelerator.current_accelerator() or torch.device("cpu")
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {platform.machine()}"
    size, batch = (2048, options.batch or 8) if device.type == "cpu" else (8192, options.batch or 128)
    path = OUTPUT.with_suffix(".json")
    sections = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    for recipe in options.recipes:
        found = {
            "float32": speed_of_products(device, torch.float32, size),
            "bfloat16": speed_of_products(device, torch.bfloat16, size),
        }
        rows, settings, products = [], {}, products_per_token(MODELS[recipe])
        for step in tqdm(tuning(batch), desc=recipe):
            settings |= step.settings
            speed = measured(recipe, step, settings, options.steps)
            share = speed * products / found["bfloat16" if settings["bf16"] else "float32"]
            rows.append({"step": step.name, "tokens_per_second": speed, "share": share})
        run = {"threads": torch.get_num_threads(), "processor": processor(), "products": found, "rows": rows}
        sections.setdefault(name, {})[recipe] = run
        path.write_text(json.dumps(sections, indent=1) + "\n", "utf-8")
        OUTPUT.with_suffix(".md").write_text(page(sections), "utf-8")
    print(page(sections))


if __name__ == "__main__":
    main()
