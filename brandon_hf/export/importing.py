"""Turn a blob back into a model folder."""

import copy
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import GenerationConfig

from brandon_hf.files import folder_written_aside, full_disk_named
from brandon_hf.modeling import BrandonForCausalLM
from brandon_hf.modeling.modeling_brandon import TernaryLinear

from .reading import Blob, read_blob
from .tokenizer import build_tokenizer

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def import_blob(
    source: str | os.PathLike[str], destination: str | os.PathLike[str], dtype: str = "float32"
) -> dict[str, int]:
    """Write the blob `source` as a folder that transformers loads, with dequantised weights.

    The folder is complete or not there. A ternary model stays one where each of its matrices has one scale, as exported
    models do: its stored weights are then spread so that rounding them again gives the blob's.

    Args:
        source: The blob.
        destination: The folder to write. It must not exist or be empty.
        dtype: Of the weights, one of `DTYPES`.

    Returns:
        The size in bytes of each file of the folder.

    Raises:
        ValueError: The blob is damaged, or `destination` is in use.
        FileNotFoundError: There is no such blob.
    """
    target = Path(destination).resolve()
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise ValueError(f"{destination} exists and is not an empty folder")
    if dtype not in DTYPES:
        raise ValueError(f"dtype={dtype!r} must be one of {', '.join(DTYPES)}")
    blob = read_blob(source)
    tokenizer = build_tokenizer(blob.tokenizer, blob.config.max_position_embeddings)
    model: Any = build_model(blob)
    model.to(DTYPES[dtype])
    with full_disk_named(target), folder_written_aside(target) as aside:
        model.save_pretrained(aside)
        tokenizer.save_pretrained(aside)
    return {path.name: path.stat().st_size for path in sorted(target.iterdir())}


def build_model(blob: Blob) -> BrandonForCausalLM:
    """The model of a blob in float32, with its dequantised weights."""
    model = _filled(blob, ternary=blob.config.ternary_weights)
    if blob.config.ternary_weights and not _spread(model):
        model = _filled(blob, ternary=False)
    ids = blob.tokenizer.ids
    model.generation_config = GenerationConfig(
        bos_token_id=ids.get("bos"), eos_token_id=list(blob.stop_ids) or None, pad_token_id=ids.get("padding")
    )
    return model


def _filled(blob: Blob, ternary: bool) -> BrandonForCausalLM:
    config = copy.deepcopy(blob.config)
    config.ternary_weights = ternary
    model = BrandonForCausalLM(config).eval()
    weights = {name: torch.from_numpy(np.array(array)) for name, array in blob.parameters.items()}
    model.load_state_dict(weights, strict=not config.tie_word_embeddings)  # a tied output matrix has a name of its own
    return model


@torch.no_grad()
def _spread(model: BrandonForCausalLM) -> bool:
    """Enlarge ternary weights so that their layers round them to what they are now; false if that cannot be.

    A layer's scale is the mean of its absolute weights, which for a matrix of -s, 0 and s is smaller than s.
    """
    for module in model.modules():
        if isinstance(module, TernaryLinear):
            used = module.weight.clone()
            for part in module.weight.split(module.parts):  # views: written in place
                shares = (part != 0).float().mean()
                part.mul_((1 - 1e-8 / part.abs().max().clamp(min=1e-8)) / shares.clamp(min=1e-8))
            if not torch.allclose(module.quantized_weight(), used, rtol=1e-5, atol=0):
                return False
    return True
