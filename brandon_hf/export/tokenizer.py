"""A tokenizer as keys of a blob, and back: this package's byte-level BPE and its imports of SentencePiece models."""

import base64
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jinja2
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from brandon_hf.tokenization.chat_template import IM_END, IM_START, chatml_template
from brandon_hf.tokenization.sentencepiece_import import SPACE, convert_sentencepiece
from brandon_hf.tokenization.sentencepiece_model import (
    BYTE,
    CONTROL,
    NORMAL,
    UNKNOWN,
    UNUSED,
    USER_DEFINED,
    Piece,
    SentencePieceModel,
)
from brandon_hf.tokenization.stock import stock_tokenizer
from brandon_hf.tokenization.train import PRETOKENIZATION_REGEX

CHAT_FORMATS = {"gpt2": "chatml", "llama": "chatml-spaced"}  # that a tokenizer may have instead of "none"
SPECIAL_IDS = ("bos", "eos", "padding", "unknown", "eot")
_NAMED = {"bos": "bos_token", "eos": "eos_token", "padding": "pad_token", "unknown": "unk_token"}

_TURNS = [
    {"role": "user", "content": "What is 2 + 2?"},
    {"role": "assistant", "content": "It is 4."},
    {"role": "user", "content": " And  3 +\n3? "},
    {"role": "assistant", "content": "That is 6.\n"},
]
_EXAMPLE_CHATS = [
    chat[:length] for chat in (_TURNS, [{"role": "system", "content": "Be brief."}, *_TURNS]) for length in range(1, 6)
]


@dataclass(frozen=True)
class BlobTokenizer:
    """The tokenizer of a blob, field by field as in its keys; ids that there are none of are absent.

    Args:
        kind: `"gpt2"`, byte-level BPE with this package's rule, or `"llama"`, SentencePiece BPE.
        tokens, types: By id; as many as the model has embeddings.
        merges: With `"gpt2"`.
        scores, charsmap, add_space_prefix, remove_extra_whitespaces: With `"llama"`.
        ids: Of `bos`, `eos`, `padding`, `unknown` and `eot`.
        add_bos: Whether a plain text begins with bos.
        chat_template: Jinja, or empty.
        chat_format: `"none"` or the kind's own of `CHAT_FORMATS`.
    """

    kind: str
    tokens: list[str]
    types: list[int]
    ids: dict[str, int]
    add_bos: bool = False
    chat_template: str = ""
    chat_format: str = "none"
    merges: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    charsmap: bytes = b""
    add_space_prefix: bool = True
    remove_extra_whitespaces: bool = True


