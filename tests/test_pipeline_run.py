"""A whole run: what it leaves behind, that it can be killed anywhere, and what it refuses."""

import json
import os
import shutil
import signal
import time
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from safetensors.torch import load_file
from tiny_run import tiny_values, write_text
from transformers import LlamaConfig

from brandon_hf.cli import main
from brandon_hf.pipeline import Run
from brandon_hf.pipeline.recipe import make_recipe

FINALS = ("teacher/final", "phase1_pretrain/final", "phase2_distill/final", "phase3_sft/final")


def carry_out(values: dict, folder: Path, minutes: float | None = None) -> None:
    run = Run(make_recipe(values, "tiny"), folder)
    run.execute(minutes=minutes)
    run.samples()


def in_a_process(values: dict, folder: Path, kill_after: float | None = None, minutes: float | None = None) -> bool:
    """Carry out the run in a process of its own; whether it came to its end before the kill or the time limit."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            carry_out(values, folder, minutes)
            status = 0
        finally:
            os._exit(status)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status) == 0


@pytest.fixture(scope="module")
def values(tmp_path_factory):
    return tiny_values(tmp_path_factory.mktemp("text"))


@pytest.fixture(scope="module")
def finished(values, tmp_path_factory):
    """A run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    assert in_a_process(values, folder)
    return folder


def test_every_phase_leaves_a_complete_model_folder(finished):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    sizes = set()
    for final in FINALS:
        model = AutoModelForCausalLM.from_pretrained(finished / final)
        tokenizer = AutoTokenizer.from_pretrained(finished / final)
        assert model.config.vocab_size == len(tokenizer)
        assert tokenizer.convert_tokens_to_ids("<|im_end|>") in model.generation_config.eos_token_id
        assert model.config.use_cache
        sizes.add(model.num_parameters())
        before, after = (
            json.loads((finished / final).parent.joinpath(name).read_text())
            for name in ("before.json", "evaluation.json")
        )
        assert before.keys() == after.keys() == {"validation_loss", "validation_bits_per_byte", "chat_loss"}
    assert len(sizes) == 2
    assert not list(finished.rglob("*.bin"))
    assert not list(finished.rglob("*.partial"))


def test_each_phase_starts_from_the_one_before(finished):
    for earlier, later in pairwise(FINALS[1:]):
        after = json.loads((finished / earlier).parent.joinpath("evaluation.json").read_text())
        before = json.loads((finished / later).parent.joinpath("before.json").read_text())
        assert before == pytest.approx(after, rel=1e-5)


def test_every_phase_moves_the_weights_and_logs_each_step(finished):
    weights = [load_file(finished / final / "model.safetensors") for final in FINALS[1:]]
    for one, other in pairwise(weights):
        assert any(not torch.equal(one[name], other[name]) for name in one)
    for final, steps in zip(FINALS, (3, 5, 3, 5), strict=True):
        lines = [json.loads(line) for line in (finished / final).parent.joinpath("metrics.jsonl").open()]
        assert [line["step"] for line in lines if "loss" in line] == list(range(1, steps + 1))
        assert lines[-1]["num_input_tokens_seen"] > 0


@pytest.mark.slow
def test_a_run_killed_again_and_again_ends_with_the_same_weights(values, finished, tmp_path):
    folder, kills, patience = tmp_path / "tiny", 0, 0.7
    while not in_a_process(values, folder, kill_after=patience):
        kills += 1
        patience *= 1.15
        assert kills < 60
    assert kills >= 2
    for final in FINALS:
        one, other = (load_file(root / final / "model.safetensors") for root in (finished, folder))
        assert all(torch.equal(one[name], other[name]) for name in one), final
    for name in ("samples.json", "chat/train.jsonl", "phase1_pretrain/evaluation.json"):
        assert (folder / name).read_text() == (finished / name).read_text()
    steps = [json.loads(line)["step"] for line in (folder / "phase1_pretrain/metrics.jsonl").open() if '"loss"' in line]
    assert steps == sorted(set(steps))


