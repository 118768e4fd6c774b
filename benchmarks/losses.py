"""Time and peak memory of the training losses beside their plain forms, in one run.

    python benchmarks/losses.py --output docs/benchmarks/losses

- Fine-tuning step: forward and backward of a Brandon model in bf16 autocast, with transformers' cross-entropy
  (`labels=`), with ours, and with the anti-repetition objective; and the same losses alone, of given fp32 logits.
- Head and cross-entropy of pretraining from given hidden states in bf16: all logits, the same compiled, and torch's
  `linear_cross_entropy` in chunks.
- Distillation: the loss and its gradients from given hidden states, with all logits at once and in chunks.

Times are medians of rounds in which the variants alternate; ratios are to the first variant. Memory is what the peak of
one step's resident memory (on a GPU, of allocated memory) exceeds the memory before it, in a process of its own (needs
Linux). Writes OUTPUT.json and OUTPUT.md.
"""

import argparse
import json
import multiprocessing
import platform
import re
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers
from torch.nn import functional
from tqdm import tqdm

from brandon_hf.files import file_written_aside
from brandon_hf.modeling import BrandonConfig, BrandonForCausalLM
from brandon_hf.training.divergences import distillation_loss
from brandon_hf.training.losses import anti_repetition_loss, language_modeling_loss

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
MIB = 2**20
SMALL = {
    "vocab_size": 2048,
    "hidden_size": 128,
    "intermediate_size": 344,
    "num_hidden_layers": 8,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}
Step = Callable[[], None]


def plain_loss(logits: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """What transformers computes for `labels=`."""
    labels = functional.pad(ids, (0, 1), value=-100)[:, 1:]
    return functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten())


LOSSES: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "cross-entropy of torch": plain_loss,
    "cross-entropy, ours": lambda logits, ids: language_modeling_loss(logits, ids).total,
    "anti-repetition": lambda logits, ids: anti_repetition_loss(logits, ids, ids, excluded_ids=(0, 1, 2, 3)).total,
}


def training_step(overrides: dict[str, int], batch: int, loss: str) -> Step:
    """Forward and backward of a model over `batch` rows as long as its context."""
    config = BrandonConfig(**overrides)
    model = BrandonForCausalLM(config).to(DEVICE).train()
    ids = torch.randint(0, config.vocab_size, (batch, config.max_position_embeddings), device=DEVICE)

    def step() -> None:
        with torch.autocast(DEVICE.type, dtype=torch.bfloat16):
            logits = model(input_ids=ids, use_cache=False).logits
        value = LOSSES[loss](logits, ids)
        del logits  # as in a trainer, where only the graph holds them
        value.backward()
        model.zero_grad()

    return step


def loss_alone(batch: int, length: int, vocabulary: int, loss: str) -> Step:
    logits = torch.randn(batch, length, vocabulary, device=DEVICE, requires_grad=True)
    ids = torch.randint(0, vocabulary, (batch, length), device=DEVICE)

    def step() -> None:
        LOSSES[loss](logits, ids).backward()
        logits.grad = None

    return step


def distillation_step(divergence: str, chunk_size: int | None) -> Step:
    """Distillation of 8 x 512 tokens; a chunk size of `None` is the plain form, with the logits of all tokens."""
    batch, length, vocabulary, ours, theirs = 8, 512, 8192, 256, 384
    student = torch.randn(batch, length, ours, device=DEVICE, requires_grad=True)
    student_head = torch.nn.Parameter(0.1 * torch.randn(vocabulary, ours, device=DEVICE))
    teacher = torch.randn(batch, length, theirs, device=DEVICE)
    teacher_head = 0.1 * torch.randn(vocabulary, theirs, device=DEVICE)
    labels = torch.randint(0, vocabulary, (batch, length), device=DEVICE)

    def at_once() -> torch.Tensor:
        gold = labels[:, 1:].flatten()
        logits = functional.linear(student, student_head)[:, :-1].flatten(0, 1).float()
        with torch.no_grad():
            p = (functional.linear(teacher, teacher_head)[:, :-1].flatten(0, 1).float() / 2).log_softmax(dim=-1)
        q = (logits / 2).log_softmax(dim=-1)
        if divergence == "reverse_kl":
            value = functional.kl_div(p, q, reduction="batchmean", log_target=True)
        else:
            middle = torch.logaddexp(p, q) - torch.tensor(2.0).log()
            value = sum(functional.kl_div(middle, x, reduction="batchmean", log_target=True) for x in (p, q)) / 2
        return 0.5 * 4 * value + 0.5 * functional.cross_entropy(logits, gold)

    def step() -> None:
        with torch.autocast(DEVICE.type, dtype=torch.bfloat16):
            if chunk_size is None:
                loss = at_once()
            else:
                loss = distillation_loss(
                    student, student_head, teacher, teacher_head, labels, divergence=divergence, chunk_size=chunk_size
                ).total
        loss.backward()
        student.grad = student_head.grad = None

    return step


def head_step(variant: str) -> Step:
    """From the hidden states of 8 x 512 tokens to the gradients of next-token prediction."""
    rows, vocabulary, width = 8 * 512, 8192, 256
    hidden = torch.randn(rows, width, device=DEVICE, requires_grad=True)
    head = torch.nn.Parameter(0.1 * torch.randn(vocabulary, width, device=DEVICE))
    labels = torch.randint(0, vocabulary, (rows,), device=DEVICE)

    def all_logits() -> torch.Tensor:
        with torch.autocast(DEVICE.type, dtype=torch.bfloat16):
            logits = functional.linear(hidden, head)
        return functional.cross_entropy(logits.float(), labels)

    def in_chunks() -> torch.Tensor:
        options = torch.nn.LinearCrossEntropyOptions()
        return functional.linear_cross_entropy(hidden.bfloat16(), head.bfloat16(), labels, options=options)

    losses = {"all logits": all_logits, "all logits, compiled": torch.compile(all_logits), "in chunks": in_chunks}

    def step() -> None:
        losses[variant]().backward()
        hidden.grad = head.grad = None

    if "compiled" in variant:
        step()  # compiling takes memory of its own
    return step


