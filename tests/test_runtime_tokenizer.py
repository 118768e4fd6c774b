"""The C engine's byte-level tokenizer gives the ids of transformers, and refuses damaged tables by their own status."""

import dataclasses
import itertools
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizer_runner import (
    ARENA_TOO_SMALL,
    BAD_TOKEN,
    BUFFER_TOO_SMALL,
    BYTE_MISSING,
    CORPUS,
    MERGE,
    READ_FAILED,
    SPECIALS,
    TOKEN_STRING,
    TOKEN_TYPE,
    TOO_LARGE,
    TRUNCATED,
    WORD_TOO_LONG,
    Engine,
    Refused,
    documents,
    pack,
    status_of,
    steps_of,
    texts,
    with_token,
    with_type,
)
from tokenizers import models

from brandon_hf.export.tokenizer import BlobTokenizer, describe_tokenizer
from brandon_hf.tokenization import train_tokenizer

ASCII = "".join(map(chr, range(128)))


@pytest.fixture(scope="module", params=[261, 300, 480])
def byte_level(request):
    """(transformers' tokenizer, the engine's) for one size of vocabulary."""
    tokenizer = train_tokenizer(CORPUS, request.param)
    return tokenizer, Engine(describe_tokenizer(tokenizer, request.param + 7))


def plain_ids(tokenizer, text: str, **settings) -> list[int]:
    return tokenizer(text, add_special_tokens=False, **settings).input_ids


def test_byte_level_ids_and_texts_are_those_of_transformers(byte_level):
    tokenizer, engine = byte_level

    @settings(max_examples=400, deadline=None)
    @given(texts)
    def check(text):
        ids = plain_ids(tokenizer, text)
        assert engine.encode(text) == ids
        assert engine.decode(ids).decode() == tokenizer.decode(ids) == text
        shown = engine.decode(ids, specials=False).decode()
        assert shown == tokenizer.decode(ids, skip_special_tokens=True)

    check()


def test_words_are_cut_where_transformers_cuts_them():
    tokenizer = train_tokenizer(CORPUS, 261)
    vocabulary = tokenizer.get_vocab()
    spelled = [tokenizer.convert_ids_to_tokens(plain_ids(tokenizer, character))[0] for character in ASCII] + ["Ã"]
    pairs = list(itertools.product(spelled, spelled))  # any two bytes that no cut parts become one token
    random.Random(0).shuffle(pairs)
    vocabulary.update({left + right: 261 + index for index, (left, right) in enumerate(pairs)})
    tokenizer.backend_tokenizer.model = models.BPE(vocab=vocabulary, merges=pairs)
    engine = Engine(describe_tokenizer(tokenizer, len(vocabulary)))
    generator = random.Random(0)
    for alphabet in (ASCII + "é", " a'1\n\t!é", " \t\v\f\r.x"):
        for _ in range(100):
            text = "".join(generator.choices(alphabet, k=100))
            assert engine.encode(text, specials=False) == plain_ids(tokenizer, text, split_special_tokens=True)


def test_without_specials_their_spelling_is_plain_text(byte_level):
    tokenizer, engine = byte_level

    @settings(max_examples=200, deadline=None)
    @given(texts)
    def check(text):
        ids = engine.encode(text, specials=False)
        assert ids == plain_ids(tokenizer, text, split_special_tokens=True)
        assert not set(ids) & set(tokenizer.all_special_ids)

    check()


def test_bytes_that_are_no_utf8_are_kept(byte_level):
    _, engine = byte_level

    @settings(max_examples=200, deadline=None)
    @given(st.binary(max_size=80))
    def check(data):
        assert engine.decode(engine.encode(data)) == data

    check()


def test_any_ids_decode_as_in_transformers(byte_level):
    tokenizer, engine = byte_level
    size = len(tokenizer) + 7  # with those that the blob fills up

    @settings(max_examples=200, deadline=None)
    @given(st.lists(st.integers(0, size - 1), max_size=12), st.booleans())
    def check(ids, specials):
        text = engine.decode(ids, specials).decode(errors="replace")
        assert text == tokenizer.decode(ids, skip_special_tokens=not specials)

    check()
    assert status_of(engine.decode, [size]) == status_of(engine.decode, [-1]) == BAD_TOKEN


