"""`brandon import`: original checkpoints become native folders, complete or not at all."""

import importlib
import json
import shutil

import pytest
import torch
from original_layout import IDS, VOCABULARY, original_config, original_tensors, tiny_model, write_original
from original_layout import write_sentencepiece as write_tokenizer
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, PreTrainedTokenizerFast, pipeline

from brandon_hf import __version__
from brandon_hf.cli import COMMANDS, main
from brandon_hf.hub import import_checkpoint
from brandon_hf.modeling import BrandonForCausalLM


@pytest.fixture
def model():
    return tiny_model(torch.bfloat16)


@pytest.fixture
def source(model, tmp_path):
    folder = write_original(model, tmp_path / "original")
    write_tokenizer(folder / "tokenizer.model")
    return folder


def save_pt(model, path):
    """A training checkpoint whose config class lies in a module that is not there when it is loaded."""
    import sys
    from types import ModuleType

    module = sys.modules["src"] = sys.modules["src.model"] = ModuleType("src.model")
    try:
        module.ModelConfig = type("ModelConfig", (), {"__module__": "src.model"})
        config = module.ModelConfig()
        config.__dict__.update(original_config(model.config))
        torch.save({"config": config, "model_state_dict": original_tensors(model), "step": 1}, path)
    finally:
        del sys.modules["src"], sys.modules["src.model"]
    return path


def names(folder):
    return {path.name for path in folder.iterdir()}


def failure(capsys, *arguments):
    """The one line that a command which fails prints."""
    assert main(list(map(str, arguments))) == 2
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if line.startswith("brandon ")]
    assert len(lines) == 1
    assert "Traceback" not in captured.err
    return lines[0]


# --- what it writes --------------------------------------------------------------------------------------------------


def test_a_folder_becomes_native(model, source, tmp_path, capsys, repo):
    assert main(["import", str(source), str(tmp_path / "native")]) == 0
    native = tmp_path / "native"
    code = {path.name for path in (repo / "modeling").glob("*_brandon.py")}
    assert names(native) >= code | {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json"}
    assert names(tmp_path) == {"original", "native"}
    assert len(json.loads((native / "config.json").read_text())["auto_map"]) == 4
    loaded = AutoModelForCausalLM.from_pretrained(native)
    assert loaded.dtype == torch.bfloat16
    assert torch.equal(loaded(IDS).logits, model(IDS).logits)
    assert load_file(native / "model.safetensors").keys() <= model.state_dict().keys()
    printed = capsys.readouterr().out
    assert f"{model.num_parameters():,} parameters, bfloat16" in printed
    for path in native.iterdir():
        assert f"{path.stat().st_size:,}  {path.name}" in printed
    assert str(source / "tokenizer.model") in printed


def test_the_tokenizer_and_the_stop_tokens_come_along(source, tmp_path):
    import_checkpoint(source, tmp_path / "native")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "native")
    assert type(tokenizer) is PreTrainedTokenizerFast
    assert tokenizer("hi <|im_end|>").input_ids == [6, 78, 79, 6, 5]
    assert tokenizer.model_max_length == 40
    assert "<|im_start|>" in tokenizer.chat_template
    generation = GenerationConfig.from_pretrained(tmp_path / "native")
    assert (generation.bos_token_id, generation.eos_token_id, generation.pad_token_id) == (2, [3, 5], 0)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "native")
    assert (model.config.bos_token_id, model.config.eos_token_id, model.config.pad_token_id) == (2, 3, 0)
    assert model.generation_config.eos_token_id == [3, 5]  # also once loaded and saved again
    model.save_pretrained(tmp_path / "again")
    assert GenerationConfig.from_pretrained(tmp_path / "again").eos_token_id == [3, 5]


def test_the_imported_folder_chats(source, tmp_path):
    import_checkpoint(source, tmp_path / "native")
    chat = pipeline("text-generation", model=str(tmp_path / "native"))
    answer = chat([{"role": "user", "content": "hi"}], max_new_tokens=3, do_sample=False)
    assert answer[0]["generated_text"][-1]["role"] == "assistant"