# Title -> variant -> what makes its step. The first variant is what the others are compared with.
CASES: dict[str, dict[str, Callable[[], Step]]] = {
    "Fine-tuning step, flagship (10.7M), 16 x 512, vocabulary 8192": {
        loss: partial(training_step, {}, 16, loss) for loss in LOSSES
    },
    "Fine-tuning step, 1M model, 16 x 256, vocabulary 2048": {
        loss: partial(training_step, SMALL, 16, loss) for loss in LOSSES
    },
    "Loss alone, fp32 logits, 16 x 512, vocabulary 8192": {
        loss: partial(loss_alone, 16, 512, 8192, loss) for loss in LOSSES
    },
    "Loss alone, fp32 logits, 16 x 256, vocabulary 2048": {
        loss: partial(loss_alone, 16, 256, 2048, loss) for loss in LOSSES
    },
    "Head and cross-entropy, bf16, 8 x 512, vocabulary 8192, hidden size 256": {
        variant: partial(head_step, variant) for variant in ("all logits", "all logits, compiled", "in chunks")
    },
} | {
    f"Distillation, {divergence}, 8 x 512, vocabulary 8192, student 256, teacher 384": {
        "all logits at once": partial(distillation_step, divergence, None),
        **{f"chunks of {size}": partial(distillation_step, divergence, size) for size in (64, 256, 1024)},
    }
    for divergence in ("reverse_kl", "js")
}


def timed(step: Step) -> float:
    """Seconds of one step."""
    start = time.perf_counter()
    step()
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def peak_memory(title: str, variant: str, threads: int) -> float:
    """MiB by which the peak during one step exceeds what was there before; call in a fresh process."""
    torch.set_num_threads(threads)
    warm_up = distillation_step("reverse_kl", 64)
    warm_up()  # loads what is loaded on first use
    del warm_up
    step = CASES[title][variant]()
    if DEVICE.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        return (torch.cuda.max_memory_allocated() - before) / MIB
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from the present
    before = _status("VmRSS")
    step()
    return (_status("VmHWM") - before) / 1024


def _status(field: str) -> int:
    """A figure of this process in KiB, from Linux."""
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    if found is None:
        raise OSError(f"/proc/self/status has no {field}: memory is measured on Linux only")
    return int(found[1])


def measure(title: str, rounds: int, threads: int) -> dict[str, dict[str, Any]]:
    """Per variant the seconds of each round and the peak memory in MiB."""
    figures: dict[str, dict[str, Any]] = {}
    steps = {name: make() for name, make in CASES[title].items()}
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for round_number in tqdm(range(rounds + 1), desc=title.split(",")[0]):
        for name, step in steps.items():
            figure = timed(step)
            if round_number:  # the first does not count
                seconds[name].append(figure)
    del steps
    for name in tqdm(seconds, desc="memory"):
        with multiprocessing.get_context("spawn").Pool(1) as fresh:
            figures[name] = {"seconds": seconds[name], "mib": fresh.apply(peak_memory, (title, name, threads))}
    return figures


def table(figures: dict[str, dict[str, Any]]) -> list[str]:
    """Markdown rows: medians, peaks and their ratios to the first variant's."""
    rows = ["| variant | seconds, median | min - max | ratio | peak MiB | ratio |", "|---|---|---|---|---|---|"]
    first_time = first_peak = 0.0
    for name, figure in figures.items():
        seconds, peak = figure["seconds"], figure["mib"]
        median = statistics.median(seconds)
        first_time, first_peak = first_time or median, first_peak or peak
        rows.append(
            f"| {name} | {median:.3f} | {min(seconds):.3f} - {max(seconds):.3f} | {median / first_time:.2f} "
            f"| {peak:,.0f} | {peak / first_peak:.2f} |"
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds of each variant (default 5)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of torch (default: its)")
    parser.add_argument("--only", default="", help="measure the cases whose title contains this")
    parser.add_argument("--output", type=Path, help="write OUTPUT.json and OUTPUT.md")
    arguments = parser.parse_args()

    torch.manual_seed(0)
    torch.set_num_threads(arguments.threads)
    titles = [title for title in CASES if arguments.only in title]
    if not titles:
        parser.error(f"--only {arguments.only!r} matches none of: {'; '.join(CASES)}")
    results = {title: measure(title, arguments.rounds, arguments.threads) for title in titles}
    environment = {
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "device": torch.cuda.get_device_name() if DEVICE.type == "cuda" else f"CPU ({platform.machine()})",
        "threads": torch.get_num_threads(),
        "rounds": arguments.rounds,
    }
    command = " ".join(["python benchmarks/losses.py", *sys.argv[1:]])
    lines = ["# Time and memory of the training losses", "", f"Written by `{command}`.", ""]
    lines += [", ".join(f"{key} {value}" for key, value in environment.items()), ""]
    for title, figures in results.items():
        lines += [f"## {title}", "", *table(figures), ""]
    report = "\n".join(lines)
    print(report)
    if arguments.output:
        content = json.dumps({"environment": environment, "results": results}, indent=1) + "\n"
        for suffix, text in ((".json", content), (".md", report)):
            with file_written_aside(arguments.output.with_suffix(suffix)) as path:
                path.write_text(text)
        print(f"written: {arguments.output}.json and {arguments.output}.md")


if __name__ == "__main__":
    main()
