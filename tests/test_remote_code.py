"""Saved folders load with `trust_remote_code=True` where only torch and transformers are installed."""

import json
import os
import subprocess
import sys

import pytest
import torch
from original_layout import IDS, SHAPES, tiny_model, write_original
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from brandon_hf.modeling import BrandonForCausalLM
from brandon_hf.tokenization import train_tokenizer

ABSENT = ("brandon_hf", "accelerate", "datasets", "evaluate", "peft", "sentencepiece", "trl")
CHAT = [{"role": "user", "content": "hello"}]
SCRIPT = f"""
import sys
for name in {ABSENT!r}:
    sys.modules[name] = None  # importing it fails
import json, torch
from pathlib import Path
from transformers import (AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification,
                          AutoTokenizer, pipeline)

folder, report = Path(sys.argv[1]), {{}}
for label, trust in (("unsaid", {{}}), ("refused", {{"trust_remote_code": False}})):
    try:
        AutoModelForCausalLM.from_pretrained(folder, **trust)
        report[label] = "loaded"
    except ValueError as error:
        report[label] = str(error)
report["early"] = [name for name in sys.modules if name.startswith("transformers_modules")]

trust = {{"trust_remote_code": True}}
ids = torch.tensor({IDS.tolist()!r})
config = AutoConfig.from_pretrained(folder, **trust)
report["config"] = [type(config).__name__, config.num_registers, config.block_repeat]
causal = AutoModelForCausalLM.from_pretrained(folder, **trust)
report["module"] = type(causal).__module__
backbone = AutoModel.from_pretrained(folder, **trust)
classifier = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=3, **trust)
report["classes"] = [type(model).__name__ for model in (causal, backbone, classifier)]
report["labels"] = list(classifier(ids[:1]).logits.shape)
with torch.no_grad():
    torch.save([causal(ids).logits, backbone(ids).last_hidden_state], folder.parent / "outputs.pt")
    report["greedy"] = causal.generate(ids[:1], max_new_tokens=5, do_sample=False).tolist()
    report["drafted"] = causal.generate(ids[:1], max_new_tokens=5, do_sample=False, draft_with_mtp=True).tolist()
for name, model in (("causal", causal), ("backbone", backbone), ("classifier", classifier)):
    model.save_pretrained(folder.parent / name)
AutoTokenizer.from_pretrained(folder).save_pretrained(folder.parent / "causal")
again = AutoModelForCausalLM.from_pretrained(folder.parent / "causal", **trust)
report["again"] = torch.equal(again(ids).logits, causal(ids).logits)
chat = pipeline("text-generation", model=str(folder), **trust)({CHAT!r}, max_new_tokens=4, do_sample=False)
report["chat"] = chat[0]["generated_text"][-1]
report["imported"] = [name for name in {ABSENT!r} if sys.modules.get(name) is not None]
print("REPORT" + json.dumps(report))
"""


def run(script, folder, cache):
    """Run a script in a process of its own, away from this repository, and return what it reports."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COVERAGE"))}
    environment |= {"HF_MODULES_CACHE": str(cache), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [sys.executable, "-c", script, str(folder)],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.partition("REPORT")[2])


@pytest.fixture(scope="module")
def model():
    return tiny_model(vocab_size=270, num_mtp_heads=1)


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("remote") / "model"
    model.save_pretrained(folder)
    train_tokenizer(["hello world"] * 9, vocab_size=270, model_max_length=40).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def report(folder, tmp_path_factory):
    return run(SCRIPT, folder, tmp_path_factory.mktemp("modules"))


def test_without_trust_the_code_is_refused(report):
    assert "trust_remote_code" in report["unsaid"]
    assert "trust_remote_code" in report["refused"]
    assert report["early"] == []


def test_auto_classes_use_the_code_in_the_folder(report):
    assert report["config"] == ["BrandonConfig", 4, 2]
    assert report["classes"] == ["BrandonForCausalLM", "BrandonModel", "BrandonForSequenceClassification"]
    assert report["module"].startswith("transformers_modules.")
    assert report["labels"] == [1, 3]


def test_only_torch_and_transformers_are_needed(report):
    assert report["imported"] == []


@torch.no_grad()
def test_outputs_are_those_of_the_installed_code(report, folder, model):
    logits, states = torch.load(folder.parent / "outputs.pt")
    torch.testing.assert_close(logits, model(IDS).logits, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(states, model.model(IDS).last_hidden_state, atol=1e-5, rtol=1e-5)
    greedy = model.generate(IDS[:1], max_new_tokens=5, do_sample=False).tolist()
    assert report["greedy"] == report["drafted"] == greedy


def test_pipeline_chats(report):
    assert report["chat"]["role"] == "assistant"


def test_a_model_loaded_this_way_saves_a_whole_folder(report, folder, repo):
    assert report["again"]
    expected = {path.name for path in (repo / "modeling").glob("*_brandon.py")}
    auto_map = json.loads((folder / "config.json").read_text())["auto_map"]
    for name in ("causal", "backbone", "classifier"):
        saved = folder.parent / name
        assert {path.name for path in saved.glob("*.py")} >= expected
        assert json.loads((saved / "config.json").read_text())["auto_map"] == auto_map
        assert len(auto_map) == 4
    assert (
        load_file(folder.parent / "causal/model.safetensors").keys() == load_file(folder / "model.safetensors").keys()
    )


def test_installed_code_is_preferred_and_can_load_what_remote_code_saved(report, folder):
    assert type(AutoModelForCausalLM.from_pretrained(folder)) is BrandonForCausalLM
    assert type(AutoModelForCausalLM.from_pretrained(folder.parent / "causal")) is BrandonForCausalLM


def test_both_codes_can_live_in_one_process(folder, tmp_path):
    script = """
import sys, json, torch, brandon_hf
from transformers import AutoModelForCausalLM, AutoTokenizer
local = AutoModelForCausalLM.from_pretrained(sys.argv[1])
trusted = AutoModelForCausalLM.from_pretrained(sys.argv[1], trust_remote_code=True)
ids = torch.arange(9)[None]
report = {"local": type(local).__module__, "same": torch.equal(local(ids).logits, trusted(ids).logits)}
report["after"] = type(AutoModelForCausalLM.from_pretrained(sys.argv[1])).__module__
print("REPORT" + json.dumps(report))
"""
    import brandon_hf

    where = f"import sys; sys.path.insert(0, {os.path.dirname(os.path.dirname(brandon_hf.__file__))!r})\n"
    report = run(where + script, folder, tmp_path)
    assert report["local"].startswith("brandon_hf.")
    assert report["same"]
    assert report["after"].startswith("brandon_hf.")


def test_an_original_folder_needs_the_package(tmp_path):
    folder = write_original(tiny_model(**SHAPES["dream"]), tmp_path / "original")
    script = """
import sys, json
sys.modules["brandon_hf"] = None
from transformers import AutoConfig
try:
    AutoConfig.from_pretrained(sys.argv[1], trust_remote_code=True)
    message = "loaded"
except ValueError as error:
    message = str(error)
print("REPORT" + json.dumps(message))
"""
    assert "brandon-tiny" in run(script, folder, tmp_path / "modules")


def test_the_tokenizer_needs_no_code(folder):
    assert not json.loads((folder / "tokenizer_config.json").read_text()).get("auto_map")
    assert type(AutoTokenizer.from_pretrained(folder)).__module__.startswith("transformers.")
