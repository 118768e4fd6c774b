"""PEFT: a LoRA round trip; the blocks that layers share, share their adapter."""

import pytest
import torch
from peers import copy_of_parameters, is_complete, tiny_model, tiny_tokenizer, unmoved
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

import brandon_hf

IDS = torch.randint(5, 300, (2, 12), generator=torch.Generator().manual_seed(1))
EXPLICIT = ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]


@pytest.fixture(scope="module")
def tokenizer():
    return tiny_tokenizer()


def adapted(tokenizer, target_modules="all-linear", **options):
    model = tiny_model(tokenizer, **options)
    torch.manual_seed(3)
    return get_peft_model(model, LoraConfig(r=4, lora_alpha=8, target_modules=target_modules, task_type="CAUSAL_LM"))


def train(model, steps=2):
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=1e-2)
    model.train()
    for _ in range(steps):
        model(input_ids=IDS, labels=IDS).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval()


@torch.no_grad()
def logits(model):
    return model(input_ids=IDS).logits


@pytest.mark.parametrize("target_modules", ["all-linear", EXPLICIT], ids=["all-linear", "named"])
def test_lora_trains_one_adapter_per_unique_block(tokenizer, target_modules):
    model = adapted(tokenizer, target_modules)
    names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert len(names) == 2 * 2 * 4  # A and B of four matrices in the two blocks of four layers
    assert all("lora_" in name and ".blocks." in name for name in names)
    before = copy_of_parameters(model)
    train(model)
    assert unmoved(before, model) == {name for name in before if name not in names}


@pytest.mark.parametrize("target_modules", ["all-linear", EXPLICIT], ids=["all-linear", "named"])
def test_saved_adapter_gives_the_same_logits(tokenizer, target_modules, tmp_path):
    model = adapted(tokenizer, target_modules)
    untrained = logits(model)
    train(model)
    model.save_pretrained(tmp_path / "adapter")
    reloaded = PeftModel.from_pretrained(tiny_model(tokenizer), tmp_path / "adapter").eval()
    assert torch.equal(logits(reloaded), logits(model))
    assert (logits(model) - untrained).abs().max() > 1e-2


@pytest.mark.parametrize("options", [{}, {"value_residual": "learned", "attention_output_gate": True, "qk_norm": True}])
def test_merged_folder_loads_through_the_auto_class(tokenizer, options, tmp_path):
    model = train(adapted(tokenizer, **options))
    expected = logits(model)
    merged = model.merge_and_unload()
    assert (logits(merged) - expected).abs().max() <= 1e-5
    merged.save_pretrained(tmp_path)
    assert is_complete(tmp_path)
    reloaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert type(reloaded) is brandon_hf.modeling.BrandonForCausalLM
    assert torch.equal(logits(reloaded), logits(merged))
    assert reloaded.generation_config.eos_token_id == merged.generation_config.eos_token_id
    assert isinstance(reloaded.generation_config.eos_token_id, list)


def test_adapter_beside_gradient_checkpointing_has_the_same_gradients(tokenizer):
    gradients = []
    for checkpointing in (False, True):
        model = adapted(tokenizer).train()
        if checkpointing:
            model.enable_input_require_grads()
            model.gradient_checkpointing_enable()
        model(input_ids=IDS, labels=IDS).loss.backward()
        gradients.append({n: p.grad for n, p in model.named_parameters() if p.requires_grad})
    assert all(torch.equal(gradients[0][name], gradients[1][name]) for name in gradients[0])
    assert sum(gradient.abs().sum() for gradient in gradients[1].values()) > 0


def test_generation_uses_the_adapter(tokenizer):
    model = train(adapted(tokenizer), steps=8)
    prompt = IDS[:1, :5]
    tokens = model.generate(input_ids=prompt, max_new_tokens=6, do_sample=False, eos_token_id=None)
    with model.disable_adapter():
        plain = model.generate(input_ids=prompt, max_new_tokens=6, do_sample=False, eos_token_id=None)
    expected = prompt
    with torch.no_grad():
        for _ in range(6):
            following = model(input_ids=expected, use_cache=False).logits[:, -1:].argmax(-1)
            expected = torch.cat([expected, following], dim=1)
    assert torch.equal(tokens, expected)
    assert not torch.equal(tokens, plain)


def test_adapter_of_a_ternary_model_stays_beside_the_ternary_matrices(tokenizer, tmp_path):
    model = train(adapted(tokenizer, ternary_weights=True))
    expected = logits(model)
    with model.disable_adapter():
        assert (logits(model) - expected).abs().max() > 1e-2
    model.save_pretrained(tmp_path)
    reloaded = PeftModel.from_pretrained(tiny_model(tokenizer, ternary_weights=True), tmp_path).eval()
    assert torch.equal(logits(reloaded), expected)


def test_merging_into_a_ternary_model_rounds_anew(tokenizer):
    """What the adapter added falls between the three values: such a model keeps its adapter instead of merging it."""
    model = train(adapted(tokenizer, ternary_weights=True))
    expected = logits(model)
    assert (logits(model.merge_and_unload()) - expected).abs().max() > 1e-2