@pytest.mark.slow
def test_a_run_in_slices_of_time_ends_with_the_same_weights(values, finished, tmp_path):
    slices = 0
    while not in_a_process(values, tmp_path / "tiny", minutes=1e-6):
        slices += 1
        assert slices < 40
    assert slices == 3 + 5 + 3 + 5 - len(FINALS)  # every step but the last of a phase ends one
    for final in FINALS:
        one, other = (load_file(root / final / "model.safetensors") for root in (finished, tmp_path / "tiny"))
        assert all(torch.equal(one[name], other[name]) for name in one), final


def test_a_time_limit_leaves_a_checkpoint_and_says_so(values, tmp_path, capsys):
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(json.dumps(values))
    command = ["pretrain", "--recipe", str(recipe), "--output", str(tmp_path), "--minutes"]
    assert main([*command, "1e-6"]) == 75
    assert "pretrain stopped at its time limit after step 1 of 5; the same command continues" in capsys.readouterr().err
    assert (tmp_path / "tiny/phase1_pretrain/checkpoint-1/.complete").is_file()
    assert main([*command, "-1"]) == 2
    assert "--minutes -1.0 must be above 0, and finite" in capsys.readouterr().err
    assert main([*command, "60"]) == 0


def test_a_run_takes_what_another_has_prepared_without_its_text(values, finished, tmp_path):
    """Tokenizer, corpus and chats, weights of the chat sources included."""
    text, chat = write_text(tmp_path)
    weighed = {**values["data"], "pretrain": text, "chat": [{"path": chat, "weight": 2.0}]}
    first = Run(make_recipe({**values, "data": weighed}, "first"), tmp_path / "first")
    first.data.prepare()
    rows = first.data.chat_rows().to_list()
    for path in (text, chat):
        Path(path).unlink()
    with pytest.raises((ValueError, OSError), match=r"text\.jsonl"):
        make_recipe({**values, "data": weighed}, "first")
    taken = {**values, "data": {**weighed, "prepared": str(tmp_path / "first")}, "phases": ["pretrain", "sft"]}
    run = Run(make_recipe(taken, "second"), tmp_path / "second")
    final = run.execute()
    assert final.is_dir()
    assert run.data.corpus.manifest == first.data.corpus.manifest
    assert run.data.chat_rows().to_list() == rows
    assert [(source.path, source.weight) for source in run.recipe.chat_sources()] == [(chat, 2.0)]
    for part in ("tokenizer", "corpus", "chat"):
        assert {file.name for file in (tmp_path / "second" / part).iterdir()} == {
            file.name for file in (tmp_path / "first" / part).iterdir()
        }
    report = tmp_path / "first/chat/curation.json"
    report.write_text(report.read_text().replace(json.dumps(chat), '"synthetic"'))
    with pytest.raises(ValueError, match=r"seed=8: .* holds the built-in world of seed=7, .*: set seed=7"):
        make_recipe({**taken, "seed": 8}, "third")
    shutil.rmtree(tmp_path / "first/chat")
    with pytest.raises(ValueError, match=r"data\.prepared=.*: chat/ is missing: name the folder of a run"):
        make_recipe(taken, "third")


def test_the_same_command_again_trains_nothing(values, finished, tmp_path):
    folder = tmp_path / "tiny"
    shutil.copytree(finished, folder)
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    carry_out(values, folder)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == times


def test_another_recipe_in_the_same_folder_is_refused(values, finished):
    changed = {**values, "pretrain": {**values["pretrain"], "learning_rate": 5e-3}}
    with pytest.raises(ValueError, match=r"pretrain\.learning_rate=0\.001, not 0\.005"):
        Run(make_recipe(changed, "tiny"), finished)


