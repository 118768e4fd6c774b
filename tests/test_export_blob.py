"""`brandon export`, `inspect` and `import` of a blob: what is in it is the format's, and comes back as it was."""

import json
import zlib

import numpy as np
import pytest
import torch
from gguf import GGUFReader
from hypothesis import given, settings
from hypothesis import strategies as st
from model_runners import CONFIGS
from model_runners import tiny_model as model_with
from original_layout import write_sentencepiece
from peers import TEXTS, save_tiny, stop_ids, tiny_model, tiny_tokenizer
from tokenizers import AddedToken
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, GPT2LMHeadModel

from brandon_hf.cli import main
from brandon_hf.export import import_blob, read_blob, write_blob
from brandon_hf.export.blob import find_checksum, write_model
from brandon_hf.export.tokenizer import build_tokenizer, describe_tokenizer, find_chat_format
from brandon_hf.tokenization import import_sentencepiece

TOKENIZER = tiny_tokenizer()
TRICKY = [*TEXTS, " two  spaces\n\n\ttab ", "it's 1999", "naïve 日本語 🙂", "<|im_start|>user\nhi<|im_end|>", ""]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def blob(folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("blob") / "tiny.gguf"
    write_blob(folder, path)
    return path


@pytest.fixture
def run(capsys):
    """`brandon ...`: its status, what it printed, and its error."""

    def run(*arguments) -> tuple[int, str, str]:
        status = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


# --- the file ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("name", ["plain", "everything"])
def test_tensors_are_aligned_in_block_order_with_the_same_distance_from_block_to_block(tmp_path, name, bits):
    model = model_with(name, vocab_size=300, hidden_size=32, intermediate_size=48, num_hidden_layers=12)
    write_model(model, TOKENIZER, tmp_path / "x.gguf", bits)
    reader = GGUFReader(tmp_path / "x.gguf")
    offsets = [tensor.data_offset for tensor in reader.tensors]
    assert all(offset % 2048 == 0 for offset in offsets)
    assert offsets == sorted(offsets)
    assert reader.tensors[0].name == "token_embd.scale"
    ends = [tensor.data_offset + -(-tensor.n_bytes // 2048) * 2048 for tensor in reader.tensors]
    assert ends == [*offsets[1:], len(reader.data)]
    blocks = [[t.data_offset for t in reader.tensors if t.name.startswith(f"blk.{index}.")] for index in range(2)]
    assert len(blocks[0]) == len(blocks[1]) == 10 + (2 if name == "everything" else 0) + (4 if bits == 4 else 0)
    assert len({second - first for first, second in zip(*blocks, strict=True)}) == 1
    data = np.fromfile(tmp_path / "x.gguf", np.uint8)
    for tensor, end in zip(reader.tensors, ends, strict=True):
        assert not data[tensor.data_offset + tensor.n_bytes : end].any()


def test_keys_say_what_the_model_is(blob):
    fields = {name: field.contents() for name, field in GGUFReader(blob).fields.items()}
    ours = {name.removeprefix("brandon-tiny."): value for name, value in fields.items() if name.startswith("brandon-")}
    checksum = ours.pop("checksum")
    data = bytearray(blob.read_bytes())
    data[find_checksum(data) : find_checksum(data) + 4] = bytes(4)
    assert checksum == zlib.crc32(data)
    assert ours.pop("attention.layer_norm_rms_epsilon") == pytest.approx(1e-5)
    assert ours == {
        "blob_version": 1,
        "features": 0b100011,  # average, addition of values, tied
        "weight_bits": 8,
        "vocab_size": 300,
        "embedding_length": 32,
        "feed_forward_length": 64,
        "block_count": 4,
        "unique_block_count": 2,
        "block_repeat": 2,
        "loop_count": 1,
        "attention.head_count": 4,
        "attention.head_count_kv": 2,
        "attention.key_length": 8,
        "rope.freq_base": 10000.0,
        "register_count": 4,
        "context_length": 256,
        "chat_format": "chatml",
        "stop_token_ids": stop_ids(TOKENIZER),
    }
    assert fields["general.alignment"] == 2048
    assert fields["general.name"] == "tiny"
    assert fields["tokenizer.ggml.pre"] == "brandon"
    assert fields["tokenizer.ggml.token_type"][:6] == [3, 3, 3, 3, 3, 1]
    assert fields["tokenizer.ggml.tokens"][:3] == ["<|pad|>", "<|bos|>", "<|eos|>"]
    assert fields["tokenizer.ggml.add_bos_token"] is True


def test_the_rotation_frequencies_are_the_models_own(blob):
    read = read_blob(blob)
    exponents = torch.arange(0, 8, 2) / 8
    assert np.array_equal(read.floats("rope_freqs.weight"), (read.config.rope_theta**-exponents).numpy())


def test_a_model_without_stop_tokens_has_an_empty_list(tmp_path):
    model = model_with("plain", vocab_size=300)
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = None
    write_model(model, tokenizer, tmp_path / "x.gguf")
    assert read_blob(tmp_path / "x.gguf").stop_ids == ()
    assert read_blob(tmp_path / "x.gguf").tokenizer.chat_format == "none"


def test_the_end_of_a_turn_stops_generation_even_if_the_model_does_not_say_so(tmp_path):
    model = tiny_model(TOKENIZER)
    model.generation_config.eos_token_id = None
    write_model(model, TOKENIZER, tmp_path / "x.gguf")
    assert read_blob(tmp_path / "x.gguf").stop_ids == tuple(stop_ids(TOKENIZER))


def test_a_smaller_tokenizer_is_filled_up_with_unused_tokens(tmp_path):
    write_model(tiny_model(TOKENIZER, vocab_size=305), TOKENIZER, tmp_path / "x.gguf")
    described = read_blob(tmp_path / "x.gguf").tokenizer
    assert described.tokens[-2:] == ["[unused 303]", "[unused 304]"]
    assert described.types[-2:] == [5, 5]
    assert len(build_tokenizer(described, 256)) == len(TOKENIZER)


# --- reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CONFIGS)
def test_every_option_comes_back(tmp_path, name):
    model = model_with(name, vocab_size=300)
    write_model(model, TOKENIZER, tmp_path / "x.gguf")
    config = read_blob(tmp_path / "x.gguf").config
    for field in (*CONFIGS["everything"], "rms_norm_eps", "rope_theta"):
        if field not in ("num_mtp_heads", "vocab_size"):
            assert getattr(config, field) == getattr(model.config, field), field
    assert config.num_mtp_heads == 0


@settings(max_examples=150, deadline=None)
@given(at=st.floats(0, 1, exclude_max=True), change=st.integers(1, 255), cut=st.booleans())
def test_a_damaged_file_is_refused_with_one_error(blob, tmp_path_factory, at, change, cut):
    data = bytearray(blob.read_bytes())
    place = int(at * len(data))
    if cut:
        del data[place:]
    else:
        data[place] ^= change
    path = tmp_path_factory.getbasetemp() / "damaged.gguf"
    path.write_bytes(data)
    with pytest.raises(ValueError, match="is no complete Brandon blob"):
        read_blob(path)


def signed(data: bytearray) -> bytes:
    """With a checksum that agrees."""
    at = find_checksum(data)
    data[at : at + 4] = bytes(4)
    data[at : at + 4] = zlib.crc32(data).to_bytes(4, "little")
    return bytes(data)


@settings(max_examples=150, deadline=None)
@given(at=st.integers(0, 12000), value=st.integers(0, 2**64 - 1))
def test_a_lying_header_with_a_checksum_that_agrees_never_raises_anything_else(blob, tmp_path_factory, at, value):
    data = bytearray(blob.read_bytes())
    data[at : at + 8] = value.to_bytes(8, "little")
    path = tmp_path_factory.getbasetemp() / "lying.gguf"
    try:
        path.write_bytes(signed(data))
    except ValueError:  # the checksum's own key is gone
        path.write_bytes(data)
    try:
        read_blob(path)
    except ValueError as error:
        assert "is no complete Brandon blob" in str(error)  # noqa: PT017 - most changes, not all, are found


@pytest.mark.parametrize(
    ("tensor", "index", "value", "message"),
    [
        ("token_embd.scale", 3, np.float32("nan"), "not finite"),
        ("blk.0.attn_qkv.scale", 0, np.float32(-1), "negative scale"),
        ("blk.1.ffn_down.weight", 7, np.int8(-128), "-128"),
        ("dwa.weight", 0, np.float32("inf"), "not finite"),
    ],
)
def test_numbers_that_the_format_forbids_are_refused(blob, tmp_path, tensor, index, value, message):
    place = next(t.data_offset for t in GGUFReader(blob).tensors if t.name == tensor) + index * value.nbytes
    data = bytearray(blob.read_bytes())
    data[place : place + value.nbytes] = value.tobytes()
    (tmp_path / "x.gguf").write_bytes(signed(data))
    with pytest.raises(ValueError, match=f"tensor {tensor}.*{message}"):
        read_blob(tmp_path / "x.gguf")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("brandon-tiny.blob_version", 2, "blob_version is 2"),
        ("brandon-tiny.features", 1 << 10, "bits that this does not know"),
        ("brandon-tiny.features", 6, "both forms"),
        ("brandon-tiny.weight_bits", 3, "weight_bits is 3"),
        ("brandon-tiny.unique_block_count", 3, "the other counts give 2"),
        ("brandon-tiny.embedding_length", 48, "tensor token_embd.weight is"),
        ("brandon-tiny.vocab_size", 0, "vocab_size=0"),
        ("brandon-tiny.block_count", 2**32 - 1, "num_hidden_layers=4294967295 is too large"),
        ("tokenizer.ggml.eot_token_id", 300, "id 300 is outside"),
    ],
)
def test_keys_that_contradict_the_file_are_refused(blob, tmp_path, key, value, message):
    data = bytearray(blob.read_bytes())
    at = data.index(key.encode()) + len(key) + 4
    data[at : at + 4] = value.to_bytes(4, "little")
    (tmp_path / "x.gguf").write_bytes(signed(data))
    with pytest.raises(ValueError, match=message):
        read_blob(tmp_path / "x.gguf")


def test_a_count_beyond_the_end_of_the_file_is_refused_before_it_is_followed(blob, tmp_path):
    data = bytearray(blob.read_bytes())
    at = data.index(b"tokenizer.ggml.token_type") + 25 + 4 + 4  # behind the types of the value and of its elements
    data[at : at + 8] = (1 << 20).to_bytes(8, "little")
    (tmp_path / "x.gguf").write_bytes(signed(data))
    with pytest.raises(ValueError, match="beyond the end of the file"):
        read_blob(tmp_path / "x.gguf")


# --- tokenizers -------------------------------------------------------------------------------------------------------

REBUILT = build_tokenizer(describe_tokenizer(TOKENIZER, 300), 256)


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(), st.lists(st.sampled_from(TRICKY)).map("".join)), st.booleans(), st.booleans())
def test_the_byte_level_tokenizer_comes_back_with_the_same_ids(text, specials, split):
    options = {"add_special_tokens": specials, "split_special_tokens": split}
    ids = TOKENIZER(text, **options)["input_ids"]
    assert REBUILT(text, **options)["input_ids"] == ids
    assert REBUILT.decode(ids) == TOKENIZER.decode(ids)


