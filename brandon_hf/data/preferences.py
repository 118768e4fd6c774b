"""Preference data that the repetition metrics make: of two answers, the one that loops loses."""

import random
from collections.abc import Callable, Sequence
from typing import Any

from brandon_hf.metrics.repetition import repetition_score

Message = dict[str, str]


def preference_pairs(
    prompts: Sequence[list[Message]],
    answers: Sequence[Sequence[str]],
    score: Callable[[str], float] = repetition_score,
    min_gap: float = 0.1,
) -> list[dict[str, list[Message]]]:
    """For each prompt, its best answer against its worst, in TRL's conversational preference format.

    Args:
        prompts: the messages up to and including the user's question.
        answers: per prompt its candidates: the reference first, then those sampled from a model.
        score: of an answer's text, higher is better; by default how little it repeats itself.
        min_gap: a pair whose scores differ by less says nothing and is left out.

    Returns:
        Rows {"prompt": messages, "chosen": [message], "rejected": [message]}. Of equally good answers the first stands.

    Raises:
        ValueError: not as many lists of answers as prompts; a prompt that does not end with a user's message.
    """
    if len(prompts) != len(answers):
        raise ValueError(f"{len(prompts)} prompts and {len(answers)} lists of answers must be equally many")
    pairs = []
    for number, (prompt, candidates) in enumerate(zip(prompts, answers, strict=True)):
        if not prompt or prompt[-1]["role"] != "user":
            raise ValueError(f"prompt {number} must end with a user's message: {prompt!s:.80}")
        if len(candidates) < 2:
            continue
        scores = [score(answer) for answer in candidates]
        best, worst = scores.index(max(scores)), scores.index(min(scores))
        if scores[best] - scores[worst] >= min_gap:
            pairs.append(
                {"prompt": prompt, "chosen": _answer(candidates[best]), "rejected": _answer(candidates[worst])}
            )
    return pairs


def looped(text: str, seed: int) -> str:
    """The text degraded as a model degrades: it begins as it was, then a phrase repeats to the end.

    It stands up to a point in its second half; the phrase before that, of 1 to 8 words, follows 8 to 12 times more.
    The same text and seed give the same loop.

    Raises:
        ValueError: the text has no word.
    """
    words = [word for word in text.split() if any(map(str.isalnum, word))]  # a loop of bare dashes would not count
    if not words:
        raise ValueError(f"text={text!r} has no word to repeat")
    rng = random.Random(f"{seed} {text}")
    end = rng.randint((len(words) + 1) // 2, len(words))
    phrase = words[max(0, end - rng.randint(1, 8)) : end]
    return " ".join(words[:end] + phrase * rng.randint(8, 12))


def repetition_reward(completions: Sequence[Any], **kwargs: Any) -> list[float]:
    """`repetition_score` as a reward function of TRL's `GRPOTrainer`: 1 for no repetition, 0 for a loop or nothing.

    Args:
        completions: texts, or lists of messages, whose contents are read together.
        kwargs: what the trainer passes beside them (prompts, other columns); unused.
    """
    return [
        repetition_score(
            completion if isinstance(completion, str) else "\n".join(message["content"] or "" for message in completion)
        )
        for completion in completions
    ]


def _answer(text: str) -> list[Message]:
    return [{"role": "assistant", "content": text}]
