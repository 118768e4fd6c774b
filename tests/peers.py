"""The tiny model, tokenizer and chats that the tests of neighbouring libraries share, scripts of theirs included."""

from pathlib import Path
from typing import Any

import torch

from brandon_hf.modeling import BrandonConfig, BrandonForCausalLM
from brandon_hf.tokenization import train_tokenizer

CHATS = [
    [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What colour is the sky?"},
        {"role": "assistant", "content": "The sky is blue."},
        {"role": "user", "content": "And grass?"},
        {"role": "assistant", "content": "Grass is green."},
    ],
    [
        {"role": "user", "content": "Name a fruit."},
        {"role": "assistant", "content": "An apple is a fruit."},
    ],
    [
        {"role": "user", "content": "Say hello."},
        {"role": "assistant", "content": "Hello! How are you?"},
    ],
    [
        {"role": "user", "content": "What is two and two?"},
        {"role": "assistant", "content": "It is four."},
    ],
]
TEXTS = [message["content"] for chat in CHATS for message in chat]


def tiny_tokenizer() -> Any:
    """A tokenizer of 300 entries."""
    return train_tokenizer(TEXTS * 4, vocab_size=300, model_max_length=256)


def tiny_model(tokenizer: Any, seed: int = 0, **options: Any) -> BrandonForCausalLM:
    """A model of four layers (two shared blocks) that stops at `<|eos|>` and `<|im_end|>`."""
    torch.manual_seed(seed)
    config = BrandonConfig(
        **{
            "vocab_size": 300,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 256,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            **options,
        }
    )
    model = BrandonForCausalLM(config).eval()
    model.generation_config.eos_token_id = stop_ids(tokenizer)
    return model


def learn_by_heart(model: BrandonForCausalLM, tokenizer: Any, chats: list, steps: int = 60) -> BrandonForCausalLM:
    """Train until the model answers the chats as they stand; then its greedy text is legible and ends by itself."""
    rows = [tokenizer.apply_chat_template(chat, tokenize=False) for chat in chats]
    batch = tokenizer(rows, add_special_tokens=False, padding=True, return_tensors="pt")
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        model(**batch, labels=labels).loss.backward()
        optimizer.step()
    return model.eval()


def stop_ids(tokenizer: Any) -> list[int]:
    """The ids a chat model stops at."""
    return [tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<|im_end|>")]


def save_tiny(folder: Path, **options: Any) -> Path:
    """Write a tiny model with its tokenizer to `folder`."""
    tokenizer = tiny_tokenizer()
    tiny_model(tokenizer, **options).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def copy_of_parameters(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The parameters as they are now, by name."""
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def unmoved(before: dict[str, torch.Tensor], model: torch.nn.Module) -> set[str]:
    """Names of the parameters that still have the values of `before`."""
    now = dict(model.named_parameters())
    return {name for name, value in before.items() if torch.equal(value, now[name])}


def is_complete(folder: Path) -> bool:
    """Whether a folder carries the weights and everything that loads them without this package."""
    files = {"config.json", "configuration_brandon.py", "modeling_brandon.py", "conversion_brandon.py"}
    files |= {"attention_brandon.py", "generation_brandon.py", "generation_config.json", "model.safetensors"}
    return files <= {path.name for path in folder.iterdir()}
