"""What `AutoTokenizer` makes of a Brandon folder whose tokenizer files name no class, as in the original's exports."""

import json
import tempfile
from typing import Any

from transformers import PreTrainedTokenizerFast
from transformers.utils.hub import cached_file

from .sentencepiece_import import import_sentencepiece

_WHERE = ("cache_dir", "force_download", "local_files_only", "revision", "subfolder", "token")


class BrandonTokenizer(PreTrainedTokenizerFast):
    """Loads the stock class; a folder that has only the original's `tokenizer.model` is converted on the way."""

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *args: Any, **kwargs: Any) -> PreTrainedTokenizerFast:
        """As in transformers.

        Raises:
            ValueError: `tokenizer.model` cannot be converted exactly, or does not fit the model's vocabulary.
            OSError: There are no tokenizer files.
        """
        source = str(pretrained_model_name_or_path)
        where = {key: kwargs[key] for key in _WHERE if kwargs.get(key) is not None}

        def find(name: str) -> str | None:
            return cached_file(source, name, _raise_exceptions_for_missing_entries=False, **where)

        if find("tokenizer.json"):
            return PreTrainedTokenizerFast.from_pretrained(source, *args, **kwargs)
        path = find("tokenizer.model")
        if path is None:
            raise OSError(
                f"{source} has neither tokenizer.json nor tokenizer.model; "
                "`brandon import SRC DST --tokenizer FILE` adds a tokenizer to an original checkpoint"
            )
        with open(find("config.json") or "", encoding="utf-8") as file:
            config = json.load(file)
        tokenizer = import_sentencepiece(path, config.get("max_seq_len") or config.get("max_position_embeddings"))
        if len(tokenizer) != config.get("vocab_size"):
            raise ValueError(
                f"{path} has {len(tokenizer)} tokens, but the model has vocab_size={config.get('vocab_size')}"
            )
        with tempfile.TemporaryDirectory() as folder:  # so that the caller's settings apply as to any folder
            tokenizer.save_pretrained(folder)
            settings = {key: value for key, value in kwargs.items() if key not in (*_WHERE, "_commit_hash")}
            loaded = PreTrainedTokenizerFast.from_pretrained(folder, *args, **settings)
        loaded.name_or_path = source
        return loaded
