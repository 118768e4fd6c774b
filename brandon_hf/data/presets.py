"""The data sets of `presets.yaml`: known names on the Hub with their schemas."""

from functools import cache
from importlib.resources import files
from typing import Any

import yaml


@cache
def presets(section: str) -> dict[str, dict[str, Any]]:
    """The presets of `section`, "pretrain" or "chat", by name. A pretraining preset lists `sources`."""
    loaded = yaml.safe_load((files(__package__) / "presets.yaml").read_text("utf-8"))
    return loaded[section]