def test_one_phase_from_any_model_folder(values, finished, tmp_path):
    one = {**values, "phases": ["sft"], "sft": {**values["sft"], "max_steps": 2, "replay": 0.0}}
    one["base_model"] = str(finished / "phase1_pretrain/final")
    run = Run(make_recipe(one, "tiny"), tmp_path / "one")
    final = run.execute()
    before = json.loads((tmp_path / "one/phase3_sft/before.json").read_text())
    after = json.loads((finished / "phase1_pretrain/evaluation.json").read_text())
    assert before["chat_loss"] == pytest.approx(after["chat_loss"], rel=1e-3)
    assert final.is_dir()
    again = {**one, "base_model": str(finished / "phase2_distill/final")}
    with pytest.raises(ValueError, match="base_model="):
        Run(make_recipe(again, "tiny"), tmp_path / "one")


def test_a_folder_in_which_another_process_trains_is_refused(values, finished):
    lock = FileLock(finished / ".lock")
    run = Run(make_recipe(values, "tiny"), finished)
    with lock, pytest.raises(ValueError, match="is in use: another process is training there"):
        run.execute()
    assert run.execute() == finished / FINALS[-1]


def test_what_there_is_to_train_is_told(values, finished):
    plan = Run(make_recipe(values, "tiny"), finished).plan()
    steps = {phase: values[phase]["max_steps"] for phase in ("pretrain", "distill", "sft")}
    teacher = values["teacher"]["pretrain"]["max_steps"]
    assert plan == f"teacher {teacher} steps, then " + ", then ".join(f"{name} {n} steps" for name, n in steps.items())


def test_pretraining_goes_on_from_a_model(values, finished, tmp_path):
    base = finished / "phase1_pretrain"
    further = {**values, "phases": ["pretrain"], "base_model": str(base / "final")}
    further["pretrain"] = {**values["pretrain"], "max_steps": 3}
    run = Run(make_recipe(further, "tiny"), tmp_path / "further")
    run.execute()
    before = json.loads((tmp_path / "further/phase1_pretrain/before.json").read_text())
    assert before["validation_loss"] == pytest.approx(
        json.loads((base / "evaluation.json").read_text())["validation_loss"], rel=1e-3
    )
    assert (tmp_path / "further/tokenizer/tokenizer.json").read_bytes() == (
        finished / "tokenizer/tokenizer.json"
    ).read_bytes()


def test_pretraining_goes_on_from_no_other_architecture(values, finished, tmp_path):
    config = LlamaConfig(
        vocab_size=64, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2
    )
    config.save_pretrained(tmp_path / "llama")
    further = {**values, "phases": ["pretrain"], "base_model": str(tmp_path / "llama")}
    with pytest.raises(ValueError, match="llama is a llama: only Brandon models pretrain"):
        Run(make_recipe(further, "tiny"), tmp_path / "further")


def test_a_phase_without_a_model_to_start_from_says_which_command_makes_one(values, tmp_path):
    run = Run(make_recipe(values, "tiny"), tmp_path / "empty")
    with pytest.raises(ValueError, match="run `brandon distill` first"):
        run.execute(["sft"])


def test_a_teacher_with_another_vocabulary_is_refused_before_any_training(values, finished, tmp_path):
    other = {**values, "tokenizer": {"vocab_size": 300}, "phases": ["pretrain", "distill"], "name": "other"}
    other["teacher"] = {"path": str(finished / "teacher/final")}
    with pytest.raises(ValueError, match="320 tokens and the student 300"):
        Run(make_recipe(other, "other"), tmp_path / "other").execute()
    assert not (tmp_path / "other/phase1_pretrain").exists()


