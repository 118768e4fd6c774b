"""What each step of tuning gives to training speed, through the trainer, on the CPU or on a GPU.

    python benchmarks/throughput.py [--recipes 5m 10m_fast] [--batch 8]

Each line changes one thing more than the line above. Tokens per second are the median over steps after the first ones;
the model's products (6 per weight and token, a block that is applied twice counted twice, attention left out) are also
given as a share of what a plain matrix product of this machine reaches in the same precision. Writes
docs/benchmarks/throughput.json and .md, a section for each device; sections of other devices stay.
"""

import argparse
import json
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm
from training import LENGTH, RandomBlocks, StepTimes

from brandon_hf.modeling import BrandonConfig, BrandonForCausalLM
from brandon_hf.recipes import load_model_config
from brandon_hf.training.arguments import PretrainArguments, build_arguments
from brandon_hf.training.pretrain import PretrainTrainer

OUTPUT = Path(__file__).resolve().parents[1] / "docs/benchmarks/throughput"
WARM = 3  # steps that are not counted: they compile
MODELS = {"5m": load_model_config("5m"), "10m_fast": load_model_config("10m_enhanced", dropout=0.0)}


def tuning(batch: int) -> list[tuple[str, dict[str, Any]]]:
    """The steps: what is done, and the settings that do it."""
    steps: list[tuple[str, dict[str, Any]]] = [
        ("float32, 4 rows", {"bf16": False, "per_device_train_batch_size": 4}),
        ("bf16", {"bf16": True}),
        ("compiled", {"torch_compile": True}),
        (f"{batch} rows", {"per_device_train_batch_size": batch}),
    ]
    if torch.cuda.is_available():
        steps.append(("CUDA graphs", {"torch_compile_mode": "reduce-overhead"}))
    return [*steps, ("Muon", {"optimizer": "muon"})]


def products_per_token(config: BrandonConfig) -> float:
    """Multiply-adds of weights, forward and backward, times two."""
    model = BrandonForCausalLM(config)
    blocks = sum(weight.numel() for weight in model.model.blocks.parameters() if weight.ndim == 2)
    repeats = config.num_hidden_layers / config.num_unique_blocks
    return 6 * (blocks * repeats + config.vocab_size * config.hidden_size)


def speed_of_products(device: torch.device, dtype: torch.dtype, size: int = 2048) -> float:
    """Floating-point operations per second of a square matrix product."""
    one, other = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    seconds = []
    for _ in range(8):
        start = time.perf_counter()
        (one @ other).flatten()[0].item()
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 / statistics.median(seconds[2:])


def tokens_per_second(config: BrandonConfig, settings: dict[str, Any], steps: int) -> float:
    torch._dynamo.reset()
    fixed = {"max_steps": steps + WARM, "learning_rate": 1e-3, "warmup_steps": 0.0, "decay_steps": 1}
    fixed |= {"save_strategy": "no", "disable_tqdm": True, "logging_steps": 10**6}
    times = StepTimes()
    with tempfile.TemporaryDirectory() as folder:
        trainer = PretrainTrainer(
            BrandonForCausalLM(config),
            build_arguments(PretrainArguments, {**fixed, **settings}, "pretrain", folder),
            train_dataset=RandomBlocks(config.vocab_size),
            callbacks=[times],
        )
        trainer.train()
    return settings["per_device_train_batch_size"] * LENGTH / statistics.median(times.seconds[WARM:])


def page(sections: dict[str, Any]) -> str:
    text = "# Training throughput\n\nWritten by `python benchmarks/throughput.py`, which says what is counted.\n"
    for device, section in sections.items():
        products = ", ".join(f"{value / 1e9:,.0f} GFLOP/s in {name}" for name, value in section["products"].items())
        text += f"\n## {device}\n\n{section['threads']} threads. Plain matrix products: {products}.\n"
        for recipe, rows in section["recipes"].items():
            text += f"\n| {recipe} | tokens/s | times the line above | share of products |\n|---|--:|--:|--:|\n"
            before = None
            for row in rows:
                gain = "" if before is None else f"{row['tokens_per_second'] / before:.2f}"
                text += f"| {row['step']} | {row['tokens_per_second']:,.0f} | {gain} | {row['share']:.0%} |\n"
                before = row["tokens_per_second"]
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument("--batch", type=int, default=8, help="rows of the larger batch (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=5, help="measured of each line")
    options = parser.parse_args()
    device = torch.accelerator.current_accelerator() or torch.device("cpu")
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {platform.machine()}"
    found = {
        "float32": speed_of_products(device, torch.float32),
        "bfloat16": speed_of_products(device, torch.bfloat16),
    }
    section: dict[str, Any] = {"threads": torch.get_num_threads(), "products": found, "recipes": {}}
    for recipe in options.recipes:
        config, settings = MODELS[recipe], {}
        products = products_per_token(config)
        for step, change in tqdm(tuning(options.batch), desc=recipe):
            settings |= change
            speed = tokens_per_second(config, settings, options.steps)
            share = speed * products / found["bfloat16" if settings["bf16"] else "float32"]
            row = {"step": step, "tokens_per_second": speed, "share": share}
            section["recipes"].setdefault(recipe, []).append(row)
    path = OUTPUT.with_suffix(".json")
    sections = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    sections[name] = section
    path.write_text(json.dumps(sections, indent=1) + "\n", "utf-8")
    OUTPUT.with_suffix(".md").write_text(page(sections), "utf-8")
    print(page(sections))


if __name__ == "__main__":
    main()
