"""Phase 3: what is learnt of a chat, packing, replay, the losses against repetition, adapters."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_training import LENGTH, arguments, blocks, chat_rows, chats, tiny_brandon, tiny_tokenizer, weights
from torch.nn import functional
from trl import SFTTrainer

from brandon_hf.data.chat import tokenize_chats
from brandon_hf.training.arguments import InstructArguments
from brandon_hf.training.instruct import InstructTrainer, PackedRows, pack_chats, with_replay
from brandon_hf.training.losses import anti_repetition_loss
from brandon_hf.training.optimizers import OptimizerPair

TRL_ALONE = {"label_smoothing": 0.0, "unlikelihood_alpha": 0.0, "entropy_beta": 0.0}


def instruct(folder: Path, model: Any = None, rows: Any = None, **values: Any) -> InstructTrainer:
    args = arguments(InstructArguments, folder, **values)
    trainer = InstructTrainer(model or tiny_brandon(), args, tiny_tokenizer(), rows or chat_rows())
    trainer.current_gradient_accumulation_steps = 1  # what train() sets, for tests that call compute_loss themselves
    return trainer


def batch_of(*indices: int) -> dict[str, torch.Tensor]:
    return PackedRows(tiny_tokenizer().pad_token_id)([chat_rows()[index] for index in indices])


def logits_of(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    return model(batch["input_ids"], position_ids=batch["position_ids"], use_cache=False).logits


def pieces(row: dict[str, Any], column: str) -> list[list[int]]:
    values, found = list(row[column]), []
    for length in row["seq_lengths"]:
        found.append(values[:length])
        values = values[length:]
    assert not values
    return found


def test_only_the_assistants_words_and_the_end_of_its_turn_are_learnt() -> None:
    tokenizer, said = tiny_tokenizer(), set()
    for row in chat_rows():
        for ids, labels in zip(pieces(row, "input_ids"), pieces(row, "labels"), strict=True):
            learnt = [token for token in labels if token != -100]
            assert all(label in (-100, token) for token, label in zip(ids, labels, strict=True))
            said.add(tokenizer.decode(learnt))
    assert said == {chat["messages"][1]["content"] + "<|im_end|>" for chat in chats()}


def test_packing_cuts_no_chat_and_loses_none() -> None:
    tokenized = tokenize_chats(chats(), tiny_tokenizer(), 2 * LENGTH)
    packed = [piece for row in chat_rows() for piece in pieces(row, "input_ids")]
    assert sorted(packed) == sorted(tokenized["input_ids"])
    assert len(chat_rows()) < len(tokenized)
    assert max(map(len, chat_rows()["input_ids"])) <= 2 * LENGTH


def test_packed_chats_do_not_see_each_other_nor_padding() -> None:
    model, rows = tiny_brandon().eval(), [chat_rows()[0], chat_rows()[4]]
    batch = PackedRows(tiny_tokenizer().pad_token_id)(rows)
    assert len({len(row["input_ids"]) for row in rows}) == 2, "one of them is padded"
    with torch.no_grad():
        together = logits_of(model, batch)
        for number, row in enumerate(rows):
            start = 0
            for ids in pieces(row, "input_ids"):
                alone = model(torch.tensor([ids])).logits[0]
                torch.testing.assert_close(together[number, start : start + len(ids)], alone, atol=1e-5, rtol=1e-4)
                start += len(ids)
            assert (batch["labels"][number, start:] == -100).all()


@pytest.mark.parametrize("share", [0.25, 0.6])
def test_replay_is_the_stated_share_of_tokens(share: float) -> None:
    text = blocks(60)
    rows = with_replay(chat_rows(), text, share, seed=0)
    assert rows.features == chat_rows().features
    assert rows[: len(chat_rows())] == chat_rows()[:]
    replayed = [rows[index] for index in range(len(chat_rows()), len(rows))]
    total = sum(map(len, rows["input_ids"]))
    assert abs(LENGTH * len(replayed) / total - share) < LENGTH / total
    known = {tuple(block["input_ids"].tolist()): block for block in text}
    batch = PackedRows(0)(replayed)
    drawn = [known[tuple(row["input_ids"])] for row in replayed]
    for name in ("input_ids", "labels", "position_ids"):
        assert torch.equal(batch[name], torch.stack([block[name] for block in drawn])), name
    assert len({id(block) for block in drawn}) == len(drawn), "without replacement"
    assert with_replay(chat_rows(), text, share, seed=1)["input_ids"] != rows["input_ids"]
    assert with_replay(chat_rows(), text, share, seed=0)["input_ids"] == rows["input_ids"]


def test_replay_of_more_text_than_there_is_takes_all_of_it_before_any_of_it_again() -> None:
    assert with_replay(chat_rows(), [], 0.0, seed=0) is chat_rows()
    rows = with_replay(chat_rows(), blocks(3), 0.9, seed=0)
    replayed = [tuple(ids) for ids in rows["input_ids"][len(chat_rows()) :]]
    counts = [replayed.count(ids) for ids in set(replayed)]
    assert len(counts) == 3
    assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize("items", [None, 99])
def test_without_weights_it_is_trls_loss(items: int | None, tmp_path: Path) -> None:
    trainer, batch = instruct(tmp_path, **TRL_ALONE), batch_of(0, 1)
    trainer.model.train()
    found = trainer.compute_loss(trainer.model, dict(batch), num_items_in_batch=items)
    expected = SFTTrainer.compute_loss(trainer, trainer.model, dict(batch), num_items_in_batch=items)
    assert found.item() == expected.item()
    ahead = batch["labels"][:, 1:]
    logits = logits_of(trainer.model, batch)[:, :-1]
    total = functional.cross_entropy(logits.flatten(0, 1), ahead.flatten(), reduction="sum")
    assert found.item() == pytest.approx(total.item() / (items or int((ahead != -100).sum())), rel=1e-4)
    nearly = instruct(tmp_path, trainer.model, **TRL_ALONE | {"entropy_beta": 1e-9})
    assert nearly.compute_loss(trainer.model, dict(batch), num_items_in_batch=items).item() == pytest.approx(
        found.item(), rel=1e-4
    )


@pytest.mark.parametrize("legacy", [False, True])
def test_with_weights_it_is_the_objective_against_repetition(legacy: bool, tmp_path: Path) -> None:
    options = {"label_smoothing": 0.2, "unlikelihood_alpha": 0.7, "entropy_beta": 0.03}
    trainer, batch = instruct(tmp_path, legacy=legacy, **options), batch_of(0, 1)
    trainer.model.train()
    tokenizer = tiny_tokenizer()
    apart = {"excluded_ids": tokenizer.all_special_ids, "position_ids": batch["position_ids"]}
    expected = anti_repetition_loss(
        logits_of(trainer.model, batch),
        batch["input_ids"],
        batch["labels"],
        legacy=legacy,
        num_items=77,
        **options,
        **({} if legacy else apart),
    )
    found = trainer.compute_loss(trainer.model, dict(batch), num_items_in_batch=77)
    assert found.item() == pytest.approx(expected.total.item(), rel=1e-6)


def test_accumulated_gradients_and_logged_parts_are_those_of_the_whole_batch(tmp_path: Path) -> None:
    made, logs = [], []
    for size, steps in ((4, 1), (2, 2)):
        model = tiny_brandon()
        options = {"max_grad_norm": 1e9, "adam_epsilon": 1e-3, "max_steps": 3}
        trainer = instruct(
            tmp_path,
            model,
            chat_rows(40),
            per_device_train_batch_size=size,
            gradient_accumulation_steps=steps,
            **options,
        )
        trainer.train()
        made.append(weights(model))
        logs.append([line for line in trainer.state.log_history if "loss" in line])
    for name, expected in made[0].items():
        torch.testing.assert_close(made[1][name], expected, atol=1e-4, rtol=1e-4, msg=name)
    for one, other in zip(*logs, strict=True):
        for key in ("loss", "nll", "unlikelihood", "entropy"):
            assert one[key] == pytest.approx(other[key], rel=1e-4), key
        assert one["nll"] > 1


def test_own_repetitions_join_the_loss_every_few_steps(tmp_path: Path) -> None:
    """Whatever the number of micro-batches: all rows are the same here."""
    rows = chat_rows().select([0] * 4)
    logs = []
    for size, steps in ((4, 1), (2, 2)):
        options = {"per_device_train_batch_size": size, "gradient_accumulation_steps": steps, "max_steps": 5}
        weight = {"sequence_unlikelihood_alpha": 2.0, "sequence_unlikelihood_every": 2, "label_smoothing": 0.0}
        trainer = instruct(tmp_path, repeating(), rows, learning_rate=1e-5, **options, **weight)
        trainer.train()
        logs.append([line for line in trainer.state.log_history if "loss" in line])
    assert [line["step"] for line in logs[0] if "sequence_unlikelihood" in line] == [1, 3, 5], "steps 0, 2 and 4"
    for one, other in zip(*logs, strict=True):
        own = one.get("sequence_unlikelihood", 0.0)
        assert own == pytest.approx(other.get("sequence_unlikelihood", 0.0), rel=1e-3)
        parts = one["nll"] + 0.5 * one["unlikelihood"] - 0.01 * one["entropy"] + 2.0 * own
        assert one["loss"] == pytest.approx(parts, rel=1e-4)
        assert other["loss"] == pytest.approx(one["loss"], rel=1e-3)


def taught(ids: list[int]) -> Any:
    """A model that continues everything with these tokens, over and over."""
    model = tiny_brandon().train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    batch = batch_of(0, 1, 2, 3)
    answer = torch.tensor(ids * 64)[:64].expand(4, -1)
    learnt = batch["labels"] != -100
    for _ in range(40):
        read = torch.where(learnt, answer, batch["input_ids"])
        loss = model(read, position_ids=batch["position_ids"], labels=answer, use_cache=False).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


def repeating() -> Any:
    return taught([50])


def test_own_repetitions_are_what_the_model_writes_again(tmp_path: Path) -> None:
    batch = batch_of(0, 1)
    model = repeating()
    trainer = instruct(tmp_path, model)
    own = trainer.own_repetitions(model, batch["input_ids"], batch["labels"])
    assert model.training, "as it was"
    assert own.isfinite()
    assert own > 0.5

    def probability() -> float:
        with torch.no_grad():
            return logits_of(model.eval(), batch).softmax(dim=-1)[..., 50].mean().item()

    before = probability()
    own.backward()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter -= 0.1 * parameter.grad
    assert probability() < before - 0.05


def test_an_answer_that_ends_repeats_nothing(tmp_path: Path) -> None:
    model, batch = taught([tiny_tokenizer().convert_tokens_to_ids("<|im_end|>")]), batch_of(0, 1)
    trainer = instruct(tmp_path, model)
    assert trainer.own_repetitions(model, batch["input_ids"], batch["labels"]).item() == 0


def test_own_text_continues_the_first_prompt_of_each_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch, tokenizer = tiny_brandon(), batch_of(0, 1), tiny_tokenizer()
    trainer, seen = instruct(tmp_path, model), {}
    original = model.generate
    monkeypatch.setattr(model, "generate", lambda **options: seen.update(options) or original(**options))
    trainer.own_repetitions(model, batch["input_ids"], batch["labels"])
    for row, (ids, mask) in enumerate(zip(seen["input_ids"], seen["attention_mask"], strict=True)):
        prompt = tokenizer.decode(ids[mask.bool()])
        assert prompt.endswith("<|im_start|>assistant\n")
        assert prompt.count("assistant") == 1
        assert tokenizer.decode(batch["input_ids"][row]).startswith(prompt)
        assert (ids[~mask.bool()] == tokenizer.pad_token_id).all()
    assert seen["do_sample"] is False


def test_adapters_alone_are_trained_and_merge(tmp_path: Path) -> None:
    base = tiny_brandon()
    before = weights(base)
    trainer = instruct(tmp_path, base, lora_rank=2, sequence_unlikelihood_alpha=0.1)
    trainer.train()
    adapters = {name for name, parameter in trainer.model.named_parameters() if parameter.requires_grad}
    assert adapters
    assert all("lora_" in name for name in adapters)
    batch = batch_of(0)
    with torch.no_grad():
        adapted = logits_of(trainer.model.eval(), batch)
        merged = trainer.model.merge_and_unload()
        torch.testing.assert_close(logits_of(merged, batch), adapted, atol=1e-4, rtol=1e-4)
    after = weights(merged)
    assert {name for name in before if not torch.equal(after[name], before[name])} == {
        name for name in before if name.endswith("_proj.weight")
    }


@pytest.mark.parametrize("compiled", [False, True])
def test_compiled_batches_are_all_as_long_as_the_longest_row(compiled: bool, tmp_path: Path) -> None:
    rows = chat_rows()
    longest = max(map(len, rows["input_ids"]))
    shorter = [row for row in rows if len(row["input_ids"]) < longest][:2]
    args = arguments(InstructArguments, tmp_path)
    args.torch_compile = compiled
    batch = InstructTrainer(tiny_brandon(), args, tiny_tokenizer(), rows).data_collator(shorter)
    expected = longest if compiled else max(len(row["input_ids"]) for row in shorter)
    assert {tuple(part.shape) for part in batch.values()} == {(len(shorter), expected)}


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_the_model_learns_its_answers(optimizer: str, tmp_path: Path) -> None:
    trainer = instruct(tmp_path, max_steps=40, eval_strategy="no", optimizer=optimizer)
    trainer.train()
    pair = isinstance(getattr(trainer.optimizer, "optimizer", trainer.optimizer), OptimizerPair)
    assert pair == (optimizer == "muon")
    found = [line["nll"] for line in trainer.state.log_history if "nll" in line]
    assert found[-1] < 0.6 * found[0]
    last = trainer.state.log_history[-2]
    assert last["mean_token_accuracy"] > 0.3
    assert last["num_tokens"] == last["num_input_tokens_seen"]


def test_evaluation_is_plain_cross_entropy(tmp_path: Path) -> None:
    trainer, batch = instruct(tmp_path, per_device_eval_batch_size=2), batch_of(0, 1)
    found = trainer.evaluate(chat_rows().select(range(2)))["eval_loss"]
    with torch.no_grad():
        logits = logits_of(trainer.model.eval(), batch)[:, :-1]
    expected = functional.cross_entropy(logits.flatten(0, 1), batch["labels"][:, 1:].flatten())
    assert found == pytest.approx(expected.item(), rel=1e-4)


def test_chats_pack_into_rows_of_another_length() -> None:
    tokenized = tokenize_chats(chats(), tiny_tokenizer(), 2 * LENGTH)
    wide = pack_chats(tokenized, 200)
    assert len(wide) < len(chat_rows())
    assert max(map(len, wide["input_ids"])) <= 200