def test_a_teacher_with_another_tokenizer_of_the_same_size_is_refused(values, finished, tmp_path):
    other = {**values, "phases": ["pretrain", "distill"], "teacher": {"path": str(finished / "teacher/final")}}
    text = tmp_path / "text.jsonl"
    lines = "".join(
        json.dumps({"text": f"Quite other words, number {n}: zebra quilt jumper."}) + "\n" for n in range(99)
    )
    text.write_text(lines * 2)
    other["data"] = {**values["data"], "pretrain": str(text)}
    with pytest.raises(ValueError, match="another tokenizer of the same size"):
        Run(make_recipe(other, "other"), tmp_path / "other").execute()


def test_errors_of_the_data_come_as_one_line_naming_the_file(values, tmp_path, capsys):
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    arguments = ["run", "--output", str(tmp_path), "--name", "x", f"data.pretrain={empty}"]
    assert main(arguments) == 2
    printed = capsys.readouterr().err
    lines = [line for line in printed.splitlines() if line.startswith("brandon run:")]
    assert len(lines) == 1
    assert str(empty) in lines[0]
    assert "Traceback" not in printed


def test_a_full_disk_is_said_before_training(values, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 1000))
    with pytest.raises(OSError, match="make room"):
        Run(make_recipe(values, "tiny"), tmp_path / "full").execute()
    assert not (tmp_path / "full/tokenizer").exists()


def test_chats_generated_here_are_not_taken_for_duplicates(values, tmp_path):
    both = {**values, "data": {**values["data"], "chat": [values["data"]["chat"], "synthetic"]}}
    run = Run(make_recipe(both, "tiny"), tmp_path / "both")
    run.data.prepare()
    report = json.loads((tmp_path / "both/chat/curation.json").read_text())
    assert report["sources"]["synthetic"]["kept"] == report["sources"]["synthetic"]["rows"] > 5000
    asked = [chat["messages"][-2]["content"] for chat in run.data.chats("train") + run.data.chats("validation")]
    assert asked.count("Who are you?") > 5


def test_chats_are_joined_to_conversations_if_the_recipe_says_so(values, tmp_path):
    most_turns = {}
    for share in (0.0, 0.9):
        changed = {**values, "data": {**values["data"], "chat_joined": share}}
        run = Run(make_recipe(changed, "joined"), tmp_path / f"joined-{share}")
        run.data.context = 256  # of the model's 64 no two chats would fit
        run.data.prepare()
        begins = run.data.tokenizer.convert_tokens_to_ids("<|im_start|>")
        most_turns[share] = 0
        for row in run.data.chat_rows().to_list():
            at = 0
            for length in row["seq_lengths"]:
                document = row["input_ids"][at : at + length]
                at += length
                assert document.count(run.data.tokenizer.bos_token_id) == 1
                most_turns[share] = max(most_turns[share], document.count(begins))
    assert most_turns[0.0] == 2
    assert most_turns[0.9] >= 6


def test_chats_of_which_curation_leaves_none_are_an_error(values, tmp_path):
    strict = {**values, "data": {**values["data"], "curation": {"min_answer_characters": 1000}}}
    with pytest.raises(ValueError, match="curation left none of 48 chats"):
        Run(make_recipe(strict, "tiny"), tmp_path / "none").data.prepare()


def test_what_changes_no_weight_may_change_between_commands(values, finished, tmp_path):
    folder = tmp_path / "tiny"
    shutil.copytree(finished, folder)
    weights = (folder / FINALS[-1] / "model.safetensors").stat().st_mtime_ns
    other = {**values, "samples": {"free": 2, "max_new_tokens": 4}, "sft": {**values["sft"], "logging_steps": 3}}
    carry_out(other, folder)
    assert len(json.loads((folder / "samples.json").read_text())["free"]) == 2
    assert (folder / FINALS[-1] / "model.safetensors").stat().st_mtime_ns == weights


def test_a_recipe_can_be_corrected_until_something_is_trained(values, tmp_path):
    Run(make_recipe(values, "tiny"), tmp_path / "run").data.prepare()
    corrected = {**values, "seed": 8, "tokenizer": {"vocab_size": 310}}
    run = Run(make_recipe(corrected, "tiny"), tmp_path / "run")
    run.data.prepare()
    assert len(run.data.tokenizer) == 310