def test_names_and_template_of_the_tokenizer_come_back():
    assert REBUILT.special_tokens_map == TOKENIZER.special_tokens_map
    assert REBUILT.chat_template == TOKENIZER.chat_template
    assert json.loads(REBUILT.backend_tokenizer.to_str()) == json.loads(TOKENIZER.backend_tokenizer.to_str())


@pytest.mark.parametrize(
    "options", [{"byte_fallback": True}, {"remove_extra_whitespaces": False, "add_dummy_prefix": False, "map": "nfkc"}]
)
def test_a_sentencepiece_import_comes_back_as_it_was(tmp_path, options):
    spm = pytest.importorskip("sentencepiece")
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(TRICKY[:-1] * 3),
        model_prefix=str(tmp_path / "sp"),
        model_type="bpe",
        vocab_size=400,
        hard_vocab_limit=False,
        user_defined_symbols="<|im_start|>,<|im_end|>",
        normalization_rule_name=options.get("map", "nmt_nfkc"),
        minloglevel=2,
        num_threads=1,
        **{name: value for name, value in options.items() if name != "map"},
    )
    tokenizer = import_sentencepiece(tmp_path / "sp.model")
    described = describe_tokenizer(tokenizer, len(tokenizer) + 2)
    assert described.kind == "llama"
    assert (6 in described.types) == ("byte_fallback" in options)
    assert described.types[tokenizer.convert_tokens_to_ids("<|im_end|>")] == 4
    assert described.types[tokenizer.unk_token_id] == 2
    rebuilt = build_tokenizer(described, 512)
    assert json.loads(rebuilt.backend_tokenizer.to_str()) == json.loads(tokenizer.backend_tokenizer.to_str())
    model = tiny_model(tokenizer, vocab_size=len(tokenizer) + 2)
    write_model(model, tokenizer, tmp_path / "x.gguf")
    again = build_tokenizer(read_blob(tmp_path / "x.gguf").tokenizer, 512)
    for text in TRICKY:
        assert again(text)["input_ids"] == tokenizer(text)["input_ids"]


