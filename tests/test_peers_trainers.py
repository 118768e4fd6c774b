"""An optimiser step, and what it leaves on disk, with `Trainer` and TRL's SFT, DPO and GRPO trainers."""

import math
import sys

import pytest
import torch
from datasets import Dataset
from peers import CHATS, copy_of_parameters, is_complete, save_tiny, stop_ids, tiny_model, tiny_tokenizer, unmoved
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    DataCollatorForLanguageModeling,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from trl import DPOConfig, DPOTrainer, GRPOConfig, GRPOTrainer, SFTConfig, SFTTrainer

from brandon_hf.modeling import BrandonForCausalLM

QUIET = {"report_to": [], "disable_tqdm": True, "logging_steps": 1, "use_cpu": True, "save_strategy": "no"}
ONE_STEP = {**QUIET, "max_steps": 1, "per_device_train_batch_size": 2, "learning_rate": 1e-2, "warmup_steps": 0}
PREFERENCES = [
    {
        "prompt": chat[-2:-1],
        "chosen": chat[-1:],
        "rejected": [{"role": "assistant", "content": "No."}],
    }
    for chat in CHATS
]


@pytest.fixture(scope="module")
def tokenizer():
    return tiny_tokenizer()


def trained(trainer, may_stay=()):
    """Run the trainer: the loss is finite and all parameters but those named move. Returns the first log entry."""
    before = copy_of_parameters(trainer.model)
    trainer.train()
    stayed = {name for name in unmoved(before, trainer.model) if not name.startswith(tuple(may_stay))}
    assert not stayed, stayed
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert losses
    assert all(map(math.isfinite, losses))
    return trainer.state.log_history[0]


def assert_folder_is_whole(folder, model, tokenizer):
    """The folder loads through the auto class to the same model and carries code, auto_map and stop tokens."""
    assert is_complete(folder)
    reloaded = AutoModelForCausalLM.from_pretrained(folder)
    assert type(reloaded) is BrandonForCausalLM
    assert reloaded.config.auto_map["AutoModelForCausalLM"] == "modeling_brandon.BrandonForCausalLM"
    assert reloaded.config.architectures == ["BrandonForCausalLM"]
    assert reloaded.generation_config.eos_token_id == stop_ids(tokenizer)
    assert AutoTokenizer.from_pretrained(folder).chat_template == tokenizer.chat_template
    state = reloaded.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())


def texts(tokenizer, count=8):
    rows = [tokenizer.apply_chat_template(CHATS[i % len(CHATS)], tokenize=False) for i in range(count)]
    return Dataset.from_dict(dict(tokenizer(rows, add_special_tokens=False)))


def plain_trainer(model, tokenizer, folder, rows=None, callbacks=None, **arguments):
    return Trainer(
        model=model,
        args=TrainingArguments(str(folder), **{**ONE_STEP, **arguments}),
        train_dataset=texts(tokenizer) if rows is None else rows,
        data_collator=DataCollatorForLanguageModeling(tokenizer, mlm=False),
        processing_class=tokenizer,
        callbacks=callbacks,
    )


# ---- Trainer ----


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_mtp_heads": 2},
        {"value_residual": "learned", "attention_output_gate": True, "qk_norm": True, "tie_word_embeddings": False},
        {
            "num_loops": 2,
            "step_embedding": True,
            "loop_feedback": True,
            "resonance_gate": True,
            "ternary_weights": True,
            "mlp_type": "relu_squared",
        },
    ],
    ids=["default", "mtp", "learned", "dream"],
)
def test_trainer_moves_every_parameter_and_leaves_a_whole_folder(tokenizer, options, tmp_path):
    trainer = plain_trainer(tiny_model(tokenizer, **options), tokenizer, tmp_path / "run")
    trained(trainer)
    trainer.save_model(tmp_path / "final")
    assert_folder_is_whole(tmp_path / "final", trainer.model, tokenizer)


def test_trainer_with_gradient_checkpointing_takes_the_same_step(tokenizer, tmp_path):
    steps = []
    for checkpointing in (False, True):
        trainer = plain_trainer(
            tiny_model(tokenizer), tokenizer, tmp_path / "run", gradient_checkpointing=checkpointing
        )
        trained(trainer)
        steps.append(copy_of_parameters(trainer.model))
    assert all(torch.equal(steps[0][name], steps[1][name]) for name in steps[0])


def test_trainer_in_bf16_keeps_fp32_weights(tokenizer, tmp_path):
    full = trained(plain_trainer(tiny_model(tokenizer), tokenizer, tmp_path / "full"))
    trainer = plain_trainer(tiny_model(tokenizer), tokenizer, tmp_path / "half", bf16=True)
    half = trained(trainer)
    assert all(parameter.dtype == torch.float32 for parameter in trainer.model.parameters())
    assert half["loss"] == pytest.approx(full["loss"], rel=1e-2)
    assert half["loss"] != full["loss"]


class StopAfter(TrainerCallback):
    """Ends training after some steps, as an interruption between two checkpoints would."""

    def __init__(self, steps):
        self.steps = steps

    def on_step_end(self, args, state, control, **kwargs):
        control.should_training_stop = state.global_step >= self.steps


