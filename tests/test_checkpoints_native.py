"""Native folders: what is saved, what comes back, and that incomplete or mislabelled folders are refused by name."""

import json
import shutil

import pytest
import torch
from original_layout import DREAM, IDS, SHAPES, tiny_model, write_shards
from safetensors.torch import load_file, save_file
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    Trainer,
    TrainingArguments,
)

from brandon_hf.modeling import BrandonConfig, BrandonForCausalLM, BrandonForSequenceClassification, BrandonModel

AUTO_CLASSES = (AutoModelForCausalLM, AutoModel, AutoModelForSequenceClassification)
CODE = {
    "attention_brandon.py",
    "configuration_brandon.py",
    "conversion_brandon.py",
    "generation_brandon.py",
    "modeling_brandon.py",
}
AUTO_MAP = {
    "AutoConfig": "configuration_brandon.BrandonConfig",
    "AutoModel": "modeling_brandon.BrandonModel",
    "AutoModelForCausalLM": "modeling_brandon.BrandonForCausalLM",
    "AutoModelForSequenceClassification": "modeling_brandon.BrandonForSequenceClassification",
}


def read_config(folder):
    return json.loads((folder / "config.json").read_text())


def set_fields(folder, **fields):
    kept = {name: value for name, value in (read_config(folder) | fields).items() if value is not ...}
    (folder / "config.json").write_text(json.dumps(kept))


def changed(folder, change):
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def saved(model, folder):
    model.save_pretrained(folder)
    return folder


def stored_bytes(path):
    """(tensor bytes, bytes of the whole file without the header)."""
    header = int.from_bytes(path.read_bytes()[:8], "little")
    tensors = load_file(path)
    return sum(t.numel() * t.element_size() for t in tensors.values()), path.stat().st_size - 8 - header


