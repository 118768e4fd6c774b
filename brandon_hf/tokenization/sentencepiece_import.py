"""Convert a SentencePiece BPE model, as the original Brandon-Tiny uses, to a stock fast tokenizer with the same ids.

What SentencePiece does, and what stands for it here:

1. Normalization: a character map (NFKC with extras, `Precompiled`), white space collapsed and stripped, one space put
   in front, spaces written as U+2581. transformers' converters strip and prefix per segment, and `Precompiled` works on
   grapheme clusters, of which it keeps one match: "e" with two accents loses one. Here NFKC composes first, where the
   map does too, and every cluster is then taken apart, so that the map always sees single code points.
2. User-defined symbols (`<|im_start|>`, ...) are cut out of the normalized text, so a space or the prefix before one is
   kept: "<|im_start|>user" begins with a lone U+2581. Added tokens of a fast tokenizer are cut out before normalization
   and could not do that. So the symbols are cut by the pre-tokenizer and, being in the vocabulary, taken whole
   (`ignore_merges`); `split_special_tokens` keeps the added-token machinery out of encoding, while decoding still
   knows them as special. Control symbols (`<|bos|>`, ...) in a text are plain characters, as in SentencePiece.
3. BPE: neighbours merge in the order of the score of the resulting piece, the leftmost first; a run of unknown
   characters is one unknown token, or bytes with `byte_fallback`.

Known not to be exact: U+FFF0 and U+FFF1 (unassigned, used as marks here), the deprecated accents U+0340 to U+0344, and
an accent on a compatibility character that stands for several letters.
"""

import itertools
import os
import re
import unicodedata
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
_CLUSTER_BREAK, _TILDE = "\ufff0", "\ufff1"  # unassigned, never part of a grapheme cluster, in no character map
_CHARACTER_MAPS = ("nfkc", "nmt_nfkc", "nfkc_cf", "nmt_nfkc_cf")


def import_sentencepiece(path: str | os.PathLike[str], model_max_length: int = 512) -> PreTrainedTokenizerFast:
    """Convert the SentencePiece BPE model at `path`.

    The result gives SentencePiece's ids for any text, with or without `add_special_tokens`: like the original encoder,
    it adds neither bos nor eos. `decode` gives SentencePiece's text, except that control symbols are shown unless
    `skip_special_tokens=True`.

    If the model has `<|im_start|>` and `<|im_end|>` as user-defined symbols and the default white space settings,
    `apply_chat_template` gives the ids of the original's `encode_chat`. The assistant mask covers the content and
    `<|im_end|>`; the original left the end out and so never taught its model to stop.

    The text of a user-defined symbol in a message becomes that symbol, as in the original; there is no way to escape it
    (`sanitize_control_tokens=True` raises on such a message). The text of a control symbol never does: to end a plain
    document, append `eos_token_id`, not `eos_token`.

    Args:
        path: the `.model` file.
        model_max_length: the context length of the model, in tokens; written to the saved folder.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no complete SentencePiece model, or uses something that cannot be converted exactly: an
            algorithm other than BPE, `treat_whitespace_as_suffix`, `escape_whitespaces=false`, a custom character map,
            a denormalizer, unused pieces, a symbol that normalization changes. The message names file and setting.
    """
    model = read_sentencepiece_model(path)
    try:
        return convert_sentencepiece(model, model_max_length)
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)} cannot be converted exactly: {error}") from error


def convert_sentencepiece(model: SentencePieceModel, model_max_length: int) -> PreTrainedTokenizerFast:
    """As `import_sentencepiece`, of a model in memory; its errors do not name a file."""
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
            raise ValueError(f"user-defined symbol {piece.text!r} holds a space, which is not supported")
    unknown = sum(piece.type == UNKNOWN for piece in model.pieces)
    if unknown != 1:
        raise ValueError(f"{unknown} pieces are of type UNKNOWN; there must be one")


def _merges(model: SentencePieceModel) -> list[tuple[str, str]]:
    """Every way to make a piece of two pieces, best score first.

    SentencePiece compares scores, then positions. A rank per pair says the same as long as two ways to make one piece
    do not overlap in a text, and merging leftmost first leaves no such overlap (runs and periodic texts are tested).
    """
    normal = {piece.text: piece.score for piece in model.pieces if piece.type == NORMAL}
    merges = []
    for text in sorted(normal, key=lambda text: -normal[text]):
        for cut in range(len(text) - 1, 0, -1):
            if text[:cut] in normal and text[cut:] in normal:
                merges.append((text[:cut], text[cut:]))
    return merges