def describe_tokenizer(tokenizer: PreTrainedTokenizerFast, vocab_size: int) -> BlobTokenizer:
    """What a blob says of a tokenizer, for a model with `vocab_size` embeddings.

    Raises:
        ValueError: It is neither this package's byte-level BPE nor its import of a SentencePiece model, has settings
            that a blob cannot express, or more tokens than the model has embeddings.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if not isinstance(backend, Tokenizer):
        raise ValueError(f"the tokenizer is a {type(tokenizer).__name__}, not one with a tokenizer.json")
    size = max(tokenizer.get_vocab().values()) + 1
    if size > vocab_size:
        raise ValueError(f"the tokenizer's ids reach {size - 1}, but the model has vocab_size={vocab_size}")
    settings = json.loads(backend.to_str())
    if settings["model"]["type"] != "BPE":
        raise ValueError(f"the tokenizer's model is {settings['model']['type']}; a blob holds BPE")
    if settings["pre_tokenizer"] == json.loads(_byte_level(models.BPE()).to_str())["pre_tokenizer"]:
        described = _describe_byte_level(tokenizer, settings, vocab_size)
    elif settings["normalizer"] and SPACE in json.dumps(settings["normalizer"], ensure_ascii=False):
        described = _describe_sentencepiece(tokenizer, settings, vocab_size)
    else:
        raise ValueError(
            "the tokenizer cuts texts by a rule that a blob cannot express: it holds the byte-level BPE that "
            "brandon_hf.tokenization.train_tokenizer makes, or an import of a SentencePiece model"
        )
    return described


def build_tokenizer(described: BlobTokenizer, model_max_length: int) -> PreTrainedTokenizerFast:
    """The tokenizer that a blob holds; it gives the same ids as the one that was exported.

    Raises:
        ValueError: The parts contradict each other.
    """
    build = _build_byte_level if described.kind == "gpt2" else _build_sentencepiece
    tokenizer = build(described, model_max_length)
    tokenizer.chat_template = described.chat_template or None
    return tokenizer


def _byte_level(model: models.BPE) -> Tokenizer:
    backend = Tokenizer(model)
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRETOKENIZATION_REGEX), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    return backend


def _describe_byte_level(
    tokenizer: PreTrainedTokenizerFast, settings: dict[str, Any], vocab_size: int
) -> BlobTokenizer:
    model = settings["model"]
    _refuse_settings(
        {"normalizer": settings["normalizer"], **{name: model[name] for name in ("dropout", "unk_token")}},
        {name: model[name] for name in ("byte_fallback", "ignore_merges")},
        {name: model[name] for name in ("continuing_subword_prefix", "end_of_word_suffix")},
    )
    _refuse_added_tokens(settings["added_tokens"])
    specials = {token["content"] for token in settings["added_tokens"]}
    alphabet = set(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = tokenizer.get_vocab()
    for text in vocabulary.keys() - specials:
        if not alphabet.issuperset(text):
            raise ValueError(f"token {text!r} is neither special nor spelled in GPT-2's byte alphabet")
    if missing := alphabet - vocabulary.keys():
        raise ValueError(f"the tokenizer lacks {len(missing)} of the 256 bytes, {min(missing)!r} among them")
    used = specials & (alphabet | {part for pair in model["merges"] for part in (*pair, "".join(pair))})
    if used:
        raise ValueError(f"special token {min(used)!r} is also a byte or made by a merge, which a blob cannot express")
    tokens, types = _by_id(vocabulary, dict.fromkeys(specials, CONTROL), vocab_size)
    return BlobTokenizer(
        kind="gpt2",
        tokens=tokens,
        types=types,
        merges=tuple(" ".join(pair) for pair in model["merges"]),
        add_bos=_adds_bos(tokenizer),
        **_specials(tokenizer, "gpt2"),
    )


def _describe_sentencepiece(
    tokenizer: PreTrainedTokenizerFast, settings: dict[str, Any], vocab_size: int
) -> BlobTokenizer:
    """Read the model back from the pipeline that `import_sentencepiece` made, and check that it makes the same."""
    vocabulary = tokenizer.get_vocab()
    types = _sentencepiece_types(tokenizer, settings)
    # a piece's rank among the merges: the order in which pieces are made is all that scores say
    made = dict.fromkeys(left + right for left, right in settings["model"]["merges"])
    ranks = {text: float(-rank) for rank, text in enumerate(made)}
    tokens, by_id = _by_id(vocabulary, types, vocab_size)
    normalizer = tokenizer.backend_tokenizer.normalizer
    charsmaps = [
        step["precompiled_charsmap"] for step in settings["normalizer"]["normalizers"] if step["type"] == "Precompiled"
    ]
    described = BlobTokenizer(
        kind="llama",
        tokens=tokens,
        types=by_id,
        scores=tuple(ranks.get(text, 0.0) for text in tokens),
        charsmap=base64.b64decode(charsmaps[0]) if charsmaps else b"",
        add_space_prefix=normalizer.normalize_str("a").startswith(SPACE),
        remove_extra_whitespaces=normalizer.normalize_str("a  a").endswith(f"a{SPACE}a"),
        add_bos=_adds_bos(tokenizer),
        **_specials(tokenizer, "llama"),
    )
    again = build_tokenizer(described, tokenizer.model_max_length)
    rebuilt = json.loads(again.backend_tokenizer.to_str())
    for part in ("normalizer", "pre_tokenizer", "model", "decoder", "post_processor"):
        if rebuilt[part] != settings[part]:
            raise ValueError(f"the tokenizer's {part} is not what brandon_hf.tokenization.import_sentencepiece makes")
    return described


def _sentencepiece_types(tokenizer: PreTrainedTokenizerFast, settings: dict[str, Any]) -> dict[str, int]:
    """Types of the pieces that are not normal. User-defined symbols are those that are cut out of a text whole."""
    types = {f"<0x{byte:02X}>": BYTE for byte in range(256)} if settings["model"]["byte_fallback"] else {}
    cut = tokenizer.backend_tokenizer.pre_tokenizer
    for token in settings["added_tokens"]:
        text = token["content"]
        pieces = [piece for piece, _ in cut.pre_tokenize_str(f"a{text}a")] if cut else []
        types[text] = USER_DEFINED if text in pieces else CONTROL
    types[settings["model"]["unk_token"]] = UNKNOWN
    return types


def _build_byte_level(described: BlobTokenizer, model_max_length: int) -> PreTrainedTokenizerFast:
    vocabulary = {text: index for index, text in enumerate(described.tokens) if described.types[index] != UNUSED}
    merges = [(left, right) for left, _, right in (merge.partition(" ") for merge in described.merges)]
    specials = [text for text, kind in zip(described.tokens, described.types, strict=True) if kind == CONTROL]
    try:
        backend = _byte_level(models.BPE(vocab=vocabulary, merges=merges))
    except Exception as error:  # tokenizers raises nothing narrower
        raise ValueError(f"the merges do not fit the tokens: {error}") from error
    backend.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in specials])
    if described.add_bos:
        bos = described.tokens[described.ids["bos"]]
        backend.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", pair=f"{bos} $A {bos} $B:0", special_tokens=[(bos, described.ids["bos"])]
        )
    named = _names(described)
    return stock_tokenizer(
        backend,
        model_max_length=model_max_length,
        extra_special_tokens=[text for text in specials if text not in named.values()],
        **named,
    )


def _build_sentencepiece(described: BlobTokenizer, model_max_length: int) -> PreTrainedTokenizerFast:
    texts = zip(described.tokens, described.scores, described.types, strict=True)
    pieces = [Piece(text, score, kind) for text, score, kind in texts if kind != UNUSED]
    keeps_tilde = bool(described.charsmap) and "\uff5e" in normalizers.Precompiled(described.charsmap).normalize_str(
        "\uff5e"
    )
    return convert_sentencepiece(
        SentencePieceModel(
            pieces=pieces,
            model_type="bpe",
            byte_fallback=BYTE in described.types,
            special_pieces={
                short: text for name, text in _names(described).items() for short in [name.removesuffix("_token")]
            },
            normalizer_name=("nmt_nfkc" if keeps_tilde else "nfkc") if described.charsmap else "identity",
            charsmap=described.charsmap,
            add_dummy_prefix=described.add_space_prefix,
            remove_extra_whitespaces=described.remove_extra_whitespaces,
        ),
        model_max_length,
    )


def _names(described: BlobTokenizer) -> dict[str, str]:
    return {_NAMED[name]: described.tokens[index] for name, index in described.ids.items() if name in _NAMED}


def _refuse_settings(*groups: Mapping[str, object]) -> None:
    for name, value in itertools.chain.from_iterable(group.items() for group in groups):
        if value:
            raise ValueError(f"the tokenizer has {name}={value!r}, which a blob cannot express")


def _refuse_added_tokens(tokens: list[dict[str, Any]]) -> None:
    for token in tokens:
        for name in ("single_word", "lstrip", "rstrip", "normalized"):
            if token[name]:
                raise ValueError(f"added token {token['content']!r} has {name}=true, which a blob cannot express")
        if not token["special"]:
            raise ValueError(f"added token {token['content']!r} is not special, which a blob cannot express")


def _by_id(vocabulary: Mapping[str, int], types: Mapping[str, int], vocab_size: int) -> tuple[list[str], list[int]]:
    """Texts and types by id; what the tokenizer does not use is filled up."""
    texts = {index: text for text, index in vocabulary.items()}
    tokens = [texts.get(index, f"[unused {index}]") for index in range(vocab_size)]
    return tokens, [types.get(text, NORMAL) if index in texts else UNUSED for index, text in enumerate(tokens)]


def _adds_bos(tokenizer: PreTrainedTokenizerFast) -> bool:
    plain = tokenizer("a b", add_special_tokens=False)["input_ids"]
    ids = tokenizer("a b")["input_ids"]
    if ids not in (plain, [tokenizer.bos_token_id, *plain]):
        raise ValueError(f"the tokenizer puts more than bos around a text: {ids} for {plain}")
    return ids != plain


def _specials(tokenizer: PreTrainedTokenizerFast, kind: str) -> dict[str, Any]:
    ids = {name: getattr(tokenizer, f"{attribute}_id") for name, attribute in _NAMED.items()}
    ids["eot"] = tokenizer.get_vocab().get(IM_END)
    return {
        "ids": {name: index for name, index in ids.items() if index is not None},
        "chat_template": tokenizer.chat_template or "",
        "chat_format": find_chat_format(tokenizer, kind),
    }


def find_chat_format(tokenizer: PreTrainedTokenizerFast, kind: str) -> str:
    """`kind`'s own of `CHAT_FORMATS` if the tokenizer's template writes it, by what it makes of example chats."""
    if not tokenizer.chat_template or not {IM_START, IM_END} <= tokenizer.get_vocab().keys():
        return "none"
    if kind == "gpt2" and not tokenizer.bos_token:
        return "none"
    template = chatml_template() if kind == "gpt2" else chatml_template(bos=False, separate_segments=True)
    own = _render(tokenizer, None)
    return CHAT_FORMATS[kind] if own and _render(tokenizer, template) == own else "none"


def _render(tokenizer: PreTrainedTokenizerFast, template: str | None) -> list[str] | None:
    try:
        return [
            str(
                tokenizer.apply_chat_template(
                    chat, chat_template=template, tokenize=False, add_generation_prompt=chat[-1]["role"] == "user"
                )
            )
            for chat in _EXAMPLE_CHATS
        ]
    except (jinja2.TemplateError, ValueError, TypeError):  # a template that knows no such chat
        return None
