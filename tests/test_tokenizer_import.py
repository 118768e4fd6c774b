"""Imported SentencePiece models give SentencePiece's own ids; files that cannot be converted are refused by name."""

import io
import json
import random
import struct
import subprocess
import sys

import jinja2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from brandon_hf.tokenization import import_sentencepiece

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
TEXTS = [
    "The quick brown fox jumps over the lazy dog. It didn't stop; it's 3:30 p.m.",
    "naïve café “quotes” … 100% -- ... ----- ====== ababababa banana aaaa",
    "Tabs\tand\nnewlines\n\nhere,  double  spaces ",
    "日本語 テスト 한국어 العربيّة ế ậ ﬁ ½ Å",
]
# pieces of text that a converter is likely to get wrong
TRICKY = [
    *("<|im_start|>", "<|im_end|>", "<|bos|>", "<s>", "</s>", "<unk>", "<|unk|>", "<0x41>", "<", "|>", "user"),
    *(" ", "  ", "   ", "\n", "\r\n", "\t", "\u3000", "\u200b", "\u2581", "\u2581\u2581", "\x01", "\x00"),
    *("the", "The", "dog.", "...", "----", "aaa", "1999", "日本", "🙂", "\uff5e", "ﬁ", "①"),
    *("\u0301", "é", "e\u0301", "e\u0302\u0301", "e\u0301\u0323", "ü\u0301", "각", "ｶﾞ", "ّ\u064e"),
]
NOT_EXACT = dict.fromkeys([0xFFF0, 0xFFF1, *range(0x340, 0x345)])  # what the module says it does not convert exactly
tricky_text = st.one_of(st.text(), st.lists(st.sampled_from(TRICKY), max_size=9).map("".join)).map(
    lambda text: text.translate(NOT_EXACT)
)


# --- a SentencePiece file written by hand ----------------------------------------------------------------------------


def varint(value: int) -> bytes:
    low, high = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + varint(high) if high else bytes([low])


def proto(*fields: tuple[int, int | float | bytes | str]) -> bytes:
    """A protobuf message of (field number, value) pairs."""
    data = b""
    for number, value in fields:
        if isinstance(value, int):
            data += varint(number << 3) + varint(value)
        elif isinstance(value, float):
            data += varint(number << 3 | 5) + struct.pack("<f", value)
        else:
            value = value.encode() if isinstance(value, str) else value
            data += varint(number << 3 | 2) + varint(len(value)) + value
    return data


PIECES = [
    *(("<unk>", 0.0, UNKNOWN), ("<s>", 0.0, CONTROL), ("</s>", 0.0, CONTROL)),
    *(("<|im_start|>", 0.0, USER_DEFINED), ("<|im_end|>", 0.0, USER_DEFINED)),
    # "ab" merges before "bc", and "abc" is made of "ab" + "c" or "a" + "bc" alike
    *(("ab", -0.0, NORMAL), ("bc", -1.0, NORMAL), ("abc", -2.0, NORMAL), ("▁ab", -3.0, NORMAL)),
    *((character, -4.0 - index, NORMAL) for index, character in enumerate("▁abcu")),
]
IDS = {text: index for index, (text, _, _) in enumerate(PIECES)}


def model_bytes(pieces=PIECES, trainer=(), normalizer=(), extra=b"") -> bytes:
    """A BPE model; `trainer` and `normalizer` are more fields of those messages."""
    data = b"".join(proto((1, proto((1, text), (2, score), (3, kind)))) for text, score, kind in pieces)
    return data + proto((2, proto((3, 2), *trainer)), (3, proto((1, "identity"), *normalizer))) + extra


@pytest.fixture
def write(tmp_path):
    def write(data: bytes) -> str:
        path = tmp_path / "tiny.model"
        path.write_bytes(data)
        return str(path)

    return write


def tokens(tokenizer, text: str) -> list[str]:
    ids = tokenizer(text).input_ids
    assert ids == tokenizer(text, add_special_tokens=False).input_ids  # no bos, no eos: as the original encodes
    return tokenizer.convert_ids_to_tokens(ids)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("   ", []),
        ("abc", ["▁", "abc"]),
        ("bc", ["▁", "bc"]),
        ("  ab   ab ", ["▁ab", "▁ab"]),
        ("xyzu", ["▁", "<unk>", "u"]),
        ("<|im_start|>ab", ["▁", "<|im_start|>", "ab"]),
        ("<|im_end|>", ["▁", "<|im_end|>"]),
        ("ab  <|im_end|>  ab", ["▁ab", "▁", "<|im_end|>", "▁ab"]),
        ("<s>ab", ["▁", "<unk>", "ab"]),
        ("<|im_end|><unk>", ["▁", "<|im_end|>", "<unk>", "u", "<unk>"]),
        ("ab▁", ["▁ab"]),
        ("▁ab", ["▁", "▁ab"]),
    ],
)
def test_a_small_model_encodes_as_sentencepiece_defines_it(write, text, expected):
    assert tokens(import_sentencepiece(write(model_bytes())), text) == expected


