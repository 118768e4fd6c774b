"""Brandon for other people's runtimes: GGUF files of arch llama, and folders whose registers are tokens."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from model_runners import CONFIGS, PLAIN, assert_close, tiny_model
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, LlamaForCausalLM

from brandon_hf.export.registers_as_tokens import registers_as_tokens
from brandon_hf.modeling import BrandonForCausalLM
from brandon_hf.tokenization import import_sentencepiece, train_tokenizer

gguf = pytest.importorskip("gguf", reason="writing GGUF files needs gguf: pip install 'brandon-hf[export]'")

from brandon_hf.export.llama import PRE_TOKENIZER, write_llama  # noqa: E402  # needs gguf

CHAT = [{"role": "user", "content": "What isn't 12?"}]
TEXTS = ["Tom didn't see the red lamp.", "a", "The 12 frogs\n\nwent home (late) and Mia's lamp was red."]
VOCABULARY = 300


@pytest.fixture(scope="module")
def tokenizer():
    texts = [f"{text} Number {number} isn't {number + 1}." for number, text in enumerate(TEXTS * 20)]
    return train_tokenizer(texts, vocab_size=VOCABULARY, model_max_length=40, show_progress=False)


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory):
    """A tokenizer imported from a SentencePiece model."""
    sentencepiece = pytest.importorskip("sentencepiece", reason="needs sentencepiece to train one")
    folder = tmp_path_factory.mktemp("sentencepiece")
    (folder / "text").write_text("\n".join(TEXTS * 20))
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "text"),
        model_prefix=str(folder / "sp"),
        vocab_size=70,
        model_type="bpe",
        user_defined_symbols=["<|im_start|>", "<|im_end|>"],
        minloglevel=2,
    )
    return import_sentencepiece(folder / "sp.model", model_max_length=40)


@pytest.fixture
def save(tokenizer, tmp_path: Path):
    """Saves a tiny model with the tokenizer in a folder. Its vocabulary is larger than the tokenizer's."""

    def save(name: str, tokenizer: Any = tokenizer, **overrides: Any) -> tuple[BrandonForCausalLM, Path]:
        model = tiny_model(name, **{"vocab_size": VOCABULARY + 3} | overrides)
        im_end = tokenizer.convert_tokens_to_ids("<|im_end|>")
        model.generation_config = GenerationConfig(eos_token_id=[tokenizer.eos_token_id, im_end], pad_token_id=0)
        folder = tmp_path / f"{name}_{len(list(tmp_path.iterdir()))}"
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return model, folder

    return save


def fields(path: Path) -> dict[str, Any]:
    return {name: field.contents() for name, field in gguf.GGUFReader(path).fields.items()}


def tensors(path: Path) -> dict[str, np.ndarray]:
    """All tensors in float32."""
    return {
        tensor.name: gguf.quants.dequantize(tensor.data, tensor.tensor_type) for tensor in gguf.GGUFReader(path).tensors
    }


def greedy(model: Any, ids: torch.Tensor, count: int = 24) -> list[int]:
    """The continuation of one prompt, whatever token would end it."""
    output = model.generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=count, eos_token_id=None
    )
    return output[0, ids.shape[1] :].tolist()


