"""Training speed of the flagship through our trainer beside the original implementation, in one run.

    python benchmarks/training.py --original FOLDER --output docs/benchmarks/training

FOLDER is a checkout of the original's public repository (https://github.com/xaskasdf/brandon-tiny); its `src/model.py`
is imported and trained with a plain loop: forward, backward, clipping, AdamW. Ours goes through `PretrainTrainer` with
all it does on each step. Both train in bf16 autocast over 4 x 512 tokens, without dropout and with the recipe's 0.05.
Rounds alternate; the table quotes medians and ratios to the original. Writes OUTPUT.json and OUTPUT.md.
"""

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch.utils.data import Dataset
from tqdm import tqdm
from transformers import TrainerCallback

from brandon_hf.modeling import BrandonForCausalLM
from brandon_hf.recipes import load_model_config
from brandon_hf.training.arguments import PretrainArguments, build_arguments
from brandon_hf.training.pretrain import PretrainTrainer

BATCH, LENGTH = 4, 512
DROPOUTS = (0.0, 0.05)


class RandomBlocks(Dataset):
    """Blocks like those of a `PackedDataset`, with a document every 200 tokens."""

    def __init__(self, vocab_size: int = 8192):
        self.vocab_size = vocab_size

    def __len__(self) -> int:
        return 1 << 20

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        ids = torch.randint(5, self.vocab_size, (LENGTH,))
        return {"input_ids": ids, "labels": ids.clone(), "position_ids": torch.arange(LENGTH) % 200}


class StepTimes(TrainerCallback):
    """Seconds from one step's end to the next."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_train_begin(self, *args, **kwargs) -> None:
        self.last = time.perf_counter()

    def on_step_end(self, *args, **kwargs) -> None:
        now = time.perf_counter()
        self.seconds.append(now - self.last)
        self.last = now


def ours(dropout: float, steps: int, folder: str) -> list[float]:
    """Tokens per second of each step of our trainer but the first."""
    settings = {
        "max_steps": steps,
        "per_device_train_batch_size": BATCH,
        "learning_rate": 8e-4,
        "warmup_steps": 0.0,
        "save_strategy": "no",
        "disable_tqdm": True,
        "bf16": True,
    }
    times = StepTimes()
    trainer = PretrainTrainer(
        BrandonForCausalLM(load_model_config("10m_enhanced", dropout=dropout)),
        build_arguments(PretrainArguments, settings, "pretrain", folder),
        train_dataset=RandomBlocks(),
        callbacks=[times],
    )
    trainer.train()
    return [BATCH * LENGTH / seconds for seconds in times.seconds[1:]]


def original(checkout: Path, dropout: float) -> Iterator[float]:
    """Tokens per second of each step of the original model."""
    sys.path.insert(0, str(checkout))
    from src.model import ModelConfig, TinyLlama

    config = ModelConfig(
        dim=256,
        n_layers=24,
        n_heads=8,
        n_kv_heads=2,
        vocab_size=8192,
        hidden_dim=720,
        max_seq_len=LENGTH,
        dropout=dropout,
        weight_tying=True,
        block_sharing=True,
        dense_former=True,
        value_residual=True,
        n_registers=4,
    )
    model = TinyLlama(config).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=8e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    while True:
        start = time.perf_counter()
        ids = torch.randint(5, 8192, (BATCH, LENGTH))
        with torch.autocast("cpu", torch.bfloat16):
            _, loss = model(ids, targets=ids)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        yield BATCH * LENGTH / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--original", type=Path, required=True, help="checkout of the original's repository")
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks/training"), help="without suffix")
    parser.add_argument("--rounds", type=int, default=4, help="alternations")
    parser.add_argument("--steps", type=int, default=4, help="measured steps per round")
    options = parser.parse_args()
    if not (options.original / "src/model.py").is_file():
        raise SystemExit(f"--original {options.original}: there is no src/model.py")
    found: dict[str, dict[float, list[float]]] = {"original": {}, "ours": {}}
    peers = {dropout: original(options.original, dropout) for dropout in DROPOUTS}
    with tempfile.TemporaryDirectory() as folder, tqdm(total=options.rounds * len(DROPOUTS)) as progress:
        for _ in range(options.rounds):
            for dropout in DROPOUTS:
                steps = [next(peers[dropout]) for _ in range(options.steps + 1)]
                found["original"].setdefault(dropout, []).extend(steps[1:])
                found["ours"].setdefault(dropout, []).extend(ours(dropout, options.steps + 1, folder))
                progress.update()
    rows = [
        {
            "dropout": dropout,
            "original tokens/s": round(statistics.median(found["original"][dropout])),
            "ours tokens/s": round(statistics.median(found["ours"][dropout])),
            "ratio": round(
                statistics.median(found["ours"][dropout]) / statistics.median(found["original"][dropout]), 2
            ),
        }
        for dropout in DROPOUTS
    ]
    about = {
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "system": platform.machine(),
        "batch": BATCH,
        "length": LENGTH,
        "rounds": options.rounds,
        "steps": options.steps,
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.with_suffix(".json").write_text(json.dumps({"about": about, "results": rows}, indent=1) + "\n")
    lines = ["| dropout | original, tokens/s | ours, tokens/s | ratio |", "|---|---|---|---|"]
    lines += [f"| {' | '.join(str(value) for value in row.values())} |" for row in rows]
    text = "# Training speed\n\nWritten by `python benchmarks/training.py`: the flagship in bf16, "
    text += f"{BATCH} x {LENGTH} tokens, {about['threads']} CPU threads, through our trainer and in the original.\n\n"
    options.output.with_suffix(".md").write_text(text + "\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
