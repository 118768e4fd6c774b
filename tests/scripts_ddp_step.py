"""One step of Trainer (or SFTTrainer) on each of several processes; each writes what it saw and ended with.

torchrun --nproc_per_node 2 tests/scripts_ddp_step.py FOLDER [trainer|sft] [config overrides as JSON]
"""

import hashlib
import json
import os
import sys
from pathlib import Path

import torch
from datasets import Dataset
from peers import CHATS, tiny_model, tiny_tokenizer
from transformers import DataCollatorForLanguageModeling, Trainer, TrainingArguments

import brandon_hf  # noqa: F401  registers the classes

# Of different lengths and none a multiple of another: the processes cannot see the same batch unnoticed.
TEXTS = [f"{'the quick brown fox ' * (1 + index % 4)}{index}" for index in range(4)]


def main() -> None:
    """Train one step and write `rank<N>.json`."""
    folder, method, options = Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
    arguments = {**options.pop("arguments", {}), "max_steps": 1, "per_device_train_batch_size": 2, "report_to": []}
    arguments |= {"use_cpu": True, "save_strategy": "no", "learning_rate": 1e-2, "warmup_steps": 0, "bf16": False}
    tokenizer = tiny_tokenizer()
    model = tiny_model(tokenizer, **options)
    if method == "sft":
        from trl import SFTConfig, SFTTrainer

        trainer = SFTTrainer(
            model=model,
            args=SFTConfig(str(folder / "run"), assistant_only_loss=True, max_length=128, **arguments),
            train_dataset=Dataset.from_list([{"messages": chat} for chat in CHATS]),
            processing_class=tokenizer,
        )
    else:
        trainer = Trainer(
            model=model,
            args=TrainingArguments(str(folder / "run"), **arguments),
            train_dataset=Dataset.from_dict(dict(tokenizer(TEXTS))),
            data_collator=DataCollatorForLanguageModeling(tokenizer, mlm=False),
        )
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    batches = []
    model.register_forward_pre_hook(
        lambda module, args, kwargs: batches.append(kwargs["input_ids"].tolist()), with_kwargs=True
    )
    trainer.train()
    trainer.save_model(str(folder / "final"))
    digest = hashlib.sha256()
    for _, tensor in sorted(model.state_dict().items()):
        digest.update(tensor.numpy().tobytes())
    now = dict(model.named_parameters())
    found = {
        "world_size": torch.distributed.get_world_size(),
        "backend": torch.distributed.get_backend(),
        "distributed_type": str(trainer.args.distributed_state.distributed_type),
        "batches": batches,
        "weights": digest.hexdigest(),
        "unmoved": [name for name, value in before.items() if torch.equal(value, now[name])],
        "loss": trainer.state.log_history[0].get("loss", trainer.state.log_history[-1].get("train_loss")),
    }
    (folder / f"rank{os.environ['RANK']}.json").write_text(json.dumps(found), "utf-8")


if __name__ == "__main__":
    main()
