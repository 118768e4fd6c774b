"""Phase 2: a larger model teaches a smaller one on the same packed text, or on the student's own answers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset
from tqdm import tqdm
from transformers import PreTrainedModel
from trl import DistillationConfig, DistillationTrainer

from brandon_hf.data.packed import collate_blocks
from brandon_hf.files import folder_written_aside

from .arguments import DistillArguments
from .checkpoints import InterruptibleTrainer
from .divergences import distillation_loss, top_k_distillation_loss
from .pretrain import PretrainTrainer


class DistillTrainer(PretrainTrainer):
    """Trains any causal LM to follow `teacher`, any other with the same vocabulary (see `DistillArguments`).

    The teacher is in eval mode, gets no gradient, and runs in bf16 where the student does. Logits of a whole batch
    never exist (see `divergences`). With a `TopKDataset` as training data no teacher is needed.

    Multi-token-prediction heads keep their weights: distillation trains what they stand on.

    Raises:
        ValueError: the vocabularies differ, there is neither a teacher nor a `TopKDataset`, or that was made at another
            temperature. While training: the student's logits are more than its output matrix times its states.
    """

    args: DistillArguments

    def __init__(self, model: PreTrainedModel, args: DistillArguments, teacher: PreTrainedModel | None, **kwargs: Any):
        super().__init__(model=model, args=args, **kwargs)
        if teacher is None and not isinstance(self.train_dataset, TopKDataset):
            raise ValueError("distillation needs a teacher, or a TopKDataset made with one")
        cached = getattr(self.train_dataset, "temperature", args.temperature)
        if cached != args.temperature:
            raise ValueError(f"temperature={args.temperature}, but the teacher's best tokens were kept at {cached}")
        for parameter in getattr(model, "mtp_heads", nn.Module()).parameters():
            parameter.requires_grad = False
        self.teacher = teacher
        self.parts: list[torch.Tensor] = []  # divergence and cross-entropy of each micro-batch since the last log
        if teacher is not None:
            check_vocabularies(teacher, model)
            teacher.requires_grad_(False).eval().to(args.device)
            if args.bf16:
                teacher.bfloat16()

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        inputs = dict(inputs)
        best = inputs.pop("teacher_ids", None), inputs.pop("teacher_log_probs", None)
        if not model.training:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        args, labels = self.args, inputs.pop("labels")
        output = self.accelerator.unwrap_model(model).get_output_embeddings()
        hidden, head = student_states(model, inputs, output.weight), output.weight
        options: dict[str, Any] = {
            "divergence": args.divergence,
            "temperature": args.temperature,
            "alpha": args.alpha,
            "mixture": args.mixture,
            "chunk_size": args.chunk_size,
            "num_items": num_items_in_batch,
        }
        if best[0] is not None:
            loss = top_k_distillation_loss(hidden, head, best[0].long(), best[1], labels, **options)
        else:
            assert self.teacher is not None
            with torch.no_grad():
                states, teacher_head = teacher_states(self.teacher, inputs)
            loss = distillation_loss(hidden, head, states, teacher_head, labels, **options)
        total, parts = loss.total, torch.stack([loss.divergence, loss.cross_entropy])
        if args.average_tokens_across_devices and num_items_in_batch is not None:
            processes = self.accelerator.num_processes  # DDP averages over them
            total, parts = total * processes, parts * processes
        self.parts.append(parts)
        return (total, {"loss": total}) if return_outputs else total

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        if "loss" in logs and self.parts:
            # Parts are shares of the accumulated batch.
            means = torch.stack(self.parts).mean(dim=0) * self.args.gradient_accumulation_steps
            logs["divergence"], logs["cross_entropy"] = means.tolist()
            self.parts.clear()
        super().log(logs, *args, **kwargs)


def student_states(model: nn.Module, inputs: dict[str, Any], head: torch.Tensor) -> torch.Tensor:
    """What the output matrix `head` (V, D) reads, (B, T, D); the model is called as a whole, so that DDP sees it."""
    outputs = model(**inputs, use_cache=False, output_hidden_states=True, logits_to_keep=1)
    states = outputs.hidden_states[-1]
    with torch.no_grad():
        if not _close(nn.functional.linear(states[:, -1:], head), outputs.logits):
            raise ValueError(
                "the student adds a bias to its logits, or scales or caps them: it cannot be distilled into"
            )
    return states


def teacher_states(teacher: PreTrainedModel, inputs: dict[str, Any]) -> tuple[torch.Tensor, Any]:
    """Hidden states (B, T, E) of the teacher and the function from them to logits.

    A teacher whose logits are more than its output matrix times the states (soft-capped, scaled) gives the logits
    themselves; memory then grows with B * T * V.
    """
    head = teacher.get_output_embeddings()
    outputs = teacher(**inputs, use_cache=False, output_hidden_states=True, logits_to_keep=1)
    states = outputs.hidden_states[-1]
    if _close(head(states[:, -1:]), outputs.logits):
        return states, head
    return teacher(**inputs, use_cache=False).logits, nn.Identity()


def _close(logits: torch.Tensor, expected: torch.Tensor) -> bool:
    """Equal, up to rounding in half precision, which goes with the largest logit; a NaN is not for us to find."""
    difference = (logits.float() - expected.float()).abs().max()
    return not difference > 0.03 * expected.float().abs().max()


def check_vocabularies(teacher: PreTrainedModel, student: PreTrainedModel) -> None:
    """Raise a ValueError unless both predict the same number of tokens."""
    sizes = [model.get_output_embeddings().weight.shape[0] for model in (teacher, student)]
    if sizes[0] != sizes[1]:
        raise ValueError(
            f"the teacher knows {sizes[0]} tokens and the student {sizes[1]}: both must use the same tokenizer"
        )


class TopKDataset(Dataset):
    """Packed blocks with the teacher's k most probable tokens at each position, kept on disk.

    Items are those of `dataset` plus `teacher_ids` (T, k) and `teacher_log_probs` (T, k), the latter at `temperature`
    in half precision.
    """

    def __init__(self, dataset: Any, folder: Path):
        self.dataset = dataset
        self.temperature: float = json.loads((folder / "settings.json").read_text("utf-8"))["temperature"]
        self.ids = np.load(folder / "ids.npy", mmap_mode="r")
        self.log_probs = np.load(folder / "log_probs.npy", mmap_mode="r")
        if len(self.ids) != len(dataset):
            raise ValueError(f"{folder} holds {len(self.ids)} blocks, the data set {len(dataset)}: delete the folder")

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {
            **self.dataset[index],
            "teacher_ids": torch.from_numpy(self.ids[index].astype(np.int32)),
            "teacher_log_probs": torch.from_numpy(self.log_probs[index].astype(np.float32)),
        }


@torch.no_grad()
def write_top_k(
    teacher: PreTrainedModel, dataset: Any, folder: Path, *, k: int, temperature: float, batch_size: int
) -> TopKDataset:
    """Compute what `TopKDataset` reads, unless `folder` holds it already.

    Size: blocks * T * k * 6 bytes (4 for vocabularies up to 65,536).

    Raises:
        ValueError: `k` exceeds the vocabulary, or `folder` was made with other settings.
    """
    vocabulary = teacher.get_output_embeddings().weight.shape[0]
    if k > vocabulary:
        raise ValueError(f"top_k={k} exceeds the teacher's vocabulary of {vocabulary}")
    # Sums tell another teacher or another text apart, which would otherwise go unnoticed.
    weights = sum(float(weight.double().sum()) for weight in teacher.parameters())
    tokens = int(dataset[0]["input_ids"].sum())
    settings = {"k": k, "temperature": temperature, "blocks": len(dataset), "weights": weights, "first_block": tokens}
    if folder.exists():
        written = json.loads((folder / "settings.json").read_text("utf-8"))
        if written != settings:
            raise ValueError(f"{folder} was made with {written}, not {settings}: delete it to compute it anew")
        return TopKDataset(dataset, folder)
    shape = (len(dataset), len(dataset[0]["input_ids"]), k)
    teacher.eval()
    with folder_written_aside(folder) as aside:
        id_type = np.uint16 if vocabulary <= 2**16 else np.uint32
        ids = np.lib.format.open_memmap(aside / "ids.npy", "w+", id_type, shape)
        log_probs = np.lib.format.open_memmap(aside / "log_probs.npy", "w+", np.float16, shape)
        for start in tqdm(range(0, len(dataset), batch_size), desc="teacher's logits"):
            rows = range(start, min(start + batch_size, len(dataset)))
            batch = collate_blocks([dataset[row] for row in rows])
            batch = {name: tensor.to(teacher.device) for name, tensor in batch.items() if name != "labels"}
            logits = teacher(**batch, use_cache=False).logits.float()
            best = (logits / temperature).log_softmax(dim=-1).topk(k, dim=-1)
            ids[start : rows.stop] = best.indices.cpu().numpy()
            log_probs[start : rows.stop] = best.values.cpu().numpy()
        ids.flush()
        log_probs.flush()
        (aside / "settings.json").write_text(json.dumps(settings), "utf-8")
    return TopKDataset(dataset, folder)


class OnPolicyDistillTrainer(InterruptibleTrainer, DistillationTrainer):
    """TRL's on-policy distillation: the student answers prompts, the teacher's distribution corrects it."""


def on_policy_arguments(args: DistillArguments) -> DistillationConfig:
    """`args` as TRL's on-policy trainer takes them. It knows forward KL, reverse KL and the divergence between them.

    Raises:
        ValueError: a skewed divergence, which TRL's trainer does not know.
    """
    beta = {"forward_kl": 0.0, "js": args.mixture or 0.5, "reverse_kl": 1.0}
    if args.divergence not in beta:
        raise ValueError(f"divergence={args.divergence!r} does not work on-policy: choose one of {', '.join(beta)}")
    kind = getattr(args.lr_scheduler_type, "value", args.lr_scheduler_type)
    return DistillationConfig(
        output_dir=args.output_dir,
        beta=beta[args.divergence],
        temperature=1.0,
        max_completion_length=args.max_completion_length,
        gradient_checkpointing=False,
        lr_scheduler_type=kind,
        **{name: getattr(args, name) for name in _SHARED_WITH_TRL},
    )


_SHARED_WITH_TRL = (
    *("max_steps", "learning_rate", "warmup_steps", "lr_scheduler_kwargs", "weight_decay", "adam_beta1", "adam_beta2"),
    *("max_grad_norm", "per_device_train_batch_size", "gradient_accumulation_steps", "bf16", "use_cpu", "seed"),
    *("logging_steps", "save_steps", "save_strategy", "save_total_limit", "report_to", "logging_nan_inf_filter"),
)
