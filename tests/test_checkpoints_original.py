"""Folders in the original layout load directly, whatever their shape; damaged or mislabelled ones are refused."""

import json
import shutil

import pytest
import torch
from original_layout import (
    DREAM,
    IDS,
    LAYOUTS,
    PLAIN,
    SHAPES,
    VOCABULARY,
    dream_fields,
    original_tensors,
    tiny_model,
    write_original,
    write_sentencepiece,
)
from safetensors.torch import load_file, save_file
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedTokenizerFast,
    pipeline,
)

from brandon_hf.modeling import BrandonConfig, BrandonForCausalLM
from brandon_hf.modeling.conversion_brandon import find_tensor_names

AUTO_CLASSES = (AutoModelForCausalLM, AutoModel, AutoModelForSequenceClassification)


def assert_same(model, expected):
    """Same parameters, bit for bit, in the same places, and used alike."""
    assert model.config.to_json_string() == expected.config.to_json_string()
    states, wanted = model.state_dict(), expected.state_dict()
    assert states.keys() == wanted.keys()
    assert [name for name in states if not torch.equal(states[name], wanted[name])] == []
    with torch.no_grad():
        assert torch.equal(model.eval()(IDS).logits, expected(IDS).logits)


@pytest.fixture
def expected(request):
    """The native model, with what a saved one has in its config."""
    model = tiny_model(**getattr(request, "param", {}))
    model.config.architectures, model.config.chat_format = ["BrandonForCausalLM"], "chatml"
    model.config.dtype = "float32"
    return model


@pytest.mark.parametrize("expected", SHAPES.values(), ids=SHAPES, indirect=True)
def test_every_shape_loads(expected, tmp_path):
    assert_same(AutoModelForCausalLM.from_pretrained(write_original(expected, tmp_path)), expected)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("expected", [{}, DREAM], ids=["shared", "dream"], indirect=True)
def test_every_layout_loads_and_is_saved_natively(expected, layout, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(write_original(expected, tmp_path / "original", layout))
    assert_same(model, expected)
    model.save_pretrained(tmp_path / "native")
    fields = json.loads((tmp_path / "native/config.json").read_text())
    assert fields["hidden_size"] == 24
    assert "dim" not in fields
    assert set(load_file(tmp_path / "native/model.safetensors")) <= set(expected.state_dict())
    assert_same(AutoModelForCausalLM.from_pretrained(tmp_path / "native"), expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_weights_keep_their_dtype_unless_asked(dtype, tmp_path):
    folder = write_original(tiny_model(dtype), tmp_path)
    assert {tensor.dtype for tensor in AutoModelForCausalLM.from_pretrained(folder).state_dict().values()} == {dtype}
    assert AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).dtype == torch.float32


@pytest.mark.parametrize("device_map", ["cpu", "auto", {"": "cpu"}], ids=str)
def test_device_map(device_map, tmp_path):
    model = tiny_model()
    loaded = AutoModelForCausalLM.from_pretrained(write_original(model, tmp_path), device_map=device_map)
    assert torch.equal(loaded(IDS.to(loaded.device)).logits.cpu(), model(IDS).logits)


def test_offloading_an_original_folder_to_disk_is_refused(tmp_path):
    folder = write_original(tiny_model(), tmp_path)
    with pytest.raises(ValueError, match="brandon import"):
        AutoModelForCausalLM.from_pretrained(
            folder, device_map={"model": "disk", "lm_head": "cpu"}, offload_folder=tmp_path / "offload"
        )


@pytest.mark.parametrize("expected", [DREAM, PLAIN], ids=["dream", "plain"], indirect=True)
def test_fields_that_exports_lack_may_be_there(expected, tmp_path):
    folder = write_original(expected, tmp_path)
    set_fields(folder, **dream_fields(expected.config))
    assert_same(AutoModelForCausalLM.from_pretrained(folder), expected)


def test_a_class_reads_an_original_config_as_the_auto_class_does(tmp_path):
    folder = write_original(tiny_model(**DREAM), tmp_path / "top/below")
    expected = AutoConfig.from_pretrained(folder).to_json_string()
    assert '"relu_squared"' in expected
    assert BrandonConfig.from_pretrained(folder).to_json_string() == expected
    assert BrandonConfig.from_pretrained(folder / "config.json").to_json_string() == expected
    assert BrandonConfig.from_pretrained(tmp_path / "top", subfolder="below").to_json_string() == expected
    assert BrandonForCausalLM.from_pretrained(tmp_path / "top", subfolder="below").config.mlp_type == "relu_squared"


def test_tensor_names_of_a_hub_repository_come_from_the_cache_or_the_headers(tmp_path, monkeypatch):
    import brandon_hf.modeling.conversion_brandon as conversion

    folder = write_original(tiny_model(**DREAM), tmp_path)
    names = set(load_file(folder / "model.safetensors"))
    cached = {"owner/cached": str(folder / "model.safetensors")}
    monkeypatch.setattr(conversion, "try_to_load_from_cache", lambda repo, name, revision: cached.get(repo))

    class Metadata:
        weight_map = dict.fromkeys(names, "model.safetensors")

    def metadata(repo, revision):
        if repo != "owner/remote":
            raise OSError("offline")
        return Metadata

    monkeypatch.setattr(conversion, "get_safetensors_metadata", metadata)
    assert find_tensor_names("owner/cached") == find_tensor_names("owner/remote") == names
    assert find_tensor_names("owner/absent") is None
    assert find_tensor_names("owner/cached", subfolder="below") is None  # the cached file is another checkpoint


def test_one_layer_can_be_marked_as_shared(tmp_path):
    model = tiny_model(**SHAPES["one_layer"])
    folder = write_original(model, tmp_path)
    set_fields(folder, block_sharing=True)
    changed(folder, lambda t: t.update({f"_unique_{n}": t[n].clone() for n in list(t) if n.startswith("layers.0.")}))
    assert torch.equal(AutoModelForCausalLM.from_pretrained(folder)(IDS).logits, model(IDS).logits)


def test_unknown_fields_are_kept(tmp_path):
    folder = write_original(tiny_model(), tmp_path)
    set_fields(folder, note="kept")
    assert AutoConfig.from_pretrained(folder).note == "kept"


def test_only_the_new_head_of_a_classifier_is_missing(tmp_path):
    folder = write_original(tiny_model(), tmp_path)
    model, info = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=3, output_loading_info=True)
    assert set(info["missing_keys"]) == {"score.weight"}
    assert model.score.weight.shape == (3, 24)


