"""Turn sources of text into a corpus on disk: token ids in memory-mapped shards, written once.

A corpus folder holds

    train-00000.npy, ...            token ids, uint16 if the vocabulary fits and uint32 otherwise, ~64M a shard
    train-documents.npy             int64, where each document starts, in tokens from the start of the split
    validation-00000.npy, ...       the same for the held-out documents
    manifest.json                   what is in it and what it was made from

A document is `bos`, its tokens, `eos`. Text is never read as special tokens, so no text can forge a document's end.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm
from transformers import PreTrainedTokenizerBase

from brandon_hf.files import folder_written_aside

from .shards import SplitWriter
from .sources import STRAIGHT_QUOTES, Document, Source

FORMAT_VERSION = 2  # 2: quotation marks do not decide a document's side
SPLITS = ("train", "validation")
_BATCH_DOCUMENTS, _BATCH_CHARACTERS = 500, 2_000_000  # tokenised at once, whichever is reached first


@dataclass(frozen=True)
class Corpus:
    """A corpus on disk: its folder and what its manifest says."""

    folder: Path
    manifest: dict[str, Any]

    @classmethod
    def load(cls, folder: str | Path) -> "Corpus":
        """Raises:
        ValueError: the folder holds no corpus, or one of another format version.
        """
        path = Path(folder) / "manifest.json"
        if not path.is_file():
            raise ValueError(f"{folder}: there is no corpus here (no manifest.json); prepare_corpus writes one")
        try:
            manifest = json.loads(path.read_text("utf-8"))
            version = manifest["format"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path}: not the manifest of a corpus: {error!r}") from error
        if version != FORMAT_VERSION:
            raise ValueError(f"{path}: format {version}, but this version reads format {FORMAT_VERSION}; prepare again")
        return cls(Path(folder), manifest)

    def split(self, name: str) -> dict[str, Any]:
        """`documents`, `tokens`, `bytes` (of the text, in UTF-8) and `shards` of the split `name`."""
        if name not in SPLITS:
            raise ValueError(f"there is no split {name!r}; choose one of {', '.join(SPLITS)}")
        return self.manifest["splits"][name]

    def check_tokenizer(self, tokenizer: PreTrainedTokenizerBase) -> None:
        """Raises:
        ValueError: the corpus was made with another tokenizer, so its ids mean other text.
        """
        if tokenizer_hash(tokenizer) != self.manifest["tokenizer"]["hash"]:
            raise ValueError(
                f"{self.folder}: made with another tokenizer (vocabulary of {self.manifest['tokenizer']['vocab_size']} "
                f"entries; this one has {len(tokenizer)}): prepare the corpus again with this one"
            )

    def bits_per_byte(self, loss: float, split: str = "validation") -> float:
        """The bits per byte of text that a mean loss (nats per predicted token) over `split` comes to.

        Every token but each document's first one is predicted, the end of the document included.
        """
        values = self.split(split)
        return loss / math.log(2) * (values["tokens"] - values["documents"]) / values["bytes"]


def prepare_corpus(
    sources: Sequence[Source],
    tokenizer: PreTrainedTokenizerBase,
    folder: str | Path,
    *,
    max_tokens: int | None = None,
    validation_fraction: float = 0.01,
    seed: int = 0,
    max_epochs: int = 4,
) -> Corpus:
    """Write the corpus of `sources` into `folder`, or return the one that is there if it has the same inputs.

    The weights are shares of the training tokens: the next document comes from the source furthest below its share, so
    the shares hold to within a document at any point. Documents equal up to case, white space and the shape of
    quotation marks count once, across all sources. A document goes to validation by a hash of its text, whatever the
    seed and the other sources. The hashes of all documents are in memory: some 100 MB per million documents.

    Without `max_tokens`, one source is written in full and a mixture ends with the first source that runs out. With
    it, writing ends with the document that reaches it, and a source that runs out starts again, in another order.

    Several processes must not write the same folder: call it under `accelerator.main_process_first()`.

    Args:
        tokenizer: any with a bos and an eos token; fast ones are tokenised in parallel.
        max_tokens: training tokens to write.
        validation_fraction: share of the documents held out, in [0, 1). They are never trained on.
        seed: of the documents' order.
        max_epochs: how often a source may be repeated at most to reach `max_tokens`.

    Raises:
        OSError, ValueError: a source cannot be read or holds no usable document; it would take more than `max_epochs`
            epochs of one; `folder` holds a corpus of other inputs, or something else.
    """
    folder = Path(folder)
    if not sources:
        raise ValueError("there are no sources to prepare a corpus from")
    if max_tokens is not None and max_tokens < 1:
        raise ValueError(f"max_tokens={max_tokens} must be at least 1")
    if not 0 <= validation_fraction < 1:
        raise ValueError(f"validation_fraction={validation_fraction} must be at least 0 and below 1")
    if max_epochs < 1:
        raise ValueError(f"max_epochs={max_epochs} must be at least 1")
    if max_tokens is None and all(source.endless for source in sources):
        raise ValueError(f"source {sources[0].name} never ends: say how many max_tokens to write")
    encoder = _Encoder(tokenizer)
    inputs = {
        "max_tokens": max_tokens,
        "validation_fraction": validation_fraction,
        "seed": seed,
        "tokenizer": encoder.about,
        "sources": [source.inputs() for source in sources],
    }
    inputs = json.loads(json.dumps(inputs, default=str))  # as the manifest gives it back
    if folder.exists() and (existing := _existing(folder, inputs)) is not None:
        return existing
    for source in sources:
        source.check()
    with folder_written_aside(folder) as aside:
        writers = {name: SplitWriter(aside, name, encoder.dtype) for name in SPLITS}
        owners: dict[int, tuple[int, int]] = {}
        total_weight = sum(source.weight for source in sources)
        readers = [
            _Reader(
                source,
                index,
                encoder=encoder,
                owners=owners,
                validation=writers["validation"],
                validation_fraction=validation_fraction,
                seed=seed,
                wanted_tokens=None if max_tokens is None else max_tokens * source.weight / total_weight,
                max_epochs=max_epochs,
            )
            for index, source in enumerate(sources)
        ]
        _mix(readers, writers["train"], max_tokens)
        manifest = {
            "format": FORMAT_VERSION,
            "fingerprint": _hash(inputs),
            "tokenizer": encoder.about,
            "seed": seed,
            "splits": {name: writer.close() for name, writer in writers.items()},
            "sources": [reader.summary() for reader in readers],
            "inputs": inputs,
        }
        (aside / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", "utf-8")
    return Corpus.load(folder)


def sample_texts(sources: Sequence[Source], *, max_characters: int, seed: int = 0) -> Iterator[str]:
    """Documents of the mixture, some `max_characters` in all, to train a tokenizer on.

    The weights are shares of the characters; a source that runs out leaves its share to the others.
    """
    for source in sources:
        source.check()
    streams = {index: source.documents(f"{seed}/{index}/sample") for index, source in enumerate(sources)}
    taken = dict.fromkeys(streams, 0)
    while streams and sum(taken.values()) < max_characters:
        index = min(streams, key=lambda index: taken[index] / sources[index].weight)
        document = next((document for document in streams[index] if document is not None), None)
        if document is None:
            del streams[index]
            continue
        taken[index] += len(document.text)
        yield document.text


def tokenizer_hash(tokenizer: PreTrainedTokenizerBase) -> str:
    """A hash of what decides the ids of a text: the tokenizer's model and rules, its bos and its eos."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        rules: Any = sorted(tokenizer.get_vocab().items())
    else:
        state = json.loads(backend.to_str())  # also holds padding and truncation, which any call may change
        rules = {key: state[key] for key in ("normalizer", "pre_tokenizer", "model", "added_tokens")}
    return _hash([rules, tokenizer.bos_token_id, tokenizer.eos_token_id])


