"""A corpus on disk: shares, duplicates, splits, epochs, reuse, and what is refused."""

import json
import math
import sys
from collections import Counter
from itertools import count
from types import ModuleType

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from brandon_hf.data import Corpus, Source, corpus, prepare_corpus, sample_texts, shards, sources
from brandon_hf.tokenization import train_tokenizer


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer([words(range(200), "train")], 261)


def words(numbers, about):
    return " ".join(f"{about} {number}" for number in numbers)


def write(path, texts):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), "utf-8")
    return Source(path=str(path))


def numbered(about, number_of_texts, length=20):
    return [words(range(number, number + length), about) for number in range(number_of_texts)]


def documents(prepared, tokenizer, split="train"):
    """The documents of a split as text, their special tokens included, read without the package's own reader."""
    ids = [np.load(file) for file in sorted(prepared.folder.glob(f"{split}-0*.npy"))]
    starts = np.load(prepared.folder / f"{split}-documents.npy")
    return [tokenizer.decode(piece) for piece in np.split(np.concatenate(ids), starts[1:])] if ids else []


def test_documents_come_back_between_bos_and_eos(tmp_path, tokenizer):
    texts = [*numbered("plain", 30), "Ünïcode — 雪", " leading\n\nand trailing \n"]
    prepared = prepare_corpus([write(tmp_path / "a.jsonl", texts)], tokenizer, tmp_path / "out")
    found = [split for name in ("train", "validation") for split in documents(prepared, tokenizer, name)]
    assert Counter(found) == Counter(f"<|bos|>{text}<|eos|>" for text in texts)
    splits = prepared.manifest["splits"]
    assert sum(split["bytes"] for split in splits.values()) == sum(len(text.encode()) for text in texts)
    assert sum(split["tokens"] for split in splits.values()) == sum(
        len(tokenizer(text).input_ids) + 1 for text in texts
    )
    (about,) = prepared.manifest["sources"]
    assert about["documents"] + about["validation_documents"] == len(texts)
    assert (about["tokens"], about["bytes"]) == (splits["train"]["tokens"], splits["train"]["bytes"])


def test_text_cannot_forge_the_end_of_a_document(tmp_path, tokenizer):
    text = "before <|eos|><|bos|> after <|im_start|>"
    prepared = prepare_corpus([write(tmp_path / "a.jsonl", [text])], tokenizer, tmp_path / "out", validation_fraction=0)
    ids = np.load(tmp_path / "out" / "train-00000.npy")
    assert np.isin(ids, tokenizer.all_special_ids).sum() == 2
    assert documents(prepared, tokenizer) == [f"<|bos|>{text}<|eos|>"]


