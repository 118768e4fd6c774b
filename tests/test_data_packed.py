"""Packed blocks: what they hold, across shards, for one process and for ranks, and that a model can learn from them."""

import itertools
import json
import pickle

import numpy as np
import pytest
import torch
from accelerate.data_loader import prepare_data_loader
from torch.utils.data import DataLoader
from transformers import Trainer, TrainingArguments

from brandon_hf.data import PackedDataset, Source, collate_blocks, prepare_corpus, shards
from brandon_hf.modeling import BrandonConfig, BrandonForCausalLM
from brandon_hf.tokenization import train_tokenizer

LENGTH = 32


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A corpus of documents of 3 to 140 tokens in several shards, the last ones of them shorter than a block."""
    folder = tmp_path_factory.mktemp("packed")
    rng = np.random.default_rng(0)
    texts = [" ".join(map(str, rng.integers(0, 99, size))) for size in rng.integers(1, 60, 150)]
    (folder / "a.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    tokenizer = train_tokenizer(texts, 261)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "SHARD_TOKENS", 20)
        prepare_corpus([Source(path=str(folder / "a.jsonl"))], tokenizer, folder / "small", validation_fraction=0.1)
        patch.setattr(shards, "SHARD_TOKENS", 700)
        prepare_corpus([Source(path=str(folder / "a.jsonl"))], tokenizer, folder / "large", validation_fraction=0.1)
    return folder


def naive(folder, split):
    """The blocks of a split, token by token."""
    files = sorted(folder.glob(f"{split}-0*.npy"))
    assert len(files) > 2
    starts = set(np.load(folder / f"{split}-documents.npy").tolist())
    stream = [token for file in files for token in np.load(file).tolist()]
    for begin in range(0, len(stream) - LENGTH + 1, LENGTH):
        ids, labels, positions = [], [], []
        for place in range(begin, begin + LENGTH):
            ids.append(stream[place])
            labels.append(-100 if place in starts else stream[place])
            positions.append(0 if place in starts or place == begin else positions[-1] + 1)
        yield {"input_ids": ids, "labels": labels, "position_ids": positions}


@pytest.mark.parametrize("size", ["small", "large"])
def test_blocks_hold_the_stream_across_shards_with_restarting_positions(folder, size):
    dataset = PackedDataset(folder / size, "train", LENGTH)
    expected = list(naive(folder / size, "train"))
    assert len(dataset) == len(expected) > 50
    assert any(0 in block["position_ids"][1:] for block in expected)
    for index, block in enumerate(expected):
        item = dataset[index]
        assert {name: values.tolist() for name, values in item.items()} == block
        assert all(values.dtype == torch.int64 for values in item.values())


def test_many_blocks_at_once_are_the_same_blocks(folder):
    dataset = PackedDataset(folder / "large", "train", LENGTH)
    order = np.random.default_rng(1).permutation(len(dataset)).tolist()
    together = collate_blocks(dataset.__getitems__([*order, -1]))
    alone = collate_blocks([dataset[index] for index in [*order, len(dataset) - 1]])
    assert together.keys() == alone.keys()
    assert all(torch.equal(together[name], alone[name]) for name in alone)
    for index in (len(dataset), -len(dataset) - 1):
        with pytest.raises(IndexError, match=f"there are {len(dataset)}"):
            dataset[index]


def test_batches_are_separate_memory(folder):
    dataset = PackedDataset(folder / "large", "train", LENGTH)
    first = dataset[0]
    first["input_ids"].fill_(0)
    first["labels"].fill_(0)
    assert dataset[0]["input_ids"].any()
    assert dataset[0]["labels"].any()


def test_a_data_loader_gives_every_block_once(folder):
    dataset = PackedDataset(folder / "large", "train", LENGTH)
    loader = DataLoader(dataset, batch_size=4, shuffle=True, collate_fn=collate_blocks)
    rows = [tuple(row.tolist()) for batch in loader for row in batch["input_ids"]]
    assert sorted(rows) == sorted(tuple(block["input_ids"]) for block in naive(folder / "large", "train"))
    assert next(iter(loader))["position_ids"].shape == (4, LENGTH)


@pytest.mark.parametrize("shuffle", [False, True])
def test_ranks_read_disjoint_blocks_that_together_are_all(folder, shuffle):
    dataset = PackedDataset(folder / "large", "train", LENGTH)
    blocks = len(dataset) // 8 * 8
    dataset = torch.utils.data.Subset(dataset, range(blocks))  # whole batches: accelerate fills up uneven ends

    def rows_of(rank):
        order = torch.Generator().manual_seed(5)  # accelerate synchronises it between ranks
        loader = DataLoader(dataset, batch_size=4, shuffle=shuffle, collate_fn=collate_blocks, generator=order)
        prepared = prepare_data_loader(loader, num_processes=2, process_index=rank, put_on_device=False)
        return [tuple(row.tolist()) for batch in prepared for row in batch["input_ids"]]

    first, second = rows_of(0), rows_of(1)
    assert len(first) == len(second) == blocks // 2
    assert not set(first) & set(second)
    expected = [tuple(block["input_ids"]) for block in naive(folder / "large", "train")][:blocks]
    assert sorted(first + second) == sorted(expected)


def test_a_pickled_dataset_carries_no_tokens(folder):
    dataset = PackedDataset(folder / "large", "train", LENGTH)
    pickled = pickle.dumps(dataset)
    assert len(pickled) < 1000
    assert torch.equal(pickle.loads(pickled)[3]["labels"], dataset[3]["labels"])


def test_a_split_that_fills_no_block_is_refused(folder):
    with pytest.raises(
        ValueError, match=r"the validation split has [\d,]+ tokens in .* raise data.validation_fraction"
    ):
        PackedDataset(folder / "large", "validation", 10_000)
    with pytest.raises(ValueError, match="no split 'test'; choose one of train, validation"):
        PackedDataset(folder / "large", "test", LENGTH)
    with pytest.raises(ValueError, match="context_length=1 must be at least 2"):
        PackedDataset(folder / "large", "train", 1)


def test_damaged_shards_are_named(folder, tmp_path):
    def copy(name):
        target = tmp_path / name
        target.mkdir()
        for file in (folder / "large").iterdir():
            (target / file.name).write_bytes(file.read_bytes())
        return target

    cut = copy("cut") / "train-00001.npy"
    cut.write_bytes(cut.read_bytes()[:-10])
    with pytest.raises(OSError, match=r"train-00001.npy: damaged or missing"):
        PackedDataset(cut.parent, "train", LENGTH)
    missing = copy("missing") / "train-documents.npy"
    missing.unlink()
    with pytest.raises(OSError, match=r"train-documents.npy: damaged or missing"):
        PackedDataset(missing.parent, "train", LENGTH)
    exchanged = copy("exchanged") / "train-00000.npy"
    exchanged.write_bytes((exchanged.parent / "train-documents.npy").read_bytes())
    with pytest.raises(OSError, match=r"train-00000.npy: holds .* its manifest says"):
        PackedDataset(exchanged.parent, "train", LENGTH)


def tiny_model():
    torch.manual_seed(0)
    return BrandonForCausalLM(
        BrandonConfig(vocab_size=261, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1)
    )


def test_the_stock_trainer_takes_it(folder, tmp_path):
    dataset = PackedDataset(folder / "large", "train", LENGTH)
    options = TrainingArguments(
        str(tmp_path), max_steps=2, per_device_train_batch_size=3, report_to="none", save_strategy="no", use_cpu=True
    )
    trainer = Trainer(tiny_model(), options, train_dataset=dataset, data_collator=collate_blocks)
    batch = next(iter(trainer.get_train_dataloader()))
    assert {name: tuple(values.shape) for name, values in batch.items()} == dict.fromkeys(dataset[0], (3, LENGTH))
    trainer.train()
    assert trainer.state.global_step == 2


def test_a_model_sees_each_document_of_a_block_alone(folder):
    dataset = PackedDataset(folder / "large", "train", 4 * LENGTH)
    block = next(block for block in dataset if (block["position_ids"] == 0).sum() >= 3)
    model = tiny_model().eval()
    with torch.no_grad():
        packed = model(**collate_blocks([block]), use_cache=False)
        edges = [*(block["position_ids"] == 0).nonzero().flatten().tolist(), dataset.context_length]
        logits = [model(input_ids=block["input_ids"][None, a:b]).logits for a, b in itertools.pairwise(edges)]
    alone = torch.cat(logits, dim=1)
    torch.testing.assert_close(packed.logits, alone, atol=1e-5, rtol=1e-4)
    labels = block["labels"][1:]
    expected = torch.nn.functional.cross_entropy(alone[0, :-1], labels, ignore_index=-100)
    torch.testing.assert_close(packed.loss, expected, atol=1e-5, rtol=1e-4)