def _normalizer(model: SentencePieceModel) -> normalizers.Normalizer:
    prefix = [normalizers.Prepend(" ")] if model.add_dummy_prefix else []  # nothing in front of nothing
    steps: list[normalizers.Normalizer] = [] if model.remove_extra_whitespaces else [*prefix]
    if model.charsmap:
        # the "nmt" maps are NFKC except that they keep the full-width tilde
        kept = [normalizers.Replace("\uff5e", _TILDE)] if model.normalizer_name.startswith("nmt_") else []
        unkept = [normalizers.Replace(_TILDE, "\uff5e")] if kept else []
        steps += [
            *kept,
            normalizers.Replace(Regex(_UNCOMPOSED), _CLUSTER_BREAK),
            normalizers.NFKC(),
            normalizers.Replace(Regex(r"\Y"), _CLUSTER_BREAK),  # \Y: between two code points of one grapheme cluster
            normalizers.Precompiled(model.charsmap),
            normalizers.Replace(_CLUSTER_BREAK, ""),
            *unkept,
        ]
    if model.remove_extra_whitespaces:
        # SentencePiece strips the end when spaces are U+2581 already, so a U+2581 of the text goes too, but only there
        steps += [
            normalizers.Replace(Regex(rf"\A +|[ {SPACE}]+\z"), ""),
            normalizers.Replace(Regex(" {2,}"), " "),
            *prefix,
        ]
    steps.append(normalizers.Replace(" ", SPACE))
    return normalizers.Sequence(steps)


def _uncomposed() -> str:
    """A pattern for the places where NFKC could compose or reorder but the character map does not.

    The map composes neighbours only, in canonical order, from a base that is not composed already: "e" + acute + dot
    below gives "é" + dot below, "ü" + acute stays as it is, and so does Arabic shadda + fatha, which NFKC reorders.
    """
    followers: dict[str, set[str]] = {}
    composed_bases = set()
    for character in map(chr, range(0xC0, 0xAC00)):
        marks = unicodedata.normalize("NFD", character)[1:]
        for first, second in itertools.pairwise(marks):
            if unicodedata.combining(first) and unicodedata.combining(second):
                followers.setdefault(first, set()).add(second)
                composed_bases.add(chr(int(unicodedata.decomposition(character).split()[0], 16)))
    pairs = "|".join(f"(?<={first})[{''.join(sorted(marks))}]" for first, marks in sorted(followers.items()))
    bases = "".join(sorted(composed_bases)) + "\ufb00-\ufb06"  # and Latin ligatures
    hangul = r"(?<=[\x{AC00}-\x{D7A3}])(?=[\x{11A8}-\x{11C2}])"
    return rf"(?<=\p{{M}})(?!{pairs})(?=\p{{M}})|(?<=[{bases}])(?=\p{{M}})|{hangul}"


_UNCOMPOSED = _uncomposed()


def _pre_tokenizer(model: SentencePieceModel, symbols: Sequence[str]) -> pre_tokenizers.PreTokenizer:
    """Cut out the user-defined symbols; cut the text of other special pieces in two, so that it is not taken whole."""
    cuts = [_harmless_cut(model, piece.text) for piece in model.pieces if piece.type in (CONTROL, UNKNOWN)]
    if model.byte_fallback:
        cuts.append(_harmless_cut(model, "<0x", "[0-9A-F]{2}>"))
    patterns = [re.escape(symbol) for symbol in symbols] + [cut for cut in cuts if cut]
    if not patterns:
        return pre_tokenizers.Sequence([])
    return pre_tokenizers.Split(Regex("|".join(patterns)), behavior="isolated")


def _harmless_cut(model: SentencePieceModel, text: str, then: str = "") -> str | None:
    """A pattern for a place inside `text` that no merge and no run of unknown characters crosses, if there is one."""
    normal = [piece.text for piece in model.pieces if piece.type == NORMAL]
    for at in range(1, len(text)):
        pair = text[at - 1 : at + 1]
        unknown_run = not model.byte_fallback and not any(character in normal for character in pair)
        if not unknown_run and not any(pair in piece for piece in normal):
            return f"(?<={re.escape(text[:at])})(?={re.escape(text[at:])}{then})"
    return None


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
        made = [token.value for token in backend.model.tokenize(text)]
        if made != [text] and not any(symbol in text for symbol in symbols):
            raise ValueError(f"piece {text!r} cannot be made by merging other pieces")


def _refuse_changed(normalizer: normalizers.Normalizer, symbols: Sequence[str]) -> None:
    for symbol in symbols:
        if normalizer.normalize_str(f"a{symbol}a") != normalizer.normalize_str("a") + symbol + "a":
            raise ValueError(f"normalization changes the user-defined symbol {symbol!r}")
