"""Phase 2: the student follows the teacher, from its logits, from its k best, or on the student's own answers."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from tiny_training import arguments, assert_same, blocks, chats, tiny_brandon, tiny_llama, tiny_tokenizer, weights
from torch.nn import functional

from brandon_hf.data.packed import collate_blocks
from brandon_hf.training.arguments import DistillArguments, PretrainArguments
from brandon_hf.training.distill import (
    DistillTrainer,
    OnPolicyDistillTrainer,
    TopKDataset,
    check_vocabularies,
    on_policy_arguments,
    write_top_k,
)
from brandon_hf.training.distill import _close as close
from brandon_hf.training.pretrain import PretrainTrainer


def teacher_of(seed: int = 7) -> Any:
    """A teacher of another shape, with opinions."""
    teacher = tiny_brandon(seed=seed, hidden_size=24, num_attention_heads=2, num_key_value_heads=1)
    with torch.no_grad():
        teacher.model.embed_tokens.weight.mul_(4)
    return teacher


def distill(folder: Path, student: Any, teacher: Any, data: Any = None, **values: Any) -> DistillTrainer:
    args = arguments(DistillArguments, folder, **values)
    return DistillTrainer(student, args, teacher, train_dataset=blocks(8) if data is None else data)


def logits_of(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    return model(batch["input_ids"], position_ids=batch["position_ids"], use_cache=False).logits


@pytest.mark.parametrize("make", [tiny_brandon, tiny_llama])
@pytest.mark.parametrize("items", [None, 100])
def test_the_loss_is_that_of_full_logits(make: Any, items: int | None, tmp_path: Path) -> None:
    """alpha T^2 KL(student | teacher) + (1 - alpha) cross-entropy, means over the predicted tokens."""
    student, teacher, batch = make(), teacher_of(), collate_blocks(blocks(3))
    trainer = distill(tmp_path, student, teacher, alpha=0.3, temperature=3.0, chunk_size=5)
    student.train()
    found = trainer.compute_loss(student, dict(batch), num_items_in_batch=items)
    found_gradients = torch.autograd.grad(found, [p for p in student.parameters() if p.requires_grad])

    predicted = batch["labels"][:, 1:] != -100
    logits = logits_of(student, batch)[:, :-1][predicted]
    q = (logits / 3).log_softmax(dim=-1)
    p = (logits_of(teacher, batch)[:, :-1][predicted] / 3).log_softmax(dim=-1)
    divergence = (q.exp() * (q - p)).sum()
    cross_entropy = functional.cross_entropy(logits, batch["labels"][:, 1:][predicted], reduction="sum")
    expected = (0.3 * 9 * divergence + 0.7 * cross_entropy) / (items or predicted.sum())
    gradients = torch.autograd.grad(expected, [p for p in student.parameters() if p.requires_grad])
    assert found.item() == pytest.approx(expected.item(), rel=1e-4)
    for one, other in zip(found_gradients, gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)


def test_the_student_comes_closer_to_the_teacher_and_the_parts_are_logged(tmp_path: Path) -> None:
    trainer = distill(tmp_path, tiny_brandon(), teacher_of(), max_steps=30, gradient_accumulation_steps=2)
    trainer.train()
    lines = [line for line in trainer.state.log_history if "loss" in line]
    assert lines[-1]["divergence"] < 0.7 * lines[0]["divergence"]
    for line in lines:
        assert line["loss"] == pytest.approx(0.5 * 4 * line["divergence"] + 0.5 * line["cross_entropy"], rel=1e-4)


def test_the_teacher_stays_as_it_is(tmp_path: Path) -> None:
    teacher = teacher_of().train()
    teacher.config.dropout = 0.5
    before, modes = weights(teacher), []
    teacher.register_forward_hook(lambda module, *_: modes.append((module.training, torch.is_grad_enabled())))
    distill(tmp_path, tiny_brandon(), teacher).train()
    assert_same(weights(teacher), before)
    assert set(modes) == {(False, False)}
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in teacher.parameters())


@pytest.mark.parametrize("bf16", [True, False])
def test_the_teacher_has_the_students_precision(bf16: bool, tmp_path: Path) -> None:
    teacher, student = teacher_of(), tiny_brandon()
    trainer = distill(tmp_path, student, teacher, bf16=bf16)
    trainer.train()
    assert teacher.dtype == (torch.bfloat16 if bf16 else torch.float32)
    assert student.dtype == torch.float32
    assert all(torch.isfinite(parameter).all() for parameter in student.parameters())


def test_different_vocabularies_are_refused(tmp_path: Path) -> None:
    other = tiny_brandon(vocab_size=310)
    with pytest.raises(ValueError, match="teacher knows 310 tokens and the student 300"):
        distill(tmp_path, tiny_brandon(), other)
    with pytest.raises(ValueError, match="310"):
        check_vocabularies(other, tiny_brandon())


def test_a_teacher_is_needed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs a teacher, or a TopKDataset"):
        distill(tmp_path, tiny_brandon(), None)


def test_multi_token_heads_keep_their_weights(tmp_path: Path) -> None:
    student = tiny_brandon(num_mtp_heads=2)
    before = weights(student)
    distill(tmp_path, student, teacher_of(), weight_decay=0.5).train()
    for name, now in weights(student).items():
        assert torch.equal(now, before[name]) == name.startswith("mtp_heads."), name
    assert not any(parameter.requires_grad for parameter in student.mtp_heads.parameters()), "DDP would wait for them"


def test_without_divergence_it_is_pretraining(tmp_path: Path) -> None:
    made = []
    for kind in ("distill", "pretrain"):
        student = tiny_brandon()
        if kind == "distill":
            trainer: Any = distill(tmp_path, student, teacher_of(), alpha=0.0, gradient_accumulation_steps=2)
        else:
            args = arguments(PretrainArguments, tmp_path, gradient_accumulation_steps=2)
            trainer = PretrainTrainer(student, args, train_dataset=blocks(8))
        trainer.train()
        made.append((weights(student), [line["loss"] for line in trainer.state.log_history if "loss" in line]))
    assert made[0][1] == pytest.approx(made[1][1], rel=1e-4)
    for name, expected in made[1][0].items():
        torch.testing.assert_close(made[0][0][name], expected, atol=2e-3, rtol=1e-2, msg=name)


def test_evaluation_is_the_students_cross_entropy(tmp_path: Path) -> None:
    student = tiny_brandon()
    trainer = distill(tmp_path, student, teacher_of(), per_device_eval_batch_size=2)
    args = arguments(PretrainArguments, tmp_path, per_device_eval_batch_size=2)
    expected = PretrainTrainer(student, args).evaluate(blocks(2))["eval_loss"]
    assert trainer.evaluate(blocks(2))["eval_loss"] == pytest.approx(expected)


def top_k(folder: Path, teacher: Any, data: Any, k: int, temperature: float = 2.0) -> TopKDataset:
    return write_top_k(teacher, data, folder, k=k, temperature=temperature, batch_size=3)


def test_all_tokens_cached_train_like_the_teacher(tmp_path: Path) -> None:
    data, teacher = blocks(8), teacher_of()
    cached = top_k(tmp_path / "cache", teacher, data, k=300)
    runs = []
    for source, its_teacher in ((data, teacher), (cached, None)):
        student = tiny_brandon()
        trainer = distill(tmp_path / "run", student, its_teacher, source, adam_epsilon=1e-3)
        trainer.train()
        runs.append((weights(student), [line["loss"] for line in trainer.state.log_history if "loss" in line]))
    assert runs[1][1] == pytest.approx(runs[0][1], rel=2e-3)
    for name, expected in runs[0][0].items():
        torch.testing.assert_close(runs[1][0][name], expected, atol=2e-3, rtol=1e-2, msg=name)


def test_cached_tokens_are_the_most_probable_ones(tmp_path: Path) -> None:
    data, teacher = blocks(5), teacher_of()
    cached = top_k(tmp_path / "cache", teacher, data, k=4)
    item = cached[4]
    log_probs = (logits_of(teacher, collate_blocks(data))[4] / 2.0).log_softmax(dim=-1)
    best = log_probs.topk(4, dim=-1)
    assert torch.equal(item["teacher_ids"].long(), best.indices)
    torch.testing.assert_close(item["teacher_log_probs"], best.values, atol=1e-2, rtol=1e-3)
    assert_same({name: item[name] for name in data[4]}, data[4])
    size = sum((tmp_path / "cache" / name).stat().st_size - 128 for name in ("ids.npy", "log_probs.npy"))
    assert size == 5 * 32 * 4 * 4, "4 bytes per token kept"


def test_a_few_cached_tokens_teach(tmp_path: Path) -> None:
    cached = top_k(tmp_path / "cache", teacher_of(), blocks(8), k=8)
    trainer = distill(tmp_path, tiny_brandon(), None, cached, max_steps=20, alpha=1.0)
    trainer.train()
    found = [line["divergence"] for line in trainer.state.log_history if "divergence" in line]
    assert found[-1] < 0.7 * found[0]


def test_the_cache_is_made_once_and_only_for_its_settings(tmp_path: Path) -> None:
    data, teacher, folder = blocks(5), teacher_of(), tmp_path / "cache"
    top_k(folder, teacher, data, k=4)
    calls: list[Any] = []
    teacher.register_forward_hook(lambda *_: calls.append(1))
    top_k(folder, teacher, data, k=4)
    assert not calls
    for other in ({"k": 5}, {"k": 4, "temperature": 1.0}):
        with pytest.raises(ValueError, match=r"cache was made with .*'k': 4.* delete it"):
            top_k(folder, teacher, data, **other)
    with pytest.raises(ValueError, match="'blocks': 5"):
        top_k(folder, teacher, data[:3], k=4)
    with pytest.raises(ValueError, match="holds 5 blocks, the data set 3"):
        TopKDataset(data[:3], folder)
    with pytest.raises(ValueError, match="top_k=301 exceeds the teacher's vocabulary of 300"):
        top_k(tmp_path / "more", teacher, data, k=301)
    assert json.loads((folder / "settings.json").read_text("utf-8"))["k"] == 4


def test_a_cache_at_another_temperature_is_refused(tmp_path: Path) -> None:
    cached = top_k(tmp_path / "cache", teacher_of(), blocks(4), k=4, temperature=1.0)
    with pytest.raises(ValueError, match=r"temperature=2\.0.*1\.0"):
        distill(tmp_path, tiny_brandon(), None, cached)


def test_a_cache_half_written_is_made_again(tmp_path: Path) -> None:
    data, teacher, folder = blocks(5), teacher_of(), tmp_path / "cache"

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    handle = teacher.register_forward_hook(die)
    with pytest.raises(KeyboardInterrupt):
        top_k(folder, teacher, data, k=4)
    assert not folder.exists()
    handle.remove()
    assert len(top_k(folder, teacher, data, k=4)) == 5


def test_a_capped_teacher_is_read_from_its_logits(tmp_path: Path) -> None:
    """Some models do more to the logits than their output matrix does."""
    teacher, student, batch = teacher_of(), tiny_brandon().train(), collate_blocks(blocks(2))
    trainer = distill(tmp_path, student, teacher, alpha=1.0, temperature=1.0)
    forward = teacher.forward

    def capped(*args: Any, **kwargs: Any) -> Any:
        outputs = forward(*args, **kwargs)
        outputs.logits = 0.5 * torch.tanh(outputs.logits)
        return outputs

    teacher.forward = capped
    predicted = batch["labels"][:, 1:] != -100
    q = logits_of(student, batch)[:, :-1][predicted].log_softmax(dim=-1)
    p = logits_of(teacher, batch)[:, :-1][predicted].log_softmax(dim=-1)
    expected = (q.exp() * (q - p)).sum(dim=-1).mean()
    assert trainer.compute_loss(student, dict(batch)).item() == pytest.approx(expected.item(), rel=1e-3)


def test_a_student_with_more_than_an_output_matrix_is_refused(tmp_path: Path) -> None:
    student = tiny_brandon()
    student.set_output_embeddings(torch.nn.Linear(32, 300))
    student.lm_head.bias = torch.nn.Parameter(torch.ones(300))
    trainer = distill(tmp_path, student, teacher_of())
    with pytest.raises(ValueError, match="student adds a bias"):
        trainer.train()


@pytest.mark.parametrize("divergence", ["skew_forward_kl", "skew_reverse_kl"])
def test_skewed_divergences_do_not_work_on_policy(divergence: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"divergence='{divergence}' does not work on-policy"):
        on_policy_arguments(arguments(DistillArguments, tmp_path, divergence=divergence))


@pytest.mark.parametrize(
    ("divergence", "mixture", "beta"),
    [("forward_kl", None, 0.0), ("js", None, 0.5), ("js", 0.3, 0.3), ("reverse_kl", None, 1.0)],
)
def test_the_students_own_answers_are_corrected(
    divergence: str, mixture: float | None, beta: float, tmp_path: Path
) -> None:
    options = {
        "divergence": divergence,
        "mixture": mixture,
        "max_completion_length": 8,
        "max_steps": 2,
        "save_steps": 1,
    }
    args = on_policy_arguments(arguments(DistillArguments, tmp_path, on_policy=True, **options))
    assert args.beta == beta
    assert (args.max_steps, args.learning_rate, args.max_completion_length) == (2, 1e-2, 8)
    if divergence != "reverse_kl":
        return
    student = tiny_brandon()
    before = weights(student)
    trainer = OnPolicyDistillTrainer(
        model=student,
        teacher_model=teacher_of(),
        args=args,
        train_dataset=Dataset.from_list([{"prompt": chat["messages"][:1]} for chat in chats(4)]),
        processing_class=tiny_tokenizer(),
    )
    trainer.train()
    assert trainer.state.global_step == 2
    assert not torch.equal(weights(student)["model.embed_tokens.weight"], before["model.embed_tokens.weight"])
    assert (tmp_path / "checkpoint-2").is_dir()


def test_rounding_of_bf16_logits_is_no_other_head():
    states = torch.randn(64, 1, 128).bfloat16() * 4
    head = torch.randn(512, 128).bfloat16()
    exact = states.double() @ head.double().T
    assert close(states @ head.T, exact)
    assert close(exact.bfloat16(), exact)
    assert not close(exact * 1.1, exact)
    assert not close(30 * torch.tanh(exact / 30), exact)
