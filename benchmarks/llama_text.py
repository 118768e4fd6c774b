"""Whether stock llama.cpp continues a text of `brandon export --format llama` as transformers continues the folder.

    python benchmarks/llama_text.py MODEL... --llama-python PYTHON [--new-tokens 64]

MODEL is a folder of a plain model, PYTHON an interpreter that has llama-cpp-python. Greedy text of eight prompts, given
as ids; where the two part, the distance of the two best logits of transformers there. Writes
docs/benchmarks/llama_text.{json,md}.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import brandon_hf  # noqa: F401  # the models' classes
from brandon_hf.export.llama import write_llama

DOCS = Path(__file__).resolve().parents[1] / "docs/benchmarks"
LLAMA = Path(__file__).with_name("peers_llama.py")
TYPES = ("f32", "f16", "q8_0")
PROMPTS = [
    "Once upon a time",
    "The king's daughter didn't know what to do.",
    "He said",
    "In the forest there lived",
    "She was",
    "A",
    "One day the fox met",
    '"Who are you?" asked the old woman.',
]


def expected(folder: str, new_tokens: int) -> list[dict[str, Any]]:
    """For each prompt: its ids, what transformers writes, and how far apart the two best logits were."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    rows = []
    for prompt in PROMPTS:
        ids = tokenizer(prompt)["input_ids"]
        out = model.generate(
            torch.tensor([ids]),
            do_sample=False,
            max_new_tokens=new_tokens,
            eos_token_id=None,
            pad_token_id=0,
            return_dict_in_generate=True,
            output_logits=True,
        )
        gaps = [float(logits[0].topk(2).values.diff().abs()) for logits in out.logits]
        rows.append({"prompt": ids, "new": out.sequences[0, len(ids) :].tolist(), "gaps": gaps})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--llama-python", required=True, metavar="PYTHON")
    parser.add_argument("--new-tokens", type=int, default=64)
    options = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for model in options.models:
            rows = expected(model, options.new_tokens)
            for kind in TYPES:
                file = Path(folder, f"{kind}.gguf")
                write_llama(model, file, kind)
                answer = subprocess.run(
                    [options.llama_python, LLAMA, "generate", file, "--new-tokens", str(options.new_tokens)],
                    input=json.dumps([row["prompt"] for row in rows]),
                    capture_output=True,
                    text=True,
                    check=True,
                )
                parted = []
                for row, new in zip(rows, json.loads(answer.stdout), strict=True):
                    at = next(
                        (i for i, pair in enumerate(zip(row["new"], new, strict=True)) if pair[0] != pair[1]), None
                    )
                    parted += [] if at is None else [{"at": at, "gap": row["gaps"][at]}]
                equal = len(rows) - len(parted)
                found.append(
                    {"model": Path(model).name, "type": kind, "equal": equal, "of": len(rows), "parted": parted}
                )
    document = {"new_tokens": options.new_tokens, "models": found}
    (DOCS / "llama_text.json").write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    lines = [
        "# Greedy text in llama.cpp",
        "",
        "Written by `python benchmarks/llama_text.py`: texts of "
        f"{options.new_tokens} tokens that are equal to those of transformers in float32. Where they part, the two "
        "best logits are at most as far apart as the last column says.",
        "",
        "| model | tensors | equal texts | largest distance where they part |",
        "|---|---|---|---|",
    ]
    for row in found:
        gap = max((one["gap"] for one in row["parted"]), default=None)
        lines.append(
            f"| {row['model']} | {row['type'].upper()} | {row['equal']} of {row['of']} | "
            f"{'' if gap is None else f'{gap:.4f}'} |"
        )
    (DOCS / "llama_text.md").write_text("\n".join(lines) + "\n", "utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
