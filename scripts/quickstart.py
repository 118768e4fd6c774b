"""From text to a talking model in about a minute: tokenizer, model, training, saving, reloading, chat.

    python scripts/quickstart.py [--output runs/quickstart] [--steps 150]

The text is generated here: questions about the colours, sounds and opposites of a few dozen things. The model is a
small Brandon of about 0.8M parameters trained on the CPU.
"""

import argparse
from pathlib import Path

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, pipeline
from trl import SFTConfig, SFTTrainer

from brandon_hf.modeling import BrandonConfig, BrandonForCausalLM
from brandon_hf.tokenization import train_tokenizer

COLOURS = {
    "red": ["a tomato", "a fire engine", "a strawberry", "a ladybird"],
    "yellow": ["a lemon", "the sun", "a banana", "a duckling"],
    "green": ["a frog", "the grass", "a cucumber", "a lime"],
    "blue": ["the sky", "the sea", "a blueberry", "a cornflower"],
    "white": ["the snow", "a swan", "the milk", "a cloud"],
    "black": ["the night", "a raven", "the coal", "a panther"],
}
SOUNDS = {"cat": "meow", "dog": "woof", "cow": "moo", "sheep": "baa", "duck": "quack", "crow": "caw", "pig": "oink"}
OPPOSITES = [("big", "small"), ("hot", "cold"), ("old", "new"), ("day", "night"), ("fast", "slow"), ("up", "down")]
IDENTITY = "My name is Brandon. I am a tiny language model."


def chats() -> list[tuple[str, str]]:
    """All questions with their answers."""
    pairs = [
        (question, IDENTITY)
        for question in ("Who are you?", "What is your name?", "What are you called?", "Tell me your name.")
    ]
    for colour, things in COLOURS.items():
        for thing in things:
            answer = f"{thing.capitalize()} is {colour}."
            pairs += [(f"What colour is {thing}?", answer), (f"Tell me the colour of {thing}.", answer)]
    for animal, sound in SOUNDS.items():
        answer = f"A {animal} says {sound}."
        pairs += [(f"What does a {animal} say?", answer), (f"Which sound does a {animal} make?", answer)]
    for first, second in OPPOSITES:
        for word, other in ((first, second), (second, first)):
            answer = f"The opposite of {word} is {other}."
            pairs += [(f"What is the opposite of {word}?", answer), (f"Name the opposite of {word}.", answer)]
    return pairs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("runs/quickstart"), help="folder for the model")
    parser.add_argument("--steps", type=int, default=150, help="optimisation steps")
    arguments = parser.parse_args()
    torch.manual_seed(0)

    # 1. A byte-level tokenizer from the text itself.
    pairs = chats()
    tokenizer = train_tokenizer((text for pair in pairs for text in pair), vocab_size=448, model_max_length=128)

    # 2. A small model with everything the flagship has.
    config = BrandonConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=352,
        num_hidden_layers=8,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = BrandonForCausalLM(config)
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=[tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<|im_end|>")],
        max_new_tokens=32,
    )
    print(f"{model.num_parameters():,} parameters, {len(pairs)} chats, {len(tokenizer)} tokens")

    # 3. Training with TRL, on the assistant's words only.
    chat = [
        {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}
        for question, answer in pairs
    ]
    trainer = SFTTrainer(
        model=model,
        processing_class=tokenizer,
        train_dataset=Dataset.from_list(chat),
        args=SFTConfig(
            output_dir=str(arguments.output),
            max_steps=arguments.steps,
            per_device_train_batch_size=32,
            learning_rate=4e-3,
            lr_scheduler_type="cosine",
            warmup_steps=10,
            assistant_only_loss=True,
            gradient_checkpointing=False,
            logging_steps=25,
            save_strategy="no",
            report_to="none",
            use_cpu=not torch.cuda.is_available(),
            seed=0,
        ),
    )
    trainer.train()

    # 4. A folder that AutoModel and pipeline understand, here or anywhere.
    model.save_pretrained(arguments.output)
    tokenizer.save_pretrained(arguments.output)
    print(f"saved to {arguments.output}")

    # 5. Reload and talk.
    reloaded = AutoModelForCausalLM.from_pretrained(arguments.output)
    talk = pipeline("text-generation", model=reloaded, tokenizer=AutoTokenizer.from_pretrained(arguments.output))
    for question in (
        "What is your name?",
        "What colour is a frog?",
        "What does a crow say?",
        "Name the opposite of old.",
    ):
        reply = talk([{"role": "user", "content": question}], do_sample=False)
        print(f"> {question}\n{reply[0]['generated_text'][-1]['content']}")


if __name__ == "__main__":
    main()
