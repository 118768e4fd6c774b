"""Phase 3: supervised fine-tuning on chats with losses against repetition, on TRL's trainer."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from datasets import Dataset, concatenate_datasets
from peft import LoraConfig
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl import SFTTrainer, pack_dataset

from .arguments import InstructArguments
from .checkpoints import InterruptibleTrainer
from .losses import anti_repetition_loss, sequence_unlikelihood_loss
from .optimizers import MuonTrainer


def pack_chats(chats: Dataset, length: int) -> Dataset:
    """Chats packed into rows of at most `length` tokens, best fit first; no chat is cut.

    Args:
        chats: Columns `input_ids` and `assistant_masks` (1 where the token is to be learnt), no row above `length`.

    Returns:
        Columns `input_ids`, `labels` (-100 where nothing is learnt) and `seq_lengths` (of the chats in the row).
    """

    def label(row: Mapping[str, Any]) -> dict[str, Any]:
        pairs = zip(row["input_ids"], row["assistant_masks"], strict=True)
        return {"labels": [token if learnt else -100 for token, learnt in pairs]}

    labelled = chats.map(label, remove_columns=["assistant_masks"], desc="labels")
    return pack_dataset(labelled.select_columns(["input_ids", "labels"]), length, "bfd", {"desc": "packing"})


def with_replay(chats: Dataset, blocks: Any, share: float, seed: int) -> Dataset:
    """Packed `chats` and as many blocks of pretraining text as make `share` of all tokens.

    Args:
        chats: From `pack_chats`.
        blocks: A `PackedDataset`; blocks are drawn without replacement, and again if there are too few.
    """
    if not share:
        return chats
    length = len(blocks[0]["input_ids"])
    count = round(share / (1 - share) * sum(map(len, chats["input_ids"])) / length)
    generator = torch.Generator().manual_seed(seed)
    passes = -(-count // len(blocks))  # no block a second time before all had their turn
    order = (
        torch.cat([torch.randperm(len(blocks), generator=generator) for _ in range(passes)])[:count] if count else ()
    )
    rows = [blocks[int(index)] for index in order]
    if not rows:
        return chats
    starts = [(row["position_ids"] == 0).nonzero().flatten().tolist() for row in rows]
    replay = {
        "input_ids": [row["input_ids"].tolist() for row in rows],
        "labels": [row["labels"].tolist() for row in rows],
        "seq_lengths": [
            [end - start for start, end in zip(places, [*places[1:], length], strict=True)] for places in starts
        ],
    }
    return concatenate_datasets([chats, Dataset.from_dict(replay, features=chats.features)])


class PackedRows:
    """Collates rows of `pack_chats`: `input_ids`, `labels` and `position_ids`, all (B, T), padded on the right.

    T is that of the longest row, or `length` if that is more.
    """

    def __init__(self, pad_token_id: int, length: int = 0):
        self.pad_token_id, self.length = pad_token_id, length

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        length = max(self.length, *(len(row["input_ids"]) for row in rows))
        batch = {
            "input_ids": torch.full((len(rows), length), self.pad_token_id),
            "labels": torch.full((len(rows), length), -100),
            "position_ids": torch.zeros(len(rows), length, dtype=torch.long),
        }
        for index, row in enumerate(rows):
            end = len(row["input_ids"])
            batch["input_ids"][index, :end] = torch.as_tensor(row["input_ids"])
            batch["labels"][index, :end] = torch.as_tensor(row["labels"])
            # Padding is a document of its own: nothing sees it, and it needs no attention mask.
            lengths = [*row["seq_lengths"], length - end]
            batch["position_ids"][index] = torch.cat([torch.arange(count) for count in lengths])
        return batch


class InstructTrainer(MuonTrainer, InterruptibleTrainer, SFTTrainer):
    """TRL's `SFTTrainer` on packed rows, with the losses `InstructArguments` weighs.

    Without any of them it is TRL's loss. With them the parts are logged beside TRL's entropy and token accuracy.
    """

    args: InstructArguments

    def __init__(
        self,
        model: PreTrainedModel,
        args: InstructArguments,
        processing_class: PreTrainedTokenizerBase,
        train_dataset: Dataset,
        eval_dataset: Dataset | None = None,
    ):
        args.dataset_kwargs = {"skip_prepare_dataset": True}
        lora = None
        if args.lora_rank:
            rank = args.lora_rank
            lora = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")
        # A batch of another length would be compiled anew.
        length = max(map(sum, train_dataset["seq_lengths"])) if args.torch_compile else 0
        super().__init__(
            model=model,
            args=args,
            processing_class=processing_class,
            train_dataset=train_dataset,
            eval_dataset=eval_dataset,
            data_collator=PackedRows(processing_class.pad_token_id, length),
            peft_config=lora,
        )
        self.pad_token_id: int = processing_class.pad_token_id
        self.special_ids = sorted(set(processing_class.all_special_ids) - {processing_class.unk_token_id})

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        args = self.args
        ours = args.label_smoothing or args.unlikelihood_alpha or args.entropy_beta or args.sequence_unlikelihood_alpha
        if not ours or not model.training:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        labels = inputs["labels"]
        outputs = model(input_ids=inputs["input_ids"], position_ids=inputs["position_ids"], use_cache=False)
        parts = anti_repetition_loss(
            outputs.logits,
            inputs["input_ids"],
            labels,
            label_smoothing=args.label_smoothing,
            unlikelihood_alpha=args.unlikelihood_alpha,
            entropy_beta=args.entropy_beta,
            num_items=num_items_in_batch,
            **({"legacy": True} if args.legacy else self._within_chats(inputs)),
        )
        whole = args.average_tokens_across_devices and num_items_in_batch is not None
        processes = self.accelerator.num_processes if whole else 1  # DDP averages over them
        loss = parts.total * processes
        if args.sequence_unlikelihood_alpha and self.state.global_step % args.sequence_unlikelihood_every == 0:
            own = self.own_repetitions(model, inputs["input_ids"], labels)
            self._metrics["train"]["sequence_unlikelihood"].append(own.item())
            loss = loss + args.sequence_unlikelihood_alpha * own / self.current_gradient_accumulation_steps
        # The parts are shares of the accumulated batch of all processes.
        share = self.current_gradient_accumulation_steps * processes
        self._record(parts, share, outputs.logits, labels, inputs["input_ids"].numel())
        return (loss, outputs) if return_outputs else loss

    def _within_chats(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Repetition counts within one chat of a packed row, and special tokens have to repeat."""
        return {"excluded_ids": self.special_ids, "position_ids": inputs["position_ids"]}

    def own_repetitions(self, model: nn.Module, input_ids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Sequence-level unlikelihood of what the model itself writes after each row's first prompt."""
        learnt = labels != -100
        lengths = torch.where(learnt.any(dim=1), learnt.int().argmax(dim=1), 1).clamp(min=1)
        width = int(lengths.max())
        writer: Any = self.accelerator.unwrap_model(model)
        limit = min(2 * width + 32, writer.config.max_position_embeddings)
        places = torch.arange(width, device=input_ids.device)
        shifted = places - (width - lengths)[:, None]  # prompts end at the right
        mask = shifted >= 0
        prompts = input_ids.gather(1, shifted.clamp(min=0)).masked_fill(~mask, self.pad_token_id)
        writer.eval()
        with torch.no_grad():
            text = writer.generate(
                input_ids=prompts, attention_mask=mask.long(), do_sample=False, max_new_tokens=max(limit - width, 1)
            )
        writer.train()
        new = text.clone()
        new[:, :width] = -100
        ends = (new == self.pad_token_id).int().cumsum(dim=1) > 0
        new = new.masked_fill(ends, -100)
        attention = torch.cat([mask, torch.ones_like(text[:, width:], dtype=torch.bool)], dim=1)
        logits = model(input_ids=text, attention_mask=attention.long(), use_cache=False).logits
        return sequence_unlikelihood_loss(logits, new, n=self.args.sequence_unlikelihood_ngram)

    def _record(self, parts: Any, share: int, logits: torch.Tensor, labels: torch.Tensor, tokens: int) -> None:
        """What TRL logs (entropy, accuracy, tokens) and the parts of the loss."""
        metrics = self._metrics["train"]
        with torch.no_grad():
            ahead = labels[:, 1:]
            learnt = ahead != -100
            correct = ((logits[:, :-1].argmax(dim=-1) == ahead) & learnt).sum() / learnt.sum().clamp(min=1)
        weights = {"nll": 1.0, "unlikelihood": self.args.unlikelihood_alpha, "entropy": self.args.entropy_beta}
        for name in filter(weights.get, weights):  # a part without weight is not computed
            metrics[name].append(getattr(parts, name).item() * share)
        metrics["mean_token_accuracy"].append(correct.item())
        self._total_train_tokens += tokens * self.args.world_size
        metrics["num_tokens"] = [self._total_train_tokens]
