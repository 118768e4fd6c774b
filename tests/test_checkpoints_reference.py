"""The reference checkpoints: original layout in, the original implementation's own numbers out."""

import json

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

from brandon_hf.modeling import BrandonConfig, BrandonForCausalLM

NAMES = ("baseline_deduplicated", "dream", "enhanced", "mtp")


@pytest.fixture(params=NAMES, scope="module")
def reference(request, shared):
    folder = shared / "reference_checkpoints" / request.param
    expected = load_file(folder / "expected.safetensors")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    return folder, model, {n: t.long() if t.dtype == torch.int32 else t for n, t in expected.items()}


def test_every_reference_checkpoint_is_tested(shared):
    assert sorted(path.name for path in (shared / "reference_checkpoints").iterdir() if path.is_dir()) == sorted(NAMES)


@torch.no_grad()
def test_logits_are_those_of_the_original(reference):
    _, model, expected = reference
    torch.testing.assert_close(model(expected["input_ids"]).logits, expected["logits"], atol=1e-4, rtol=0)


def test_greedy_tokens_are_those_of_the_original(reference):
    _, model, expected = reference
    prompt, output = expected["greedy_prompt"][None], expected["greedy_output"]
    generated = model.generate(prompt, attention_mask=torch.ones_like(prompt), max_length=len(output), do_sample=False)
    assert generated[0].tolist() == output.tolist()


@torch.no_grad()
def test_mtp_logits_are_those_of_the_original(reference):
    _, model, expected = reference
    wanted = [expected[name] for name in sorted(expected) if name.startswith("mtp_logits_")]
    actual = model(expected["input_ids"], output_mtp_logits=True).mtp_logits or ()
    assert len(actual) == len(wanted) == model.config.num_mtp_heads
    for ours, theirs in zip(actual, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


@torch.no_grad()
def test_loss_is_that_of_the_original(reference):
    _, model, expected = reference
    ids = expected["input_ids"]
    loss = model(ids, labels=ids, output_mtp_logits=True).loss
    torch.testing.assert_close(loss.reshape(1), expected["loss_lm"], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_native_copy_is_bit_identical_and_holds_no_byte_twice(reference, tmp_path):
    folder, _, expected = reference
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.dtype == torch.bfloat16  # as stored
    model.save_pretrained(tmp_path)
    reloaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert torch.equal(model(expected["input_ids"]).logits, reloaded(expected["input_ids"]).logits)
    size, weights = (tmp_path / "model.safetensors").stat().st_size, 2 * model.num_parameters()
    header = int.from_bytes((tmp_path / "model.safetensors").read_bytes()[:8], "little")
    assert size == 8 + header + weights


def test_classes_and_auto_classes_read_the_same_model(reference):
    folder, model, expected = reference
    config = AutoConfig.from_pretrained(folder)
    assert BrandonConfig.from_pretrained(folder).to_json_string() == config.to_json_string()
    direct = BrandonForCausalLM.from_pretrained(folder, dtype=torch.float32)
    assert torch.equal(direct(expected["input_ids"]).logits, model(expected["input_ids"]).logits)
    backbone = AutoModel.from_pretrained(folder, dtype=torch.float32)
    states = model.model(expected["input_ids"]).last_hidden_state
    assert torch.equal(backbone(expected["input_ids"]).last_hidden_state, states)


@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_counted_as_by_the_original(shared, name):
    folder = shared / "reference_checkpoints" / name
    total = json.loads((folder / "config.json").read_text())["total_parameters"]
    assert AutoModelForCausalLM.from_pretrained(folder).num_parameters() == total