def test_other_versions_are_said_when_a_run_goes_on(values, finished, tmp_path, capsys):
    folder = tmp_path / "tiny"
    shutil.copytree(finished, folder)
    environment = json.loads((folder / "environment.json").read_text())
    (folder / "environment.json").write_text(json.dumps({**environment, "threads": 99}))
    Run(make_recipe(values, "tiny"), folder)
    assert "was begun" not in capsys.readouterr().err  # nothing is left to train
    shutil.rmtree(folder / FINALS[-1])
    Run(make_recipe(values, "tiny"), folder)
    assert "was begun with other threads" in capsys.readouterr().err


def test_chats_may_hold_characters_that_look_like_line_ends(values, tmp_path):
    rows = Path(values["data"]["chat"]).read_text().splitlines()
    odd = {"instruction": "Say two\u2028lines\u0085and more.", "input": "", "output": "One\u2028two\u2029three."}
    chat = tmp_path / "chat.jsonl"
    chat.write_text("\n".join([*rows, json.dumps(odd)]) + "\n")
    run = Run(make_recipe({**values, "data": {**values["data"], "chat": str(chat)}}, "tiny"), tmp_path / "run")
    run.data.prepare()
    texts = [
        message["content"]
        for name in ("train", "validation")
        for chat in run.data.chats(name)
        for message in chat["messages"]
    ]
    assert odd["instruction"] in texts


@pytest.mark.parametrize("method", ["dpo", "grpo"])
def test_the_preference_phase_trains_on_long_answers_too(values, finished, tmp_path, method):
    rows = [json.loads(line) for line in Path(values["data"]["chat"]).read_text().splitlines()]
    chat = tmp_path / "chat.jsonl"
    chat.write_text("".join(json.dumps({**row, "output": row["output"] + " It is." * 3}) + "\n" for row in rows))
    phase = {key: value for key, value in values["sft"].items() if key != "replay"}
    options = {"dpo": {}, "grpo": {"num_generations": 2, "max_completion_length": 8}}[method]
    prefer = {**phase, "method": method, "max_steps": 2, "gradient_accumulation_steps": 1, **options}
    changes = {"phases": ["prefer"], "prefer": prefer, "base_model": str(finished / FINALS[-1])}
    data = {**values["data"], "chat": str(chat), "curation": {"drop_loops": False}}
    run = Run(make_recipe({**values, **changes, "data": data}, "tiny"), tmp_path / "run")
    final = run.execute()
    assert json.loads((final.parent / "metrics.jsonl").read_text().splitlines()[-1])["step"] == 2
    if method == "dpo":  # of two answers that score the same, GRPO learns nothing
        moved, before = (load_file(folder / "model.safetensors") for folder in (final, finished / FINALS[-1]))
        assert any(not torch.equal(moved[name], before[name]) for name in before)


def test_a_phase_can_be_added_to_a_finished_run(values, finished, tmp_path):
    folder = tmp_path / "tiny"
    shutil.copytree(finished, folder)
    phase = {key: value for key, value in values["sft"].items() if key != "replay"}
    prefer = {**phase, "max_steps": 2, "gradient_accumulation_steps": 1}
    longer = {**values, "phases": [*values["phases"], "prefer"], "prefer": prefer}
    assert Run(make_recipe(longer, "tiny"), folder).execute(["prefer"]) == folder / "phase4_prefer/final"


def test_too_little_text_to_measure_on_is_said_before_the_chats_are_read(values, tmp_path):
    little = {**values, "data": {**values["data"], "validation_fraction": 1e-6}}
    with pytest.raises(ValueError, match=r"raise data\.validation_fraction or add text"):
        Run(make_recipe(little, "tiny"), tmp_path / "run").execute()
    assert not (tmp_path / "run/chat").exists()
