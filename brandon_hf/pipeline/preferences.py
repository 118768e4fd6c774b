"""The built-in preference data of phase 4: prompts from the chats, answers from the model, repetition decides."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets import Dataset
from transformers import PreTrainedModel
from trl import GRPOConfig

from brandon_hf.data.preferences import looped, preference_pairs, repetition_reward
from brandon_hf.files import file_written_aside
from brandon_hf.training.preference import PreferenceTrainer, RewardTrainer

from .samples import write

if TYPE_CHECKING:
    from .run import Run

PROMPTS = 512  # of the chats, at most
CANDIDATES = 2  # sampled answers to each


def preference_trainer(run: "Run", model: PreTrainedModel, args: Any) -> Any:
    """The trainer of the recipe's method over the run's chats."""
    rows = single_turns(run.chats("train"))
    if isinstance(args, GRPOConfig):
        return RewardTrainer(
            model=model,
            reward_funcs=repetition_reward,
            args=args,
            train_dataset=Dataset.from_list([{"prompt": prompt} for prompt, _ in rows]),
            processing_class=run.tokenizer,
        )
    path = run.phase_folder("prefer") / "preferences.jsonl"
    if run.state.is_main_process and not path.is_file():
        with file_written_aside(path) as aside:
            pairs = sampled_pairs(model, run.tokenizer, rows, run.recipe.seed)
            aside.write_text("".join(json.dumps(pair, ensure_ascii=False) + "\n" for pair in pairs), "utf-8")
    run.state.wait_for_everyone()
    return PreferenceTrainer(model=model, args=args, train_dataset=_read(path), processing_class=run.tokenizer)


def single_turns(chats: list[dict[str, Any]]) -> list[tuple[list[dict[str, str]], str]]:
    """The first exchange of at most `PROMPTS` chats: the messages up to the question, and the answer."""
    rows = []
    for chat in chats[:PROMPTS]:
        first = next(index for index, message in enumerate(chat["messages"]) if message["role"] == "assistant")
        rows.append((chat["messages"][:first], chat["messages"][first]["content"]))
    return rows


def sampled_pairs(
    model: PreTrainedModel, tokenizer: Any, rows: list[tuple[list[dict[str, str]], str]], seed: int
) -> list[dict[str, Any]]:
    """Preference rows from the reference answers, the model's own samples, and a loop made of the reference."""
    prompts = [prompt for prompt, _ in rows]
    written = [
        [text for text, _ in write(model, tokenizer, prompts, max_new_tokens=64, do_sample=True, temperature=1.0)]
        for _ in range(CANDIDATES)
    ]
    answers = [[reference, *own, looped(reference, seed)] for (_, reference), *own in zip(rows, *written, strict=True)]
    return preference_pairs(prompts, answers)


def _read(path: Path) -> Dataset:
    return Dataset.from_list([json.loads(line) for line in path.read_text("utf-8").splitlines()])