@pytest.mark.parametrize("name", ["plain", "sharing", "sharing_3_of_4", "multi_query", "untied", "loops", "ternary"])
def test_llama_reads_the_model_that_was_written(save, tmp_path, name):
    """transformers' own reader takes the file for a Llama with the same logits and the same greedy text."""
    # The reader takes the number of hidden units divided by that of heads for the size of a head.
    model, folder = save(name, hidden_size=32, max_position_embeddings=64)
    write_llama(folder, tmp_path / "model.gguf", tensor_type="f32")
    llama = LlamaForCausalLM.from_pretrained(tmp_path, gguf_file="model.gguf", dtype=torch.float32).eval()
    ids = torch.randint(0, VOCABULARY, (1, 9), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert_close(llama(ids).logits, model(ids).logits, tolerance=1e-4)
    assert greedy(llama, ids) == greedy(model, ids)


def test_turning_rows_back_gives_the_weights(save, tmp_path):
    """Pair (i, i + d / 2) of a head becomes the neighbours 2 i and 2 i + 1; all else stands as it was."""
    model, folder = save("sharing")
    write_llama(folder, tmp_path / "model.gguf", tensor_type="f32")
    stored = tensors(tmp_path / "model.gguf")
    heads, kv_heads, size = PLAIN["num_attention_heads"], PLAIN["num_key_value_heads"], PLAIN["head_dim"]
    turned = [row for first in range(size // 2) for row in (first, first + size // 2)]
    assert len(stored) == 2 + 9 * 4
    for layer in range(4):
        block = model.model.blocks[layer // 2]
        qkv = block.attention.qkv_proj.weight.detach().numpy()
        query, key, value = np.split(qkv, [heads * size, (heads + kv_heads) * size])
        for letter, rows, count in (("q", query, heads), ("k", key, kv_heads)):
            got = stored[f"blk.{layer}.attn_{letter}.weight"].reshape(count, size, -1)
            np.testing.assert_array_equal(got, rows.reshape(count, size, -1)[:, turned])
        gate, up = np.split(block.mlp.gate_up_proj.weight.detach().numpy(), 2)
        for part, expected in (
            ("attn_v", value),
            ("attn_output", block.attention.o_proj.weight.detach().numpy()),
            ("attn_norm", block.attention_norm.weight.detach().numpy()),
            ("ffn_norm", block.mlp_norm.weight.detach().numpy()),
            ("ffn_gate", gate),
            ("ffn_up", up),
            ("ffn_down", block.mlp.down_proj.weight.detach().numpy()),
        ):
            np.testing.assert_array_equal(stored[f"blk.{layer}.{part}.weight"], expected)


def test_shape_and_tokenizer_are_written_as_llama_cpp_reads_them(save, tokenizer, tmp_path):
    _, folder = save("plain", rope_theta=500.0)
    write_llama(folder, tmp_path / "model.gguf")
    got = fields(tmp_path / "model.gguf")
    assert got["general.architecture"] == "llama"
    shape = {
        "vocab_size": VOCABULARY + 3,
        "context_length": 40,
        "embedding_length": 24,
        "block_count": 4,
        "feed_forward_length": 20,
        "attention.head_count": 4,
        "attention.head_count_kv": 2,
        "attention.key_length": 8,
        "attention.value_length": 8,
        "rope.dimension_count": 8,
        "rope.freq_base": 500.0,
    }
    assert {name: got[f"llama.{name}"] for name in shape} == shape
    assert got["llama.attention.layer_norm_rms_epsilon"] == pytest.approx(1e-5)
    texts, types = got["tokenizer.ggml.tokens"], got["tokenizer.ggml.token_type"]
    assert texts[:5] == ["<|pad|>", "<|bos|>", "<|eos|>", "<|im_start|>", "<|im_end|>"]
    assert texts[VOCABULARY:] == [f"[unused {VOCABULARY + index}]" for index in range(3)]
    assert texts[5:VOCABULARY] == tokenizer.convert_ids_to_tokens(range(5, VOCABULARY))
    assert types == [3] * 5 + [1] * (VOCABULARY - 5) + [5] * 3
    assert got["tokenizer.ggml.model"] == "gpt2"
    assert got["tokenizer.ggml.pre"] == PRE_TOKENIZER
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    assert got["tokenizer.ggml.merges"] == [" ".join(merge) for merge in merges]
    special = {"padding": 0, "bos": 1, "eos": 2, "eot": 4}
    assert {name: got[f"tokenizer.ggml.{name}_token_id"] for name in special} == special
    assert got["tokenizer.ggml.add_bos_token"] is True


def test_chat_template_says_the_same_in_stock_jinja(save, tokenizer, tmp_path):
    """llama.cpp's bindings know no `generation` block."""
    jinja2 = pytest.importorskip("jinja2")
    _, folder = save("plain")
    write_llama(folder, tmp_path / "model.gguf")
    template = jinja2.Environment().from_string(fields(tmp_path / "model.gguf")["tokenizer.chat_template"])
    for chat, prompted in ((CHAT, True), ([*CHAT, {"role": "assistant", "content": " 11 \n"}], False)):
        expected = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=prompted)
        assert template.render(messages=chat, add_generation_prompt=prompted, bos_token="<|bos|>") == expected


@pytest.mark.parametrize(("tensor_type", "tolerance"), [("f16", 1e-3), ("q8_0", 1e-2)])
def test_smaller_tensors_are_near_the_weights(save, tmp_path, tensor_type, tolerance):
    """Rows of 20, the feed-forward network's, fill no groups of 32 and stay F16."""
    model, folder = save("untied", hidden_size=32)
    write_llama(folder, tmp_path / "model.gguf", tensor_type=tensor_type)
    stored = gguf.GGUFReader(tmp_path / "model.gguf").tensors
    kinds = {tensor.name: tensor.tensor_type.name for tensor in stored}
    assert kinds["blk.0.attn_q.weight"] == kinds["output.weight"] == tensor_type.upper()
    assert kinds["blk.3.ffn_down.weight"] == "F16"
    assert kinds["blk.0.attn_norm.weight"] == kinds["output_norm.weight"] == "F32"
    expected = model.lm_head.weight.detach().numpy()
    got = tensors(tmp_path / "model.gguf")["output.weight"]
    assert np.abs(got - expected).max() < tolerance * np.abs(expected).max()


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("dwa", "depth_weighted_average=True"),
        ("value_add", "value_residual='add'"),
        ("value_learned", "value_residual='learned'"),
        ("registers", "num_registers=3.*--registers-as-tokens"),
        ("qk_norm", "qk_norm=True"),
        ("output_gate", "attention_output_gate=True"),
        ("relu_squared", "mlp_type='relu_squared'"),
        ("loops_step", "step_embedding=True"),
        ("loops_feedback", "loop_feedback=True"),
        ("loops_gate", "resonance_gate=True"),
    ],
)
def test_what_a_llama_lacks_is_refused_by_name(save, tmp_path, name, named):
    _, folder = save(name)
    with pytest.raises(ValueError, match=named):
        write_llama(folder, tmp_path / "model.gguf")
    assert not list(tmp_path.glob("*.gguf*"))


def test_weights_that_f16_cannot_hold_are_refused(save, tmp_path):
    model, folder = save("plain")
    with torch.no_grad():
        model.model.blocks[1].mlp.down_proj.weight[0, 0] = 1e5
    model.save_pretrained(folder)
    with pytest.raises(ValueError, match=r"blk\.1\.ffn_down\.weight.*100000.*F16"):
        write_llama(folder, tmp_path / "model.gguf")
    assert not list(tmp_path.glob("*.gguf*"))
    write_llama(folder, tmp_path / "model.gguf", tensor_type="f32")


def test_an_end_that_a_llama_does_not_know_is_refused(save, tmp_path):
    _, folder = save("plain")
    settings = folder / "generation_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"eos_token_id": [2, 4, 77]}))
    with pytest.raises(ValueError, match=r"eos_token_id=\[2, 4, 77\]"):
        write_llama(folder, tmp_path / "model.gguf")


def test_other_tokenizers_are_refused(save, imported, tmp_path):
    _, folder = save("plain", imported)
    with pytest.raises(ValueError, match=r"SentencePiece"):
        write_llama(folder, tmp_path / "model.gguf")
    _, folder = save("plain", vocab_size=VOCABULARY - 1)
    with pytest.raises(ValueError, match=f"vocab_size={VOCABULARY - 1}"):
        write_llama(folder, tmp_path / "model.gguf")
    with pytest.raises(ValueError, match="tensor_type='int3'"):
        write_llama(folder, tmp_path / "model.gguf", tensor_type="int3")


# --- registers as tokens ---

WITH_REGISTERS = [name for name, fields in CONFIGS.items() if fields["num_registers"] and name != "everything"]
POSSIBLE = [name for name in WITH_REGISTERS if not CONFIGS[name].get("resonance_gate")]


@pytest.fixture
def converted(save, tmp_path: Path):
    """A model, its tokenizer, and both with registers as tokens, loaded as anybody would."""

    def convert(name: str, **overrides: Any) -> tuple[Any, Any, Any, Any]:
        model, folder = save(name, **overrides)
        output = tmp_path / f"{folder.name}_tokens"
        registers_as_tokens(folder, output)
        loaded = AutoModelForCausalLM.from_pretrained(output).eval()
        return model, AutoTokenizer.from_pretrained(folder), loaded, AutoTokenizer.from_pretrained(output)

    return convert


VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in POSSIBLE),
    ("enhanced", {"tie_word_embeddings": False, "qk_norm": True, "attention_output_gate": True}),
    ("loops_step", {"num_registers": 2, "loop_feedback": True, "value_residual": "learned", "num_mtp_heads": 2}),
]


