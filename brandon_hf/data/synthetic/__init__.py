"""The built-in corpus: text about a small consistent world, made from a seed, with questions held out to test on.

`documents` are for pretraining, `chats` for instruction tuning, `held_out` for measuring: no held-out question of a
seed is in the documents or chats of the same seed, and some are in wordings training never uses. The facts are the same
for every seed; the seed decides the text and what is held out.
"""

from .chats import chats
from .documents import documents
from .free import chat_prompts, free_prompts
from .heldout import Question, answers, held_out

__all__ = ["Question", "answers", "chat_prompts", "chats", "documents", "free_prompts", "held_out"]
