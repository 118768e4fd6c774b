"""What all tests share. No test touches the network unless it is marked `online`."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read once, when huggingface_hub is imported
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch

REPO = Path(__file__).resolve().parents[1]

# Models in tests are tiny: more threads cost more than they give, and parallel workers would share the cores.
torch.set_num_threads(1 if "PYTEST_XDIST_WORKER" in os.environ else min(2, os.cpu_count() or 1))


@pytest.fixture(scope="session")
def repo() -> Path:
    """The root of the repository."""
    return REPO


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference material: `shared` beside the repository, or wherever BRANDON_SHARED says."""
    folder = Path(os.environ.get("BRANDON_SHARED", REPO.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no reference material: {folder} does not exist (set BRANDON_SHARED)")
    return folder
