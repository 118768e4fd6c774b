"""Import a checkpoint of the original Brandon-Tiny implementation: a native model folder with its tokenizer."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedConfig, PreTrainedTokenizerFast

from brandon_hf.modeling import BrandonConfig, BrandonForCausalLM, load_original_pt
from brandon_hf.modeling.conversion_brandon import is_original_config, original_config_to_native
from brandon_hf.tokenization import import_sentencepiece
from brandon_hf.tokenization.chat_template import IM_END


@dataclass(frozen=True)
class ImportReport:
    """What an import wrote.

    Args:
        folder: The native model folder.
        parameters: Number of parameters, shared ones counted once.
        dtype: Of the weights.
        files: Size in bytes of each file in `folder`.
        tokenizer: The SentencePiece model it was given, or `None`: the folder then has no tokenizer.
    """

    folder: Path
    parameters: int
    dtype: str
    files: dict[str, int]
    tokenizer: Path | None

    def __str__(self) -> str:
        lines = [f"{self.folder}: {self.parameters:,} parameters, {self.dtype}, {sum(self.files.values()):,} bytes"]
        lines += [f"  {size:>12,}  {name}" for name, size in sorted(self.files.items())]
        absent = "none found; to add one, remove the folder and import again with --tokenizer FILE"
        lines.append(f"tokenizer: {self.tokenizer or absent}")
        return "\n".join(lines)


def import_checkpoint(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    dtype: str = "auto",
    tokenizer: str | os.PathLike[str] | None = None,
) -> ImportReport:
    """Write the original checkpoint `source` as a folder that transformers loads.

    The folder is complete or not there: it is written under another name beside `destination` and renamed.

    Args:
        source: A folder in the original layout (`config.json`, `model.safetensors` or its shards) or a `.pt` file.
        destination: The folder to write. It must not exist or be empty.
        dtype: Of the weights, or `"auto"`: as in the checkpoint.
        tokenizer: A SentencePiece model. Default: `tokenizer.model`, or else the only `*.model` file, in the source's
            folder; if there is none, the tokenizer is left out.

    Raises:
        ValueError: The checkpoint is damaged or not of the original implementation, the tokenizer cannot be converted
            or does not fit the vocabulary, or `destination` is in use; the message names it.
        FileNotFoundError: `source` or `tokenizer` does not exist.
    """
    source, target = Path(source), Path(destination).resolve()
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise ValueError(f"{destination} exists and is not an empty folder")
    config, tensors = _read_config(source)
    found = Path(tokenizer) if tokenizer else _find_tokenizer(source if source.is_dir() else source.parent)
    converted = _convert_tokenizer(found, config) if found else None
    where = str(source) if tensors is None else None
    model = BrandonForCausalLM.from_pretrained(where, config=config, state_dict=tensors, dtype=dtype)
    if converted is not None:
        _set_special_tokens(model, converted)

    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        partial.mkdir()
        model.save_pretrained(partial)
        if converted is not None:
            converted.save_pretrained(partial)
        if target.exists():
            target.rmdir()
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return ImportReport(
        folder=Path(destination),
        parameters=model.num_parameters(),
        dtype=str(model.dtype).removeprefix("torch."),
        files={path.name: path.stat().st_size for path in target.iterdir()},
        tokenizer=found,
    )


def _read_config(source: Path) -> tuple[BrandonConfig, dict[str, torch.Tensor] | None]:
    """The native configuration and, from a `.pt` file, the tensors."""
    if source.is_file():
        if source.suffix != ".pt":
            raise ValueError(f"{source} is neither a folder nor a .pt file")
        fields, tensors = load_original_pt(source)
        return BrandonConfig.from_dict(original_config_to_native(fields, tensors)), tensors
    if not source.is_dir():
        raise FileNotFoundError(f"{source} does not exist (from the Hub: hf download OWNER/NAME --local-dir {source})")
    if not (source / "config.json").is_file():
        raise ValueError(f"{source} is no checkpoint folder: it has no config.json")
    fields, _ = PreTrainedConfig.get_config_dict(str(source))
    if not is_original_config(fields):
        kind = fields.get("model_type") if isinstance(fields, dict) else None
        if kind == BrandonConfig.model_type:
            raise ValueError(f"{source} is in the native layout already: load it as it is")
        raise ValueError(f"{source} holds no Brandon-Tiny checkpoint: its config.json has model_type={kind!r}")
    return BrandonConfig.from_dict(fields, name_or_path=str(source)), None


def _find_tokenizer(folder: Path) -> Path | None:
    if (folder / "tokenizer.model").is_file():
        return folder / "tokenizer.model"
    candidates = list(folder.glob("*.model"))
    return candidates[0] if len(candidates) == 1 else None


def _convert_tokenizer(path: Path, config: BrandonConfig) -> PreTrainedTokenizerFast:
    tokenizer = import_sentencepiece(path, model_max_length=config.max_position_embeddings)
    if len(tokenizer) != config.vocab_size:
        raise ValueError(f"{path} has {len(tokenizer)} tokens, but the model has vocab_size={config.vocab_size}")
    return tokenizer


def _set_special_tokens(model: Any, tokenizer: PreTrainedTokenizerFast) -> None:
    """Generation stops at the end of a document and at the end of a turn."""
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        setattr(model.config, name, getattr(tokenizer, name))
    ends = [tokenizer.eos_token_id, tokenizer.get_vocab().get(IM_END)]
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=[token_id for token_id in ends if token_id is not None] or None,
        pad_token_id=tokenizer.pad_token_id,
    )
