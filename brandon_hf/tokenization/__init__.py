"""Tokenizers: train a byte-level BPE, import the original SentencePiece model, the ChatML template of both."""

from .chat_template import chatml_template
from .sentencepiece_import import import_sentencepiece
from .train import SPECIAL_TOKENS, train_tokenizer

__all__ = ["SPECIAL_TOKENS", "chatml_template", "import_sentencepiece", "train_tokenizer"]
