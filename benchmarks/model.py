"""Speed of the flagship beside transformers' Llama of the same depth, width and vocabulary, in one run.

    python benchmarks/model.py --output docs/benchmarks/model

Training: tokens per second of forward, backward and AdamW in bf16 autocast over 4 x 512 tokens. Decoding: greedy
tokens per second at batch 1. Each model runs as users get it by default, and with compilation (decoding also with a
static cache). The rounds of the variants alternate, so that a change of the machine's speed meets all of them (in
training, those of the default variants and then those of the compiled ones); the table quotes medians and ratios to the
Llama's default. Writes OUTPUT.json and OUTPUT.md.
"""

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import transformers
from tqdm import tqdm
from transformers import CompileConfig, LlamaConfig, LlamaForCausalLM

from brandon_hf.modeling import BrandonConfig, BrandonForCausalLM

BATCH, LENGTH, PROMPT = 4, 512, 8


def llama_config() -> LlamaConfig:
    """The flagship's shape, without sharing, averaging, value residual and registers."""
    ours = BrandonConfig()
    return LlamaConfig(
        vocab_size=ours.vocab_size,
        hidden_size=ours.hidden_size,
        intermediate_size=ours.intermediate_size,
        num_hidden_layers=ours.num_hidden_layers,
        num_attention_heads=ours.num_attention_heads,
        num_key_value_heads=ours.num_key_value_heads,
        max_position_embeddings=ours.max_position_embeddings,
        tie_word_embeddings=True,
    )


def training_step(model: torch.nn.Module, compiled: bool) -> Callable[[], float]:
    """A function that trains on one batch and returns tokens per second."""
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    forward = torch.compile(model) if compiled else model
    device = next(model.parameters()).device
    tokens = torch.randint(0, model.config.vocab_size, (BATCH, LENGTH), device=device)

    def step() -> float:
        start = time.perf_counter()
        with torch.autocast(device.type, dtype=torch.bfloat16):
            loss = forward(input_ids=tokens, labels=tokens).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        _wait(device)
        return BATCH * LENGTH / (time.perf_counter() - start)

    return step


def decoding(model: torch.nn.Module, new_tokens: int, compiled: bool) -> Callable[[], float]:
    """A function that generates greedily and returns tokens per second."""
    model.eval()
    prompt = torch.randint(0, model.config.vocab_size, (1, PROMPT), device=model.device)
    options = {"cache_implementation": "static", "compile_config": compile_everywhere()} if compiled else {}

    def run() -> float:
        start = time.perf_counter()
        model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=new_tokens,
            min_new_tokens=new_tokens,
            do_sample=False,
            pad_token_id=0,
            **options,
        )
        _wait(model.device)
        return new_tokens / (time.perf_counter() - start)

    return run


def compile_everywhere() -> CompileConfig:
    """Compilation on the CPU too: transformers' own models need this switch, ours do not."""
    config = CompileConfig(fullgraph=True, mode="default")
    config._compile_all_devices = True
    return config


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def measure(variants: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Run all variants in turn, `rounds` times after one round that does not count."""
    figures: dict[str, list[float]] = {name: [] for name in variants}
    for round_number in tqdm(range(rounds + 1), desc=next(iter(variants)).split(",")[0]):
        for name, run in variants.items():
            figure = run()
            if round_number:
                figures[name].append(figure)
    return figures


def table(figures: dict[str, list[float]]) -> list[str]:
    """Markdown rows: median, spread, ratio of the medians to the first variant's."""
    first = statistics.median(next(iter(figures.values())))
    rows = ["| variant | tokens/s, median | min - max | ratio |", "|---|---|---|---|"]
    for name, values in figures.items():
        median = statistics.median(values)
        rows.append(f"| {name} | {median:,.0f} | {min(values):,.0f} - {max(values):,.0f} | {median / first:.2f} |")
    return rows


def command() -> str:
    """This run as it was called."""
    return " ".join(["python benchmarks/model.py", *sys.argv[1:]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="counted rounds of each variant (default 7)")
    parser.add_argument("--new-tokens", type=int, default=128, help="tokens a decoding run generates (default 128)")
    parser.add_argument("--only", choices=["train", "decode"], help="measure one of the two")
    parser.add_argument("--dropout", type=float, default=0.0, help="dropout of Brandon while training (default 0)")
    parser.add_argument("--no-compile", action="store_true", help="leave the compiled variants out")
    parser.add_argument("--output", type=Path, help="write OUTPUT.json and OUTPUT.md")
    arguments = parser.parse_args()

    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    makers = {
        "Llama": lambda: LlamaForCausalLM(llama_config()).to(device),
        "Brandon": lambda: BrandonForCausalLM(BrandonConfig(dropout=arguments.dropout)).to(device),
    }
    modes = [False] if arguments.no_compile else [False, True]
    results: dict[str, dict[str, list[float]]] = {}
    if arguments.only != "decode":
        results["training"] = {}
        for compiled in modes:
            steps = {
                f"train, {name}, {'compiled' if compiled else 'default'}": training_step(make(), compiled)
                for name, make in makers.items()
            }
            results["training"] |= measure(steps, arguments.rounds)
        torch.compiler.reset()
    for dtype in (torch.float32, torch.bfloat16) if arguments.only != "train" else ():
        name_of = str(dtype).removeprefix("torch.")
        results[f"decoding {name_of}"] = measure(
            {
                f"decode {name_of}, {name}, {'static cache, compiled' if compiled else 'default'}": decoding(
                    make().to(dtype), arguments.new_tokens, compiled
                )
                for compiled in modes
                for name, make in makers.items()
            },
            arguments.rounds,
        )
        torch.compiler.reset()

    environment = {
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "device": torch.cuda.get_device_name() if device == "cuda" else f"CPU ({platform.machine()})",
        "threads": torch.get_num_threads(),
        "rounds": arguments.rounds,
        "dropout": arguments.dropout,
    }
    lines = ["# Speed of the model", "", f"Written by `{command()}`.", ""]
    lines += [", ".join(f"{key} {value}" for key, value in environment.items()), ""]
    for title, figures in results.items():
        lines += [f"## {title.capitalize()}", "", *table(figures), ""]
    report = "\n".join(lines)
    print(report)
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.with_suffix(".json").write_text(
            json.dumps({"environment": environment, "tokens_per_second": results}, indent=1) + "\n"
        )
        arguments.output.with_suffix(".md").write_text(report)
        print(f"written: {arguments.output}.json and {arguments.output}.md")


if __name__ == "__main__":
    main()