# --- damaged and mislabelled folders ---------------------------------------------------------------------------------


def set_fields(folder, **fields):
    config = json.loads((folder / "config.json").read_text()) | fields
    kept = {name: value for name, value in config.items() if value is not ...}
    (folder / "config.json").write_text(json.dumps(kept))


def changed(folder, change):
    """Rewrite the tensors of a folder after `change` has been made to them."""
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    return write_original(tiny_model(num_hidden_layers=4, num_mtp_heads=1), tmp_path_factory.mktemp("healthy"))


@pytest.fixture
def folder(healthy, tmp_path):
    return shutil.copytree(healthy, tmp_path / "folder")


def plus_one(name):
    return lambda tensors: tensors.update({name: tensors[name] + 1})


TENSOR_FAULTS = {
    "missing": (lambda t: t.pop("norm.weight"), r"'norm\.weight' is missing"),
    "missing_in_block": (
        lambda t: [t.pop(name) for name in list(t) if name.endswith("s.0.ffn_norm.weight") or "s.1.ffn_n" in name],
        r"'layers\.0\.ffn_norm\.weight' is missing",
    ),
    "missing_embeddings": (
        lambda t: [t.pop(name) for name in ("tok_embeddings.weight", "output.weight")],
        r"'tok_embeddings\.weight' is missing",
    ),
    "missing_head": (lambda t: t.pop("mtp_heads.0.0.weight"), r"'mtp_heads\.0\.0\.weight' is missing"),
    "unexpected": (lambda t: t.update(extra=torch.ones(2)), "'extra' is unexpected"),
    "unexpected_in_block": (
        lambda t: t.update({"layers.0.attention.bias": torch.ones(2)}),
        r"'layers\.0\.attention\.bias' is unexpected",
    ),
    "mis-shaped": (lambda t: t.update({"norm.weight": torch.ones(23)}), r"'norm\.weight' has shape \(23,\).* \(24,\)"),
    "not_numbers": (lambda t: t.update({"norm.weight": torch.ones(24).long()}), r"'norm\.weight' holds torch\.int64"),
    "copies_differ": (plus_one("layers.1.ffn_norm.weight"), r"'layers\.1\.ffn_norm\.weight' differs from another copy"),
    "unique_differs": (
        plus_one("_unique_layers.1.attention.wq.weight"),
        r"layers\.[123]\.attention\.wq\.weight' differs",
    ),
    "tied_differ": (plus_one("output.weight"), r"'output\.weight' differs from 'tok_embeddings\.weight'"),
}


