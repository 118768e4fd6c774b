"""Bytes per token of pre-tokenisation rules, at equal vocabulary size and on the same text.

    python benchmarks/tokenizer.py DATA [--original tokenizer.model] --output docs/benchmarks/tokenizer

DATA is a folder of `.jsonl.xz` files with a field `text`. Even rows train a byte-level BPE, about 3 MB spread evenly
over the files; odd rows, about 1 MB, are counted. `--original` counts with a SentencePiece model too. Writes
OUTPUT.json and OUTPUT.md.
"""

import argparse
import json
import lzma
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers
from tqdm import tqdm

from brandon_hf.tokenization import import_sentencepiece
from brandon_hf.tokenization.train import PRETOKENIZATION_REGEX

VOCABULARY = 8192
WORD, OTHER = r"[A-Za-z\x{80}-\x{10FFFF}]", r"[\x00-\x08\x0E-\x1F!-/:-@\[-`{-\x7F]"
ANY_SPACE = r"[ \t\n\x0B\x0C\r]"


def rule(digits: str, apostrophe: bool, newline_alone: bool) -> str:
    """A variant of our rule as a regular expression."""
    word = rf" ?{WORD}+(?:'{WORD}+)*" if apostrophe else rf" ?{WORD}+"
    space = r"[ \t\x0B\x0C\r]" if newline_alone else ANY_SPACE
    newline = [r"\n"] if newline_alone else []
    return "|".join([word, rf" ?{OTHER}+", digits, *newline, rf"{space}+(?= (?:{WORD}|{OTHER}))", rf"{space}+"])


RULES = {
    "GPT-2's regular expression": None,
    "ours": PRETOKENIZATION_REGEX,
    "ours, newline runs joined": rule("[0-9]", True, False),
    "ours without the apostrophe": rule("[0-9]", False, True),
    "digits in groups of 1-3, no apostrophe, newline runs joined": rule("[0-9]{1,3}", False, False),
    "single digits, no apostrophe, newline runs joined": rule("[0-9]", False, False),
}


def sample(folder: Path, size: float, parity: int) -> list[str]:
    """About `size` bytes of text, spread evenly over the folder's files, from their even or odd rows."""
    files, texts = sorted(folder.glob("*.jsonl.xz")), []
    if not files:
        raise SystemExit(f"{folder} holds no .jsonl.xz file")
    for path in files:
        taken = 0
        with lzma.open(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines):
                if number % 2 == parity:
                    texts.append(json.loads(line)["text"][:20_000])
                    taken += len(texts[-1].encode())
                if taken > size / len(files):
                    break
    return texts


def trained(regex: str | None, texts: list[str]) -> Tokenizer:
    """A byte-level BPE of `VOCABULARY` entries over the pieces that `regex` (or GPT-2's) cuts."""
    tokenizer = Tokenizer(models.BPE())
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=regex is None)
    split = [pre_tokenizers.Split(Regex(regex), "isolated")] if regex else []
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*split, byte_level])
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=VOCABULARY - 5, initial_alphabet=alphabet, show_progress=False)
    )
    return tokenizer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of .jsonl.xz files")
    parser.add_argument("--original", type=Path, help="SentencePiece model to compare with")
    parser.add_argument("--output", type=Path, help="write OUTPUT.json and OUTPUT.md")
    arguments = parser.parse_args()

    texts, held_out = sample(arguments.data, 3e6, 0), sample(arguments.data, 1e6, 1)
    size = sum(len(text.encode()) for text in held_out)
    figures = {}
    for name, regex in tqdm(RULES.items(), desc="rules"):
        tokens = sum(len(encoding.ids) for encoding in trained(regex, texts).encode_batch(held_out))
        figures[name] = size / tokens
    if arguments.original:
        tokenizer = import_sentencepiece(arguments.original)
        figures["the original's SentencePiece model"] = size / sum(map(len, tokenizer(held_out)["input_ids"]))

    trained_on = sum(len(text.encode()) for text in texts)
    lines = ["# Pre-tokenisation rules", "", "Written by `python benchmarks/tokenizer.py`.", ""]
    lines += [f"{VOCABULARY} entries trained on {trained_on:,} bytes, counted on {size:,} others.", ""]
    lines += ["| rule | bytes/token |", "|---|---|", *(f"| {name} | {value:.3f} |" for name, value in figures.items())]
    report = "\n".join(lines) + "\n"
    print(report)
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        results = {"trained_on_bytes": trained_on, "held_out_bytes": size, "bytes_per_token": figures}
        arguments.output.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n")
        arguments.output.with_suffix(".md").write_text(report)
        print(f"written: {arguments.output}.json and {arguments.output}.md")


if __name__ == "__main__":
    main()
