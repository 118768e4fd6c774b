"""What an export cost: size, error of each matrix, perplexity before and after, and the memory the engine needs."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tqdm import tqdm
from transformers import PreTrainedTokenizerFast

from brandon_hf.files import file_written_aside
from brandon_hf.modeling import BrandonForCausalLM

from .blob import parameters_as_used
from .layout import slots
from .memory import Budget, Measure, memory_budget
from .quantization import Floats
from .reading import Blob
from .reference import Reference

# Of each id but the first: its log-probability in nats, and whether it was the most probable.
Score = Callable[[Sequence[int]], tuple[Sequence[float], Sequence[bool]]]


@dataclass(frozen=True)
class TensorError:
    """What rounding did to a matrix: root mean square of the change over that of the matrix, and of its worst row."""

    name: str
    relative_rms: float
    worst_row: float


@dataclass(frozen=True)
class Loss:
    """How well a model predicts a text.

    Args:
        bits_per_byte: Of the text.
        perplexity: Per token.
    """

    bits_per_byte: float
    perplexity: float


@dataclass(frozen=True)
class ExportReport:
    """What `brandon export` prints.

    Args:
        file: Name of the blob.
        size: In bytes.
        parameters: Of the model, heads that draft left out.
        dropped_heads: Number of those.
        bits: Of the weights in blocks.
        errors: Of each matrix.
        text_tokens: Tokens of the text whose loss is measured.
        before: Loss of the model in float32, by transformers.
        after: Loss of the blob, by the reference.
        engine: Loss of the blob, by the compiled engine; `None` where that did not run it.
        no_engine: Why it did not.
        agreement: Share of tokens after which both find the same one most probable.
        budget: Memory.
    """

    file: str
    size: int
    parameters: int
    dropped_heads: int
    bits: int
    errors: list[TensorError]
    text_tokens: int
    before: Loss
    after: Loss
    agreement: float
    budget: Budget
    engine: Loss | None = None
    no_engine: str = ""

    def __str__(self) -> str:
        change = 100 * (self.after.perplexity / self.before.perplexity - 1)
        lines = [f"{self.file}: {self.size:,} bytes, {self.parameters:,} parameters, {self.bits}-bit blocks"]
        if self.dropped_heads:
            lines.append(f"left out: {self.dropped_heads} heads that predict several tokens ahead")
        lines.append("quantisation error, relative (worst row):")
        lines += [
            f"  {error.name:<22}{100 * error.relative_rms:>7.2f} % ({100 * error.worst_row:.2f} %)"
            for error in self.errors
        ]
        lines += [
            f"perplexity on {self.text_tokens:,} tokens: {self.before.perplexity:,.3f} before (transformers, float32), "
            f"{self.after.perplexity:,.3f} after (the reference in numpy), {change:+.2f} %",
            f"bits per byte: {self.before.bits_per_byte:.4f} before, {self.after.bits_per_byte:.4f} after; "
            f"same best token: {100 * self.agreement:.1f} %",
        ]
        if self.engine is not None:
            lines.append(
                f"by the compiled engine: perplexity {self.engine.perplexity:,.3f}, "
                f"{self.engine.bits_per_byte:.4f} bits per byte"
            )
        elif self.no_engine:
            lines.append(f"the compiled engine did not run it: {self.no_engine}")
        lines.append(str(self.budget))
        return "\n".join(lines)

    def write_json(self, path: Path) -> None:
        """Write the same numbers to a file."""
        with file_written_aside(path) as aside:
            aside.write_text(json.dumps(asdict(self), indent=2) + "\n", "utf-8")


def export_report(
    model: BrandonForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    blob: Blob,
    text: str,
    context: int | None = None,
    score: Score | None = None,
    measure_ram: Measure | None = None,
    no_engine: str = "",
) -> ExportReport:
    """Compare a blob with what it was made of.

    Args:
        model, tokenizer: As `load_folder` gives them.
        blob: Their blob.
        text: What to measure the loss on, in windows of the model's context.
        context: Of the memory budget, in tokens. Default: the model's.
        score: `score` of an engine that has the blob.
        measure_ram: What such engines take.
        no_engine: Why there is none.

    Raises:
        ValueError: The text is too short, or the context longer than the model's.
    """
    budget = memory_budget(blob, context, measure_ram)
    windows = text_windows(tokenizer, text, model.config.max_position_embeddings)
    size = len(text.encode())
    reference = Reference(blob)
    before = measure(lambda ids: transformers_logits(model, ids), windows)
    after = measure(reference.logits, windows)
    heads = sum(parameter.numel() for name, parameter in model.named_parameters() if name.startswith("mtp_heads"))
    return ExportReport(
        file=blob.path.name,
        size=blob.size,
        parameters=model.num_parameters() - heads,
        dropped_heads=model.config.num_mtp_heads,
        bits=blob.bits,
        errors=tensor_errors(model, blob),
        text_tokens=len(before.nats),
        before=before.loss(size),
        after=after.loss(size),
        agreement=float(np.mean(before.best == after.best)),
        budget=budget,
        engine=loss_of(_scored(score, windows), size) if score else None,
        no_engine=no_engine,
    )


def tensor_errors(model: BrandonForCausalLM, blob: Blob) -> list[TensorError]:
    """The error of every matrix, in the order of the file."""
    used, stored = parameters_as_used(model), blob.parameters
    shared, blocks = slots(blob.config, blob.bits)
    errors = []
    for slot in [*shared, *(slot for block in blocks for slot in block)]:
        if slot.bits:
            change = np.square(used[slot.parameter] - stored[slot.parameter]).sum(axis=1, dtype=np.float64)
            power = np.square(used[slot.parameter]).sum(axis=1, dtype=np.float64)
            by_row = np.sqrt(np.divide(change, power, out=np.zeros_like(change), where=power > 0))
            whole = float(np.sqrt(change.sum() / power.sum())) if power.any() else 0.0
            errors.append(TensorError(slot.name, whole, float(by_row.max())))
    return errors


def text_windows(tokenizer: PreTrainedTokenizerFast, text: str, context: int) -> list[list[int]]:
    """The text's tokens in pieces that fill a context; each begins with bos where the tokenizer has one.

    Raises:
        ValueError: The text has not even two tokens.
    """
    ids = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    start = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    step = context - len(start)
    windows = [start + ids[at : at + step] for at in range(0, len(ids), step)]
    windows = [window for window in windows if len(window) > 1]
    if not windows:
        raise ValueError(f"a text of {len(ids)} tokens is too short to measure the loss on")
    return windows


def transformers_logits(model: BrandonForCausalLM, ids: Sequence[int]) -> Floats:
    """(T,) -> (T, V), by transformers."""
    with torch.no_grad():
        return model(torch.tensor([list(ids)]), use_cache=False).logits[0].float().numpy()


def loss_of(nats: npt.NDArray[np.float64], text_bytes: int) -> Loss:
    """The loss over tokens of a text, of which each has its negative log-probability."""
    return Loss(float(nats.sum() / np.log(2) / text_bytes), float(np.exp(nats.mean())))


@dataclass(frozen=True)
class Measured:
    """A model on a text.

    Args:
        nats: (N,) negative log-probability of each token that is predicted.
        best: (N,) the token that was most probable there.
    """

    nats: npt.NDArray[np.float64]
    best: npt.NDArray[np.int64]

    def loss(self, text_bytes: int) -> Loss:
        """The loss over all tokens of a text of so many bytes."""
        return loss_of(self.nats, text_bytes)


def measure(logits: Callable[[list[int]], Floats], windows: list[list[int]]) -> Measured:
    """Predict every token of the windows but the first of each."""
    nats, best = [], []
    for window in tqdm(windows, "measuring", disable=None, leave=False):
        scores = logits(window)[:-1].astype(np.float64)
        scores -= scores.max(axis=1, keepdims=True)
        own = np.take_along_axis(scores, np.asarray(window[1:])[:, None], axis=1)[:, 0]
        nats.append(np.log(np.exp(scores).sum(axis=1)) - own)
        best.append(scores.argmax(axis=1))
    return Measured(np.concatenate(nats), np.concatenate(best))


def _scored(score: Score, windows: list[list[int]]) -> npt.NDArray[np.float64]:
    scores = [score(window)[0] for window in tqdm(windows, "measuring", disable=None, leave=False)]
    return -np.concatenate(scores).astype(np.float64)


def describe_blob(
    blob: Blob, with_tensors: bool = False, context: int | None = None, measure: Measure | None = None
) -> str:
    """What `brandon inspect` prints."""
    config: Any = blob.config
    kinds = {"gpt2": "byte-level BPE", "llama": "SentencePiece BPE"}
    lines = [
        f"{blob.path}: {blob.size:,} bytes, checksum {blob.checksum:08x} verified",
        f"model: {blob.name or '(no name)'}, {len(blob.tensors)} tensors, {blob.bits}-bit blocks",
        f"shape: vocabulary {config.vocab_size}, width {config.hidden_size}, feed-forward {config.intermediate_size}, "
        f"{config.num_hidden_layers} layers ({config.num_unique_blocks} blocks, each {config.block_repeat}x in a row, "
        f"{config.num_loops} loops), heads {config.num_attention_heads} ({config.num_key_value_heads} key-value) of "
        f"{config.head_dim}, {config.num_registers} registers, context {config.max_position_embeddings}",
        f"features: {', '.join(blob.features) or 'none'}",
        f"tokenizer: {kinds[blob.tokenizer.kind]}, {len(blob.tokenizer.merges)} merges, chat format "
        f"{blob.tokenizer.chat_format}, stops at {list(blob.stop_ids)}, "
        f"special ids {', '.join(f'{name} {index}' for name, index in blob.tokenizer.ids.items())}",
        str(memory_budget(blob, context, measure)),
    ]
    if with_tensors:
        lines.append(f"{'tensor':<28}{'type':>5}{'shape':>16}{'bytes':>12}{'offset':>12}")
        for tensor in blob.tensors.values():
            shape = " x ".join(map(str, tensor.array.shape))
            lines.append(f"{tensor.name:<28}{tensor.type:>5}{shape:>16}{tensor.size:>12,}{tensor.offset:>12,}")
    return "\n".join(lines)