@pytest.mark.parametrize("unit", ["=", "-", "a", "中", " ", "\t ", "ab", "🙂", "'a"])
def test_long_runs_merge_as_in_transformers(byte_level, unit):
    tokenizer, engine = byte_level
    for length in (1, 2, 3, 7, 255, 1000):
        for text in (unit * length, f"x {unit * length}y"):
            assert engine.encode(text) == plain_ids(tokenizer, text)


def test_of_special_tokens_that_overlap_the_leftmost_longest_is_taken():
    tokenizer = train_tokenizer(CORPUS, 300)
    symbols = ["<|im_end|>\n", "|><|", "<|im", "é<|", "<|bos|><|bos|>", "a b", " c", "<|", "|>"]
    tokenizer.add_special_tokens({"extra_special_tokens": symbols}, replace_extra_special_tokens=False)
    engine = Engine(describe_tokenizer(tokenizer, 330))

    @settings(max_examples=500, deadline=None)
    @given(st.lists(st.sampled_from([*symbols, *SPECIALS, "a", " ", "\n", "é", "<", "|", "im_end"])).map("".join))
    def check(text):
        ids = plain_ids(tokenizer, text)
        assert engine.encode(text) == ids

    check()


def test_a_special_token_may_stand_for_the_bytes_of_a_normal_one():
    tokenizer = train_tokenizer(CORPUS, 300)
    normal = next(index for text, index in tokenizer.get_vocab().items() if len(text) > 1 and text[0] == "Ġ")
    text = tokenizer.decode([normal])
    engine = Engine(with_token(describe_tokenizer(tokenizer, 300), 0, text))  # spelled " t", the normal one "Ġt"
    assert engine.encode(f"a{text}") == [*plain_ids(tokenizer, "a"), 0]
    assert engine.encode(f"a{text}", specials=False) == [*plain_ids(tokenizer, "a"), normal]


def test_a_chat_is_the_ids_of_its_parts(byte_level):
    tokenizer, engine = byte_level

    @settings(max_examples=100, deadline=None)
    @given(st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), texts), min_size=1, max_size=4))
    def check(turns):
        ids = [tokenizer.bos_token_id]
        for role, content in turns:
            ids += engine.encode(f"<|im_start|>{role}\n") + engine.encode(content, specials=False)
            ids += engine.encode("<|im_end|>\n")
        chat = [{"role": role, "content": content} for role, content in turns]
        rendered = tokenizer.apply_chat_template(chat, tokenize=False)
        assert engine.encode(rendered) == plain_ids(tokenizer, rendered)
        if not any(special in content for _, content in turns for special in SPECIALS):
            assert tokenizer.apply_chat_template(chat)["input_ids"] == ids

    check()


def test_a_word_longer_than_the_memory_for_it_is_refused_and_shorter_ones_still_encoded():
    tokenizer = train_tokenizer(CORPUS, 300)
    engine = Engine(describe_tokenizer(tokenizer, 300), longest_word=61)
    for text in ("a" * 61, "a" * 61 + " " + "b" * 60, "=" * 61 + "a" * 61, "1" * 500, "\n" * 500):
        assert engine.encode(text) == plain_ids(tokenizer, text)
    for text in ("a" * 62, "a " + "b" * 61, "<|bos|>" + "=" * 62):
        assert status_of(engine.encode, text) == WORD_TOO_LONG
        assert engine.encode("a b") == plain_ids(tokenizer, "a b")


def test_buffers_that_are_too_small_are_told_how_much_is_needed(byte_level):
    _, engine = byte_level
    ids = engine.encode("The quick <|bos|> brown fox")
    assert engine.encode("The quick <|bos|> brown fox", capacity=len(ids)) == ids
    for capacity in (0, len(ids) - 1):
        with pytest.raises(Refused) as refused:
            engine.encode("The quick <|bos|> brown fox", capacity=capacity)
        assert (refused.value.status, refused.value.count) == (BUFFER_TOO_SMALL, len(ids))
    with pytest.raises(Refused) as refused:
        engine.decode([0], capacity=6)
    assert (refused.value.status, refused.value.count) == (BUFFER_TOO_SMALL, 7)