def test_chat_formats_are_recognised_by_what_a_template_writes(tmp_path):
    tokenizer = tiny_tokenizer()
    assert find_chat_format(tokenizer, "gpt2") == "chatml"
    tokenizer.chat_template = "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"  # noqa: E501 - Jinja keeps its line breaks
    assert find_chat_format(tokenizer, "gpt2") == "chatml"  # another spelling of the same
    for other in (
        tokenizer.chat_template.replace("m.content", "m.content | trim"),
        tokenizer.chat_template.replace("{{ bos_token }}", ""),
        tokenizer.chat_template.replace("assistant", "bot"),
        "{{ raise_exception('no') }}",
        "{{ broken",
        None,
    ):
        tokenizer.chat_template = other
        assert find_chat_format(tokenizer, "gpt2") == "none"
    imported = import_sentencepiece(write_sentencepiece(tmp_path / "sp.model"))
    assert find_chat_format(imported, "llama") == "chatml-spaced"


def refuse(tokenizer, message: str, vocab_size: int = 400) -> None:
    with pytest.raises(ValueError, match=message):
        describe_tokenizer(tokenizer, vocab_size)


def test_tokenizers_that_a_blob_cannot_express_are_refused():
    from tokenizers import models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    refuse(tiny_tokenizer(), "reach 299, but the model has vocab_size=299", 299)
    changed = tiny_tokenizer()
    changed.add_tokens([AddedToken("hello", special=False)])
    refuse(changed, "'hello' is not special|normalized=true")
    changed = tiny_tokenizer()
    changed.add_tokens([AddedToken("<|x|>", special=True, lstrip=True, normalized=False)], special_tokens=True)
    refuse(changed, "'<|x|>' has lstrip=true")
    changed = tiny_tokenizer()
    changed.backend_tokenizer.normalizer = normalizers.Lowercase()
    refuse(changed, "normalizer")
    changed = tiny_tokenizer()
    changed.backend_tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    refuse(changed, "cuts texts by a rule")
    changed = tiny_tokenizer()
    changed.backend_tokenizer.model.dropout = 0.1
    refuse(changed, "dropout=")
    changed = tiny_tokenizer()
    changed.add_special_tokens({"additional_special_tokens": ["b"]})
    refuse(changed, "special token 'b' is also a byte")
    refuse(PreTrainedTokenizerFast(tokenizer_object=type(changed.backend_tokenizer)(models.WordLevel({"a": 0}))), "BPE")