def test_reference_ids_survive_the_import(shared, tmp_path):
    folder = write_original(tiny_model(vocab_size=8192), tmp_path / "original")
    tokenizer = shared / "reference_tokenizer/tokenizer_8k.model"
    assert main(["import", str(folder), str(tmp_path / "native"), "--tokenizer", str(tokenizer)]) == 0
    loaded = AutoTokenizer.from_pretrained(tmp_path / "native")
    expected = json.loads((shared / "reference_tokenizer/expected.json").read_text())["lines"]
    assert [loaded(line["text"]).input_ids for line in expected] == [line["ids"] for line in expected]


@pytest.mark.parametrize("layout", ["deduplicated", "sharded"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "auto"])
def test_layouts_and_dtypes(layout, dtype, tmp_path):
    model = tiny_model(torch.float16)
    report = import_checkpoint(write_original(model, tmp_path / "original", layout), tmp_path / "native", dtype=dtype)
    wanted = {"auto": "float16"}.get(dtype, dtype)
    assert report.dtype == wanted
    tensors = load_file(tmp_path / "native/model.safetensors")
    assert {str(tensor.dtype) for tensor in tensors.values()} == {f"torch.{wanted}"}
    norm = model.model.norm.weight.to(getattr(torch, wanted))
    assert torch.equal(tensors["model.norm.weight"], norm)


@pytest.mark.parametrize("tokenizer", ["tokenizer.model", "other.model"])
def test_a_pt_file_finds_the_tokenizer_beside_it(tokenizer, tmp_path):
    model = tiny_model(num_mtp_heads=1)
    checkpoint = save_pt(model, tmp_path / "best.pt")
    write_tokenizer(tmp_path / tokenizer)
    report = import_checkpoint(checkpoint, tmp_path / "native")
    assert (report.dtype, report.tokenizer) == ("float32", tmp_path / tokenizer)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "native")
    assert torch.equal(loaded(IDS).logits, model(IDS).logits)
    assert AutoTokenizer.from_pretrained(tmp_path / "native").eos_token_id == 3


def test_without_a_tokenizer_it_says_so(model, tmp_path, capsys):
    write_original(model, tmp_path / "original")
    assert main(["import", str(tmp_path / "original"), str(tmp_path / "native")]) == 0
    assert "--tokenizer" in capsys.readouterr().out
    assert "tokenizer.json" not in names(tmp_path / "native")


def test_two_tokenizers_beside_a_pt_file_are_not_guessed_between(tmp_path):
    checkpoint = save_pt(tiny_model(), tmp_path / "best.pt")
    for name in ("a.model", "b.model"):
        write_tokenizer(tmp_path / name)
    assert import_checkpoint(checkpoint, tmp_path / "native").tokenizer is None
    report = import_checkpoint(checkpoint, tmp_path / "given", tokenizer=tmp_path / "b.model")
    assert report.tokenizer == tmp_path / "b.model"


def test_an_empty_destination_and_one_below_a_new_folder_are_taken(source, tmp_path):
    (tmp_path / "empty").mkdir()
    import_checkpoint(source, tmp_path / "empty")
    import_checkpoint(source, tmp_path / "new/deep")
    assert names(tmp_path / "empty") == names(tmp_path / "new/deep")
    assert names(tmp_path / "new") == {"deep"}


# --- what it refuses -------------------------------------------------------------------------------------------------


def test_a_used_destination_is_left_alone(source, tmp_path, capsys):
    (tmp_path / "used").mkdir()
    (tmp_path / "used/mine.txt").write_text("mine")
    assert "used exists and is not an empty folder" in failure(capsys, "import", source, tmp_path / "used")
    assert "mine.txt exists" in failure(capsys, "import", source, tmp_path / "used/mine.txt")
    assert "original exists" in failure(capsys, "import", source, source)
    assert names(tmp_path / "used") == {"mine.txt"}


