"""Train the byte-level BPE tokenizer that new models use.

The pre-tokenization rule
-------------------------
Text is cut into pieces before any merge is applied, and no token crosses a cut. Each code point has one class:

    W  word         A-Z a-z, and every code point from U+0080 up (in UTF-8: every byte >= 0x80)
    D  digit        0-9
    N  newline      U+000A
    S  space        U+0020, U+0009, U+000B, U+000C, U+000D
    P  punctuation  every other ASCII code point, control characters included

At each position the first rule that matches takes the piece, as long as it can:

    1. an optional U+0020, then W+, then any number of (an apostrophe U+0027 and W+):  " don't", "L'été", "日本語"
    2. an optional U+0020, then P+                                                      " (", "..."
    3. one D                                                                            "7"
    4. one N                                                                            "\\n"
    5. S+, except that when the run ends in U+0020 and a W or P follows, that last
       space is left for rule 1 or 2 (a run that would thereby be empty is the
       leading space of rule 1 or 2)

The rule needs no Unicode table and can be run over bytes, so a C program implements it in a few lines; GPT-2's
expression needs the tables of \\p{L} and \\p{N}. The price against that expression is 1.1 % more tokens at 8192 entries
(docs/decisions.md). A newline is always a token of its own: the tokens of a chat's header never depend on how the
content begins, so a generation prompt is a prefix of the finished chat, token for token. Digits stand alone for
arithmetic.

Special tokens
--------------
`<|bos|>` starts every document; `tokenizer(text)` adds it, `add_special_tokens=False` leaves it out. `<|eos|>` is
`tokenizer.eos_token` and ends a document of plain text (TRL appends it to text without chat messages); a chat turn ends
in `<|im_end|>`. A model that has seen both must stop at both: `generation_config.eos_token_id = [eos, im_end]`, which
TRL's online trainers read too. `<|pad|>` is neither of them, so masking padding never masks an end.

As with every Hugging Face tokenizer, the text of a special token inside the input becomes that token. For text from
strangers pass `split_special_tokens=True` to the call, or, where transformers has it, `sanitize_control_tokens=True` to
`apply_chat_template`: the content is then read as plain characters while the template's own tokens stay tokens.
"""

import itertools
import warnings
from collections.abc import Iterable, Iterator

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from .chat_template import IM_END, IM_START, chatml_template
from .stock import stock_tokenizer

PAD, BOS, EOS = "<|pad|>", "<|bos|>", "<|eos|>"
SPECIAL_TOKENS = (PAD, BOS, EOS, IM_START, IM_END)
MIN_VOCAB_SIZE = 256 + len(SPECIAL_TOKENS)

_WORD = r"[A-Za-z\x{80}-\x{10FFFF}]"
_PUNCTUATION = r"[\x00-\x08\x0E-\x1F!-/:-@\[-`{-\x7F]"
_SPACE = r"[ \t\x0B\x0C\r]"
PRETOKENIZATION_REGEX = "|".join(
    (
        rf" ?{_WORD}+(?:'{_WORD}+)*",
        rf" ?{_PUNCTUATION}+",
        r"[0-9]",
        r"\n",
        rf"{_SPACE}+(?= (?:{_WORD}|{_PUNCTUATION}))",
        rf"{_SPACE}+",
    )
)


def train_tokenizer(
    texts: Iterable[str], vocab_size: int = 8192, model_max_length: int = 512, show_progress: bool = False
) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer with ChatML specials.

    Ids 0 to 4 are `<|pad|> <|bos|> <|eos|> <|im_start|> <|im_end|>`, the next 256 are the bytes in the order of GPT-2's
    byte alphabet, the rest are merges in the order they were learned. Every string round-trips; the same texts give the
    same tokenizer.

    Args:
        texts: documents; read once, so a generator will do. Only the merges are learned from them.
        vocab_size: entries including specials and bytes. If the text has too few distinct pairs, the tokenizer comes
            out smaller and a `UserWarning` says so; ids stay below `vocab_size`, so a model of that size still fits.
        model_max_length: the context length of the model, in tokens; written to the saved folder.
        show_progress: draw a progress bar on stderr.

    Returns:
        A stock tokenizer: the folder `save_pretrained` writes loads through `AutoTokenizer` without this package. It
        pads on the left, as batched generation of a decoder needs; training collators pad by themselves.

    Raises:
        ValueError: `vocab_size` is below 261, or `texts` is a single string or holds no character.
        TypeError: an item of `texts` is not a string.

    Source: Sennrich et al. 2016 (BPE), Radford et al. 2019 (byte level).
    """
    if vocab_size < MIN_VOCAB_SIZE:
        raise ValueError(
            f"vocab_size={vocab_size} is too small: 256 bytes and {len(SPECIAL_TOKENS)} special tokens "
            f"need at least {MIN_VOCAB_SIZE}"
        )
    if model_max_length < 1:
        raise ValueError(f"model_max_length={model_max_length} must be at least 1")
    if isinstance(texts, str):
        raise ValueError("texts is a single string; pass an iterable of documents, for example [text]")
    documents = _checked(texts)
    first = next(documents, None)
    if first is None:
        raise ValueError("texts holds no character: there is nothing to train a tokenizer on")

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRETOKENIZATION_REGEX), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[AddedToken(token, normalized=False, special=True) for token in SPECIAL_TOKENS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=show_progress,
    )
    backend.train_from_iterator(itertools.chain([first], documents), trainer)
    backend.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A {BOS} $B:0", special_tokens=[(BOS, backend.token_to_id(BOS))]
    )
    if (size := backend.get_vocab_size()) < vocab_size:
        warnings.warn(
            f"the texts yield only {size} of vocab_size={vocab_size} entries; train on more text, "
            f"or give the model vocab_size={size}",
            stacklevel=2,
        )
    return stock_tokenizer(
        backend,
        model_max_length=model_max_length,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        extra_special_tokens=[IM_START, IM_END],
        chat_template=chatml_template(),
    )


def _checked(texts: Iterable[str]) -> Iterator[str]:
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"item {index} of texts is {type(text).__name__}, not a string")
        if text:
            yield text
