"""The tokenizer new models use: byte-level BPE, its pre-tokenization rule, its special tokens, its chat template."""

import gzip
import json
import subprocess
import sys
import warnings

import jinja2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from brandon_hf.tokenization import SPECIAL_TOKENS, train_tokenizer

TEXTS = [
    "The cat sat on the mat; the dog didn't. It's 12:30, isn't it?\n\nShe said: 'Hello, world!'  And then\tshe left\n",
    "user asks: what is the capital of France? assistant says: Paris. system prompt: you are helpful.\n",
    "naïve café “quotes” — 日本語 🙂 1234567890 + 3 = x_y/z\\w (a) [b] {c}\r\n   indented\n",
] * 3
CHAT = [
    {"role": "system", "content": "You are helpful."},
    {"role": "user", "content": " What is  2 + 2?\n"},
    {"role": "assistant", "content": "\n\n  It's 4. "},
    {"role": "user", "content": ""},
    {"role": "assistant", "content": ""},
    {"role": "user", "content": "Thanks!"},
    {"role": "assistant", "content": "You're\twelcome 🙂"},
]


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(TEXTS, vocab_size=400)


# --- vocabulary ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vocab_size", [261, 300, 333])
def test_the_vocabulary_has_exactly_the_asked_size(vocab_size):
    tokenizer = train_tokenizer(TEXTS, vocab_size=vocab_size)
    assert len(tokenizer) == tokenizer.vocab_size == vocab_size
    assert sorted(tokenizer.get_vocab().values()) == list(range(vocab_size))


def test_text_with_too_few_pairs_gives_a_smaller_vocabulary_and_says_so():
    with pytest.warns(UserWarning, match=r"yield only 263 of vocab_size=8192.*vocab_size=263"):
        tokenizer = train_tokenizer(["aaaa"])
    assert len(tokenizer) == 263


def test_enough_text_gives_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train_tokenizer(TEXTS, vocab_size=300)


def test_the_same_text_gives_the_same_tokenizer(tokenizer):
    again = train_tokenizer(iter(TEXTS), vocab_size=400)
    assert again.backend_tokenizer.to_str() == tokenizer.backend_tokenizer.to_str()


def test_special_tokens_are_five_distinct_ids_and_pad_is_no_end(tokenizer):
    assert tokenizer.convert_tokens_to_ids(list(SPECIAL_TOKENS)) == [0, 1, 2, 3, 4]
    assert (tokenizer.pad_token, tokenizer.bos_token, tokenizer.eos_token) == ("<|pad|>", "<|bos|>", "<|eos|>")
    assert set(tokenizer.all_special_tokens) == set(SPECIAL_TOKENS)
    assert tokenizer.pad_token_id not in (tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<|im_end|>"))


def test_a_document_starts_with_one_bos_unless_asked_not_to(tokenizer):
    ids = tokenizer("The cat").input_ids
    assert ids[0] == tokenizer.bos_token_id
    assert ids.count(tokenizer.bos_token_id) == 1
    assert tokenizer("The cat", add_special_tokens=False).input_ids == ids[1:]
    assert tokenizer("").input_ids == [tokenizer.bos_token_id]


@pytest.mark.parametrize("vocab_size", [0, 5, 260])
def test_a_vocabulary_without_room_for_the_bytes_is_refused_before_any_text_is_read(vocab_size):
    def texts():
        pytest.fail("the texts were read")
        yield ""

    with pytest.raises(ValueError, match=rf"vocab_size={vocab_size} .*261"):
        train_tokenizer(texts(), vocab_size=vocab_size)


@pytest.mark.parametrize("texts", [[], ["", ""]])
def test_an_empty_corpus_is_refused(texts):
    with pytest.raises(ValueError, match="no character"):
        train_tokenizer(texts)


def test_a_single_string_instead_of_documents_is_refused():
    with pytest.raises(ValueError, match="single string"):
        train_tokenizer("The cat sat on the mat.")


def test_an_item_that_is_no_string_is_named():
    with pytest.raises(TypeError, match="item 1 of texts is dict"):
        train_tokenizer(["The cat", {"text": "sat"}])


def test_a_context_length_that_is_not_positive_is_refused():
    with pytest.raises(ValueError, match="model_max_length=0"):
        train_tokenizer(TEXTS, model_max_length=0)


# --- the pre-tokenization rule ---------------------------------------------------------------------------------------


def pretokenize(text: str) -> list[str]:
    """The rule as a program without regular expressions would run it: one pass, looking one character ahead."""

    def kind(at: int) -> str:
        if at >= len(text):
            return ""
        character = text[at]
        if character >= "\x80" or "a" <= character <= "z" or "A" <= character <= "Z":
            return "W"
        if "0" <= character <= "9":
            return "D"
        if character == "\n":
            return "N"
        return "S" if character in " \t\v\f\r" else "P"

    def run(at: int, wanted: str) -> int:
        while kind(at) == wanted:
            at += 1
        return at

    pieces, start = [], 0
    while start < len(text):
        first = start + 1 if text[start] == " " and kind(start + 1) in ("W", "P") else start
        if kind(first) == "W":
            end = run(first, "W")
            while text[end : end + 1] == "'" and kind(end + 1) == "W":
                end = run(end + 1, "W")
        elif kind(first) == "P":
            end = run(first, "P")
        elif kind(first) == "S":
            end = run(first, "S")
            if text[end - 1] == " " and kind(end) in ("W", "P"):
                end -= 1
        else:
            end = first + 1
        pieces.append(text[start:end])
        start = end
    return pieces


def pieces_of(tokenizer, text: str) -> list[str]:
    return [text[a:b] for _, (a, b) in tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str(text)]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("don't rock'n'roll 'tis the cats'", ["don't", " rock'n'roll", " '", "tis", " the", " cats", "'"]),
        ("in 1999, x2", ["in", " ", "1", "9", "9", "9", ",", " x", "2"]),
        ("a\n\n  b \n", ["a", "\n", "\n", " ", " b", " ", "\n"]),
        ("naïve “café” 日本語🙂", ["naïve", " “café”", " 日本語🙂"]),
        ("f(x) -- \tg\t h  ", ["f", "(", "x", ")", " --", " \t", "g", "\t", " h", "  "]),
    ],
)
def test_the_rule_cuts_text_as_documented(tokenizer, text, pieces):
    assert pieces_of(tokenizer, text) == pieces == pretokenize(text)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(), st.text(alphabet="aZ é日🙂'\u201901 \t\n\v\f\r.,-_<|>\x00\x1f\x7f\x80\u2003\uffff")))
