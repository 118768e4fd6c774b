"""Whether a model answers better when it is shown what was said before: one script of questions, put to it in a chat.

    python benchmarks/history.py [MODEL] [--seeds 8]

The questions ask for one thing each, and none depends on an earlier one; an answer counts as right if it holds the word
that has to be in it. The model runs in the engine with int8 weights; sampling takes the 50 most probable tokens. Writes
docs/benchmarks/history.json and .md.
"""

import argparse
import json
import random
import statistics
from pathlib import Path
from typing import Any

from brandon_hf.pretrained import DEFAULT, pretrained_blob
from brandon_hf.runtime import Engine

OUTPUT = Path(__file__).resolve().parents[1] / "docs/benchmarks/history"
QUESTIONS = (
    ("What is your name?", "brandon"),
    ("What is the capital of France?", "paris"),
    ("Who are you?", "brandon"),
    ("What color is grass?", "green"),
    ("Tell me a story about a cat and a ball.", "cat"),
    ("Tell me your name.", "brandon"),
    ("What does a dog say?", "woof"),
    ("What is a river?", "water"),
    ("Write one sentence about a horse.", "horse"),
    ("What is the opposite of hot?", "cold"),
)
SHOWN = {"none": 0, "1": 2, "2": 4, "all": 2 * len(QUESTIONS)}  # earlier exchanges: messages
TEMPERATURES = (0.0, 0.3, 0.5, 0.7)


def talk(engine: Engine, shown: int, temperature: float, seed: int) -> list[str]:
    """The answers to all questions, one after the other."""
    draw, said, answers = random.Random(seed), list[dict[str, str]](), []
    for question, _ in QUESTIONS:
        chat = [*said[len(said) - min(shown, len(said)) :], {"role": "user", "content": question}]
        pieces = engine.generate(
            chat, max_new_tokens=120, seed=draw.getrandbits(60), temperature=temperature, top_k=50 if temperature else 0
        )
        answers.append("".join(pieces))
        said = [*said, chat[-1], {"role": "assistant", "content": answers[-1]}]
    return answers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default=DEFAULT, help="that comes with the package (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=8)
    options = parser.parse_args()
    engine = Engine(pretrained_blob(options.model))
    rows: dict[str, dict[str, Any]] = {}
    for name, shown in SHOWN.items():
        for temperature in TEMPERATURES:
            chats = [talk(engine, shown, temperature, seed) for seed in range(options.seeds if temperature else 1)]
            right = [
                sum(word in answer.lower() for answer, (_, word) in zip(chat, QUESTIONS, strict=True)) for chat in chats
            ]
            rows.setdefault(name, {})[str(temperature)] = {"right": right, "first": chats[0]}
    OUTPUT.with_suffix(".json").write_text(
        json.dumps({"model": options.model, "shown": rows}, indent=1) + "\n", "utf-8"
    )
    lines = [
        "# Answers with and without what was said before",
        "",
        f"Written by `python benchmarks/history.py`, which says how: right answers of {options.model} to "
        f"{len(QUESTIONS)} questions, mean of {options.seeds} chats (one where nothing is sampled).",
        "",
        "| earlier exchanges shown | " + " | ".join(f"temperature {value}" for value in TEMPERATURES) + " |",
        "|---" * (1 + len(TEMPERATURES)) + "|",
    ]
    for name, row in rows.items():
        lines.append(
            f"| {name} | " + " | ".join(f"{statistics.mean(cell['right']):.1f}" for cell in row.values()) + " |"
        )
    OUTPUT.with_suffix(".md").write_text("\n".join(lines) + "\n", "utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