# --- the commands -----------------------------------------------------------------------------------------------------


def test_export_prints_what_it_cost_and_writes_the_same_as_json(run, folder, tmp_path):
    status, out, _ = run("export", folder, "-o", tmp_path / "x.gguf", "--json", tmp_path / "x.json", "--context", 100)
    assert status == 0
    numbers = json.loads((tmp_path / "x.json").read_text())
    assert f"{numbers['size']:,} bytes" in out
    assert numbers["size"] == (tmp_path / "x.gguf").stat().st_size
    assert [error["name"] for error in numbers["errors"]][:3] == ["token_embd", "blk.0.attn_qkv", "blk.0.attn_output"]
    assert all(0 < error["relative_rms"] <= error["worst_row"] < 0.03 for error in numbers["errors"])
    assert numbers["after"]["perplexity"] == pytest.approx(numbers["before"]["perplexity"], rel=0.01)
    assert 200 < numbers["before"]["perplexity"] < 500  # an untrained model knows nothing of 300 tokens
    assert numbers["budget"]["context"] == 100
    assert "24 MiB: fits" in out
    assert set(numbers["budget"]["cache"]) == {"float32", "float16", "int8"}


def test_heads_that_draft_are_left_out_and_named(run, tmp_path):
    save_tiny(tmp_path / "model", num_mtp_heads=2)
    status, out, _ = run("export", tmp_path / "model", "-o", tmp_path / "x.gguf")
    assert status == 0
    assert "left out: 2 heads" in out
    assert read_blob(tmp_path / "x.gguf").config.num_mtp_heads == 0


def test_inspect_shows_shape_features_tokenizer_and_tensors(run, blob):
    status, out, _ = run("inspect", blob, "--tensors", "--context", 64)
    assert status == 0
    for part in (
        "verified",
        "vocabulary 300",
        "depth_weighted_average",
        "chatml",
        "context of 64",
        "blk.1.ffn_down.weight",
    ):
        assert part in out
    assert "blk.0" not in run("inspect", blob)[1]