@pytest.mark.parametrize("auto_class", AUTO_CLASSES)
@pytest.mark.parametrize(("change", "message"), TENSOR_FAULTS.values(), ids=TENSOR_FAULTS)
def test_a_fault_in_a_tensor_is_named(folder, auto_class, change, message):
    with pytest.raises(ValueError, match=message) as caught:
        auto_class.from_pretrained(changed(folder, change))
    assert str(folder) in str(caught.value)


FIELD_FAULTS = {
    "dim missing": ({"dim": ...}, "no field 'dim'"),
    "n_layers missing": ({"n_layers": ...}, "'n_layers'"),
    "n_layers text": ({"n_layers": "4"}, "n_layers='4'"),
    "n_layers fraction": ({"n_layers": 4.5}, r"n_layers=4\.5"),
    "n_layers true": ({"n_layers": True}, "n_layers=True"),
    "n_heads text": ({"n_heads": "4"}, "n_heads='4'"),
    "n_heads zero": ({"n_heads": 0}, "n_heads=0"),
    "n_predict zero": ({"n_predict": 0}, "n_predict=0"),
    "n_registers negative": ({"n_registers": -1}, "n_registers=-1"),
    "block_sharing text": ({"block_sharing": "yes"}, "block_sharing='yes'"),
    "ternary number": ({"ternary": 1}, "ternary=1"),
    "norm_eps text": ({"norm_eps": "small"}, "norm_eps='small'"),
    "n_kv_heads does not divide": ({"n_kv_heads": 3}, "=3 does not divide"),
    "other norm": ({"normalization": "layernorm"}, "normalization='layernorm'"),
    "other positions": ({"position_encoding": "alibi"}, "position_encoding='alibi'"),
    "fewer layers": ({"n_layers": 2}, r"layers\.\d\.\S+' does not fit the config"),
    "more layers": ({"n_layers": 6}, r"'layers\.4\.\S+' is missing"),
    "not shared": ({"block_sharing": False}, "_unique_layers.* block_sharing=false"),
    "not tied": ({"weight_tying": False, "n_predict": 5}, r"'mtp_heads\.1\.0\.weight' is missing"),
    "no heads": ({"n_predict": 1}, r"'mtp_heads\.0\.0\.weight' is unexpected"),
    "no average": ({"dense_former": False}, "'dwa_weights' is unexpected"),
    "no registers": ({"n_registers": 0}, "'register_tokens' is unexpected"),
    "other registers": ({"n_registers": 2}, r"'register_tokens' has shape \(1, 4, 24\)"),
    "loops": ({"n_loops": 2}, "'resonance_gate' is missing"),
    "relu_squared": ({"relu_squared": True}, r"'layers\.0\.feed_forward\.w3\.weight' is unexpected"),
    "other vocabulary": ({"vocab_size": 96}, r"'tok_embeddings\.weight' has shape \(97, 24\)"),
    "other width": ({"hidden_dim": 21}, r"feed_forward\.w1\.weight' has shape \(20, 24\)"),
}


@pytest.mark.parametrize(("fields", "message"), FIELD_FAULTS.values(), ids=FIELD_FAULTS)
def test_a_config_that_is_wrong_or_contradicts_the_tensors_is_refused(folder, fields, message):
    set_fields(folder, **fields)
    with pytest.raises(ValueError, match=message):
        AutoModelForCausalLM.from_pretrained(folder)


@pytest.mark.parametrize("auto_class", [AutoConfig, *AUTO_CLASSES])
def test_a_truncated_file_is_named(folder, auto_class):
    with open(folder / "model.safetensors", "r+b") as file:
        file.truncate(3000)
    with pytest.raises(ValueError, match=r"model\.safetensors is not a complete safetensors file"):
        auto_class.from_pretrained(folder)


