"""Convert a SentencePiece BPE model, as the original Brandon-Tiny uses, to a stock fast tokenizer with the same ids.

What SentencePiece does, and what stands for it here:

1. Normalization: a character map (NFKC with extras, `Precompiled`), white space collapsed and stripped, one space put in
   front, spaces written as U+2581. transformers' own converters strip and prefix per segment and run the character map
   over grapheme clusters, which it was not made for: "e" + two accents loses one. Here canonical composition comes first
   and every cluster is then taken apart, so that the map always sees single code points.
2. User-defined symbols (`<|im_start|>`, ...) are cut out of the normalized text, so a space or the prefix before one is
   kept: "<|im_start|>user" begins with a lone U+2581. Added tokens of a fast tokenizer are cut out before normalization
   and could not do that. So the symbols are cut by the pre-tokenizer and, being in the vocabulary, taken whole
   (`ignore_merges`); `split_special_tokens` keeps the added-token machinery out of encoding, while decoding still
   knows them as special. Control symbols (`<|bos|>`, ...) in a text are plain characters, as in SentencePiece.
3. BPE: neighbours merge in the order of the score of the resulting piece, the leftmost first; a run of unknown
   characters is one unknown token, or bytes with `byte_fallback`.
"""

import os
import re
from collections.abc import Sequence

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from .chat_template import IM_END, IM_START, chatml_template
from .sentencepiece_model import (
    BYTE,
    CONTROL,
    NORMAL,
    UNKNOWN,
    UNUSED,
    USER_DEFINED,
    SentencePieceModel,
    read_sentencepiece_model,
)
from .stock import stock_tokenizer

SPACE = "\u2581"
_CLUSTER_BREAK = "\ufff0"  # unassigned, never part of a grapheme cluster, in no character map
_CHARACTER_MAPS = ("nfkc", "nmt_nfkc", "nfkc_cf", "nmt_nfkc_cf")


def import_sentencepiece(path: str | os.PathLike[str], model_max_length: int = 512) -> PreTrainedTokenizerFast:
    """Convert the SentencePiece BPE model at `path`.

    The result gives SentencePiece's ids for any text, with or without `add_special_tokens`: like the original encoder, it
    adds neither bos nor eos. `decode` gives SentencePiece's text, except that control symbols are shown unless
    `skip_special_tokens=True`.

    If the model has `<|im_start|>` and `<|im_end|>` as user-defined symbols, and a dummy prefix and collapsed white space
    (the defaults), `apply_chat_template` gives the ids of the original's `encode_chat`. The assistant mask covers the
    content and `<|im_end|>`; the original left the end out and so never taught its model to stop.

    Args:
        path: the `.model` file.
        model_max_length: the context length of the model, in tokens; written to the saved folder.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no complete SentencePiece model, or uses something that cannot be converted exactly:
            an algorithm other than BPE, `treat_whitespace_as_suffix`, `escape_whitespaces=false`, a custom character map,
            a denormalizer, unused pieces, a symbol that normalization changes. The message names it.
    """
    model = read_sentencepiece_model(path)
    try:
        return _convert(model, model_max_length)
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)} cannot be converted exactly: {error}") from error


def _convert(model: SentencePieceModel, model_max_length: int) -> PreTrainedTokenizerFast:
    _refuse_unsupported(model)
    vocab = {piece.text: index for index, piece in enumerate(model.pieces)}
    if len(vocab) < len(model.pieces):
        raise ValueError("a piece occurs twice in the vocabulary")
    by_type = {kind: [piece.text for piece in model.pieces if piece.type == kind] for kind in range(NORMAL, BYTE + 1)}
    symbols = sorted(by_type[USER_DEFINED], key=len, reverse=True)
    unk = by_type[UNKNOWN][0]

    backend = Tokenizer(
        models.BPE(
            vocab=vocab,
            merges=_merges(model),
            unk_token=unk,
            fuse_unk=True,
            byte_fallback=model.byte_fallback,
        )
    )
    _refuse_unreachable(backend, by_type[NORMAL], symbols)
    backend.model.ignore_merges = True
    backend.normalizer = _normalizer(model)
    _refuse_changed(backend.normalizer, symbols)
    backend.pre_tokenizer = _pre_tokenizer(model, symbols)
    backend.decoder = _decoder(model, unk)
    specials = by_type[CONTROL] + by_type[UNKNOWN] + by_type[USER_DEFINED]
    backend.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in specials])

    named = {f"{name}_token": text for name, text in model.special_pieces.items() if text in specials}
    has_chat = {IM_START, IM_END} <= set(symbols) and model.add_dummy_prefix and model.remove_extra_whitespaces
    return stock_tokenizer(
        backend,
        model_max_length=model_max_length,
        split_special_tokens=True,
        extra_special_tokens=[text for text in specials if text not in named.values()],
        chat_template=chatml_template(bos=False, separate_segments=True) if has_chat else None,
        **named,
    )