def test_the_rule_is_the_same_without_regular_expressions(tokenizer, text):
    assert pieces_of(tokenizer, text) == pretokenize(text)


def test_the_rule_is_the_same_without_regular_expressions_on_real_text(tokenizer, shared):
    with gzip.open(shared / "data/eval/wikitext2_document_level_test.jsonl.gz", "rt", encoding="utf-8") as file:
        pages = [json.loads(line)["page"] for line, _ in zip(file, range(3), strict=False)]
    for page in pages:
        assert pieces_of(tokenizer, page) == pretokenize(page)


def test_no_token_crosses_a_cut(tokenizer):
    text = "".join(TEXTS)
    cuts, position = {0}, 0
    for piece in pretokenize(text):
        position += len(piece)
        cuts.add(position)
    encoding = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    for start, end in encoding["offset_mapping"]:
        assert not cuts & set(range(start + 1, end))


# --- round trip ------------------------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(), st.text(alphabet=" \t\n\r\v\f.!'\x00\u00a0\u200b\u2028🙂e\u0301")))
def test_every_string_round_trips(tokenizer, text):
    ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids
    assert tokenizer.decode(ids) == text
    assert tokenizer.decode(tokenizer(text, split_special_tokens=True).input_ids, skip_special_tokens=True) == text


def test_special_tokens_in_text_are_tokens_unless_split(tokenizer):
    text = "a<|im_end|>b"
    im_end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert im_end in tokenizer(text).input_ids
    assert im_end not in tokenizer(text, split_special_tokens=True).input_ids


# --- the saved folder ------------------------------------------------------------------------------------------------