def document_hash(text: str) -> int:
    """64 bits that are equal for texts equal up to case, white space and the shape of quotation marks."""
    normal = " ".join(text.translate(STRAIGHT_QUOTES).split()).lower()
    return int.from_bytes(hashlib.blake2b(normal.encode(), digest_size=8).digest(), "little")


class _Encoder:
    """Documents to arrays of token ids, in batches."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        for name in ("bos", "eos"):
            if getattr(tokenizer, f"{name}_token_id") is None:
                raise ValueError(
                    f"the tokenizer has no {name} token, which documents are delimited with: "
                    f"set tokenizer.{name}_token to one of its special tokens"
                )
        self._tokenizer = tokenizer
        vocab_size = max(tokenizer.get_vocab().values()) + 1
        self.dtype = np.dtype(np.uint16 if vocab_size <= 1 << 16 else np.uint32)
        self.about = {
            "hash": tokenizer_hash(tokenizer),
            "vocab_size": vocab_size,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
        }

    def __call__(self, texts: list[str]) -> list[np.ndarray]:
        encoded = self._tokenizer(
            texts,
            add_special_tokens=False,
            split_special_tokens=True,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )
        bos, eos = self._tokenizer.bos_token_id, self._tokenizer.eos_token_id
        return [np.array([bos, *ids, eos], dtype=self.dtype) for ids in encoded["input_ids"]]


class _Reader:
    """The training documents of one source as token ids; its validation documents are written on the way."""

    def __init__(
        self,
        source: Source,
        index: int,
        *,
        encoder: _Encoder,
        owners: dict[int, tuple[int, int]],
        validation: SplitWriter,
        validation_fraction: float,
        seed: int,
        wanted_tokens: float | None,
        max_epochs: int,
    ) -> None:
        self.source = source
        self._index, self._seed = index, seed
        self._encoder, self._validation = encoder, validation
        self._owners = owners  # of each document's hash: the source and the epoch it was last seen in
        self._validation_hashes = int(validation_fraction * 2**64)  # hashes below it are held out
        self._wanted_tokens, self._max_epochs = wanted_tokens, max_epochs
        self.epochs = self.documents = self.tokens = self.bytes = 0
        self.validation_documents = self.duplicates = self.filtered = 0
        self._stream = self._read()

    def next(self) -> tuple[np.ndarray, int] | None:
        """The ids of the next document and the bytes of its text; None when the source has run out for good."""
        item = next(self._stream, None)
        if item is not None:
            self.documents += 1
            self.tokens += len(item[0])
            self.bytes += item[1]
        return item

    def summary(self) -> dict[str, Any]:
        """What the manifest says of the source. `duplicates` and `filtered` count what its first pass left out."""
        counts = ("documents", "tokens", "bytes", "epochs", "validation_documents", "duplicates", "filtered")
        about = {"name": self.source.name, "weight": self.source.weight, "licence": self.source.licence}
        return about | {name: getattr(self, name) for name in counts}

    def _read(self) -> Iterator[tuple[np.ndarray, int]]:
        while True:
            self.epochs += 1
            batch: list[tuple[Document, bool]] = []
            characters = 0
            for document in self.source.documents(f"{self._seed}/{self._index}/{self.epochs}"):
                held_out = self._held_out(document)
                if document is None or held_out is None:
                    continue
                batch.append((document, held_out))
                characters += len(document.text)
                if len(batch) == _BATCH_DOCUMENTS or characters >= _BATCH_CHARACTERS:
                    yield from self._encoded(batch)
                    batch, characters = [], 0
            yield from self._encoded(batch)
            if not self.documents:
                raise ValueError(
                    f"source {self.source.name} holds no usable training document: {self.filtered:,} were filtered out "
                    f"or empty, {self.duplicates:,} duplicates, {self.validation_documents:,} went to validation"
                )
            if self._wanted_tokens is None:
                return
            if (wanted := self._wanted_tokens) > self._max_epochs * self.tokens and self.epochs == 1:
                raise ValueError(
                    f"source {self.source.name} holds {self.tokens:,} training tokens; its share of max_tokens is "
                    f"{wanted:,.0f}, which takes {wanted / self.tokens:.1f} epochs, more than "
                    f"max_epochs={self._max_epochs}: lower its weight or max_tokens, add text, or raise max_epochs"
                )

    def _held_out(self, document: Document | None) -> bool | None:
        """Whether a document goes to validation; None if it is left out."""
        first = self.epochs == 1
        if document is None:
            self.filtered += first
            return None
        key = document_hash(document.text)
        owner, epoch = self._owners.get(key, (self._index, 0))
        if owner != self._index or epoch == self.epochs:
            self.duplicates += first
            return None
        self._owners[key] = (self._index, self.epochs)
        held_out = key < self._validation_hashes
        return None if held_out and not first else held_out

    def _encoded(self, batch: list[tuple[Document, bool]]) -> Iterator[tuple[np.ndarray, int]]:
        ids = self._encoder([document.text for document, _ in batch]) if batch else []
        for (document, held_out), tokens in zip(batch, ids, strict=True):
            if held_out:
                self._validation.add(tokens, document.bytes)
                self.validation_documents += 1
            else:
                yield tokens, document.bytes


def _mix(readers: list[_Reader], train: SplitWriter, max_tokens: int | None) -> None:
    """Write documents of the source furthest below its share until a source runs out or `max_tokens` are reached."""
    with tqdm(desc="preparing the corpus", total=max_tokens, unit=" tokens", unit_scale=True, delay=1) as bar:
        while max_tokens is None or train.tokens < max_tokens:
            reader = min(readers, key=lambda reader: reader.tokens / reader.source.weight)
            item = reader.next()
            if item is None:
                return
            train.add(*item)
            bar.update(len(item[0]))


def _existing(folder: Path, inputs: dict[str, Any]) -> Corpus | None:
    """The corpus in `folder`, None if the folder is empty."""
    if not folder.is_dir():
        raise ValueError(f"{folder} is a file; a corpus is a folder")
    if not any(folder.iterdir()):
        return None
    if not (folder / "manifest.json").exists():
        raise ValueError(f"{folder} holds other files and no corpus: choose an empty or a new folder")
    corpus = Corpus.load(folder)
    if differences := list(_differences(corpus.manifest["inputs"], inputs)):
        more = f" and {len(differences) - 3} more" if len(differences) > 3 else ""
        raise ValueError(
            f"{folder} holds a corpus of other inputs ({'; '.join(differences[:3])}{more}): "
            "choose another folder, or delete this one to prepare it again"
        )
    return corpus


def _differences(old: Any, new: Any, name: str = "") -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in old | new:
            yield from _differences(old.get(key), new.get(key), f"{name}.{key}" if name else key)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, pair in enumerate(zip(old, new, strict=True)):
            yield from _differences(*pair, f"{name}[{index}]")
    elif old != new:
        yield f"{name} was {old!s:.60}, is {new!s:.60}"


def _hash(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
