"""The one place where a `tokenizers` backend becomes the stock transformers class."""

from typing import Any

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast


def stock_tokenizer(backend: Tokenizer, **settings: Any) -> PreTrainedTokenizerFast:
    """Wrap `backend` in transformers' own class, so that a saved folder needs no code of ours.

    Padding is on the left (batched generation of a decoder continues at the right end), decoding never "cleans up"
    spaces, and there are no `token_type_ids`.
    """
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
        **settings,
    )