def test_shares_are_in_tokens_to_within_a_document(tmp_path, tokenizer):
    mixture = [
        Source(path=write(tmp_path / "long.jsonl", numbered("long", 300, 90)).path, weight=40),
        Source(path=write(tmp_path / "short.jsonl", numbered("short", 3000, 5)).path, weight=30),
        Source(path=write(tmp_path / "middle.jsonl", numbered("middle", 900, 30)).path, weight=30),
    ]
    prepared = prepare_corpus(mixture, tokenizer, tmp_path / "out", max_tokens=60_000)
    longest = len(tokenizer(words(range(210, 300), "long")).input_ids) + 1
    total = prepared.split("train")["tokens"]
    assert 60_000 <= total < 60_000 + longest
    for source, share in zip(prepared.manifest["sources"], (0.4, 0.3, 0.3), strict=True):
        assert abs(source["tokens"] - share * total) <= longest
    # And the mixture is the same everywhere, not one source after the other.
    first_half = documents(prepared, tokenizer)[: prepared.split("train")["documents"] // 2]
    characters = Counter()
    for text in first_half:
        characters[text[7]] += len(text)
    assert characters["l"] / characters.total() == pytest.approx(0.4, abs=0.05)


def test_duplicates_count_once_across_sources(tmp_path, tokenizer):
    texts = numbered("text", 40)
    first = write(
        tmp_path / "a.jsonl",
        [*texts[:25], texts[0].upper(), texts[1].replace(" ", " \n "), f"\u201c{texts[2]}\u201d", f'"{texts[2]}"'],
    )
    second = write(tmp_path / "b.jsonl", texts[15:])
    prepared = prepare_corpus([first, second], tokenizer, tmp_path / "out", max_tokens=2000)
    assert sum(source["duplicates"] for source in prepared.manifest["sources"]) == 13
    everything = prepare_corpus([first], tokenizer, tmp_path / "all", validation_fraction=0)
    normal = [" ".join(text.lower().split()) for text in documents(everything, tokenizer)]
    assert len(normal) == len(set(normal)) == 26


def test_a_repeated_source_brings_back_no_duplicates_of_another(tmp_path, tokenizer):
    texts = numbered("text", 200)
    large, small = write(tmp_path / "a.jsonl", texts), write(tmp_path / "b.jsonl", [*texts[:10], *numbered("own", 20)])
    prepared = prepare_corpus([large, small], tokenizer, tmp_path / "out", max_tokens=20_000, validation_fraction=0)
    assert [source["epochs"] for source in prepared.manifest["sources"]] == [1, 4]
    times = Counter(documents(prepared, tokenizer))
    assert all(count == 1 for text, count in times.items() if "text" in text)
    assert all(count >= 3 for text, count in times.items() if "own" in text)


def test_a_document_stays_in_its_split(tmp_path, tokenizer):
    texts = numbered("text", 300)
    source = write(tmp_path / "a.jsonl", texts)
    other = write(tmp_path / "b.jsonl", numbered("other", 50))
    options = {"validation_fraction": 0.1, "max_tokens": 130_000}
    first = prepare_corpus([source], tokenizer, tmp_path / "1", validation_fraction=0.1)
    second = prepare_corpus([other, source], tokenizer, tmp_path / "2", seed=7, max_epochs=20, **options)
    held_out = set(documents(first, tokenizer, "validation"))
    assert 15 < len(held_out) < 50
    assert {text for text in documents(second, tokenizer, "validation") if "text" in text} == held_out
    assert not held_out & set(documents(second, tokenizer))


def test_a_small_source_repeats_in_another_order_without_its_validation_documents(tmp_path, tokenizer):
    source = write(tmp_path / "a.jsonl", [*numbered("text", 100), *numbered("text", 3)])
    once = prepare_corpus([source], tokenizer, tmp_path / "1", validation_fraction=0.1)
    tokens, training = once.split("train")["tokens"], once.split("train")["documents"]
    twice = prepare_corpus([source], tokenizer, tmp_path / "2", validation_fraction=0.1, max_tokens=2 * tokens)
    found = documents(twice, tokenizer)
    assert sorted(found[:training]) == sorted(found[training:]) == sorted(documents(once, tokenizer))
    assert found[:training] != found[training:]
    assert twice.manifest["sources"][0]["epochs"] == 2
    assert twice.manifest["sources"][0]["duplicates"] == 3
    assert sorted(documents(twice, tokenizer, "validation")) == sorted(documents(once, tokenizer, "validation"))


def test_too_many_epochs_are_refused_with_the_numbers(tmp_path, tokenizer):
    source = write(tmp_path / "a.jsonl", numbered("text", 50))
    tokens = prepare_corpus([source], tokenizer, tmp_path / "1").split("train")["tokens"]
    wanted = rf"holds {tokens:,} training tokens; .* takes 5.0 epochs, more than max_epochs=4"
    with pytest.raises(ValueError, match=wanted):
        prepare_corpus([source], tokenizer, tmp_path / "2", max_tokens=5 * tokens)
    assert not (tmp_path / "2").exists()
    prepare_corpus([source], tokenizer, tmp_path / "2", max_tokens=5 * tokens, max_epochs=5)


def test_a_mixture_without_max_tokens_ends_with_its_first_source(tmp_path, tokenizer):
    small = write(tmp_path / "a.jsonl", numbered("small", 40))
    large = write(tmp_path / "b.jsonl", numbered("large", 400))
    prepared = prepare_corpus([large, small], tokenizer, tmp_path / "out", validation_fraction=0)
    of_large, of_small = prepared.manifest["sources"]
    assert of_small["documents"] == 40
    assert of_large["tokens"] == pytest.approx(of_small["tokens"], rel=0.06)


def test_an_endless_source_needs_max_tokens(tmp_path, tokenizer, monkeypatch):
    generator = ModuleType("brandon_hf.data.synthetic")
    generator.documents = lambda seed: (f"document {number} of seed {seed}" for number in count())
    monkeypatch.setitem(sys.modules, "brandon_hf.data.synthetic", generator)
    monkeypatch.setattr(sources, "_BUFFER_DOCUMENTS", 100)
    mixture = Source.from_recipe("synthetic")
    with pytest.raises(ValueError, match="source synthetic never ends: say how many max_tokens"):
        prepare_corpus(mixture, tokenizer, tmp_path / "out")
    assert prepare_corpus(mixture, tokenizer, tmp_path / "out", max_tokens=500).split("train")["tokens"] >= 500


def test_a_finished_corpus_is_reused(tmp_path, tokenizer, monkeypatch):
    source = write(tmp_path / "a.jsonl", numbered("text", 50))
    first = prepare_corpus([source], tokenizer, tmp_path / "out", seed=3)
    monkeypatch.setattr(Source, "documents", None)  # reading anything would fail
    assert prepare_corpus([source], tokenizer, tmp_path / "out", seed=3) == first


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"seed": 4}, "seed was 3, is 4"),
        ({"max_tokens": 100}, "max_tokens was None, is 100"),
        ({"validation_fraction": 0.5}, "validation_fraction was 0.01, is 0.5"),
    ],
)
def test_a_corpus_of_other_inputs_is_not_replaced(tmp_path, tokenizer, change, found):
    source = write(tmp_path / "a.jsonl", numbered("text", 50))
    prepare_corpus([source], tokenizer, tmp_path / "out", seed=3)
    with pytest.raises(ValueError, match=found):
        prepare_corpus([source], tokenizer, tmp_path / "out", **({"seed": 3} | change))


