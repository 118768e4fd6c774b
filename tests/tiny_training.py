"""What the tests of the trainers share: a tiny model, its tokenizer, blocks of text, chats, and training cut off."""

import random
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase, TrainerCallback

from brandon_hf.data.chat import tokenize_chats
from brandon_hf.modeling import BrandonConfig, BrandonForCausalLM
from brandon_hf.tokenization import train_tokenizer
from brandon_hf.training.arguments import build_arguments
from brandon_hf.training.instruct import pack_chats

LENGTH = 32
ANIMALS = ("cat", "dog", "hen", "cow", "fox", "owl")
SOUNDS = ("meows", "barks", "clucks", "moos", "yelps", "hoots")


@cache
def tiny_tokenizer() -> PreTrainedTokenizerBase:
    """Bytes, specials and the words of the chats."""
    texts = [f"user\nassistant\nWhat does the {a} say? The {a} {s}." for a, s in zip(ANIMALS, SOUNDS, strict=True)]
    return train_tokenizer(texts * 4, vocab_size=300, model_max_length=2 * LENGTH)


def tiny_brandon(seed: int = 0, **options: Any) -> BrandonForCausalLM:
    """About 20,000 parameters, with block sharing, registers and depth-weighted averages."""
    tokenizer = tiny_tokenizer()
    torch.manual_seed(seed)
    shape: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 40,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 2 * LENGTH,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    model = BrandonForCausalLM(BrandonConfig(**shape | options))
    im_end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, im_end]
    return model


def tiny_llama(seed: int = 0) -> LlamaForCausalLM:
    """A model of transformers, with the vocabulary of `tiny_brandon`."""
    torch.manual_seed(seed)
    shape = {"hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4}
    return LlamaForCausalLM(LlamaConfig(vocab_size=300, max_position_embeddings=64, **shape))


def blocks(count: int, seed: int = 0, length: int = LENGTH) -> list[dict[str, torch.Tensor]]:
    """Blocks as a `PackedDataset` gives them, of documents of 3 to 14 tokens, each a cycle of three tokens."""
    rng = random.Random(seed)
    made = []
    for _ in range(count):
        ids: list[int] = []
        labels: list[int] = []
        positions: list[int] = []
        while len(ids) < length:
            cycle = [5 + 3 * rng.randrange(8) + place for place in range(3)]
            document = [1, *(cycle * 5)[: rng.randint(2, 13)]]
            ids += document
            labels += [-100, *document[1:]]
            positions += range(len(document))
        rows = {"input_ids": ids, "labels": labels, "position_ids": positions}
        made.append({name: torch.tensor(values[:length]) for name, values in rows.items()})
    return made


def chats(count: int = 12) -> list[dict[str, Any]]:
    """Questions and short answers, as `load_chats` gives them."""
    rows = []
    for number in range(count):
        animal, sound = ANIMALS[number % 6], SOUNDS[number % 6]
        messages = [
            {"role": "user", "content": "Hi." if number % 2 else f"Say {animal}"},
            {"role": "assistant", "content": f"The {animal} {sound}."},
        ]
        rows.append({"messages": messages, "source": "test"})
    return rows


@cache
def chat_rows(count: int = 12) -> Dataset:
    """The chats packed into rows of the tiny model's context."""
    return pack_chats(tokenize_chats(chats(count), tiny_tokenizer(), 2 * LENGTH), 2 * LENGTH)


def arguments(cls: type, folder: Path, **values: Any) -> Any:
    """The settings of a short training in fp32 on the CPU; it saves no checkpoint unless told."""
    short = {
        "max_steps": 4,
        "learning_rate": 1e-2,
        "warmup_steps": 1,
        "per_device_train_batch_size": 2,
        "logging_steps": 1,
        "save_strategy": "no" if "save_steps" not in values else "steps",
        "bf16": False,
        "disable_tqdm": True,
    }
    return build_arguments(cls, short | values, "test", folder)


class Cut(TrainerCallback):
    """The process dies as soon as this many steps are done."""

    def __init__(self, step: int):
        self.step = step

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.step:
            raise KeyboardInterrupt


def train_with_interruptions(make: Callable[[Path], Any], folder: Path, steps: Sequence[int]) -> Any:
    """Train, die after each of `steps`, start again in the same folder; returns the last trainer, done."""
    for step in steps:
        trainer = make(folder)
        trainer.add_callback(Cut(step))
        try:
            trainer.train()
        except KeyboardInterrupt:
            continue
        raise AssertionError(f"training ended before step {step}")
    trainer = make(folder)
    trainer.train()
    return trainer


def assert_same(actual: Any, expected: Any, where: str = "") -> None:
    """Nested containers hold the same values, tensors bit for bit."""
    assert type(actual) is type(expected), where
    if isinstance(expected, torch.Tensor):
        assert torch.equal(actual, expected), where
    elif isinstance(expected, Mapping):
        assert list(actual) == list(expected), where
        for key in expected:
            assert_same(actual[key], expected[key], f"{where}.{key}")
    elif isinstance(expected, list | tuple):
        assert len(actual) == len(expected), where
        for index, value in enumerate(expected):
            assert_same(actual[index], value, f"{where}.{index}")
    else:
        assert actual == expected, where


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A copy of all parameters."""
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
