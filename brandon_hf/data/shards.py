"""The files of a corpus: one split's token ids in .npy shards, and where its documents start."""

from array import array
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy

SHARD_TOKENS = 1 << 26  # a shard ends with the document that reaches it


class SplitWriter:
    """Writes one split: documents one after another, in shards that are never in memory."""

    def __init__(self, folder: Path, split: str, dtype: np.dtype) -> None:
        self._folder, self._split, self._dtype = folder, split, dtype
        self._starts = array("q")
        self._shard: BinaryIO | None = None
        self._shards: list[dict[str, Any]] = []
        self.tokens = self.bytes = 0

    def add(self, ids: np.ndarray, text_bytes: int) -> None:
        if self._shard is None or self._shards[-1]["tokens"] >= SHARD_TOKENS:
            self._finish_shard()
            name = f"{self._split}-{len(self._shards):05d}.npy"
            self._shards.append({"file": name, "tokens": 0})
            self._shard = (self._folder / name).open("wb")
            self._write_header()
        ids.tofile(self._shard)
        self._starts.append(self.tokens)
        self._shards[-1]["tokens"] += len(ids)
        self.tokens += len(ids)
        self.bytes += text_bytes

    def close(self) -> dict[str, Any]:
        """What the manifest says of the split."""
        self._finish_shard()
        starts = np.array(self._starts, dtype=np.int64)
        np.save(self._folder / f"{self._split}-documents.npy", starts)
        return {"documents": len(starts), "tokens": self.tokens, "bytes": self.bytes, "shards": self._shards}

    def _finish_shard(self) -> None:
        if self._shard is not None:
            self._shard.seek(0)
            self._write_header()  # now with the number of tokens: numpy pads headers, so that they can grow in place
            self._shard.close()
            self._shard = None

    def _write_header(self) -> None:
        assert self._shard is not None
        header = {"descr": npy.dtype_to_descr(self._dtype), "fortran_order": False}
        npy.write_array_header_1_0(self._shard, header | {"shape": (self._shards[-1]["tokens"],)})


def mapped(path: Path, length: int) -> np.ndarray:
    """The `length` values of a .npy file, memory-mapped.

    Raises:
        OSError: it is missing, cut off or not what the manifest says.
    """
    try:
        values = np.load(path, mmap_mode="r") if length else np.empty(0, dtype=np.int64)
    except (OSError, ValueError) as error:
        raise OSError(f"{path}: damaged or missing: {error}; delete the corpus and prepare it again") from error
    if values.shape != (length,):
        raise OSError(f"{path}: holds {values.shape} tokens, its manifest says {length:,}; prepare the corpus again")
    return np.asarray(values)  # a plain view of the map: indexing the memmap class is ten times slower