@pytest.mark.parametrize(("name", "overrides"), VARIANTS)
@torch.no_grad()
def test_logits_of_real_tokens_stay(converted, name, overrides):
    model, tokenizer, changed, with_registers = converted(name, **overrides)
    count, real = model.config.num_registers, model.config.vocab_size
    assert changed.config.num_registers == 0
    assert changed.config.vocab_size == real + count
    assert changed.config.max_position_embeddings == with_registers.model_max_length == 40 + count
    for text in TEXTS:
        before, after = tokenizer(text, return_tensors="pt"), with_registers(text, return_tensors="pt")
        assert after.input_ids[0].tolist() == [*range(real, real + count), *before.input_ids[0].tolist()]
        logits = changed(**after).logits
        assert_close(logits[:, count:, :real], model(**before).logits, tolerance=1e-5)


@pytest.mark.parametrize(("name", "overrides"), VARIANTS)
@torch.no_grad()
def test_left_padded_batches_and_the_cache_give_the_same_logits_and_text(converted, name, overrides):
    model, tokenizer, changed, with_registers = converted(name, **overrides)
    count, real = model.config.num_registers, model.config.vocab_size
    texts = [text[:30] for text in TEXTS]
    before, after = (each(texts, padding=True, return_tensors="pt") for each in (tokenizer, with_registers))
    length = before.input_ids.shape[1]
    padded = after.attention_mask[:, : count + length].sum(dim=1) == before.attention_mask.sum(dim=1) + count
    assert padded.all()
    expected = model(**before).logits
    first = changed(input_ids=after.input_ids[:, :-2], attention_mask=after.attention_mask[:, :-2], use_cache=True)
    second = changed(
        input_ids=after.input_ids[:, -2:], attention_mask=after.attention_mask, past_key_values=first.past_key_values
    )
    got = torch.cat([first.logits, second.logits], dim=1)[:, count:, :real]
    seen = before.attention_mask.bool()
    assert_close(got[seen], expected[seen], tolerance=1e-5)
    settings: dict[str, Any] = {"max_new_tokens": 8, "do_sample": False, "eos_token_id": None}
    assert torch.equal(
        changed.generate(**after, **settings)[:, count + length :], model.generate(**before, **settings)[:, length:]
    )


