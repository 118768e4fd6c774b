"""What benchmarks/experiments.py compares: kinds of text, mixtures, the base recipe, questions with their variants."""

from typing import Any

from ablations import BASE_MODEL, BATCH, CONTEXT, PLAIN

TOKENS = 2_000_000
HELD_OUT = 0.01  # share of documents; which ones, a hash of the text decides
LONGER = 4  # times the tokens, in the runs that confirm

# Kinds of text and their files; within a kind, files count by their size.
KINDS = {
    "books": [f"gutenberg_0{number}" for number in range(8)],
    "simple books": ["gutenberg_00", "gutenberg_01"],
    "other books": [f"gutenberg_0{number}" for number in range(2, 8)],
    "textbooks": ["openstax_ccby"],
    "stories": ["storybooks_ccby", "fairytaleqa_stories"],
    "encyclopaedia": ["wikipedia_boolq_passages", "wikisplit_sentences", "wiki_c4_samples", "cia_factbook_pd"],
    "news": ["onestopenglish", "us_speeches_pd"],
    "dialogues": ["sgd_dialogues"],
    "dictionary": ["wordset_dictionary"],
}
MEASURED = ("books", "textbooks", "stories", "encyclopaedia", "news", "dialogues")
CHATS = ("rasbt_instruction_1100", "self_instruct_seed_tasks", "dolly_15k_subset_nocontext")
MIXTURES = {  # shares of the tokens
    "generated world": {},
    "as it comes": {
        "books": 86.3,
        "textbooks": 5.7,
        "stories": 0.8,
        "encyclopaedia": 1.2,
        "news": 1.0,
        "dialogues": 3.2,
        "dictionary": 1.8,
    },
    "half books": {
        "books": 50,
        "textbooks": 20,
        "stories": 6,
        "encyclopaedia": 10,
        "news": 6,
        "dialogues": 5,
        "dictionary": 3,
    },
    "quarter books": {
        "books": 25,
        "textbooks": 30,
        "stories": 10,
        "encyclopaedia": 15,
        "news": 10,
        "dialogues": 7,
        "dictionary": 3,
    },
    "half simple books": {
        "simple books": 50,
        "textbooks": 20,
        "stories": 6,
        "encyclopaedia": 10,
        "news": 6,
        "dialogues": 5,
        "dictionary": 3,
    },
    "mixture of the recipes": {  # of 5m and 10m_fast without their primer; within a kind, files differ a little
        "simple books": 20,
        "other books": 15,
        "textbooks": 27,
        "stories": 7,
        "encyclopaedia": 14,
        "news": 8,
        "dialogues": 6,
        "dictionary": 3,
    },
    "books alone": {"books": 100},
    "no books": {"textbooks": 40, "stories": 12, "encyclopaedia": 20, "news": 12, "dialogues": 10, "dictionary": 6},
    "half books, no dictionary": {
        "books": 52,
        "textbooks": 20,
        "stories": 6,
        "encyclopaedia": 11,
        "news": 6,
        "dialogues": 5,
    },
}
# The place of a source in the mixture seeds the order of its documents, so most are others.
MIXTURES["half books, drawn again"] = dict(reversed(MIXTURES["half books"].items()))
BASE: dict[str, Any] = {
    "seed": 0,
    "phases": ["pretrain"],
    "model": BASE_MODEL,
    "data": {"max_tokens": TOKENS, "max_epochs": 20, "validation_fraction": HELD_OUT},
    "pretrain": {
        "max_steps": TOKENS // (BATCH * CONTEXT),
        "per_device_train_batch_size": BATCH,
        "learning_rate": 3e-3,
        "warmup_steps": 0.05,
        "decay_steps": 0.3,
        "save_steps": 200,
        "bf16": True,
        "torch_compile": True,
        "disable_tqdm": True,
    },
}
ON_MODEL = {f"model.{key}": value for key, value in PLAIN.items()}
TUNING = {
    "max_steps": TOKENS // (4 * BATCH * CONTEXT),
    "per_device_train_batch_size": BATCH,
    "learning_rate": 1e-3,
    "warmup_steps": 0.05,
    "save_steps": 200,
    "bf16": True,
    "disable_tqdm": True,
}
ENTROPY_ONLY = {"unlikelihood_alpha": 0.0, "label_smoothing": 0.0, "entropy_beta": 0.01}
TUNED = {"phases": ["pretrain", "sft"], "sft": TUNING | ENTROPY_ONLY}
TEACHER = {"hidden_size": 192, "intermediate_size": 656, "num_hidden_layers": 10, **PLAIN}  # three times the parameters
LARGE_TEACHER = {"hidden_size": 320, "intermediate_size": 880}
DREAM = {
    "num_loops": 4,
    "num_hidden_layers": 8,  # 2 layers x 4 loops
    "block_repeat": 1,
    "hidden_size": 192,
    "intermediate_size": 536,
    "mlp_type": "relu_squared",
    "ternary_weights": True,
    "step_embedding": True,
    "loop_feedback": True,
    "resonance_gate": True,
}
FULL_STEPS = BASE["pretrain"]["max_steps"]
# Training in two halves, the second a run that goes on with the model of the first; the optimizer starts anew.
FIRST_HALF = {"tokens": TOKENS // 2, "pretrain.max_steps": FULL_STEPS // 2, "pretrain.min_lr_ratio": 1.0}
SECOND_HALF = {"tokens": TOKENS // 2, "pretrain.max_steps": FULL_STEPS // 2, "pretrain.decay_steps": 0.6}
SMALL_BATCHES = {"pretrain.per_device_train_batch_size": BATCH // 2, "pretrain.max_steps": FULL_STEPS}
FOUR_TIMES = {"tokens": LONGER * TOKENS, "pretrain.max_steps": LONGER * FULL_STEPS}
AVERAGED = {"average": 3, "pretrain.save_steps": FULL_STEPS // 8, "pretrain.save_total_limit": 3}  # over the decay
DISTILLED = {
    "phases": ["distill"],
    "start": "half books",
    "teacher": "30M-shaped",
    "distill": {**BASE["pretrain"], "max_steps": FULL_STEPS // 4, "learning_rate": 1e-3},
}
TUNED_FURTHER = {**TUNED, "phases": ["sft"], "start": "half books"}
PLAINLY_TUNED = {**TUNED_FURTHER, "sft.entropy_beta": 0.0}
# question: {variant: changes of BASE}; the others are compared with the first. "mixture", "tokens", "average", "start"
# and "teacher" are keys of experiments.py, not of a recipe.
QUESTIONS: dict[str, dict[str, dict[str, Any]]] = {
    "mixture": {
        "half books": {},
        "as it comes": {"mixture": "as it comes"},
        "quarter books": {"mixture": "quarter books"},
        "half simple books": {"mixture": "half simple books"},
        "half books, no dictionary": {"mixture": "half books, no dictionary"},
        "mixture of the recipes": {"mixture": "mixture of the recipes"},
    },
    "rate": {
        "half books": {},
        "rate 1.5e-3": {"pretrain.learning_rate": 1.5e-3},
        "rate 6e-3": {"pretrain.learning_rate": 6e-3},
        "rate 1.2e-2": {"pretrain.learning_rate": 1.2e-2},
    },
    "decay": {
        "half books": {},
        "decay 0.15": {"pretrain.decay_steps": 0.15},
        "decay 0.5": {"pretrain.decay_steps": 0.5},
        "decay to 0": {"pretrain.min_lr_ratio": 0.0},
        "linear decay": {"pretrain.decay_type": "linear"},
        "decay, averaged over it": AVERAGED,
        "no decay, averaged": {**AVERAGED, "pretrain.min_lr_ratio": 1.0},
    },
    "batch": {
        "half books": {},
        "batch 8": {"pretrain.per_device_train_batch_size": 8, "pretrain.max_steps": TOKENS // (8 * CONTEXT)},
    },
    "first halves": {
        "first half": FIRST_HALF,
        "first half, books": {**FIRST_HALF, "mixture": "books alone"},
        "first half, no books": {**FIRST_HALF, "mixture": "no books"},
        "first half, batch 8": {**FIRST_HALF, **SMALL_BATCHES},
    },
    "order and batches": {
        "two halves": {**SECOND_HALF, "start": "first half", "mixture": "half books, drawn again"},
        "books, then the rest": {**SECOND_HALF, "start": "first half, books", "mixture": "no books"},
        "the rest, then books": {**SECOND_HALF, "start": "first half, no books", "mixture": "books alone"},
        "batch 8, then 16": {
            **SECOND_HALF,
            "start": "first half, batch 8",
            "mixture": "half books, drawn again",
        },
    },
    "optimizer": {
        "half books": {},
        "muon": {"pretrain.optimizer": "muon"},
        "muon, rate 6e-3": {"pretrain.optimizer": "muon", "pretrain.learning_rate": 6e-3},
        "muon, rate 1.2e-2": {"pretrain.optimizer": "muon", "pretrain.learning_rate": 1.2e-2},
    },
    "architecture": {
        "half books": {},
        "qk-norm": {"model.qk_norm": True},
        "output gate": {"model.attention_output_gate": True},
        "learned value mixing": {"model.value_residual": "learned"},
        "z-loss": {"pretrain.z_loss": 1e-4},
        "baseline": {**TUNED, **ON_MODEL},  # measured before it is tuned
        "8 blocks, none shared": {"model.block_repeat": 1, "model.hidden_size": 96, "model.intermediate_size": 256},
        "16 narrow layers": {"model.num_hidden_layers": 16, "model.hidden_size": 96, "model.intermediate_size": 253},
        "4 wide layers": {"model.num_hidden_layers": 4, "model.hidden_size": 176, "model.intermediate_size": 430},
    },
    "original": {
        "baseline": {**TUNED, **ON_MODEL},
        "multi-token prediction": {
            **TUNED,
            **ON_MODEL,
            "model.num_mtp_heads": 3,
            "pretrain.mtp_warmup_fraction": 0.4,
        },
        "enhanced": TUNED_FURTHER,
        "dream": {**TUNED, **{f"model.{key}": value for key, value in DREAM.items()}},
        "generated world only": {**TUNED, "mixture": "generated world"},
        "three phases": {  # tokens of the first two together as in the others; its teacher's come on top
            "phases": ["pretrain", "distill", "sft"],
            "pretrain.max_steps": FULL_STEPS * 2 // 3,
            "distill": {**BASE["pretrain"], "max_steps": FULL_STEPS - FULL_STEPS * 2 // 3, "learning_rate": 1.5e-3},
            "teacher": "30M-shaped",
            "sft": TUNING | {"label_smoothing": 0.1, "unlikelihood_alpha": 0.5, "entropy_beta": 0.01, "replay": 0.1},
        },
        "30M-shaped": {**TUNED, **{f"model.{key}": value for key, value in TEACHER.items()}},
    },
    "repeats": {
        "half books": {},
        "a quarter of the text, four times": {"tokens": TOKENS // LONGER},
    },
    "longer": {  # do the short runs' winners win with four times the tokens?
        "half books, longer": FOUR_TIMES,
        "muon, rate 6e-3, longer": {**FOUR_TIMES, "pretrain.optimizer": "muon", "pretrain.learning_rate": 6e-3},
        "rate 6e-3, longer": {**FOUR_TIMES, "pretrain.learning_rate": 6e-3},
    },
    "size": {
        "half books": {},
        "five times the parameters": {f"model.{key}": value for key, value in LARGE_TEACHER.items()},
    },
    "distillation": {  # a quarter of the tokens more
        "continued": {**DISTILLED, "distill.alpha": 0.0},
        "reverse KL": DISTILLED,
        "forward KL": {**DISTILLED, "distill.divergence": "forward_kl"},
        "reverse KL alone": {**DISTILLED, "distill.alpha": 1.0},
        "reverse KL, larger teacher": {**DISTILLED, "teacher": "five times the parameters"},
    },
    "tuning": {
        "tuned plainly": PLAINLY_TUNED,
        "tuned, rate 3e-3": {**PLAINLY_TUNED, "sft.learning_rate": 3e-3},
        "tuned, muon": {**PLAINLY_TUNED, "sft.optimizer": "muon"},
        "tuned, muon, rate 3e-3": {**PLAINLY_TUNED, "sft.optimizer": "muon", "sft.learning_rate": 3e-3},
    },
    "repetition": {
        "tuned plainly": PLAINLY_TUNED,
        "entropy": TUNED_FURTHER,
        "entropy, label smoothing": {**TUNED_FURTHER, "sft.label_smoothing": 0.1},
        "entropy, unlikelihood": {**TUNED_FURTHER, "sft.unlikelihood_alpha": 0.5},
        "entropy, unlikelihood 2": {**TUNED_FURTHER, "sft.unlikelihood_alpha": 2.0},
        "entropy, sequence unlikelihood": {**TUNED_FURTHER, "sft.sequence_unlikelihood_alpha": 0.5},
        "all three of the report": {**TUNED_FURTHER, "sft.label_smoothing": 0.1, "sft.unlikelihood_alpha": 0.5},
    },
}
AGAINST = {  # what some variants are compared with, if not the first of their question
    "dream": "enhanced",
    "muon, rate 6e-3": "rate 6e-3",
    "muon, rate 1.2e-2": "rate 1.2e-2",
    "muon, rate 6e-3, longer": "rate 6e-3, longer",
}
LOOPS = ["free texts with loops", "greedy texts with loops"]  # of 20
WRITING = ["chat_loss", "repetition rate", "distinct 2-grams", *LOOPS]
COLUMNS = {  # of questions that do not show the kinds of text
    "original": ["text of its own mixture", "mean", "blimp", "mean after tuning", *WRITING],
    "tuning": ["mean after tuning", *WRITING],
    "repetition": ["mean after tuning", *WRITING],
}
DECIDES = {"tuning": "chat_loss", "repetition": "chat_loss"}  # the column that says what helped, if not "mean"
