"""A recipe so small that all three phases take seconds, on text and chats written to a folder."""

import json
import random
from pathlib import Path
from typing import Any

NAMES = ("Mia", "Leo", "Ada", "Sam", "Zoe", "Tom")
THINGS = ("lemon", "apple", "frog", "cloud", "stone", "river", "lamp", "horse")
COLOURS = ("yellow", "red", "green", "white", "grey", "blue")


def write_text(folder: Path) -> tuple[str, str]:
    """Some 200 short documents and 60 chats; returns the paths of both files."""
    rng = random.Random(0)
    documents = [
        f"{rng.choice(NAMES)} saw a {rng.choice(THINGS)} number {number}. It was {rng.choice(COLOURS)}. "
        f"{rng.choice(NAMES)} liked the {rng.choice(THINGS)}, and they went home."
        for number in range(200)
    ]
    chats = [
        {
            "instruction": f"What colour is the {thing} of {name}?",
            "input": "",
            "output": f"It is {rng.choice(COLOURS)}.",
        }
        for thing in THINGS
        for name in NAMES
    ]
    text, chat = folder / "text.jsonl", folder / "chat.jsonl"
    text.write_text("".join(json.dumps({"text": document}) + "\n" for document in documents))
    chat.write_text("".join(json.dumps(row) + "\n" for row in chats))
    return str(text), str(chat)


def tiny_values(folder: Path, **changes: Any) -> dict[str, Any]:
    """The values of a recipe with all three phases over `write_text`'s files."""
    text, chat = write_text(folder)
    phase = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2, "save_steps": 2, "disable_tqdm": True}
    phase |= {"learning_rate": 1e-3, "warmup_steps": 1, "logging_steps": 1, "bf16": False}
    model = {
        "vocab_size": 320,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 4,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 64,
        "dropout": 0.1,
    }
    return {
        "name": "tiny",
        "phases": ["pretrain", "distill", "sft"],
        "seed": 7,
        "model": model,
        "tokenizer": {"vocab_size": 320},
        "data": {
            "pretrain": text,
            "chat": chat,
            "validation_fraction": 0.1,
            "chat_validation_fraction": 0.1,
        },
        "teacher": {"model": {**model, "hidden_size": 24}, "pretrain": {**phase, "max_steps": 3}},
        "pretrain": {**phase, "max_steps": 5},
        "distill": {**phase, "max_steps": 3},
        "sft": {**phase, "max_steps": 5, "replay": 0.2},
        "samples": {"free": 4, "max_new_tokens": 8},
        **changes,
    }
