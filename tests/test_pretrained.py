"""The models that come with the package: complete, small, found by name, talked to without arguments."""

import io
import subprocess
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from brandon_hf.cli import main
from brandon_hf.export import read_blob
from brandon_hf.pipeline import load_recipe
from brandon_hf.pretrained import DEFAULT, blob_path, known_model, list_pretrained, pretrained_blob, pretrained_path

ROOT = Path(__file__).resolve().parents[1]
QUESTION = "What is your name?"
NAMES = sorted({DEFAULT, *list_pretrained()})


@pytest.mark.parametrize("name", NAMES)
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


@pytest.mark.parametrize("name", NAMES)
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
    if not (ROOT / ".git").exists():
        pytest.skip("a source distribution: nothing is tracked here")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
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
    assert blob == blob_path()
    assert blob.parent == tmp_path / "brandon-hf"
    embeddings = load_file(Path(pretrained_path()) / "model.safetensors")["model.embed_tokens.weight"].float()
    stored = torch.from_numpy(read_blob(blob).parameters["model.embed_tokens.weight"])
    assert torch.allclose(stored, embeddings, atol=float(embeddings.abs().max()) / 100)
    written = blob.stat().st_mtime_ns
    assert pretrained_blob() == str(blob)
    assert blob.stat().st_mtime_ns == written


def test_what_another_process_is_exporting_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    theirs = blob_path().with_name(f".{blob_path().name}.partial")
    theirs.parent.mkdir()
    theirs.write_bytes(b"half of it")
    pretrained_blob()
    assert theirs.read_bytes() == b"half of it"
    assert sorted(theirs.parent.iterdir()) == [theirs, blob_path()]


def test_a_cache_that_cannot_be_written_is_named_with_the_remedy(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert main(["chat", "--int8", "--prompt", QUESTION]) == 2
    assert "set XDG_CACHE_HOME to another folder" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], [DEFAULT], ["--int8"], [DEFAULT, "--int8"]])
def test_chat_without_a_model_or_by_name_talks_to_it(arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert main(["chat", *arguments, "--greedy", "--prompt", QUESTION]) == 0
    printed = capsys.readouterr()
    assert "Brandon" in printed.out
    blobs = list(tmp_path.rglob("*.gguf"))
    assert len(blobs) == ("--int8" in arguments)
    assert all(str(blob) in printed.err for blob in blobs)


@pytest.mark.parametrize("arguments", [[], ["--int8"]])
def test_it_answers_what_is_asked_last(arguments, capsys, tmp_path, monkeypatch):
    """A measurement of how well is docs/benchmarks/history.md."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(["Name a fruit.", "What is a river?", QUESTION])))
    assert main(["chat", *arguments, "--greedy", "--max-new-tokens", "40"]) == 0
    assert "Brandon" in capsys.readouterr().out.strip().splitlines()[-1]


def test_a_slip_in_its_name_is_told_before_the_hub_is_asked(capsys, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(SystemExit):
        main(["chat", "brandon-tiny-5n", "--prompt", QUESTION])
    assert f"there is no folder brandon-tiny-5n; did you mean {DEFAULT}?" in capsys.readouterr().err
    with pytest.raises(ValueError, match=f"did you mean {DEFAULT}"):
        load_recipe("demo", ["base_model=brandon-tinny-5m", "phases=[sft]"])
    assert known_model(f"me/{DEFAULT}") == f"me/{DEFAULT}"


def test_its_licence_stands_in_every_card_of_it(tmp_path):
    assert main(["card", DEFAULT, "--output", str(tmp_path / "card.md")]) == 0
    assert ModelCard.load(tmp_path / "card.md").data.license == "cc-by-sa-4.0"


def test_the_default_model_is_the_packages_whatever_lies_here(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / DEFAULT).mkdir()
    assert main(["chat", "--greedy", "--prompt", QUESTION]) == 0
    assert "Brandon" in capsys.readouterr().out


def test_commands_that_would_harm_it_are_refused(tmp_path, capsys):
    assert main(["chat", "somewhere", "--int8", "--prompt", QUESTION]) == 2
    assert "somewhere is another: brandon export it first" in capsys.readouterr().err
    assert main(["card", DEFAULT]) == 2
    assert f"{DEFAULT} has its card, which this would replace" in capsys.readouterr().err
    assert main(["demo", DEFAULT, "--space", str(tmp_path / "space")]) == 2
    assert f"brandon push {DEFAULT} NAME first" in capsys.readouterr().err
    assert not (tmp_path / "space").exists()


def test_a_recipe_may_start_from_it_by_name():
    recipe = load_recipe("demo", [f"base_model={DEFAULT}", "phases=[sft]"])
    assert recipe.base_model == pretrained_path()
    assert recipe.values["base_model"] == DEFAULT