def test_the_arrays_may_come_through_a_callback():
    tokenizer = train_tokenizer(CORPUS, 400)
    described = describe_tokenizer(tokenizer, 400)
    for text in CORPUS:
        assert Engine(described, by_callback=True).encode(text) == plain_ids(tokenizer, text)


def test_less_memory_than_measured_is_refused():
    described = describe_tokenizer(train_tokenizer(CORPUS, 300), 300)
    for part in (0.001, 0.3, 0.7, 0.98):
        assert status_of(Engine, described, part=part) == ARENA_TOO_SMALL


# --- tables made to be slow -------------------------------------------------------------------------------------------


def first_in(slots: np.ndarray, count: int) -> list[int]:
    """Which entries have the lowest slots of a hash table: with linear probing they stand in each other's way."""
    return np.argsort(slots, kind="stable")[:count].tolist()


def test_tokens_that_collide_in_a_hash_do_not_slow_opening_down():
    described, count = describe_tokenizer(train_tokenizer(CORPUS, 261), 261), 4096
    letters = np.frombuffer(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOP", np.uint8)
    spelled = np.stack(np.meshgrid(*[letters] * 4, indexing="ij"), -1).reshape(-1, 4)  # no byte is one of these
    numbers = np.full(len(spelled), 0x811C9DC5, np.uint32)  # FNV-1a
    for column in spelled.T:
        numbers = (numbers ^ column) * np.uint32(0x01000193)
    colliding = first_in((numbers ^ numbers >> 15) & (16384 - 1), count)
    others = np.random.default_rng(0).choice(len(spelled), count, replace=False).tolist()

    def steps(chosen: list[int]) -> int:
        tokens = [*described.tokens, *(spelled[index].tobytes().decode() for index in chosen)]
        return steps_of(dataclasses.replace(described, tokens=tokens, types=[*described.types, *[1] * count]))

    assert steps(colliding) < 1.5 * steps(others)
    assert steps(sorted(others)) < 1.5 * steps(others)


def test_merges_that_collide_in_a_hash_do_not_slow_opening_down():
    described, count = describe_tokenizer(train_tokenizer(CORPUS, 261), 261), 2048
    byte_ids = np.arange(len(SPECIALS), 261, dtype=np.uint32)
    left, right = (ids.ravel() for ids in np.meshgrid(byte_ids, byte_ids))
    numbers = left * np.uint32(0x9E3779B1) ^ right * np.uint32(0x85EBCA77)
    colliding = first_in((numbers ^ numbers >> 16) & (4096 - 1), count)
    others = np.random.default_rng(0).choice(len(left), count, replace=False).tolist()

    def steps(chosen: list[int]) -> int:
        pairs = [(described.tokens[left[index]], described.tokens[right[index]]) for index in chosen]
        made = dataclasses.replace(
            described,
            tokens=[*described.tokens, *("".join(pair) for pair in pairs)],
            types=[*described.types, *[1] * count],
            merges=[" ".join(pair) for pair in pairs],
        )
        return steps_of(made)

    assert steps(colliding) < 1.5 * steps(others)


# --- damaged tables ---------------------------------------------------------------------------------------------------


def with_merges(described: BlobTokenizer, *merges) -> BlobTokenizer:
    return dataclasses.replace(described, merges=(*described.merges, *merges))


BYTE_LEVEL_DAMAGE = {
    "empty token": (lambda d: with_token(d, 270, ""), TOKEN_STRING),
    "empty special": (lambda d: with_token(d, 0, ""), TOKEN_STRING),
    "repeated token": (lambda d: with_token(d, 270, d.tokens[271]), TOKEN_STRING),
    "repeated byte": (lambda d: with_token(d, 270, d.tokens[100]), TOKEN_STRING),
    "repeated special": (lambda d: with_token(d, 0, d.tokens[1]), TOKEN_STRING),
    "special as token": (lambda d: with_token(d, 270, d.tokens[1]), TOKEN_STRING),
    "space in a token": (lambda d: with_token(d, 270, "a b"), TOKEN_STRING),
    "beyond the alphabet": (lambda d: with_token(d, 270, "a\u0144"), TOKEN_STRING),
    "soft hyphen": (lambda d: with_token(d, 270, "a\u00ad"), TOKEN_STRING),
    "three bytes": (lambda d: with_token(d, 270, "日"), TOKEN_STRING),
    "overlong": (lambda d: with_token(d, 270, b"a\xc1\x81"), TOKEN_STRING),
    "cut in a character": (lambda d: with_token(d, 270, b"a\xc4"), TOKEN_STRING),
    "special that is no UTF-8": (lambda d: with_token(d, 0, b"<\xff>"), TOKEN_STRING),
    "long token": (lambda d: with_token(d, 270, "=" * 513), TOKEN_STRING),
    "long special": (lambda d: with_token(d, 0, "=" * 513), TOKEN_STRING),
    "huge token": (lambda d: with_token(d, 270, "=" * 400_000), TOKEN_STRING),
    "type 0": (lambda d: with_type(d, 270, 0), TOKEN_TYPE),
    "type 7": (lambda d: with_type(d, 0, 7), TOKEN_TYPE),
    "negative type": (lambda d: with_type(d, 0, -1), TOKEN_TYPE),
    "byte type": (lambda d: with_type(d, 100, 6), TOKEN_TYPE),
    "missing byte": (lambda d: with_token(d, 100, "zzzz"), BYTE_MISSING),
    "unused byte": (lambda d: with_type(d, 100, 5), BYTE_MISSING),
    "repeated merge": (lambda d: with_merges(d, d.merges[3]), MERGE),
    "merge of an unknown left": (lambda d: with_merges(d, "zqz a"), MERGE),
    "merge of an unknown right": (lambda d: with_merges(d, "a zqz"), MERGE),
    "merge to an unknown token": (lambda d: with_merges(d, "q z"), MERGE),
    "merge of a special": (lambda d: with_merges(d, "<|bos|> a"), MERGE),
    "merge without a space": (lambda d: with_merges(d, "ab"), MERGE),
    "merge of two spaces": (lambda d: with_merges(d, "a  b"), MERGE),
    "merge of nothing": (lambda d: with_merges(d, " "), MERGE),
    "empty merge": (lambda d: with_merges(d, ""), MERGE),
    "misspelled merge": (lambda d: with_merges(d, b"a \xff"), MERGE),
    "long merge": (lambda d: with_merges(d, "a " + "b" * 5000), MERGE),
}


@pytest.mark.parametrize("damage", BYTE_LEVEL_DAMAGE)
def test_damaged_byte_level_tables_are_refused_by_their_own_status(byte_level_described, damage):
    change, status = BYTE_LEVEL_DAMAGE[damage]
    assert status_of(Engine, change(byte_level_described)) == status
    assert status_of(Engine, change(byte_level_described), by_callback=True) == status


@pytest.fixture(scope="module")
def byte_level_described():
    return describe_tokenizer(train_tokenizer(CORPUS, 300), 300)


@pytest.mark.parametrize("array", ["tokens", "types", "merges"])
def test_an_array_that_ends_early_or_beyond_the_file_is_refused(byte_level_described, array):
    described = byte_level_described
    data, numbers = pack(described, 0, {})
    place = 6 + 3 * ["tokens", "types", "merges"].index(array)
    offset, count, size = numbers[place : place + 3]
    for by_callback in (False, True):
        for span in ((len(data) - 9, count, size), (2**63, count, size)):
            status = status_of(Engine, described, by_callback=by_callback, **{array: span})
            assert status in (TRUNCATED, READ_FAILED)
    assert status_of(Engine, described, **{array: (offset, count, size - 1)}) == TRUNCATED


def test_counts_beyond_reason_are_refused(byte_level_described):
    assert status_of(Engine, byte_level_described, merges=(3, 2**32 + 1, 2**60)) == TOO_LARGE
    assert status_of(Engine, byte_level_described, tokens=(3, 300, 2**60)) == TOKEN_STRING


# --- real text --------------------------------------------------------------------------------------------------------


def test_real_text_gives_transformers_ids(shared):
    sample = list(documents(shared / "data", 12))
    tokenizer = train_tokenizer(sample[::9], 1024)
    engine = Engine(describe_tokenizer(tokenizer, 1024))
    for text in sample:
        ids = plain_ids(tokenizer, text)
        assert engine.encode(text) == ids
        assert engine.decode(ids).decode() == text