def test_ids_are_the_places_in_the_file(write):
    tokenizer = import_sentencepiece(write(model_bytes()))
    assert tokenizer.get_vocab() == IDS
    assert (tokenizer.unk_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id) == (0, 1, 2)
    assert tokenizer.pad_token is None


@pytest.mark.parametrize(
    ("normalizer", "text", "expected"),
    [
        ([(3, 0)], "abc ab", ["abc", "▁ab"]),
        ([(4, 0)], " abc  ab ", ["▁", "▁", "abc", "▁", "▁ab", "▁"]),
        ([(3, 0), (4, 0)], " ab ", ["▁ab", "▁"]),
    ],
    ids=["no dummy prefix", "white space kept", "both"],
)
def test_normalizer_flags_are_honoured(write, normalizer, text, expected):
    assert tokens(import_sentencepiece(write(model_bytes(normalizer=normalizer))), text) == expected


def test_byte_fallback_is_honoured(write):
    pieces = PIECES + [(f"<0x{byte:02X}>", 0.0, BYTE) for byte in range(256)]
    tokenizer = import_sentencepiece(write(model_bytes(pieces, trainer=[(35, 1)])))
    assert tokens(tokenizer, "é<|im_end|><0x41>")[:5] == ["▁", "<0xC3>", "<0xA9>", "<|im_end|>", "<0x3C>"]
    assert tokenizer.decode(tokenizer("é🙂ab").input_ids) == "é🙂ab"


def test_of_two_symbols_the_longer_is_found(write):
    tokenizer = import_sentencepiece(write(model_bytes([*PIECES, ("<|im_end|>u", 0.0, USER_DEFINED)])))
    assert tokens(tokenizer, "<|im_end|>u<|im_end|>") == ["▁", "<|im_end|>u", "<|im_end|>"]


def test_decoding_restores_spaces_and_shows_unknowns_as_sentencepiece_does(write):
    tokenizer = import_sentencepiece(write(model_bytes()))
    ids = [IDS[piece] for piece in ("▁", "<unk>", "▁ab", "c", "<|im_end|>", "▁ab")]
    assert tokenizer.decode(ids) == " \u2047  abc<|im_end|> ab"
    assert tokenizer.decode(ids[2:]) == "abc<|im_end|> ab"
    assert tokenizer.decode(ids[2:], skip_special_tokens=True) == "abc ab"


# --- files that are refused ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (model_bytes(trainer=[(3, 1)]), "model_type=unigram"),
        (model_bytes(trainer=[(3, 3)]), "model_type=word"),
        (model_bytes(trainer=[(24, 1)]), "treat_whitespace_as_suffix=true"),
        (model_bytes(normalizer=[(5, 0)]), "escape_whitespaces=false"),
        (model_bytes(normalizer=[(1, "user_defined"), (2, b"map")]), "name='user_defined'"),
        (model_bytes(extra=proto((5, proto((2, b"map"))))), "denormalizer_spec"),
        (model_bytes([*PIECES, ("spare", 0.0, UNUSED)]), "'spare' is of type UNUSED"),
        (model_bytes([*PIECES, ("ab", 0.0, NORMAL)]), "occurs twice"),
        (model_bytes([*PIECES, ("", 0.0, NORMAL)]), "a piece is empty"),
        (model_bytes([*PIECES, ("xyz", -9.0, NORMAL)]), "'xyz' cannot be made by merging"),
        (model_bytes([*PIECES, ("a b", 0.0, USER_DEFINED)]), "'a b' holds a space"),
        (model_bytes(PIECES[1:]), "0 pieces are of type UNKNOWN"),
    ],
)
def test_what_cannot_be_converted_exactly_is_refused_by_name(write, data, complaint):
    path = write(data)
    with pytest.raises(ValueError, match=complaint) as error:
        import_sentencepiece(path)
    assert path in str(error.value)


def test_a_file_cut_anywhere_is_refused_by_name(write):
    whole = model_bytes()
    for size in range(len(whole)):
        with pytest.raises(ValueError, match=rf"tiny\.model .*\({size} bytes\)"):
            import_sentencepiece(write(whole[:size]))


