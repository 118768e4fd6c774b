"""The original's `.pt` checkpoints: read without executing anything in them."""

import collections
import functools
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from types import ModuleType

import pytest
import torch
from original_layout import DREAM, IDS, dream_fields, original_config, original_tensors, tiny_model

from brandon_hf.modeling import BrandonForCausalLM, load_original_pt

EXPORT_ONLY = {"architectures", "model_type", "activation", "normalization", "position_encoding", "chat_format"}


@pytest.fixture
def model():
    return tiny_model(**DREAM)


def config_class(module_name, monkeypatch):
    """A `ModelConfig` that pickles as if it were defined in `module_name`."""

    class ModelConfig:
        def __init__(self, **fields):
            self.__dict__.update(fields)

    ModelConfig.__module__, ModelConfig.__qualname__ = module_name, "ModelConfig"
    if module_name != "__main__":
        for name in (module_name.split(".")[0], module_name):
            monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setattr(sys.modules[module_name], "ModelConfig", ModelConfig, raising=False)
    return ModelConfig


def checkpoint(model, monkeypatch, module_name="src.model", prefix="", **more):
    """What the original's `save_checkpoint` hands to `torch.save`."""
    fields = original_config(model.config) | dream_fields(model.config)
    config = config_class(module_name, monkeypatch)(**{k: v for k, v in fields.items() if k not in EXPORT_ONLY})
    moments = {"step": torch.tensor(7.0), "exp_avg": torch.ones(2), "exp_avg_sq": torch.ones(2)}
    return {
        "model_state_dict": collections.OrderedDict((prefix + n, t) for n, t in original_tensors(model).items()),
        "config": config,
        "step": 7,
        "optimizer_state_dict": {"state": {0: moments}, "param_groups": [{"betas": (0.9, 0.95), "params": [0]}]},
        "scaler_state_dict": {},
        "best_val_loss": 2.4,
        **more,
    }


@pytest.mark.parametrize("module_name", ["src.model", "__main__", "model"])
@pytest.mark.parametrize("prefix", ["", "_orig_mod."], ids=["plain", "compiled"])
def test_a_training_checkpoint_loads(model, module_name, prefix, tmp_path, monkeypatch):
    torch.save(checkpoint(model, monkeypatch, module_name, prefix), tmp_path / "best.pt")
    loaded = BrandonForCausalLM.from_pretrained(tmp_path / "best.pt")
    assert loaded.dtype == torch.float32
    assert loaded.config.mlp_type == "relu_squared"
    assert torch.equal(loaded(IDS).logits, model(IDS).logits)


def test_the_dtype_can_be_chosen(model, tmp_path, monkeypatch):
    torch.save(checkpoint(model, monkeypatch), tmp_path / "best.pt")
    assert BrandonForCausalLM.from_pretrained(tmp_path / "best.pt", dtype=torch.bfloat16).dtype == torch.bfloat16


def test_it_needs_no_module_of_the_original(model, tmp_path, monkeypatch):
    torch.save(checkpoint(model, monkeypatch), tmp_path / "best.pt")
    monkeypatch.undo()
    fields, tensors = load_original_pt(tmp_path / "best.pt")
    assert (fields["dim"], fields["relu_squared"]) == (24, True)
    assert tensors.keys() == original_tensors(model).keys()
    assert "src.model" not in sys.modules


class Harmless:
    pass


class Malicious:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("place", ["optimizer_state_dict", "config", "best_val_loss"])
@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda marker: Malicious(os.system, f"touch {marker}"), r"(posix|nt)\.system"),
        (
            lambda marker: Malicious(subprocess.check_output, ["touch", str(marker)]),
            r"(subprocess|commands)\.check_output",
        ),
        (lambda marker: Malicious(eval, f"open({str(marker)!r}, 'w')"), r"builtins?\w*\.eval"),
        (lambda marker: functools.partial(open, str(marker), "w"), r"functools\.partial"),
        (lambda marker: Harmless(), r"test_checkpoints_pt\.Harmless"),
    ],
    ids=["system", "subprocess", "eval", "partial", "harmless"],
)
def test_any_other_global_is_refused_by_name_and_nothing_runs(model, make, name, place, tmp_path, monkeypatch):
    marker = tmp_path / "executed"
    torch.save(checkpoint(model, monkeypatch, **{place: make(marker)}), tmp_path / "best.pt")
    with pytest.raises(ValueError, match=rf"best\.pt pickles .*{name}"):
        BrandonForCausalLM.from_pretrained(tmp_path / "best.pt")
    assert not marker.exists()


@pytest.mark.parametrize("module_name", ["evil.model.deeper", "model_evil"])
def test_a_config_class_of_another_place_is_refused(model, module_name, tmp_path, monkeypatch):
    torch.save(checkpoint(model, monkeypatch, module_name), tmp_path / "best.pt")
    with pytest.raises(ValueError, match=rf"pickles {module_name}\.ModelConfig"):
        load_original_pt(tmp_path / "best.pt")


def test_damaged_files_are_named(model, tmp_path, monkeypatch):
    good, bad = tmp_path / "good.pt", tmp_path / "bad.pt"
    saved = checkpoint(model, monkeypatch)
    torch.save(saved, good)
    marker = tmp_path / "executed"
    size = good.stat().st_size

    def refuse(message):
        with pytest.raises(ValueError, match=message) as caught:
            BrandonForCausalLM.from_pretrained(bad)
        assert "bad.pt" in str(caught.value)

    for kept in (0, 10, size // 2, size - 30):
        shutil.copy(good, bad)
        os.truncate(bad, kept)
        refuse("not a complete torch checkpoint")
    torch.save(saved, bad, _use_new_zipfile_serialization=False)
    refuse("zip format")
    bad.write_bytes(pickle.dumps(Malicious(os.system, f"touch {marker}")))
    refuse("zip format")
    with zipfile.ZipFile(bad, "w") as archive:
        archive.writestr("hello.txt", "hello")
    refuse("not a complete torch checkpoint")
    assert not marker.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_state_dict": None}, "'model_state_dict'"),
        ({"config": None}, "'config'"),
        ({"config": {"dim": 24}}, "'config'"),
        ({"model_state_dict": {"norm.weight": 3}}, r"'norm\.weight' of model_state_dict is no tensor"),
    ],
)
def test_missing_parts_are_named(model, change, message, tmp_path, monkeypatch):
    torch.save(checkpoint(model, monkeypatch) | change, tmp_path / "bad.pt")
    with pytest.raises(ValueError, match=rf"bad\.pt.*{message}"):
        load_original_pt(tmp_path / "bad.pt")


def test_a_missing_tensor_is_named(model, tmp_path, monkeypatch):
    saved = checkpoint(model, monkeypatch)
    del saved["model_state_dict"]["norm.weight"]
    torch.save(saved, tmp_path / "bad.pt")
    with pytest.raises(ValueError, match=r"'norm\.weight' is missing"):
        BrandonForCausalLM.from_pretrained(tmp_path / "bad.pt")


@pytest.mark.parametrize("content", [[1, 2], {"a": torch.ones(1)}], ids=["list", "dict"])
def test_other_torch_files_are_refused(content, tmp_path):
    torch.save(content, tmp_path / "bad.pt")
    with pytest.raises(ValueError, match=r"bad\.pt holds no 'config'"):
        load_original_pt(tmp_path / "bad.pt")


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.pt"):
        load_original_pt(tmp_path / "none.pt")