def test_changed_files_and_tokenizers_are_noticed(tmp_path, tokenizer):
    source = write(tmp_path / "a.jsonl", numbered("text", 50))
    prepared = prepare_corpus([source], tokenizer, tmp_path / "out")
    other = train_tokenizer(numbered("other", 50), 262)
    with pytest.raises(ValueError, match=r"tokenizer\.hash was"):
        prepare_corpus([source], other, tmp_path / "out")
    with pytest.raises(ValueError, match="made with another tokenizer"):
        prepared.check_tokenizer(other)
    write(tmp_path / "a.jsonl", numbered("text", 51))
    with pytest.raises(ValueError, match=r"sources\[0\].files.a.jsonl was \d+, is \d+"):
        prepare_corpus([source], tokenizer, tmp_path / "out")


def test_a_tokenizer_is_recognised_after_saving_and_after_use(tmp_path, tokenizer):
    prepared = prepare_corpus([write(tmp_path / "a.jsonl", numbered("text", 50))], tokenizer, tmp_path / "out")
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    loaded = AutoTokenizer.from_pretrained(tmp_path / "tokenizer")
    loaded(["a", "longer text"], padding=True, truncation=True, max_length=3)
    prepared.check_tokenizer(loaded)


def test_a_folder_with_other_files_is_left_alone(tmp_path, tokenizer):
    source = write(tmp_path / "a.jsonl", numbered("text", 50))
    with pytest.raises(ValueError, match="holds other files and no corpus"):
        prepare_corpus([source], tokenizer, tmp_path)
    assert (tmp_path / "a.jsonl").exists()
    with pytest.raises(ValueError, match="is a file; a corpus is a folder"):
        prepare_corpus([source], tokenizer, tmp_path / "a.jsonl")
    (tmp_path / "empty").mkdir()
    prepare_corpus([source], tokenizer, tmp_path / "empty")


