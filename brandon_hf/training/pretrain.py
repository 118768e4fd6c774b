"""Phase 1: next-token prediction on packed text."""

from typing import Any

from torch import nn
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from brandon_hf.data.packed import collate_blocks

from .arguments import PretrainArguments
from .checkpoints import InterruptibleTrainer
from .losses import z_loss
from .optimizers import MuonTrainer


class PretrainTrainer(MuonTrainer, InterruptibleTrainer, Trainer):
    """Trains any causal LM on a `PackedDataset`, with what `PretrainArguments` adds to transformers' trainer.

    For models with multi-token-prediction heads the loss includes theirs; with `mtp_warmup_fraction` they join one by
    one, the nearest first (the original's curriculum).
    """

    args: PretrainArguments

    def __init__(self, model: nn.Module, args: PretrainArguments, **kwargs: Any):
        kwargs.setdefault("data_collator", collate_blocks)
        super().__init__(model=model, args=args, **kwargs)
        self.mtp_heads = getattr(model.config, "num_mtp_heads", 0)
        if args.dropout_schedule != "none":
            if not hasattr(model.config, "dropout"):
                raise ValueError(f"dropout_schedule={args.dropout_schedule!r}: the model's config has no dropout")
            self.add_callback(DropoutSchedule(args.dropout_schedule, args.dropout_fraction))

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        inputs = {**inputs, "use_cache": False}
        if not model.training or not (self.mtp_heads or self.args.z_loss):
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        if self.mtp_heads and self.args.mtp_warmup_fraction:
            inputs["num_mtp_losses"] = self.mtp_losses()
        loss, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
        if self.args.z_loss:
            term = self.args.z_loss * z_loss(outputs.logits, inputs["labels"], num_items_in_batch)
            if self.args.average_tokens_across_devices and num_items_in_batch is not None:
                term = term * self.accelerator.num_processes  # DDP averages over the processes
            loss = loss + term
        return (loss, outputs) if return_outputs else loss

    def mtp_losses(self) -> int:
        """How many multi-token-prediction heads count in this step."""
        phase = self.args.mtp_warmup_fraction * self.state.max_steps / self.mtp_heads
        return min(self.mtp_heads, int(self.state.global_step / phase))


class DropoutSchedule(TrainerCallback):
    """Dropout in the first (`early`) or last (`late`) part of the training only (arXiv:2303.01500).

    The rate changes within steps alone: a checkpoint's config.json keeps the model's own.
    """

    def __init__(self, when: str, fraction: float):
        self.when, self.fraction = when, fraction

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        config = kwargs["model"].config
        self.rate = config.dropout
        share = self.fraction if self.when == "early" else 1 - self.fraction
        first_part = state.global_step < share * state.max_steps
        config.dropout = self.rate if first_part == (self.when == "early") else 0.0

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        kwargs["model"].config.dropout = self.rate
