"""The models of Brandon-Tiny by name: `recipes/<model>/model.yaml` is the one source of truth for a model's shape."""

from dataclasses import fields
from importlib.resources import files
from typing import Any

import yaml

from brandon_hf.modeling import BrandonConfig

_RECIPES = files(__name__)


def list_models() -> list[str]:
    """The names `load_model_config` takes, sorted."""
    return sorted(folder.name for folder in _RECIPES.iterdir() if (folder / "model.yaml").is_file())


def load_model_config(name: str, **overrides: Any) -> BrandonConfig:
    """The configuration of the model `name`, with `overrides` (fields of `BrandonConfig`) in place of its own values.

    Raises:
        ValueError: there is no such model, or a key of the recipe or of `overrides` is no field of `BrandonConfig`.
    """
    if name not in (models := list_models()):
        raise ValueError(f"unknown model {name!r}: choose one of {', '.join(models)}")
    values = yaml.safe_load((_RECIPES / name / "model.yaml").read_text("utf-8")) | overrides
    if unknown := sorted(values.keys() - {field.name for field in fields(BrandonConfig)}):
        raise ValueError(f"model {name!r}: BrandonConfig has no field {', '.join(map(repr, unknown))}")
    return BrandonConfig(**values)