def test_import_gives_a_folder_that_computes_and_encodes_the_same(run, blob, folder, tmp_path):
    status, out, _ = run("import", blob, tmp_path / "back")
    assert status == 0
    assert "model.safetensors" in out
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "back")
    original = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "back")
    ids = tokenizer(TEXTS[0], return_tensors="pt").input_ids
    assert torch.equal(ids, TOKENIZER(TEXTS[0], return_tensors="pt").input_ids)
    with torch.no_grad():
        wanted = original(ids).logits
        assert 0 < (model(ids).logits - wanted).std() < 0.05 * wanted.std()
    assert model.generation_config.eos_token_id == stop_ids(TOKENIZER)
    assert tokenizer.chat_template == TOKENIZER.chat_template
    status, _, error = run("import", blob, tmp_path / "back")
    assert status == 2
    assert "not an empty folder" in error


def test_an_import_exports_to_the_same_weights(blob, tmp_path):
    import_blob(blob, tmp_path / "back")
    write_blob(tmp_path / "back", tmp_path / "again.gguf")
    first, second = read_blob(blob), read_blob(tmp_path / "again.gguf")
    for name, tensor in first.tensors.items():
        np.testing.assert_allclose(second.tensors[name].array, tensor.array, rtol=1e-6, err_msg=name)


def test_an_imported_ternary_model_is_still_one(tmp_path):
    model = model_with("ternary", vocab_size=300)
    write_model(model, TOKENIZER, tmp_path / "x.gguf")
    assert read_blob(tmp_path / "x.gguf").bits == 2
    import_blob(tmp_path / "x.gguf", tmp_path / "back")
    back = AutoModelForCausalLM.from_pretrained(tmp_path / "back")
    assert back.config.ternary_weights
    wanted = model.model.blocks[0].mlp.down_proj.quantized_weight()
    torch.testing.assert_close(back.model.blocks[0].mlp.down_proj.quantized_weight(), wanted, rtol=1e-5, atol=0)


def test_dtype_of_an_import(blob, tmp_path):
    import_blob(blob, tmp_path / "back", dtype="bfloat16")
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "back", dtype="auto").dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--bits", "2"), "ternary_weights"),
        (("--context", "257"), "context=257 must be 1 to 256"),
        (("--text", "absent.txt"), "absent.txt"),
        (("--format", "llama", "--bits", "8"), "--bits has no meaning with --format llama"),
    ],
)
def test_export_refuses_before_it_writes(run, folder, tmp_path, arguments, message):
    status, _, error = run("export", folder, "-o", tmp_path / "x.gguf", *arguments)
    assert status == 2
    assert message in error
    assert not list(tmp_path.iterdir())


def test_a_cut_or_empty_file_is_called_that(run, folder, tmp_path):
    path = tmp_path / "x.gguf"
    assert "that the model need not know" in run("export", folder, "-o", path)[1]
    path.write_bytes(path.read_bytes()[:-3000])
    assert "it is cut off or damaged" in run("inspect", path)[2]
    path.write_bytes(b"")
    assert "it is empty" in run("inspect", path)[2]


def test_columns_that_4_bits_cannot_group_are_named(tmp_path):
    model = tiny_model(TOKENIZER, intermediate_size=40)
    with pytest.raises(ValueError, match=r"mlp.down_proj.weight: its 40 columns .* 16"):
        write_model(model, TOKENIZER, tmp_path / "x.gguf", 4)


def test_other_models_are_refused_by_name(run, tmp_path):
    sizes = {"n_embd": 8, "n_layer": 1, "n_head": 2, "n_positions": 8, "vocab_size": 300}
    GPT2LMHeadModel(GPT2Config(**sizes)).save_pretrained(tmp_path / "gpt2")
    status, _, error = run("export", tmp_path / "gpt2", "-o", tmp_path / "x.gguf")
    assert status == 2
    assert "model_type='gpt2'" in error
    assert "is no folder" in run("export", tmp_path / "absent", "-o", tmp_path / "x.gguf")[2]


def test_weights_that_are_not_finite_are_named(tmp_path):
    model = tiny_model(TOKENIZER)
    with torch.no_grad():
        model.model.blocks[1].mlp.down_proj.weight[0, 0] = float("inf")
    with pytest.raises(ValueError, match=r"model.blocks.1.mlp.down_proj.weight .*not finite"):
        write_model(model, TOKENIZER, tmp_path / "x.gguf")
    assert not list(tmp_path.iterdir())
