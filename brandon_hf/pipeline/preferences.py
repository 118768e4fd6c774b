"""The built-in preference data of phase 4: prompts from the chats, answers from the model, repetition decides."""

from typing import TYPE_CHECKING, Any

from datasets import Dataset
from transformers import PreTrainedModel
from trl import GRPOConfig

from brandon_hf.data.preferences import looped, preference_pairs, repetition_reward
from brandon_hf.training.preference import PreferenceTrainer, RewardTrainer

from .data import read_json_lines, write_json_lines
from .samples import write

if TYPE_CHECKING:
    from .run import Run

PROMPTS = 512  # of the chats, at most
CANDIDATES = 2  # sampled answers to each
ANSWER_TOKENS = 64  # room that a prompt has to leave, or a quarter of the context; longer answers are cut


def preference_trainer(run: "Run", model: PreTrainedModel, args: Any) -> Any:
    """The trainer of the recipe's method over the run's chats."""
    answer = min(ANSWER_TOKENS, run.data.context // 4)
    if isinstance(args, GRPOConfig) and args.max_completion_length:
        answer = args.max_completion_length
    rows = run.data.prompts(answer)[:PROMPTS]
    if isinstance(args, GRPOConfig):
        return RewardTrainer(
            model=model,
            reward_funcs=repetition_reward,
            args=args,
            train_dataset=Dataset.from_list([{"prompt": prompt} for prompt, _ in rows]),
            processing_class=run.data.tokenizer,
        )
    path = run.phase_folder("prefer") / "preferences.jsonl"
    if run.state.is_main_process and not path.is_file():
        pairs = sampled_pairs(model.to(run.state.device), run.data.tokenizer, rows, answer, run.recipe.seed)
        if not pairs:
            raise ValueError("no pair of answers differs in repetition: there is nothing to prefer")
        write_json_lines(path, pairs)
    run.state.wait_for_everyone()
    args.max_length = run.data.context
    pairs = Dataset.from_list(read_json_lines(path))
    return PreferenceTrainer(model=model, args=args, train_dataset=pairs, processing_class=run.data.tokenizer)


def sampled_pairs(
    model: PreTrainedModel,
    tokenizer: Any,
    rows: list[tuple[list[dict[str, str]], str]],
    answer: int,
    seed: int,
) -> list[dict[str, Any]]:
    """Preference rows from the reference answers, the model's own samples, and a loop made of the reference.

    Answers are cut to fit `answer` tokens: what a loop is shows well before.
    """
    prompts = [prompt for prompt, _ in rows]
    written = [
        write(model, tokenizer, prompts, max_new_tokens=answer, do_sample=True, temperature=1.0)
        for _ in range(CANDIDATES)
    ]
    answers = []
    for (_, reference), *own in zip(rows, *written, strict=True):
        candidates = [reference, *(text for text, _ in own)]
        if any(map(str.isalnum, reference)):
            candidates.append(looped(reference, seed))
        answers.append([_cut(tokenizer, text, answer - 2) for text in candidates])
    return preference_pairs(prompts, answers)


def _cut(tokenizer: Any, text: str, most: int) -> str:
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    return text if len(ids) <= most else tokenizer.decode(ids[:most])
