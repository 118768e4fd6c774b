"""Phase 4, optional: DPO or GRPO on TRL, where repetition loses."""

from trl import DPOTrainer, GRPOTrainer

from .checkpoints import InterruptibleTrainer


class PreferenceTrainer(InterruptibleTrainer, DPOTrainer):
    """TRL's `DPOTrainer`; its data come from `brandon_hf.data.preferences`."""


class RewardTrainer(InterruptibleTrainer, GRPOTrainer):
    """TRL's `GRPOTrainer`; its reward is `brandon_hf.data.preferences.repetition_reward`."""