def test_registers_are_never_generated(converted):
    """With tied embeddings they have logits, which may be the largest."""
    model, _, changed, with_registers = converted("registers")
    real, count = model.config.vocab_size, model.config.num_registers
    with torch.no_grad():  # what every state now points at, if anything
        changed.lm_head.weight[real:] *= 1000
    ids = with_registers("Tom", return_tensors="pt").input_ids
    free = changed.generate(ids, do_sample=False, max_new_tokens=20, suppress_tokens=None, eos_token_id=None)
    assert (free[:, ids.shape[1] :] >= real).any(), "the registers would win without suppression"
    new = changed.generate(ids, do_sample=False, max_new_tokens=20, eos_token_id=None)[:, ids.shape[1] :]
    assert (new < real).all()
    assert changed.generation_config.suppress_tokens == list(range(real, real + count))
    assert changed.generation_config.eos_token_id == model.generation_config.eos_token_id
    torch.manual_seed(0)
    sampled = changed.generate(ids, do_sample=True, max_new_tokens=20, temperature=3.0, eos_token_id=None)
    assert (sampled[:, ids.shape[1] :] < real).all()


def test_chats_begin_with_the_registers(converted):
    model, tokenizer, changed, with_registers = converted("enhanced")
    real, count = model.config.vocab_size, model.config.num_registers
    settings: dict[str, Any] = {"add_generation_prompt": True, "return_dict": True, "return_tensors": "pt"}
    before, after = (each.apply_chat_template(CHAT, **settings) for each in (tokenizer, with_registers))
    assert after["input_ids"][0].tolist() == [*range(real, real + count), *before["input_ids"][0].tolist()]
    answers = [
        each.generate(**chat, do_sample=False, max_new_tokens=8)[0, chat["input_ids"].shape[1] :].tolist()
        for each, chat in ((model, before), (changed, after))
    ]
    assert answers[0] == answers[1]
    whole = [*CHAT, {"role": "assistant", "content": "11"}]
    masks = [
        each.apply_chat_template(whole, return_dict=True, return_assistant_tokens_mask=True)["assistant_masks"]
        for each in (tokenizer, with_registers)
    ]
    assert masks[1] == [0] * count + masks[0]
    assert sum(masks[0]) > 0
    shown = with_registers.decode(after["input_ids"][0], skip_special_tokens=True)
    assert shown == tokenizer.decode(before["input_ids"][0], skip_special_tokens=True)


