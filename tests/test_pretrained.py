"""The models that come with the package: complete, small, found by name, talked to without arguments."""

import json
import subprocess
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from brandon_hf.cli import main
from brandon_hf.export import read_blob
from brandon_hf.pretrained import DEFAULT, known_model, list_pretrained, pretrained_blob, pretrained_path

ROOT = Path(__file__).resolve().parents[1]
QUESTION = "What is your name?"


@pytest.mark.parametrize("name", list_pretrained())
def test_a_model_loads_in_bf16_with_its_tokenizer_and_says_who_it_is(name):
    path = pretrained_path(name)
    model = AutoModelForCausalLM.from_pretrained(path)
    tokenizer = AutoTokenizer.from_pretrained(path)
    assert model.dtype == torch.bfloat16
    inputs = tokenizer.apply_chat_template(
        [{"role": "user", "content": QUESTION}], add_generation_prompt=True, return_dict=True, return_tensors="pt"
    )
    answer = model.generate(**inputs, do_sample=False, max_new_tokens=32)[0, inputs["input_ids"].shape[1] :]
    assert "Brandon" in tokenizer.decode(answer)
    assert answer[-1] == tokenizer.convert_tokens_to_ids("<|im_end|>")


@pytest.mark.parametrize("name", list_pretrained())
def test_a_model_carries_the_code_of_modeling_and_a_card_with_the_licences_of_its_data(name):
    folder = Path(pretrained_path(name))
    assert {path.name for path in folder.glob("*.py")} == {
        path.name for path in (ROOT / "modeling").glob("*_brandon.py")
    }
    for path in folder.glob("*.py"):
        assert path.read_bytes() == (ROOT / "modeling" / path.name).read_bytes()
    card = (folder / "README.md").read_text("utf-8")
    assert "| data | kind | used | licence |" in card
    assert "not stated" not in card


def test_all_that_is_tracked_stays_below_32_megabytes():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("not a checkout")
    files = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    assert sum(path.lstat().st_size for path in files) < 32_000_000


def test_the_name_of_a_model_is_its_folder_unless_something_here_has_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert known_model(DEFAULT) == pretrained_path()
    assert known_model("somebody/model") == "somebody/model"
    (tmp_path / DEFAULT).mkdir()
    assert known_model(DEFAULT) == DEFAULT
    with pytest.raises(ValueError, match=f"'nobody' comes with this package; there is .*{DEFAULT}"):
        pretrained_path("nobody")


def test_the_blob_is_written_once_and_is_the_model(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    blob = Path(pretrained_blob())
    assert blob.parent == tmp_path / "brandon-hf"
    assert (
        read_blob(blob).config.hidden_size
        == json.loads((Path(pretrained_path()) / "config.json").read_text())["hidden_size"]
    )
    written = blob.stat().st_mtime_ns
    assert pretrained_blob() == str(blob)
    assert blob.stat().st_mtime_ns == written


@pytest.mark.parametrize("options", [[], ["--int8"]])
def test_chat_without_a_model_talks_to_it(options, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert main(["chat", *options, "--greedy", "--prompt", QUESTION]) == 0
    assert "Brandon" in capsys.readouterr().out
    assert list(tmp_path.rglob("*.gguf")) != [] if options else list(tmp_path.rglob("*.gguf")) == []


def test_int8_is_refused_for_another_model(capsys):
    assert main(["chat", "somewhere", "--int8", "--prompt", QUESTION]) == 2
    assert "brandon export somewhere first" in capsys.readouterr().err