def test_resumed_training_reaches_the_same_weights(tokenizer, tmp_path):
    options = {"dropout": 0.1, "num_mtp_heads": 1}  # dropout: the random state must be resumed too
    arguments = {"max_steps": 4, "save_strategy": "steps", "save_steps": 2, "gradient_accumulation_steps": 2}

    straight = plain_trainer(tiny_model(tokenizer, **options), tokenizer, tmp_path / "straight", **arguments)
    straight.train()
    stopped = plain_trainer(
        tiny_model(tokenizer, **options), tokenizer, tmp_path / "run", callbacks=[StopAfter(3)], **arguments
    )
    stopped.train()
    torch.manual_seed(123)
    resumed = plain_trainer(tiny_model(tokenizer, seed=9, **options), tokenizer, tmp_path / "run", **arguments)
    resumed.train(resume_from_checkpoint=str(tmp_path / "run/checkpoint-2"))
    assert resumed.state.global_step == 4
    assert not unmoved(copy_of_parameters(straight.model), stopped.model)
    assert unmoved(copy_of_parameters(straight.model), resumed.model) == set(straight.model.state_dict()) - {
        "lm_head.weight"
    }
    assert_folder_is_whole(tmp_path / "run/checkpoint-4", straight.model, tokenizer)


# ---- SFT ----


def sft(model, tokenizer, folder, rows=None, **arguments):
    return SFTTrainer(
        model=model,
        args=SFTConfig(str(folder), **{**ONE_STEP, "assistant_only_loss": True, "max_length": 128, **arguments}),
        train_dataset=Dataset.from_list([{"messages": chat} for chat in CHATS]) if rows is None else rows,
        processing_class=tokenizer,
    )


def test_sft_learns_the_assistants_words_and_where_they_end(tokenizer, tmp_path):
    trainer = sft(tiny_model(tokenizer), tokenizer, tmp_path / "run", per_device_train_batch_size=4)
    batch = next(iter(trainer.get_train_dataloader()))
    learned = sorted(tokenizer.decode(row[row != -100]) for row in batch["labels"])
    said = [[m["content"] + "<|im_end|>" for m in chat if m["role"] == "assistant"] for chat in CHATS]
    assert learned == sorted("".join(contents) for contents in said)
    trained(trainer)
    trainer.save_model(tmp_path / "final")
    assert_folder_is_whole(tmp_path / "final", trainer.model, tokenizer)


@pytest.mark.parametrize(
    "packing",
    [
        {"packing": True, "packing_strategy": "bfd", "max_length": 256, "per_device_train_batch_size": 1},
        {"padding_free": True, "max_length": None, "per_device_train_batch_size": 4},
    ],
    ids=["bfd", "padding-free"],
)
def test_sft_on_packed_chats_takes_the_step_of_separate_ones(tokenizer, packing, tmp_path):
    packing = {"optim": "sgd", "learning_rate": 1.0, "bf16": False, **packing}  # Adam and bf16 would blow up rounding
    apart = {**packing, "packing": False, "padding_free": False, "per_device_train_batch_size": 4}
    separate = sft(tiny_model(tokenizer), tokenizer, tmp_path / "separate", **apart)
    packed = sft(tiny_model(tokenizer), tokenizer, tmp_path / "packed", **packing)
    batch = next(iter(packed.get_train_dataloader()))
    assert len(batch["input_ids"]) == 1
    assert int((batch["position_ids"] == 0).sum()) == len(CHATS)
    assert trained(packed)["loss"] == pytest.approx(trained(separate)["loss"], rel=1e-5)
    expected = copy_of_parameters(separate.model)
    for name, parameter in packed.model.named_parameters():
        torch.testing.assert_close(parameter, expected[name], atol=1e-5, rtol=1e-4)


# ---- preferences and rewards ----


def test_class_is_found_on_transformers_by_name():
    """Where TRL before 1.x looks for the class of a reference model or of a model given as a path."""
    assert sys.modules["transformers"].BrandonForCausalLM is BrandonForCausalLM


@pytest.mark.parametrize("model_given_as", ["object", "path"])
def test_dpo_with_its_own_reference_model(tokenizer, model_given_as, tmp_path):
    folder = str(save_tiny(tmp_path / "base"))
    trainer = DPOTrainer(
        model=folder if model_given_as == "path" else AutoModelForCausalLM.from_pretrained(folder),
        args=DPOConfig(str(tmp_path / "run"), **{**ONE_STEP, "max_length": 128}),
        train_dataset=Dataset.from_list(PREFERENCES),
        processing_class=tokenizer,
    )
    reference = trainer.accelerator.unwrap_model(trainer.ref_model)
    assert isinstance(reference, BrandonForCausalLM)
    assert type(reference) is type(trainer.model)
    frozen = copy_of_parameters(reference)
    log = trained(trainer)
    assert log["loss"] == pytest.approx(math.log(2), rel=1e-4)  # policy and reference agree before the first step
    assert unmoved(frozen, reference) == set(frozen)
    trainer.save_model(tmp_path / "final")
    assert_folder_is_whole(tmp_path / "final", trainer.model, tokenizer)


@pytest.mark.parametrize("model_given_as", ["object", "path"])
def test_grpo_with_a_toy_reward(tokenizer, model_given_as, tmp_path):
    folder = str(save_tiny(tmp_path / "base"))
    seen = []

    def reward(completions, **kwargs):
        seen.extend(completions)
        return [float(index % 2) for index in range(len(completions))]

    trainer = GRPOTrainer(
        model=folder if model_given_as == "path" else AutoModelForCausalLM.from_pretrained(folder),
        args=GRPOConfig(
            str(tmp_path / "run"),
            **{**ONE_STEP, "per_device_train_batch_size": 4, "num_generations": 4, "max_completion_length": 8},
            beta=0.1,  # wants a reference model
        ),
        reward_funcs=reward,
        train_dataset=Dataset.from_list([{"prompt": row["prompt"]} for row in PREFERENCES]),
        processing_class=tokenizer,
    )
    assert isinstance(trainer.accelerator.unwrap_model(trainer.ref_model), BrandonForCausalLM)
    trained(trainer)
    assert len(seen) == 4
    trainer.save_model(tmp_path / "final")
    assert_folder_is_whole(tmp_path / "final", trainer.model, tokenizer)