# --- saving ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", ["odd_depth_shared", "untied", "dream_mtp"])
@torch.no_grad()
def test_a_saved_model_comes_back_bit_for_bit_and_is_stored_once(shape, dtype, tmp_path):
    model = tiny_model(dtype, **SHAPES[shape])
    folder = saved(model, tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(folder)
    assert loaded.dtype == dtype
    assert torch.equal(loaded(IDS).logits, model(IDS).logits)
    unique = {p.data_ptr(): p.numel() * p.element_size() for p in model.parameters()}
    assert stored_bytes(folder / "model.safetensors") == (sum(unique.values()),) * 2


def test_the_flagship_in_bf16_takes_21_megabytes(tmp_path):
    model = BrandonForCausalLM(BrandonConfig()).to(torch.bfloat16)
    assert stored_bytes(saved(model, tmp_path) / "model.safetensors") == (21_413_552, 21_413_552)
    assert (tmp_path / "model.safetensors").stat().st_size < 21_430_000


@torch.no_grad()
def test_a_sharded_save_comes_back(tmp_path):
    model = tiny_model(torch.bfloat16)
    model.save_pretrained(tmp_path, max_shard_size="8KB")
    shards = list(tmp_path.glob("model-*.safetensors"))
    assert len(shards) > 1
    assert sum(stored_bytes(path)[0] for path in shards) == 2 * model.num_parameters()
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert torch.equal(loaded(IDS).logits, model(IDS).logits)


def trained(model, folder):
    data = [{"input_ids": row, "labels": row} for row in IDS.tolist()]
    arguments = TrainingArguments(folder, max_steps=1, save_steps=1, report_to=[], use_cpu=True, disable_tqdm=True)
    trainer = Trainer(model, arguments, train_dataset=data)
    trainer.train()
    trainer.save_model(folder / "final")


@pytest.mark.parametrize(
    "save",
    [
        lambda folder: tiny_model().save_pretrained(folder),
        lambda folder: AutoModel.from_pretrained(saved(tiny_model(), folder / "first")).save_pretrained(folder),
        lambda folder: BrandonForSequenceClassification(tiny_model().config).save_pretrained(folder),
        lambda folder: trained(tiny_model(), folder),
    ],
    ids=["causal", "backbone", "classifier", "trainer"],
)
def test_every_saved_folder_carries_its_code_and_the_whole_auto_map(save, repo, tmp_path):
    save(tmp_path)
    folders = [path.parent for path in tmp_path.rglob("config.json")]
    assert folders
    for folder in folders:
        assert {path.name for path in folder.glob("*.py")} == CODE, folder
        assert all((folder / name).read_bytes() == (repo / "modeling" / name).read_bytes() for name in CODE)
        assert read_config(folder)["auto_map"] == AUTO_MAP


def test_a_config_alone_carries_the_whole_auto_map(tmp_path):
    BrandonConfig().save_pretrained(tmp_path)
    assert read_config(tmp_path)["auto_map"] == AUTO_MAP


# --- loading ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def native(tmp_path_factory):
    """A model whose folder no test changes."""
    folder = tmp_path_factory.mktemp("native")
    tiny_model(num_mtp_heads=1).save_pretrained(folder)
    return folder


@pytest.fixture
def folder(native, tmp_path):
    return shutil.copytree(native, tmp_path / "folder")


@pytest.mark.parametrize(
    "how",
    [
        {"device_map": "cpu"},
        {"device_map": "auto"},
        {"device_map": {"": "cpu"}},
        {"low_cpu_mem_usage": True},
        {"dtype": torch.float32},
        {"dtype": "auto"},
        {"dtype": "float32"},
    ],
    ids=str,
)
@torch.no_grad()
def test_ways_to_load_give_the_same_model(native, how):
    model = AutoModelForCausalLM.from_pretrained(native, **how)
    assert torch.equal(model(IDS.to(model.device)).logits.cpu(), tiny_model(num_mtp_heads=1)(IDS).logits)


@pytest.mark.parametrize(
    ("options", "split"),
    [
        ({"tie_word_embeddings": False}, {"model": "disk", "lm_head": "cpu"}),
        ({}, {"model": "disk", "lm_head": "disk", "mtp_heads": "cpu"}),
        ({}, {"": "disk"}),
    ],
    ids=["untied", "tied", "everything"],
)
@torch.no_grad()
def test_part_of_a_model_can_stay_on_disk(options, split, tmp_path):
    model = tiny_model(**options)
    folder = saved(model, tmp_path / "model")
    loaded = AutoModelForCausalLM.from_pretrained(folder, device_map=split, offload_folder=tmp_path / "offload")
    assert loaded.model.embed_tokens.weight.device.type == "meta"
    assert torch.equal(loaded(IDS).logits, model(IDS).logits)


def test_loading_info_is_still_given(native):
    model, info = AutoModelForCausalLM.from_pretrained(native, output_loading_info=True)
    assert isinstance(model, BrandonForCausalLM)
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))


def test_a_head_of_another_task_may_be_new_or_left_over(native, tmp_path):
    classifier, info = AutoModelForSequenceClassification.from_pretrained(
        native, num_labels=3, output_loading_info=True
    )
    assert set(info["missing_keys"]) == {"score.weight"}
    saved(classifier, tmp_path / "classifier")
    _, info = AutoModelForCausalLM.from_pretrained(tmp_path / "classifier", output_loading_info=True)
    assert {name.split(".")[0] for name in info["missing_keys"]} <= {"mtp_heads"}
    saved(BrandonModel(tiny_model(tie_word_embeddings=False).config), tmp_path / "backbone")
    _, info = AutoModelForCausalLM.from_pretrained(tmp_path / "backbone", output_loading_info=True)
    assert set(info["missing_keys"]) == {"lm_head.weight"}


def test_mtp_heads_can_be_added_and_dropped_on_purpose(native):
    model, info = AutoModelForCausalLM.from_pretrained(native, num_mtp_heads=2, output_loading_info=True)
    assert set(info["missing_keys"]) == {"mtp_heads.1.proj.weight", "mtp_heads.1.norm.weight"}
    assert torch.equal(model.mtp_heads[0].proj.weight, tiny_model(num_mtp_heads=1).mtp_heads[0].proj.weight)
    assert len(AutoModelForCausalLM.from_pretrained(native, num_mtp_heads=0).mtp_heads) == 0


