"""Which of llama.cpp's rules for cutting text gives the ids of ours most often.

    python benchmarks/llama_tokenizer.py DATA --llama-python PYTHON --output docs/benchmarks/llama_tokenizer

DATA is a folder of `.jsonl.xz` files with a field `text`: even rows train a tokenizer of 8,192 entries; odd rows, in
pieces of 500 characters, are encoded by transformers and, under each rule, by llama.cpp. A token counts as equal if one
with the same bytes at the same place is among ours. PYTHON is an interpreter that has llama-cpp-python. Writes
OUTPUT.json and OUTPUT.md.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

from tokenizer import VOCABULARY, sample
from tokenizers import pre_tokenizers
from tqdm import tqdm

from brandon_hf.export import llama
from brandon_hf.files import file_written_aside
from brandon_hf.modeling import BrandonConfig, BrandonForCausalLM
from brandon_hf.tokenization import train_tokenizer

# One name for each rule of llama.cpp; several models share most of them.
RULES = (
    "default",
    "gpt-2",
    "llama-bpe",
    "deepseek-llm",
    "deepseek-coder",
    "deepseek-v3",
    "falcon",
    "smollm",
    "qwen2",
    "bloom",
    "viking",
    "tekken",
    "gpt-4o",
    "superbpe",
    "bailingmoe",
    "chameleon",
    "seed-coder",
)
PIECE = 500
TINY: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 1,
    "num_key_value_heads": 1,
    "block_repeat": 1,
    "depth_weighted_average": False,
    "value_residual": "none",
    "num_registers": 0,
}


def places(ids: list[int], sizes: list[int]) -> set[tuple[int, int]]:
    """Where the tokens begin and end, in bytes."""
    found, start = set(), 0
    for token in ids:
        found.add((start, start + sizes[token]))
        start += sizes[token]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--llama-python", metavar="PYTHON", required=True, help="interpreter with llama-cpp-python")
    parser.add_argument("--output", type=Path, required=True, help="write OUTPUT.json and OUTPUT.md")
    arguments = parser.parse_args()

    tokenizer = train_tokenizer(sample(arguments.data, 3e6, 0), vocab_size=VOCABULARY, show_progress=True)
    longer = sample(arguments.data, 1e6, 1)
    pieces = [text[start : start + PIECE] for text in longer for start in range(0, len(text), PIECE)]
    expected = tokenizer(pieces, add_special_tokens=False)["input_ids"]
    alphabet = set(pre_tokenizers.ByteLevel.alphabet())
    texts = tokenizer.convert_ids_to_tokens(list(range(VOCABULARY)))
    sizes = [len(text) if alphabet.issuperset(text) else len(text.encode()) for text in texts]
    total = sum(map(len, expected))

    figures: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        BrandonForCausalLM(BrandonConfig(vocab_size=VOCABULARY, **TINY)).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        for rule in tqdm(RULES, desc="rules", disable=None):
            file = Path(folder, "model.gguf")
            with mock.patch.object(llama, "PRE_TOKENIZER", rule):
                llama.write_llama(folder, file)
            worker = [arguments.llama_python, str(Path(__file__).with_name("peers_llama.py")), "encode", str(file)]
            answer = subprocess.run(worker, input=json.dumps(pieces), capture_output=True, text=True, check=True).stdout
            pairs = list(zip(expected, json.loads(answer), strict=True))
            figures[rule] = {
                "equal_tokens": sum(len(places(a, sizes) & places(b, sizes)) for a, b in pairs) / total,
                "equal_pieces": sum(a == b for a, b in pairs) / len(pairs),
                "tokens": sum(len(b) for _, b in pairs) / total,
            }
    rows = [
        "# llama.cpp's rules for our tokenizer",
        "",
        "Written by `python benchmarks/llama_tokenizer.py`.",
        "",
        f"{len(pieces):,} pieces of {PIECE} characters, {total:,} tokens with our rule, {VOCABULARY} entries. "
        f"`--format llama` names the rule `{llama.PRE_TOKENIZER}`.",
        "",
        "| `tokenizer.ggml.pre` | equal tokens | pieces with equal ids | tokens, ratio |",
        "|---|---|---|---|",
    ]
    for rule, found in sorted(figures.items(), key=lambda item: -item[1]["equal_tokens"]):
        shares = f"{found['equal_tokens']:.3%} | {found['equal_pieces']:.2%} | {found['tokens']:.4f}"
        rows.append(f"| {rule} | {shares} |")
    report = "\n".join(rows) + "\n"
    print(report)
    for suffix, text in ((".json", json.dumps(figures, indent=1) + "\n"), (".md", report)):
        with file_written_aside(arguments.output.with_suffix(suffix)) as aside:
            aside.write_text(text)


if __name__ == "__main__":
    main()