def test_registers_of_an_imported_sentencepiece_model_change_no_other_id(save, imported, tmp_path):
    """It takes the text of special tokens for plain text and puts a space before a text, which must stay first."""
    _, folder = save("enhanced", imported)
    registers_as_tokens(folder, tmp_path / "tokens")
    changed = AutoTokenizer.from_pretrained(tmp_path / "tokens")
    registers = list(range(VOCABULARY + 3, VOCABULARY + 7))
    for text in [*TEXTS, "  Tom  saw", "", "<|im_start|> it", "<s>"]:
        assert changed(text).input_ids == registers + imported(text).input_ids, text
        assert changed(text, add_special_tokens=False).input_ids == imported(text).input_ids, text
        assert changed.decode(changed(text).input_ids) == imported.decode(imported(text).input_ids), text
    chat = [*CHAT, {"role": "assistant", "content": " so  "}, *CHAT]
    ids = changed.apply_chat_template(chat, return_dict=True)["input_ids"]
    assert ids == registers + imported.apply_chat_template(chat, return_dict=True)["input_ids"]


def test_what_cannot_become_tokens_is_refused_by_name(save, tmp_path):
    for name, named in (("dream", "resonance_gate=True"), ("plain", "num_registers=0")):
        _, folder = save(name)
        with pytest.raises(ValueError, match=named):
            registers_as_tokens(folder, tmp_path / "tokens")
        assert not (tmp_path / "tokens").exists()
    _, folder = save("enhanced", vocab_size=VOCABULARY - 1)
    with pytest.raises(ValueError, match=f"vocab_size={VOCABULARY - 1}"):
        registers_as_tokens(folder, tmp_path / "tokens")
    _, folder = save("enhanced")
    with pytest.raises(ValueError, match="not an empty folder"):
        registers_as_tokens(folder, folder)
    registers_as_tokens(folder, tmp_path / "tokens")
    again = json.loads((tmp_path / "tokens" / "config.json").read_text()) | {"num_registers": 2}
    broken = shutil.copytree(tmp_path / "tokens", tmp_path / "again")
    (broken / "config.json").write_text(json.dumps(again))
    with pytest.raises(ValueError, match=r"<\|register_0\|>"):
        registers_as_tokens(broken, tmp_path / "twice")


def test_the_folder_needs_no_code_of_ours(converted, tmp_path):
    """It carries the model's code, and its tokenizer is the stock class."""
    converted("enhanced")
    (folder,) = tmp_path.glob("*_tokens")
    assert (folder / "modeling_brandon.py").is_file()
    assert json.loads((folder / "tokenizer_config.json").read_text())["tokenizer_class"] in (
        "PreTrainedTokenizerFast",
        "TokenizersBackend",
    )