@pytest.mark.parametrize(
    "data",
    [
        b"\x00" * 64,
        b"\xff" * 64,
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 369538\n",
        b'{"model": {"type": "BPE"}}',
        proto((1, 5)),
        proto((1, proto((1, b"\xff"), (2, 0.0)))),
        proto((1, proto((1, "a"), (2, 7)))),
        proto((1, proto((1, "a"), (3, 9)))),
    ],
)
def test_garbage_is_refused_by_name(write, data):
    with pytest.raises(ValueError, match=r"tiny\.model is not a complete SentencePiece model"):
        import_sentencepiece(write(data))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("garbage") / "any.model"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"any\.model"):
        import_sentencepiece(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"missing\.model"):
        import_sentencepiece(tmp_path / "missing.model")


# --- against sentencepiece itself ------------------------------------------------------------------------------------

SYMBOLS = {"user_defined_symbols": ["<|im_start|>", "<|im_end|>"]}
VARIANTS = {
    "default": SYMBOLS,
    "no symbols": {},
    "original": {
        **SYMBOLS,
        **{"character_coverage": 0.98, "pad_id": 0, "unk_id": 1, "bos_id": 2, "eos_id": 3},
        **{f"{name}_piece": f"<|{name}|>" for name in ("pad", "unk", "bos", "eos")},
    },
    "byte fallback": {**SYMBOLS, "byte_fallback": True, "character_coverage": 0.98, "vocab_size": 500},
    "identity": {**SYMBOLS, "normalization_rule_name": "identity"},
    "nfkc": {**SYMBOLS, "normalization_rule_name": "nfkc"},
    "case folding": {**SYMBOLS, "normalization_rule_name": "nmt_nfkc_cf"},
    "no dummy prefix": {**SYMBOLS, "add_dummy_prefix": False},
    "white space kept": {**SYMBOLS, "remove_extra_whitespaces": False, "allow_whitespace_only_pieces": True},
    "llama-like": {
        **{"user_defined_symbols": ["\n", "▁▁"], "byte_fallback": True, "vocab_size": 500, "split_digits": True},
        **{"normalization_rule_name": "identity", "remove_extra_whitespaces": False, "add_dummy_prefix": False},
    },
    "pieces over words": {"split_by_whitespace": False, "split_by_unicode_script": False},
    "control symbols": {"control_symbols": ["<|im_start|>", "<sep>"], "user_defined_symbols": ["ing"]},
    "no bos or eos": {"bos_id": -1, "eos_id": -1},
    "own surface of unk": {"unk_surface": "??", "character_coverage": 0.98},
}


@pytest.fixture(scope="module", params=VARIANTS, ids=lambda name: name.replace(" ", "_"))
def pair(request, tmp_path_factory):
    """(our tokenizer after a save and a stock load, SentencePiece's own) for one kind of model."""
    sentencepiece = pytest.importorskip("sentencepiece")
    folder = tmp_path_factory.mktemp("model")
    model = io.BytesIO()
    settings = {"vocab_size": 240, "character_coverage": 1.0, **VARIANTS[request.param]}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS * 5), model_writer=model, model_type="bpe", minloglevel=2, **settings
    )
    (folder / "spm.model").write_bytes(model.getvalue())
    import_sentencepiece(folder / "spm.model").save_pretrained(folder / "saved")
    return AutoTokenizer.from_pretrained(folder / "saved"), sentencepiece.SentencePieceProcessor(
        model_proto=model.getvalue()
    )


def test_every_kind_of_model_gives_sentencepieces_ids_and_text(pair):
    tokenizer, original = pair

    @settings(max_examples=150, deadline=None)
    @given(tricky_text)
    def check(text):
        ids = original.Encode(text)
        assert tokenizer(text).input_ids == ids
        assert tokenizer.decode(ids) == original.Decode(ids)

    check()


def test_runs_of_one_character_merge_from_the_left_as_in_sentencepiece(pair):
    tokenizer, original = pair
    generator = random.Random(0)
    for _ in range(300):
        text = "".join(generator.choice("a-=. bn") * generator.randint(1, 9) for _ in range(generator.randint(1, 6)))
        assert tokenizer(text).input_ids == original.Encode(text)


def test_a_symbol_that_normalization_changes_is_refused(write):
    sentencepiece = pytest.importorskip("sentencepiece")
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        **{"sentence_iterator": iter(TEXTS * 5), "model_writer": model, "model_type": "bpe", "vocab_size": 240},
        **{"user_defined_symbols": ["①"], "minloglevel": 2},
    )
    with pytest.raises(ValueError, match="normalization changes the user-defined symbol '①'"):
        import_sentencepiece(write(model.getvalue()))


# --- the original model ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def original_folder(shared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("original")
    import_sentencepiece(shared / "reference_tokenizer/tokenizer_8k.model").save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def original(original_folder):
    return AutoTokenizer.from_pretrained(original_folder)