def test_a_classifier_can_be_resized_on_purpose_only(tmp_path):
    config = tiny_model().config
    config.num_labels = 3
    saved(BrandonForSequenceClassification(config), tmp_path)
    load = AutoModelForSequenceClassification.from_pretrained
    assert load(tmp_path).score.weight.shape == (3, 24)
    with pytest.raises(ValueError, match=r"'score\.weight' has shape \(3, 24\), the config wants \(5, 24\)"):
        load(tmp_path, num_labels=5)
    assert load(tmp_path, num_labels=5, ignore_mismatched_sizes=True).score.weight.shape == (5, 24)
    changed(tmp_path, lambda tensors: tensors.update({"model.norm.weight": torch.ones(3)}))
    with pytest.raises(ValueError, match=r"'model\.norm\.weight' has shape"):
        load(tmp_path, ignore_mismatched_sizes=True)


def test_equal_copies_of_tied_matrices_stay_tied(folder):
    changed(folder, lambda t: t.update({"lm_head.weight": t["model.embed_tokens.weight"].clone()}))
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.lm_head.weight is model.model.embed_tokens.weight


# --- damaged and mislabelled folders ---------------------------------------------------------------------------------

TENSOR_FAULTS = {
    "missing": (lambda t: t.pop("model.norm.weight"), r"lacks tensor '(model\.)?norm\.weight'"),
    "missing_block": (lambda t: t.pop("model.blocks.1.mlp.down_proj.weight"), r"lacks .*blocks\.1\.mlp\.down_proj"),
    "unexpected": (lambda t: t.update({"model.extra": torch.ones(2)}), r"unexpected tensor '(model\.)?extra'"),
    "unexpected_top": (lambda t: t.update({"extra": torch.ones(2)}), r"unexpected tensor 'extra'"),
    "mis-shaped": (
        lambda t: t.update({"model.norm.weight": torch.ones(3)}),
        r"norm\.weight' has shape \(3,\).*\(24,\)",
    ),
    "tied_differ": (lambda t: t.update({"lm_head.weight": torch.ones(97, 24)}), r"'lm_head\.weight' differs"),
}


@pytest.mark.parametrize("auto_class", AUTO_CLASSES)
@pytest.mark.parametrize(("change", "message"), TENSOR_FAULTS.values(), ids=TENSOR_FAULTS)
def test_a_fault_in_a_tensor_is_named(folder, auto_class, change, message):
    with pytest.raises(ValueError, match=message) as caught:
        auto_class.from_pretrained(changed(folder, change))
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize(
    ("change", "fields", "message"),
    [
        (lambda t: t.pop("mtp_heads.0.proj.weight"), {}, r"lacks tensor 'mtp_heads\.0\.proj\.weight'"),
        (lambda t: [t.pop(n) for n in list(t) if n.startswith("mtp_heads")], {}, r"lacks tensor 'mtp_heads\.0\.norm"),
        (lambda t: None, {"num_mtp_heads": 2}, r"lacks tensor 'mtp_heads\.1\.norm\.weight'"),
        (lambda t: None, {"num_mtp_heads": 0}, r"unexpected tensor 'mtp_heads\.0\.norm\.weight'"),
        (lambda t: None, {"tie_word_embeddings": False}, r"lacks tensor 'lm_head\.weight'"),
        (lambda t: None, {"num_hidden_layers": 3}, r"has shape \(5, 6\), the config wants \(3, 4\)"),
        (lambda t: None, {"hidden_size": ...}, r"has shape .* the config wants"),
        (lambda t: None, {"value_residual": "learned"}, r"lacks tensor 'model\.value_weights'"),
        (lambda t: None, {"num_registers": 0}, r"unexpected tensor 'model\.registers'"),
    ],
)
def test_a_config_that_contradicts_the_tensors_is_refused(folder, change, fields, message):
    set_fields(changed(folder, change), **fields)
    with pytest.raises(ValueError, match=message):
        AutoModelForCausalLM.from_pretrained(folder)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_hidden_layers", "5"),
        ("hidden_size", None),
        ("dropout", "0.1"),
        ("depth_weighted_average", "yes"),
        ("bos_token_id", "1"),
    ],
)
def test_a_field_of_the_wrong_type_is_named(folder, field, value):
    set_fields(folder, **{field: value})
    with pytest.raises(ValueError, match=f"{field}={value!r}"):
        AutoModelForCausalLM.from_pretrained(folder)