def _refuse_unsupported(model: SentencePieceModel) -> None:
    if model.model_type != "bpe":
        raise ValueError(f"model_type={model.model_type}; only bpe is supported")
    if model.treat_whitespace_as_suffix:
        raise ValueError("treat_whitespace_as_suffix=true is not supported")
    if not model.escape_whitespaces:
        raise ValueError("escape_whitespaces=false is not supported")
    if model.charsmap and model.normalizer_name not in _CHARACTER_MAPS:
        raise ValueError(
            f"normalizer name={model.normalizer_name!r} has a custom character map; "
            f"supported are identity, {', '.join(_CHARACTER_MAPS)}"
        )
    if model.has_denormalizer:
        raise ValueError("denormalizer_spec has a character map, which is not supported")
    for piece in model.pieces:
        if piece.type == UNUSED:
            raise ValueError(f"piece {piece.text!r} is of type UNUSED, which is not supported")
        if not piece.text:
            raise ValueError("a piece is empty")
        if piece.type == USER_DEFINED and " " in piece.text:
            raise ValueError(f"user-defined symbol {piece.text!r} holds a space, so SentencePiece itself never finds it")
    unknown = sum(piece.type == UNKNOWN for piece in model.pieces)
    if unknown != 1:
        raise ValueError(f"{unknown} pieces are of type UNKNOWN; there must be one")


def _merges(model: SentencePieceModel) -> list[tuple[str, str]]:
    """Every way to make a piece of two pieces, best score first.

    SentencePiece compares scores, then positions. Two ways to make one piece compete only where they overlap; there the
    longer left half is the one further left (of "a" "n" "a" "n" "a", "an" + "a" starts before "a" + "na").
    """
    normal = {piece.text: piece.score for piece in model.pieces if piece.type == NORMAL}
    merges = []
    for text in sorted(normal, key=lambda text: -normal[text]):
        for cut in range(len(text) - 1, 0, -1):
            if text[:cut] in normal and text[cut:] in normal:
                merges.append((text[:cut], text[cut:]))
    return merges


def _normalizer(model: SentencePieceModel) -> normalizers.Normalizer:
    steps: list[normalizers.Normalizer] = []
    if model.charsmap:
        steps += [
            normalizers.NFC(),
            normalizers.Replace(Regex(r"\Y"), _CLUSTER_BREAK),
            normalizers.Precompiled(model.charsmap),
            normalizers.Replace(_CLUSTER_BREAK, ""),
        ]
    if model.remove_extra_whitespaces:
        # the end is stripped after spaces have become U+2581, so a U+2581 of the text goes too, but only there
        steps += [
            normalizers.Replace(Regex(rf"\A +|[ {SPACE}]+\z"), ""),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    if model.add_dummy_prefix:
        steps.append(normalizers.Prepend(" "))
    steps.append(normalizers.Replace(" ", SPACE))
    return normalizers.Sequence(steps)


def _pre_tokenizer(model: SentencePieceModel, symbols: Sequence[str]) -> pre_tokenizers.PreTokenizer:
    steps: list[pre_tokenizers.PreTokenizer] = []
    if symbols:
        steps.append(pre_tokenizers.Split(Regex("|".join(map(re.escape, symbols))), behavior="isolated"))
    return pre_tokenizers.Sequence(steps)


def _decoder(model: SentencePieceModel, unk: str) -> decoders.Decoder:
    # an unknown token's surface keeps its leading space, so it is put in after the text's own is stripped
    steps: list[decoders.Decoder] = [decoders.Replace(unk, _CLUSTER_BREAK), decoders.Replace(SPACE, " ")]
    if model.byte_fallback:
        steps.append(decoders.ByteFallback())
    steps.append(decoders.Fuse())
    if model.remove_extra_whitespaces:
        steps.append(decoders.Strip(" ", 1_000_000, 0))
    elif model.add_dummy_prefix:
        steps.append(decoders.Strip(" ", 1, 0))
    steps.append(decoders.Replace(_CLUSTER_BREAK, model.unk_surface))
    return decoders.Sequence(steps)


def _refuse_unreachable(backend: Tokenizer, normal: Sequence[str], symbols: Sequence[str]) -> None:
    """Raise if merging cannot make a piece: then `ignore_merges` would find what SentencePiece does not."""
    for text in normal:
        if len(backend.model.tokenize(text)) != 1 and not any(symbol in text for symbol in symbols):
            raise ValueError(f"piece {text!r} cannot be made by merging other pieces")


def _refuse_changed(normalizer: normalizers.Normalizer, symbols: Sequence[str]) -> None:
    for symbol in symbols:
        if normalizer.normalize_str(f"a{symbol}a") != normalizer.normalize_str("a") + symbol + "a":
            raise ValueError(f"normalization changes the user-defined symbol {symbol!r}")