def test_a_broken_config_file_is_named(folder):
    (folder / "config.json").write_text('{"dim": 24,')
    with pytest.raises(OSError, match=r"config\.json"):
        AutoModelForCausalLM.from_pretrained(folder)


def test_an_absent_shard_is_named(tmp_path):
    folder = write_original(tiny_model(), tmp_path, "sharded")
    (folder / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises((ValueError, OSError), match="model-00002-of-00003"):
        AutoModelForCausalLM.from_pretrained(folder)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"weight_map": 3}', '{"weight_map": {"a": 3}}'])
def test_a_broken_shard_index_is_named(tmp_path, text):
    folder = write_original(tiny_model(), tmp_path, "sharded")
    (folder / "model.safetensors.index.json").write_text(text)
    with pytest.raises(ValueError, match=r"model\.safetensors\.index\.json is not a shard index"):
        AutoModelForCausalLM.from_pretrained(folder)


# --- the tokenizer of an original folder -----------------------------------------------------------------------------


def with_tokenizer(folder, size=VOCABULARY):
    """What the original's exporter leaves beside the weights."""
    write_sentencepiece(folder / "tokenizer.model", size)
    settings = {
        "model_type": "sentencepiece",
        "vocab_size": 8192,
        "bos_token": "<|bos|>",
        "chat_template": "{{ 1 / 0 }}",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def test_auto_tokenizer_converts_the_original_tokenizer(tmp_path):
    folder = with_tokenizer(write_original(tiny_model(), tmp_path))
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="right")
    assert type(tokenizer) is PreTrainedTokenizerFast
    assert tokenizer("hi <|im_end|>").input_ids == [6, 78, 79, 6, 5]
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (2, 3, 0)
    assert (tokenizer.model_max_length, tokenizer.name_or_path) == (40, str(folder))
    assert tokenizer.padding_side == "right"


def test_auto_tokenizer_gives_the_reference_ids(shared, tmp_path):
    folder = write_original(tiny_model(vocab_size=8192), tmp_path)
    shutil.copy(shared / "reference_tokenizer/tokenizer_8k.model", folder / "tokenizer.model")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for line in json.loads((shared / "reference_tokenizer/expected.json").read_text())["lines"]:
        assert tokenizer(line["text"]).input_ids == line["ids"]


def test_pipeline_chats_with_an_original_folder(tmp_path):
    chat = [{"role": "user", "content": "hi"}]
    answer = pipeline("text-generation", model=str(with_tokenizer(write_original(tiny_model(), tmp_path))))(
        chat, max_new_tokens=3, do_sample=False
    )
    assert answer[0]["generated_text"][-1]["role"] == "assistant"


def test_an_original_folder_without_tokenizer_names_the_way_out(tmp_path):
    with pytest.raises(OSError, match="brandon import"):
        AutoTokenizer.from_pretrained(write_original(tiny_model(), tmp_path))


def test_a_tokenizer_of_another_size_is_refused(tmp_path):
    folder = with_tokenizer(write_original(tiny_model(), tmp_path), size=96)
    with pytest.raises(ValueError, match=r"96 tokens, .* vocab_size=97"):
        AutoTokenizer.from_pretrained(folder)


def test_native_folders_keep_the_stock_tokenizer(tmp_path):
    folder = with_tokenizer(write_original(tiny_model(), tmp_path / "original"))
    AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path / "native")
    AutoModelForCausalLM.from_pretrained(folder).save_pretrained(tmp_path / "native")
    settings = json.loads((tmp_path / "native/tokenizer_config.json").read_text())
    assert settings["tokenizer_class"] in ("TokenizersBackend", "PreTrainedTokenizerFast")
    assert type(AutoTokenizer.from_pretrained(tmp_path / "native")) is PreTrainedTokenizerFast
    (tmp_path / "native/tokenizer_config.json").unlink()  # names no class, as some folders on the Hub
    assert type(AutoTokenizer.from_pretrained(tmp_path / "native")) is PreTrainedTokenizerFast


def test_the_exporter_of_these_tests_writes_every_parameter():
    model = tiny_model(**DREAM)
    stored = sum(t.numel() for name, t in original_tensors(model).items() if name != "output.weight")
    assert stored == model.num_parameters()