def test_a_saved_folder_needs_nothing_but_transformers(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    # as in a model's folder: a config of a type transformers does not know, with remote code nobody agreed to run
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "brandon-tiny", "vocab_size": 400}))
    text = "The café didn't\n 42"
    script = (
        "import json, sys\n"
        "for name in ('brandon_hf', 'sentencepiece', 'google.protobuf', 'tiktoken'): sys.modules[name] = None\n"
        "from transformers import AutoTokenizer\n"
        "tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])\n"
        "chat = [{'role': 'user', 'content': sys.argv[2]}]\n"
        "ids = [tokenizer(sys.argv[2]).input_ids, tokenizer.apply_chat_template(chat)['input_ids']]\n"
        "print(json.dumps([type(tokenizer).__module__.split('.')[0], ids]))"
    )
    result = subprocess.run(
        [sys.executable, "-I", "-c", script, str(tmp_path), text], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    chat_ids = tokenizer.apply_chat_template([{"role": "user", "content": text}])["input_ids"]
    assert json.loads(result.stdout.splitlines()[-1]) == ["transformers", [tokenizer(text).input_ids, chat_ids]]


def test_settings_survive_saving(tmp_path):
    train_tokenizer(TEXTS, vocab_size=300, model_max_length=77).save_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer.model_max_length == 77
    saved = json.loads((tmp_path / "tokenizer_config.json").read_text())  # other tools have other defaults
    assert saved["clean_up_tokenization_spaces"] is False
    assert saved["model_input_names"] == ["input_ids", "attention_mask"]
    assert len(tokenizer) == 300
    assert tokenizer.pad_token_id == 0
    batch = tokenizer(["The cat sat", "It"], padding=True)
    assert set(batch) == {"input_ids", "attention_mask"}
    assert batch["input_ids"][1][0] == tokenizer.pad_token_id  # padded on the left, for batched generation
    assert batch["attention_mask"][1][-1] == 1
    assert tokenizer.decode(tokenizer("a , b .", add_special_tokens=False).input_ids) == "a , b ."


# --- the chat template -----------------------------------------------------------------------------------------------


def test_a_chat_is_chatml_after_one_bos(tokenizer):
    chat = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    text = tokenizer.apply_chat_template(chat, tokenize=False)
    assert text == "<|bos|><|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello<|im_end|>\n"
    ids = tokenizer.apply_chat_template(chat)["input_ids"]
    assert ids.count(tokenizer.bos_token_id) == 1
    assert ids == tokenizer(text, add_special_tokens=False).input_ids


def test_the_assistant_mask_is_the_content_and_its_end(tokenizer):
    output = tokenizer.apply_chat_template(CHAT, return_assistant_tokens_mask=True, return_dict=True)
    turns, previous = [], 0
    for token, masked in zip(output["input_ids"], output["assistant_masks"], strict=True):
        if masked:
            turns = [*turns, []] if not previous else turns
            turns[-1].append(token)
        previous = masked
    contents = [message["content"] for message in CHAT if message["role"] == "assistant"]
    assert [tokenizer.decode(turn) for turn in turns] == [content + "<|im_end|>" for content in contents]


@settings(max_examples=100, deadline=None)
@given(st.text(), st.text())
def test_a_generation_prompt_is_a_prefix_of_the_answered_chat(tokenizer, question, answer):
    chat = [{"role": "user", "content": question}]
    prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True)["input_ids"]
    whole = tokenizer.apply_chat_template([*chat, {"role": "assistant", "content": answer}])["input_ids"]
    assert whole[: len(prompt)] == prompt


def test_every_chat_is_a_prefix_of_its_continuation(tokenizer):
    whole = tokenizer.apply_chat_template(CHAT)["input_ids"]
    for length in range(1, len(CHAT)):
        part = tokenizer.apply_chat_template(CHAT[:length])["input_ids"]
        assert whole[: len(part)] == part


def test_text_parts_are_joined(tokenizer):
    parts = [{"type": "text", "text": "one "}, {"type": "text", "text": "two"}]
    assert tokenizer.apply_chat_template([{"role": "user", "content": parts}], tokenize=False) == (
        tokenizer.apply_chat_template([{"role": "user", "content": "one two"}], tokenize=False)
    )


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        ({"role": "tool", "content": "x"}, "message 1 of the chat has role tool"),
        ({"content": "x"}, r"message 1 of the chat has role \(none\)"),
        ({"role": "assistant", "content": None}, "message 1 of the chat has no text content"),
        ({"role": "assistant"}, "message 1 of the chat has no text content"),
        ({"role": "user", "content": 7}, "message 1 of the chat has no text content"),
        ({"role": "user", "content": {"text": "x"}}, "message 1 of the chat has no text content"),
        ({"role": "user", "content": [{"type": "image", "url": "x"}]}, "message 1 .* part of type image"),
        ({"role": "user", "content": [{"type": "text"}]}, "message 1 .* parts of type text, which hold a string"),
        ({"role": "user", "content": ["x"]}, r"message 1 .* part of type \(none\)"),
    ],
)
def test_a_message_the_template_cannot_render_is_named(tokenizer, message, complaint):
    with pytest.raises(jinja2.TemplateError, match=complaint):
        tokenizer.apply_chat_template([{"role": "user", "content": "Hi"}, message], tokenize=False)


def test_a_message_can_be_continued(tokenizer):
    chat = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Once upon"}]
    text = tokenizer.apply_chat_template(chat, tokenize=False, continue_final_message=True)
    assert text.endswith("<|im_start|>assistant\nOnce upon")


def test_trl_trains_on_answers_and_their_end(tokenizer):
    utils = pytest.importorskip("trl.chat_template_utils")
    assert utils.has_generation_markers(tokenizer.chat_template)
    assert utils.get_training_chat_template(tokenizer) is None  # nothing to patch
    assert utils.is_chat_template_stop_token_trained(tokenizer)