@pytest.fixture
def nothing_is_loaded(monkeypatch):
    """Fails if weights are read: what is wrong has to be said before."""

    def fail(*args, **kwargs):
        raise AssertionError("weights were loaded")

    monkeypatch.setattr(BrandonForCausalLM, "from_pretrained", fail)


@pytest.mark.usefixtures("nothing_is_loaded")
@pytest.mark.parametrize("size", [VOCABULARY - 1, VOCABULARY + 1])
def test_a_tokenizer_that_does_not_fit_is_refused_before_any_work(source, size, tmp_path, capsys):
    write_tokenizer(tmp_path / "other.model", size)
    message = failure(capsys, "import", source, tmp_path / "native", "--tokenizer", tmp_path / "other.model")
    assert f"other.model has {size} tokens, but the model has vocab_size=97" in message
    assert names(tmp_path) == {"original", "other.model"}


@pytest.mark.usefixtures("nothing_is_loaded")
def test_wrong_sources_are_named_before_any_work(source, tmp_path, capsys):
    target = tmp_path / "native"
    assert "none does not exist" in failure(capsys, "import", tmp_path / "none", target)
    assert "tokenizer.model is neither" in failure(capsys, "import", source / "tokenizer.model", target)
    (tmp_path / "empty").mkdir()
    assert "empty is no checkpoint folder" in failure(capsys, "import", tmp_path / "empty", target)
    gone = failure(capsys, "import", source, target, "--tokenizer", tmp_path / "gone.model")
    assert "gone.model" in gone
    tiny_model().save_pretrained(tmp_path / "already")
    capsys.readouterr()
    assert "already is in the native layout" in failure(capsys, "import", tmp_path / "already", target)
    (source / "config.json").write_text('{"model_type": "llama", "hidden_size": 3}')
    assert "model_type='llama'" in failure(capsys, "import", source, target)
    (source / "config.json").write_text("{")
    assert "config.json" in failure(capsys, "import", source, target)
    (tmp_path / "bad.pt").write_bytes(b"not a checkpoint")
    assert "bad.pt is not a complete torch checkpoint" in failure(capsys, "import", tmp_path / "bad.pt", target)
    assert not target.exists()


def test_a_damaged_checkpoint_leaves_nothing_behind(source, tmp_path, capsys):
    before = names(tmp_path)
    with open(source / "model.safetensors", "r+b") as file:
        file.truncate(2000)
    assert "model.safetensors is not a complete" in failure(capsys, "import", source, tmp_path / "native")
    assert names(tmp_path) == before


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_an_import_that_breaks_off_leaves_nothing_behind(source, error, tmp_path, capsys, monkeypatch):
    def half(self, folder, *args, **kwargs):
        shutil.copy(source / "config.json", folder)
        raise error

    monkeypatch.setattr(PreTrainedTokenizerFast, "save_pretrained", half)
    status = main(["import", str(source), str(tmp_path / "native")])
    assert status == (2 if isinstance(error, OSError) else 130)
    assert capsys.readouterr().err.splitlines()[-1].startswith("brandon import: ")
    assert names(tmp_path) == {"original"}


# --- the command itself ----------------------------------------------------------------------------------------------


def test_help_lists_every_command_and_its_summary(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    printed = " ".join(capsys.readouterr().out.split())
    for name, (module, summary) in COMMANDS.items():
        assert f"{name} {summary}" in printed
        assert hasattr(importlib.import_module(f"brandon_hf.cli.{module}"), "run")


def test_each_command_has_its_own_help(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["import", "--help"])
    assert stopped.value.code == 0
    assert "--tokenizer FILE" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["unknown"], ["import"], ["import", "a", "b", "--dtype", "int8"]])
def test_wrong_usage_is_explained(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "usage: brandon" in capsys.readouterr().err


def test_version(capsys):
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"brandon-hf {__version__}\n"


def test_only_the_called_command_is_imported(monkeypatch):
    imported = []
    monkeypatch.setattr(importlib, "import_module", lambda name, package: imported.append(name) or pytest.fail("once"))
    with pytest.raises(pytest.fail.Exception):
        main(["serve", "a"])
    assert imported == [".serve"]