def test_a_broken_config_file_is_named(folder):
    (folder / "config.json").write_text('{"hidden_size": 24,')
    with pytest.raises(OSError, match=r"config\.json"):
        AutoModelForCausalLM.from_pretrained(folder)


@pytest.mark.parametrize("auto_class", AUTO_CLASSES)
@pytest.mark.parametrize("size", [0, 7, 3000])
def test_a_truncated_file_is_named(folder, auto_class, size):
    with open(folder / "model.safetensors", "r+b") as file:
        file.truncate(size)
    with pytest.raises(ValueError, match=r"model\.safetensors is not a complete safetensors file"):
        auto_class.from_pretrained(folder)


def sharded(folder):
    write_shards(load_file(folder / "model.safetensors"), folder)
    (folder / "model.safetensors").unlink()
    return folder


def test_an_absent_shard_is_named(folder):
    (sharded(folder) / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(ValueError, match=r"model\.safetensors\.index\.json names 'model-00002-of-00003"):
        AutoModelForCausalLM.from_pretrained(folder)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"weight_map": 3}'])
def test_a_broken_shard_index_is_named(folder, text):
    (sharded(folder) / "model.safetensors.index.json").write_text(text)
    with pytest.raises(ValueError, match=r"model\.safetensors\.index\.json is not a shard index"):
        AutoModelForCausalLM.from_pretrained(folder)


def test_a_folder_without_weights_is_named(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(OSError, match=r"model\.safetensors"):
        AutoModelForCausalLM.from_pretrained(folder)


def test_missing_heads_of_the_same_task_are_refused(tmp_path):
    untied = saved(tiny_model(tie_word_embeddings=False), tmp_path / "causal")
    with pytest.raises(ValueError, match=r"lacks tensor 'lm_head\.weight'"):
        AutoModelForCausalLM.from_pretrained(changed(untied, lambda tensors: tensors.pop("lm_head.weight")))
    classifier = saved(BrandonForSequenceClassification(tiny_model().config), tmp_path / "classifier")
    with pytest.raises(ValueError, match=r"lacks tensor 'score\.weight'"):
        AutoModelForSequenceClassification.from_pretrained(
            changed(classifier, lambda tensors: tensors.pop("score.weight"))
        )


def test_what_is_left_of_a_head_is_refused(tmp_path):
    classifier = saved(BrandonForSequenceClassification(tiny_model(num_mtp_heads=1).config), tmp_path / "classifier")
    changed(classifier, lambda tensors: tensors.update({"mtp_heads.0.norm.weight": torch.ones(24)}))
    with pytest.raises(ValueError, match=r"lacks tensor 'mtp_heads\.0\.proj\.weight'"):
        AutoModelForCausalLM.from_pretrained(classifier)


def test_a_head_of_another_task_in_a_causal_checkpoint_is_refused(folder):
    changed(folder, lambda tensors: tensors.update({"score.weight": torch.ones(2, 24)}))
    with pytest.raises(ValueError, match=r"unexpected tensor 'score\.weight'"):
        AutoModelForCausalLM.from_pretrained(folder)


def test_a_subclass_is_as_strict(tmp_path):
    class Mine(BrandonForCausalLM):
        pass

    folder = changed(saved(tiny_model(tie_word_embeddings=False), tmp_path), lambda t: t.pop("lm_head.weight"))
    with pytest.raises(ValueError, match=r"lacks tensor 'lm_head\.weight'"):
        Mine.from_pretrained(folder)


def test_dream_options_survive_the_round_trip(tmp_path):
    model = tiny_model(**DREAM)
    config = AutoConfig.from_pretrained(saved(model, tmp_path))
    assert config.to_diff_dict() | {"architectures": 0, "dtype": 0} == model.config.to_diff_dict() | {
        "architectures": 0,
        "dtype": 0,
    }
