"""Model recipes: the presets are the original's models, and loading one tells a typo from a field."""

import pytest
import torch

from brandon_hf.modeling import BrandonConfig, BrandonForCausalLM
from brandon_hf.recipes import list_models, load_model_config

# Counted by building each of the original's models from its configuration file.
PARAMETERS = {
    "226k": 227_280,
    "226k_v2": 233_784,
    "900k": 990_072,
    "10m": 9_663_264,
    "10m_v2": 10_705_152,
    "10m_enhanced": 10_706_776,
    "10m_mtp": 10_902_528,
    "dream": 15_125_204,
    "dream_fp": 15_125_204,
    "30m": 30_518_208,
    "30m_v2": 29_993_856,
    "30m_v2_wiki": 29_996_204,
    "30m_dream": 31_146_952,
    "110m": 109_529_856,
    "110m_v2": 111_364_416,
    "110m_v3": 110_925_282,
}


def test_every_model_of_the_original_has_a_recipe():
    assert list_models() == sorted([*PARAMETERS, "demo", "5m"])


@pytest.mark.parametrize("name", PARAMETERS)
def test_recipe_builds_the_original_parameter_count(name):
    with torch.device("meta"):
        model = BrandonForCausalLM(load_model_config(name))
    assert model.num_parameters() == PARAMETERS[name]


@pytest.mark.parametrize("name", PARAMETERS)
def test_recipe_states_its_parameter_count_in_its_first_line(name, repo):
    first = (repo / "brandon_hf/recipes" / name / "model.yaml").read_text("utf-8").splitlines()[0]
    assert first.startswith("# ")
    assert f"{PARAMETERS[name]:,} parameters" in first


def test_flagship_recipe_is_the_default_config_with_dropout():
    flagship, default = load_model_config("10m_enhanced"), BrandonConfig()
    assert flagship.dropout == 0.05
    assert load_model_config("10m_enhanced", dropout=default.dropout).to_dict() == default.to_dict()


def test_overrides_win_over_the_recipe():
    config = load_model_config("10m_enhanced", vocab_size=512, num_registers=0)
    assert (config.vocab_size, config.num_registers, config.hidden_size) == (512, 0, 256)


def test_unknown_model_error_lists_the_models():
    with pytest.raises(ValueError, match=r"'11m': choose one of .*10m_enhanced.*dream"):
        load_model_config("11m")


def test_unknown_key_is_an_error_that_names_it():
    with pytest.raises(ValueError, match="no field 'hiden_size'"):
        load_model_config("10m", hiden_size=128)
