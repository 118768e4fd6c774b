"""What the format forbids is neither written nor read, by Python as by the engine."""

import json

import pytest
from blobs import BOOL, F32, I32, KINDS, STRING, take_apart, tiny_sentencepiece, write_tiny
from damaged_blobs import CASES, TABLE
from peers import save_tiny, tiny_model, tiny_tokenizer

from brandon_hf.cli import main
from brandon_hf.export import blob as writing
from brandon_hf.export import read_blob
from brandon_hf.export.blob import write_model
from brandon_hf.export.tokenizer import describe_tokenizer, find_chat_format
from brandon_hf.tokenization import chatml_template


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    return {kind: take_apart(write_tiny(kind, folder / f"{kind}.gguf").read_bytes()) for kind in KINDS}


def refused(data: bytes, path) -> bool:
    path.write_bytes(data)
    try:
        read_blob(path)
    except ValueError as error:
        return "is no complete Brandon blob" in str(error)
    return False


# --- reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_an_undamaged_blob_is_read_after_taking_it_apart_and_joining_it(good, tmp_path, kind):
    assert not refused(good[kind].join(), tmp_path / "x.gguf")


def test_whatever_the_engine_refuses_is_refused(good, tmp_path):
    passed = []
    for name, (kind, damage, _) in CASES.items():
        parts = good[kind].copy()
        data = damage(parts)
        if not refused(parts.join() if data is None else data, tmp_path / "x.gguf"):
            passed.append(name)
    assert passed == []


@pytest.mark.parametrize("name", TABLE)
def test_a_wrong_row_of_the_table_is_refused(good, tmp_path, name):
    tensors = good["four-bits"].tensors
    for index in (0, 1, len(tensors) // 2, len(tensors) - 1):
        parts = good["four-bits"].copy()
        TABLE[name][1](parts, index)
        assert refused(parts.join(), tmp_path / "x.gguf"), tensors[index].name


@pytest.mark.parametrize(
    ("kind", "other"), [("byte-level", "chatml-spaced"), ("sentencepiece", "chatml"), ("ternary", "chatml-spaced")]
)
def test_the_other_kinds_chat_format_is_refused(good, tmp_path, kind, other):
    parts = good[kind].copy()
    own = "chatml" if other == "chatml-spaced" else "chatml-spaced"
    parts.set("chat_format", STRING, own)
    assert not refused(parts.join(), tmp_path / "x.gguf")
    parts.set("chat_format", STRING, other)
    assert refused(parts.join(), tmp_path / "x.gguf")


def test_flags_of_the_tokenizer_are_optional(good, tmp_path):
    parts = good["sentencepiece"].copy()
    for flag in ("add_bos_token", "add_space_prefix", "remove_extra_whitespaces"):
        parts.set(flag, BOOL, flag == "add_bos_token")
        parts.keys.remove(parts.key(flag))
    (tmp_path / "x.gguf").write_bytes(parts.join())
    read = read_blob(tmp_path / "x.gguf").tokenizer
    assert (read.add_bos, read.add_space_prefix, read.remove_extra_whitespaces) == (False, True, True)


def test_scores_beside_merges_and_an_empty_list_of_another_type_are_refused(good, tmp_path):
    parts = good["byte-level"].copy()
    parts.set_array("tokenizer.ggml.scores", F32, [0.0] * 300)
    assert refused(parts.join(), tmp_path / "x.gguf")
    parts = good["byte-level"].copy()
    parts.set_array("stop_token_ids", I32, [])
    assert not refused(parts.join(), tmp_path / "x.gguf")
    parts.set_array("stop_token_ids", F32, [])
    assert refused(parts.join(), tmp_path / "x.gguf")


# --- writing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "limit"),
    [
        ("num_hidden_layers", 129, 128),
        ("hidden_size", 4098, 4096),
        ("intermediate_size", 4097, 4096),
        ("head_dim", 1026, 4096),  # of four heads
        ("vocab_size", 262145, 262144),
        ("num_registers", 65, 64),
        ("max_position_embeddings", 65537, 65536),
    ],
)
def test_models_beyond_the_formats_limits_are_refused_before_they_are_quantised(
    tmp_path, monkeypatch, name, value, limit
):
    monkeypatch.setattr(writing, "quantize_slot", lambda *_: pytest.fail("it quantises"))
    tokenizer = tiny_tokenizer()
    model = tiny_model(tokenizer)
    setattr(model.config, name, value)
    found = 4 * value if name == "head_dim" else value
    with pytest.raises(ValueError, match=rf"{name}={found} is too large.* {limit}"):
        write_model(model, tokenizer, tmp_path / "x.gguf")


def test_tokens_longer_than_readers_take_are_refused_before_quantising(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "quantize_slot", lambda *_: pytest.fail("it quantises"))
    tokenizer = tiny_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": [f"<{'x' * 511}>"]})
    with pytest.raises(ValueError, match="stands for 513 bytes, not 1 to 512"):
        write_model(tiny_model(tokenizer, vocab_size=301), tokenizer, tmp_path / "x.gguf")


def test_a_chat_format_is_only_given_to_the_tokenizer_that_it_is_made_for():
    byte_level, spaced = tiny_tokenizer(), chatml_template(bos=False, separate_segments=True)
    assert find_chat_format(byte_level, "gpt2") == "chatml"
    assert find_chat_format(byte_level, "llama") == "none"
    byte_level.chat_template = spaced
    assert find_chat_format(byte_level, "gpt2") == "none"
    assert find_chat_format(byte_level, "llama") == "chatml-spaced"
    assert describe_tokenizer(byte_level, 300).chat_format == "none"
    assert describe_tokenizer(tiny_sentencepiece(), 300).chat_format == "none"


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("model") / "tiny")


@pytest.mark.parametrize("option", ["-o", "--json"])
@pytest.mark.parametrize("where", [".", "file/below", "file/far/below"])
def test_an_output_that_cannot_be_written_is_refused_before_the_work(
    folder, tmp_path, capsys, monkeypatch, option, where
):
    monkeypatch.setattr(writing, "load_folder", lambda *_: pytest.fail("it loads the model"))
    (tmp_path / "file").write_text("")
    outputs = {"-o": tmp_path / "x.gguf", "--json": tmp_path / "x.json"} | {option: tmp_path / where}
    status = main(["export", str(folder), *(str(part) for pair in outputs.items() for part in pair)])
    assert status == 2
    error = capsys.readouterr().err
    assert option in error
    assert str(outputs[option]) in error
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_report_survives_an_engine_that_refuses_the_blob(folder, tmp_path, capsys, monkeypatch):
    def refuse(*_, **__):
        raise ValueError("this engine knows better")

    monkeypatch.setattr("brandon_hf.runtime.Engine", refuse)
    status = main(["export", str(folder), "-o", str(tmp_path / "x.gguf"), "--json", str(tmp_path / "x.json")])
    out = capsys.readouterr().out
    assert status == 0
    assert "the compiled engine did not run it: this engine knows better" in out
    assert "(an estimate)" in out
    assert json.loads((tmp_path / "x.json").read_text())["no_engine"] == "this engine knows better"
    assert main(["inspect", str(tmp_path / "x.gguf")]) == 0
    assert "an estimate, as the engine does not run: this engine knows better" in capsys.readouterr().out