def test_an_error_while_writing_leaves_nothing(tmp_path, tokenizer):
    source = write(tmp_path / "text" / "a.jsonl", numbered("text", 50))
    with (tmp_path / "text" / "a.jsonl").open("a") as file:
        file.write("broken")
    with pytest.raises(ValueError, match="line 51: not valid JSON"):
        prepare_corpus([source], tokenizer, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["text"]


def test_everything_is_checked_before_anything_is_tokenised(tmp_path, tokenizer, monkeypatch):
    good = write(tmp_path / "a.jsonl", numbered("text", 50))
    (tmp_path / "b.jsonl").write_text('{"body": "x"}')
    monkeypatch.setattr(corpus._Encoder, "__call__", None)
    with pytest.raises(ValueError, match="there is no column 'text'; the columns are 'body'"):
        prepare_corpus([good, Source(path=str(tmp_path / "b.jsonl"))], tokenizer, tmp_path / "out")


def test_documents_are_spread_over_shards(tmp_path, tokenizer, monkeypatch):
    texts = numbered("text", 60)
    source = write(tmp_path / "a.jsonl", texts)
    whole = prepare_corpus([source], tokenizer, tmp_path / "whole")
    monkeypatch.setattr(shards, "SHARD_TOKENS", 500)
    split = prepare_corpus([source], tokenizer, tmp_path / "split")
    about = split.split("train")["shards"]
    assert len(about) > 5
    assert all(shard["tokens"] >= 500 for shard in about[:-1])
    for shard in about:
        mapped = np.load(tmp_path / "split" / shard["file"], mmap_mode="r")
        assert (mapped.dtype, mapped.shape) == (np.uint16, (shard["tokens"],))
    assert documents(split, tokenizer) == documents(whole, tokenizer)


def test_a_vocabulary_beyond_16_bits_is_kept_whole(tmp_path):
    vocabulary = {f"w{number}": number for number in range(70_000)} | {"<s>": 70_000, "</s>": 70_001}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="w0"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    large = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>")
    source = write(tmp_path / "a.jsonl", ["w1 w69999 w65536"])
    prepare_corpus([source], large, tmp_path / "out", validation_fraction=0)
    ids = np.load(tmp_path / "out" / "train-00000.npy")
    assert ids.dtype == np.uint32
    assert ids.tolist() == [70_000, 1, 69_999, 65_536, 70_001]


def test_a_tokenizer_without_document_tokens_is_refused(tmp_path):
    backend = Tokenizer(models.WordLevel({"a": 0, "</s>": 1}, unk_token="a"))
    bare = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>")
    with pytest.raises(ValueError, match="has no bos token"):
        prepare_corpus([Source(path="x")], bare, tmp_path / "out")


def test_sources_without_a_usable_document_are_refused(tmp_path, tokenizer):
    texts = numbered("text", 5)
    first = write(tmp_path / "a.jsonl", texts)
    nothing = Source(path=first.path, min_characters=10_000)
    with pytest.raises(ValueError, match=r"a.jsonl holds no usable training document: 5 were filtered out"):
        prepare_corpus([nothing], tokenizer, tmp_path / "out")
    with pytest.raises(ValueError, match=r"b.jsonl holds no usable training document: .* 5 duplicates"):
        prepare_corpus([first, write(tmp_path / "b.jsonl", texts)], tokenizer, tmp_path / "out", max_tokens=10**5)
    with pytest.raises(ValueError, match="there are no sources"):
        prepare_corpus([], tokenizer, tmp_path / "out")


@pytest.mark.parametrize(
    "option", [{"max_tokens": 0}, {"validation_fraction": 1}, {"validation_fraction": -0.1}, {"max_epochs": 0}]
)
def test_options_out_of_range_are_refused(tmp_path, tokenizer, option):
    ((name, value),) = option.items()
    with pytest.raises(ValueError, match=f"{name}={value} must be"):
        prepare_corpus([Source(path="x")], tokenizer, tmp_path / "out", **option)


def test_bits_per_byte_counts_predicted_tokens(tmp_path, tokenizer):
    prepared = prepare_corpus(
        [write(tmp_path / "a.jsonl", ["abc", "defg"])], tokenizer, tmp_path / "out", validation_fraction=0
    )
    predicted = sum(len(tokenizer(text, add_special_tokens=False).input_ids) + 1 for text in ("abc", "defg"))
    assert prepared.bits_per_byte(math.log(2), "train") == pytest.approx(predicted / 7)


@pytest.mark.parametrize("content", [None, "{", '{"format": 0}', "[]"])
def test_a_folder_without_a_readable_manifest_is_no_corpus(tmp_path, content):
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(ValueError, match=r"manifest.json"):
        Corpus.load(tmp_path)


def test_sampled_text_follows_the_weights_and_the_budget(tmp_path):
    mixture = [
        Source(path=write(tmp_path / "a.jsonl", numbered("alpha", 500, 50)).path, weight=3),
        Source(path=write(tmp_path / "b.jsonl", numbered("beta", 2000, 5)).path, weight=1),
    ]
    texts = list(sample_texts(mixture, max_characters=40_000, seed=1))
    characters = Counter()
    for text in texts:
        characters[text[0]] += len(text)
    assert 40_000 <= characters.total() < 41_000
    assert characters["a"] / characters.total() == pytest.approx(0.75, abs=0.02)
    assert list(sample_texts(mixture, max_characters=40_000, seed=1)) == texts
    assert list(sample_texts(mixture, max_characters=40_000, seed=2)) != texts


def test_a_source_that_runs_out_leaves_the_sample_to_the_others(tmp_path):
    mixture = [write(tmp_path / "a.jsonl", ["only one"]), write(tmp_path / "b.jsonl", numbered("text", 100))]
    texts = list(sample_texts(mixture, max_characters=10**9))
    assert sorted(texts) == sorted(["only one", *numbered("text", 100)])
