"""The settings of each phase: transformers' or TRL's own, plus what this project adds."""

import difflib
import logging
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import torch
from transformers import TrainingArguments
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK, get_available_reporting_integrations
from trl import DPOConfig, GRPOConfig, SFTConfig

from brandon_hf.environment import has_bf16

from .divergences import DIVERGENCES, mixture_of

OPTIMIZERS = ("adamw", "muon")
DECAY_TYPES = ("cosine", "linear", "1-sqrt")
ON_POLICY = ("forward_kl", "js", "reverse_kl")  # what TRL's on-policy trainer knows
DROPOUT_SCHEDULES = ("none", "early", "late")

T = TypeVar("T", bound=TrainingArguments)

# Said of any compiled training without a recent GPU; on a CPU it is not so.
logging.getLogger("transformers.training_args").addFilter(lambda record: "torchdynamo" not in record.getMessage())


def _option(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass
class ScheduleArguments:
    """The learning rate over a phase: warm-up, then stable and decay (WSD, arXiv:2404.06395), or a plain cosine.

    `warmup_steps` is transformers' own field; like `stable_steps` and `decay_steps` it is a number of steps, or below 1
    a fraction of `max_steps`.

    Raises:
        ValueError: the parts are longer than the training, or an option is unknown.
    """

    stable_steps: float | None = _option(None, "WSD: steps at the full rate; unset: all that the other parts leave.")
    decay_steps: float = _option(0.2, "WSD: steps of the decay at the end.")
    decay_type: str = _option("cosine", f"WSD: shape of the decay, one of {', '.join(DECAY_TYPES)}.")
    min_lr_ratio: float = _option(0.1, "Last learning rate, as a share of the highest.")

    def set_schedule(self) -> None:
        """Check the parts against each other and fill `lr_scheduler_kwargs` (called by `__post_init__`)."""
        arguments: Any = self  # every class with this mixin is a TrainingArguments
        kind = getattr(arguments.lr_scheduler_type, "value", arguments.lr_scheduler_type)
        _choice("decay_type", self.decay_type, DECAY_TYPES)
        if not 0 <= self.min_lr_ratio <= 1:
            raise ValueError(f"min_lr_ratio={self.min_lr_ratio} is a share of the learning rate: between 0 and 1")
        total = arguments.max_steps
        if total > 0:
            warmup = _steps("warmup_steps", arguments.warmup_steps, total)
            if warmup >= total:
                raise ValueError(f"a warm-up of {warmup} steps does not end before the training, max_steps={total}")
            if kind == "warmup_stable_decay":
                decay = _steps("decay_steps", self.decay_steps, total)
                if warmup + decay > total:
                    raise ValueError(
                        f"warm-up of {warmup} and decay of {decay} steps are longer than training, max_steps={total}"
                    )
                stable = total - warmup - decay
                if self.stable_steps is not None:
                    given = _steps("stable_steps", self.stable_steps, total)
                    if abs(given - stable) > 2:  # fractions are rounded one by one
                        raise ValueError(
                            f"warm-up of {warmup}, stable {given} and decay of {decay} steps are not the training's "
                            f"{total}: leave stable_steps out, or make it {stable}"
                        )
                arguments.lr_scheduler_kwargs = {
                    "num_decay_steps": decay,
                    "decay_type": self.decay_type,
                    "min_lr_ratio": self.min_lr_ratio,
                }
        elif kind == "warmup_stable_decay":
            raise ValueError(f"lr_scheduler_type='warmup_stable_decay' needs max_steps, not max_steps={total}")
        if kind == "cosine_with_min_lr":
            arguments.lr_scheduler_kwargs = {"min_lr_rate": self.min_lr_ratio}


@dataclass
class OptimizerArguments:
    """AdamW, or Muon beside it.

    Raises:
        ValueError: an option is unknown, or one of Muon's is given without it.
    """

    optimizer: str = _option("adamw", "adamw, or muon for hidden matrices and AdamW for everything else.")
    muon_lr_scale: float = _option(1.0, "Muon: its learning rate, as a multiple of learning_rate.")

    def check_optimizer(self) -> None:
        """Called by `__post_init__`."""
        _choice("optimizer", self.optimizer, OPTIMIZERS)
        if self.optimizer != "muon" and self.muon_lr_scale != 1:
            raise ValueError(f"muon_lr_scale={self.muon_lr_scale} has no effect with optimizer={self.optimizer!r}")


@dataclass
class PretrainArguments(OptimizerArguments, ScheduleArguments, TrainingArguments):
    """Phase 1. Defaults are the published recipe's where it has one (AdamW 0.9 / 0.95, weight decay 0.1, clip 1)."""

    lr_scheduler_type: str = "warmup_stable_decay"
    warmup_steps: float = 0.05
    adam_beta2: float = 0.95
    weight_decay: float = 0.1
    mtp_warmup_fraction: float = _option(0.0, "Multi-token heads join the loss one by one over this share of steps.")
    z_loss: float = _option(0.0, "Weight of the squared log-normaliser (PaLM, arXiv:2204.02311).")
    dropout_schedule: str = _option("none", "none: dropout throughout; early / late: in the first / last part only.")
    dropout_fraction: float = _option(0.5, "The part of the steps with dropout under early or late.")

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_optimizer()
        _choice("dropout_schedule", self.dropout_schedule, DROPOUT_SCHEDULES)
        for name in ("mtp_warmup_fraction", "dropout_fraction"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}={getattr(self, name)} is a share of the steps: between 0 and 1")
        if self.z_loss < 0:
            raise ValueError(f"z_loss={self.z_loss} must not be negative")
        self.set_schedule()


@dataclass
class DistillArguments(PretrainArguments):
    """Phase 2: loss = alpha * T^2 * divergence(student, teacher) + (1 - alpha) * cross-entropy."""

    divergence: str = _option("reverse_kl", f"One of {', '.join(DIVERGENCES)}.")
    temperature: float = _option(2.0, "Softens both distributions; the divergence is multiplied by its square.")
    alpha: float = _option(0.5, "Weight of the divergence; the cross-entropy has the rest.")
    mixture: float | None = _option(None, "Parameter of js and the skewed divergences; unset: 0.5 and 0.1.")
    chunk_size: int = _option(256, "Predicted tokens whose logits exist at the same time.")
    top_k: int | None = _option(None, "Compute the teacher's k best logits once and keep them on disk.")
    on_policy: bool = _option(False, "Distil on the student's own answers to the chat data's prompts (TRL's trainer).")
    max_completion_length: int = _option(64, "On-policy: tokens of an answer.")

    def __post_init__(self) -> None:
        super().__post_init__()
        _choice("divergence", self.divergence, tuple(DIVERGENCES))
        if self.temperature <= 0:
            raise ValueError(f"temperature={self.temperature} must be positive")
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha={self.alpha} is a share: between 0 and 1")
        for name in ("top_k", "chunk_size", "max_completion_length"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1")
        mixture_of(self.divergence, self.mixture)
        for name in ("z_loss", "mtp_warmup_fraction"):
            if getattr(self, name):
                raise ValueError(f"{name}={getattr(self, name)} has no effect in distillation: remove it")
        if self.on_policy and self.divergence not in ON_POLICY:
            raise ValueError(
                f"divergence={self.divergence!r} does not work on-policy: choose one of {', '.join(ON_POLICY)}"
            )


@dataclass
class InstructArguments(OptimizerArguments, ScheduleArguments, SFTConfig):
    """Phase 3: TRL's supervised fine-tuning with the anti-repetition losses."""

    lr_scheduler_type: str = "cosine_with_min_lr"
    gradient_checkpointing: bool = False
    label_smoothing: float = _option(0.1, "Share of the target spread over the vocabulary.")
    unlikelihood_alpha: float = _option(0.5, "Weight of token-level unlikelihood (arXiv:1908.04319).")
    sequence_unlikelihood_alpha: float = _option(0.0, "Weight of unlikelihood over n-grams the model repeats itself.")
    sequence_unlikelihood_every: int = _option(4, "Steps between two batches the model writes for that.")
    sequence_unlikelihood_ngram: int = _option(4, "Length n of those n-grams.")
    entropy_beta: float = _option(0.01, "Weight of the entropy bonus (arXiv:1701.06548).")
    legacy: bool = _option(False, "Normalise as the original did: its unlikelihood is then divided by the vocabulary.")
    replay: float = _option(0.0, "Share of training tokens that are pretraining text.")
    lora_rank: int | None = _option(None, "Train adapters of this rank on all linear layers, merged at the end.")

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_optimizer()
        for name in ("label_smoothing", "replay"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 0 and below 1")
        for name in ("unlikelihood_alpha", "sequence_unlikelihood_alpha", "entropy_beta"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)} must not be negative")
        for name in ("sequence_unlikelihood_every", "sequence_unlikelihood_ngram", "lora_rank"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1")
        self.set_schedule()


@dataclass
class DPOArguments(ScheduleArguments, DPOConfig):
    """Phase 4, optional: direct preference optimisation (arXiv:2305.18290); a looping answer loses."""

    lr_scheduler_type: str = "cosine_with_min_lr"
    gradient_checkpointing: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.set_schedule()


@dataclass
class GRPOArguments(ScheduleArguments, GRPOConfig):
    """Phase 4, optional: group-relative policy optimisation (arXiv:2402.03300); the reward is not to repeat."""

    lr_scheduler_type: str = "cosine_with_min_lr"
    gradient_checkpointing: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.set_schedule()


# Fields that the pipeline sets itself, or that would undo what it promises.
_RESERVED = {"output_dir", "resume_from_checkpoint", "logging_nan_inf_filter", "remove_unused_columns"}
_RESERVED |= {
    "packing",
    "max_length",
    "assistant_only_loss",
    "padding_free",
    "dataset_kwargs",
}  # rows are packed before
_RESERVED |= {"save_only_model", "load_best_model_at_end"}  # could not resume; would look in folders that have moved


def build_arguments(cls: type[T], values: Mapping[str, Any], section: str, output_dir: Path | str) -> T:
    """The settings `values` of the recipe's `section` as a `cls`.

    Precision: `bf16: auto` (the default) is bf16 where the hardware has it. Nothing is reported to outside services
    unless `report_to` says so.

    Raises:
        ValueError: a key is unknown, or values contradict each other; the message names the section.
    """
    known = {entry.name for entry in fields(cls) if entry.init} - _RESERVED
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"; did you mean {section}.{near[0]}?" if near else ""
            raise ValueError(f"unknown key {section}.{key}{hint}")
    for entry in fields(cls):
        value, default = values.get(entry.name), entry.default
        number = isinstance(default, (int, float)) and not isinstance(default, bool)
        if value is not None and number and (not isinstance(value, (int, float)) or isinstance(value, bool)):
            raise ValueError(f"{section}.{entry.name}={value!r} must be a number (default {default})")
    for name in ("per_device_train_batch_size", "gradient_accumulation_steps", "per_device_eval_batch_size"):
        if values.get(name, 1) < 1:
            raise ValueError(f"{section}.{name}={values[name]} must be at least 1")
    for name in ("save_steps", "eval_steps", "logging_steps", "learning_rate", "muon_lr_scale"):
        if values.get(name) is not None and values[name] <= 0:
            raise ValueError(f"{section}.{name}={values[name]} must be above 0")
    if values.get("label_smoothing_factor"):
        raise ValueError(f"{section}.label_smoothing_factor: here it is {section}.label_smoothing")
    _check_reporting(values.get("report_to"), section)
    settings = {
        "report_to": "none",
        "save_total_limit": 2,
        "logging_steps": 10,
        "bf16": "auto",
        "include_num_input_tokens_seen": "no" if issubclass(cls, GRPOConfig) else "all",  # GRPO's inputs are texts
        **values,
        "logging_nan_inf_filter": False,  # a NaN stops the training instead
        "remove_unused_columns": False,
        "output_dir": str(output_dir),
    }
    if settings["bf16"] == "auto":
        settings["bf16"] = not settings.get("fp16") and has_bf16()
    if not torch.accelerator.is_available():
        settings["use_cpu"] = True
    try:
        with warnings.catch_warnings():  # TRL's own default already uses the name that transformers 6 will drop
            warnings.filterwarnings("ignore", "`gradient_checkpointing` is deprecated", FutureWarning)
            return cls(**settings)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{section}: {error}") from error


def _check_reporting(wanted: Any, section: str) -> None:
    """transformers would say it when the trainer is built, after hours of preparation."""
    available = [*get_available_reporting_integrations(), "none", "all"]
    for name in [wanted] if isinstance(wanted, str) else wanted or []:
        if name not in INTEGRATION_TO_CALLBACK and name not in available:
            raise ValueError(f"{section}.report_to={name!r} is unknown: {', '.join(sorted(INTEGRATION_TO_CALLBACK))}")
        if name not in available:
            raise ValueError(f"{section}.report_to={name!r} needs its package: pip install {name}")


def _steps(name: str, value: float, total: int) -> int:
    if value < 0 or (value >= 1 and value != int(value)):
        raise ValueError(f"{name}={value} is neither a number of steps nor a fraction below 1")
    return math.ceil(value * total) if value < 1 else int(value)


def _choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name}={value!r} is unknown: choose one of {', '.join(choices)}")
