"""Cost of loading packed blocks, for a consumer of a million tokens per second.

    python benchmarks/data.py --output docs/benchmarks/data

A corpus is prepared from random words, in documents of 10 to 1,500 of them. A simulated consumer then asks for shuffled
batches of 512-token blocks and sleeps, after each, for as long as training on it would take at --consumer tokens per
second. A round's figure is the share of a step that the consumer waits for data, the median over the round's steps; the
table quotes median, least and most over the rounds, in which the variants alternate. Without workers all of the loading
is waited for; with them, what is left is the hand-over.
Writes OUTPUT.json and OUTPUT.md.
"""

import argparse
import json
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from accelerate.data_loader import prepare_data_loader
from torch.utils.data import DataLoader
from tqdm import tqdm

from brandon_hf.data import PackedDataset, Source, collate_blocks, prepare_corpus
from brandon_hf.tokenization import train_tokenizer

LENGTH = 512
BATCHES = (8, 32, 128)


def random_documents(count: int) -> list[str]:
    """Documents of 10 to 1,500 random words."""
    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 9))) for _ in range(5000)]
    return [" ".join(rng.choices(words, k=rng.randint(10, 1500))) for _ in range(count)]


def prepare(folder: Path, documents: int) -> tuple[PackedDataset, float]:
    """A packed corpus in `folder`, and the tokens per second at which it was written."""
    texts = random_documents(documents)
    (folder / "text.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    tokenizer = train_tokenizer(texts[:200])
    start = time.perf_counter()
    corpus = prepare_corpus([Source(path=str(folder / "text.jsonl"))], tokenizer, folder / "corpus")
    seconds = time.perf_counter() - start
    return PackedDataset(corpus.folder, "train", LENGTH), corpus.split("train")["tokens"] / seconds


def waiting(
    dataset: PackedDataset, batch: int, workers: int, accelerated: bool, steps: int, consumer: float
) -> Callable[[], float]:
    """A function that consumes `steps` batches and returns the share of a step it waited for data."""
    loader = DataLoader(dataset, batch, shuffle=True, drop_last=True, collate_fn=collate_blocks, num_workers=workers)
    if accelerated:
        loader = prepare_data_loader(loader, num_processes=1, process_index=0, put_on_device=False)

    def run() -> float:
        batches = iter(loader)
        for _ in range(3):  # workers start, memory is mapped
            next(batches)
        waits = []
        for _ in range(min(steps, len(loader) - 4)):
            asked = time.perf_counter()
            next(batches)
            waits.append(time.perf_counter() - asked)
            time.sleep(batch * LENGTH / consumer)
        wait = statistics.median(waits)
        return wait / (wait + batch * LENGTH / consumer)

    return run


def measure(variants: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Run all variants in turn, `rounds` times after one round that does not count."""
    figures: dict[str, list[float]] = {name: [] for name in variants}
    for round_number in tqdm(range(rounds + 1), desc="waiting for data"):
        for name, run in variants.items():
            figure = run()
            if round_number:
                figures[name].append(figure)
    return figures


def table(figures: dict[str, list[float]]) -> list[str]:
    """Markdown rows: median and spread of the share of time waited."""
    rows = ["| variant | waiting, median | min - max |", "|---|---|---|"]
    for name, values in figures.items():
        rows.append(f"| {name} | {statistics.median(values):.2%} | {min(values):.2%} - {max(values):.2%} |")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds of each variant (default 5)")
    parser.add_argument("--steps", type=int, default=60, help="batches a round consumes (default 60)")
    parser.add_argument("--consumer", type=float, default=1e6, help="tokens per second of the consumer (default 1e6)")
    parser.add_argument("--documents", type=int, default=6000, help="documents of the corpus (default 6000)")
    parser.add_argument("--output", type=Path, help="write OUTPUT.json and OUTPUT.md")
    arguments = parser.parse_args()

    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        dataset, tokens_per_second = prepare(Path(folder), arguments.documents)
        figures = measure(
            {
                f"{kind}, batch {batch} x {LENGTH}": waiting(
                    dataset, batch, workers, accelerated, arguments.steps, arguments.consumer
                )
                for batch in BATCHES
                for kind, workers, accelerated in (
                    ("DataLoader", 0, False),
                    ("DataLoader, 2 workers", 2, False),
                    ("accelerate's loader", 0, True),
                )
            },
            arguments.rounds,
        )

    environment = {
        "torch": torch.__version__,
        "CPU": f"{platform.machine()}, {os.cpu_count()} cores",
        "consumer": f"{arguments.consumer:,.0f} tokens/s",
        "blocks": len(dataset),
        "rounds": arguments.rounds,
        "steps": arguments.steps,
    }
    lines = ["# Loading of data", "", f"Written by `{' '.join(['python benchmarks/data.py', *sys.argv[1:]])}`.", ""]
    lines += [", ".join(f"{key} {value}" for key, value in environment.items()), ""]
    lines += ["## Waiting for data", "", *table(figures), ""]
    lines += ["## Preparing a corpus", "", f"{tokens_per_second:,.0f} tokens/s, once, from JSON lines to shards.", ""]
    report = "\n".join(lines)
    print(report)
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        values = {
            "environment": environment,
            "share_of_time_waiting": figures,
            "prepared_tokens_per_second": tokens_per_second,
        }
        arguments.output.with_suffix(".json").write_text(json.dumps(values, indent=1) + "\n")
        arguments.output.with_suffix(".md").write_text(report)
        print(f"written: {arguments.output}.json and {arguments.output}.md")


if __name__ == "__main__":
    main()
