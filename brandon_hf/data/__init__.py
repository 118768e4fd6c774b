"""Pretraining text: sources -> weighted mixture -> a corpus of token ids on disk -> packed blocks."""

from .corpus import Corpus, prepare_corpus, sample_texts
from .packed import PackedDataset, collate_blocks
from .sources import Source

__all__ = ["Corpus", "PackedDataset", "Source", "collate_blocks", "prepare_corpus", "sample_texts"]
