"""Blocks of a fixed number of tokens from a corpus, for training."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch.utils.data import Dataset

from .corpus import Corpus
from .shards import mapped

Block: TypeAlias = dict[str, torch.Tensor]


class PackedDataset(Dataset[Block]):
    """The split of a corpus cut into blocks of `context_length` tokens, without padding; the last tokens that fill no
    block are left out. Documents follow each other, across the ends of shards too; position ids restart with each.

    An item is a dict of int64 tensors of shape (context_length,):

        input_ids     token ids
        labels        input_ids, but -100 at each document's first token, which nothing before it can predict
        position_ids  0 at the start of the block and of each document, rising by one in between

    The tokens stay on disk, memory-mapped; workers and ranks on one machine share them.

    Raises:
        ValueError: there is no corpus in `folder`, no such split, or not enough tokens for one block.
        OSError: a shard is missing or damaged.
    """

    def __init__(self, folder: str | Path, split: str, context_length: int) -> None:
        if context_length < 2:
            raise ValueError(f"context_length={context_length} must be at least 2: a token is predicted from others")
        self._arguments = (folder, split, context_length)
        self.context_length = context_length
        self.corpus = Corpus.load(folder)
        about = self.corpus.split(split)
        if about["tokens"] < context_length:
            hint = "; raise data.validation_fraction or add text" if split == "validation" else "; add text"
            raise ValueError(
                f"{folder}: the {split} split has {about['tokens']:,} tokens in {about['documents']:,} documents, "
                f"which fill no block of context_length={context_length}{hint}"
            )
        self._blocks = about["tokens"] // context_length
        self._shards = [mapped(self.corpus.folder / shard["file"], shard["tokens"]) for shard in about["shards"]]
        self._shard_ends = np.cumsum([len(shard) for shard in self._shards])
        self._windows = [sliding_window_view(shard, min(context_length, len(shard))) for shard in self._shards]
        self._starts = mapped(self.corpus.folder / f"{split}-documents.npy", about["documents"])

    def __len__(self) -> int:
        return self._blocks

    def __getitem__(self, index: int) -> Block:
        return {name: values[0] for name, values in self.blocks([index]).items()}

    def __getitems__(self, indices: Sequence[int]) -> list[Block]:
        """What a DataLoader hands its collator, `collate_blocks`: a list of one item, the blocks stacked already."""
        return [self.blocks(indices)]

    def blocks(self, indices: Sequence[int]) -> Block:
        """The blocks `indices`, stacked: tensors of shape (len(indices), context_length)."""
        length = self.context_length
        numbers = np.asarray(indices, dtype=np.int64)
        numbers = np.where(numbers < 0, numbers + self._blocks, numbers)
        if len(numbers) and not 0 <= numbers.min() <= numbers.max() < self._blocks:
            raise IndexError(f"no block {list(indices)}: there are {self._blocks}")
        begins = numbers * length
        ids = self._tokens(begins)

        first, last = np.searchsorted(self._starts, (begins, begins + length))
        counts = last - first
        rows = np.repeat(np.arange(len(begins)), counts)
        # The starts first[0]..last[0]-1, first[1]..last[1]-1, ... as places in the index, without a loop.
        places = np.arange(len(rows)) + np.repeat(first - np.cumsum(counts) + counts, counts)
        starts = rows * length + self._starts[places] - begins[rows]  # in the flattened batch

        labels = ids.copy()
        labels.reshape(-1)[starts] = -100
        restarts = np.sort(np.concatenate((np.arange(len(begins)) * length, starts)))
        positions = np.arange(ids.size)
        positions -= np.repeat(restarts, np.append(restarts[1:], ids.size) - restarts)
        return {
            "input_ids": torch.from_numpy(ids),
            "labels": torch.from_numpy(labels),
            "position_ids": torch.from_numpy(positions.reshape(ids.shape)),
        }

    def _tokens(self, begins: np.ndarray) -> np.ndarray:
        """The blocks that begin at these tokens of the split, (len(begins), context_length) int64."""
        length = self.context_length
        ids = np.empty((len(begins), length), dtype=np.int64)
        shard_of = np.searchsorted(self._shard_ends, begins, side="right")
        inside = begins + length <= self._shard_ends[shard_of]
        for shard in set(shard_of[inside].tolist()):
            here = inside & (shard_of == shard)
            ids[here] = self._windows[shard][begins[here] - self._shard_ends[shard] + len(self._shards[shard])]
        for row in np.flatnonzero(~inside):  # its tokens lie in two shards or more
            done, shard = 0, shard_of[row]
            while done < length:
                offset = begins[row] + done - self._shard_ends[shard] + len(self._shards[shard])
                piece = self._shards[shard][offset : offset + length - done]
                ids[row, done : done + len(piece)] = piece
                done, shard = done + len(piece), shard + 1
        return ids

    def __reduce__(self) -> tuple[type["PackedDataset"], tuple[str | Path, str, int]]:
        return PackedDataset, self._arguments  # pickling a memory map would copy what it maps


def collate_blocks(blocks: Sequence[Block]) -> Block:
    """The batch of a DataLoader over a PackedDataset, tensors of shape (B, T), from single blocks or stacked ones."""
    if len(blocks) == 1 and blocks[0]["input_ids"].dim() == 2:
        return dict(blocks[0])
    return {name: torch.stack([block[name] for block in blocks]) for name in blocks[0]}