@pytest.fixture(scope="module")
def expected(shared):
    return json.loads((shared / "reference_tokenizer/expected.json").read_text(encoding="utf-8"))


def test_the_original_model_gives_the_original_ids(original, expected):
    for line in expected["lines"]:
        assert original(line["text"]).input_ids == line["ids"]
        assert original(line["text"], add_special_tokens=False).input_ids == line["ids"]


def test_the_original_chats_give_the_original_ids(original, expected):
    for chat in expected["chats"]:
        assert original.apply_chat_template(chat["messages"])["input_ids"] == chat["ids"]
    prompt = expected["generation_prompt"]
    ids = original.apply_chat_template(prompt["messages"], add_generation_prompt=True)["input_ids"]
    assert ids == prompt["ids"]


def test_the_assistant_mask_is_the_originals_and_the_end_of_the_turn(original, expected):
    im_end = original.convert_tokens_to_ids("<|im_end|>")
    for chat in expected["chats"]:
        output = original.apply_chat_template(chat["messages"], return_assistant_tokens_mask=True, return_dict=True)
        mask = list(chat["target_mask"])
        for at, token in enumerate(chat["ids"]):
            if token == im_end and mask[at - 2]:  # before it, the lone space that the footer begins with
                mask[at - 1] = mask[at] = 1
        assert output["assistant_masks"] == mask


def test_the_originals_special_tokens_keep_their_ids_and_meaning(original):
    assert len(original) == 8192
    assert (original.pad_token_id, original.unk_token_id, original.bos_token_id, original.eos_token_id) == (0, 1, 2, 3)
    assert original.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>", "<|user|>"]) == [4, 5, 7]
    ids = original("Hello <|im_end|>").input_ids
    assert original.decode(ids, skip_special_tokens=True).strip() == "Hello"
    assert original.padding_side == "left"


def test_segments_of_a_chat_encode_as_if_one_by_one(original, shared):
    sentencepiece = pytest.importorskip("sentencepiece")
    model = str(shared / "reference_tokenizer/tokenizer_8k.model")
    processor = sentencepiece.SentencePieceProcessor(model_file=model)

    @settings(max_examples=150, deadline=None)
    @given(st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), tricky_text), min_size=1, max_size=4))
    def check(turns):
        segments = [part for role, text in turns for part in (f"<|im_start|>{role}\n", text, "<|im_end|>\n")]
        chat = [{"role": role, "content": text} for role, text in turns]
        one_by_one = [token for ids in processor.Encode(segments) for token in ids]
        assert original.apply_chat_template(chat)["input_ids"] == one_by_one

    check()


def test_the_imported_template_refuses_what_ours_refuses(original):
    with pytest.raises(jinja2.TemplateError, match="role tool"):
        original.apply_chat_template([{"role": "tool", "content": "x"}], tokenize=False)


def test_a_model_whose_chats_could_not_be_exact_has_no_chat_template(write):
    assert import_sentencepiece(write(model_bytes())).chat_template
    assert import_sentencepiece(write(model_bytes(normalizer=[(3, 0)]))).chat_template is None
    assert import_sentencepiece(write(model_bytes(normalizer=[(4, 0)]))).chat_template is None
    assert import_sentencepiece(write(model_bytes(PIECES[:3] + PIECES[5:]))).chat_template is None


def test_an_imported_folder_needs_nothing_but_transformers(original_folder, expected):
    script = (
        "import json, sys\n"
        "for name in ('brandon_hf', 'sentencepiece', 'google.protobuf', 'tiktoken'): sys.modules[name] = None\n"
        "from transformers import AutoTokenizer\n"
        "tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])\n"
        "print(json.dumps([tokenizer(text).input_ids for text in json.loads(sys.argv[2])]))"
    )
    texts = json.dumps([line["text"] for line in expected["lines"]])
    command = [sys.executable, "-I", "-c", script, str(original_folder), texts]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == [line["ids"] for line in expected["lines"]]


def test_importing_needs_neither_sentencepiece_nor_protobuf(write):
    script = (
        "import sys\n"
        "for name in ('sentencepiece', 'google.protobuf', 'tiktoken'): sys.modules[name] = None\n"
        "from brandon_hf.tokenization import import_sentencepiece\n"
        "print(import_sentencepiece(sys.argv[1])('abc').input_ids)"
    )
    command = [sys.executable, "-c", script, write(model_bytes())]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == [IDS["▁"], IDS["abc"]]


def test_trl_trains_the_imported_model_on_answers_and_their_end(original):
    utils = pytest.importorskip("trl.chat_template_utils")
    assert utils.get_training_chat_template(original) is None  # nothing to patch
    assert utils.is_chat_template_stop_token_trained(original)
