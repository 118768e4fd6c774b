"""What rounding weights and activations costs in perplexity; writes docs/benchmarks/quantization.{json,md}.

    python benchmarks/quantization.py --model MODEL [MODEL ...] --text FILE [FILE ...]

Every scheme computes the whole model with the reference's arithmetic and differs in what it does to matrices and to the
rows that they are multiplied with. Embeddings have 8 bits in all of them.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from brandon_hf.environment import environment
from brandon_hf.export.blob import load_folder, parameters_as_used, write_model
from brandon_hf.export.layout import slots
from brandon_hf.export.quantization import Floats, quantize, unpack
from brandon_hf.export.reading import Blob, read_blob
from brandon_hf.export.reference import Reference, quantize_rows
from brandon_hf.export.report import measure, text_windows, transformers_logits
from brandon_hf.files import file_written_aside

OUT = Path(__file__).parents[1] / "docs/benchmarks"
GROUP = 16


def per_row(rows: Floats) -> Floats:
    """int8 with one scale per row: activations per token, or weights per output."""
    numbers, scale = quantize_rows(rows)
    return numbers * scale[:, None]


def in_groups(rows: Floats, size: int = GROUP) -> Floats:
    """int8 with a scale for each group of columns; a last group may be smaller."""
    return np.concatenate([per_row(part) for part in np.split(rows, range(size, rows.shape[1], size), axis=1)], axis=1)


def four_bits(matrix: Floats) -> Floats:
    """As a blob of 4 bits has it."""
    packed = quantize(matrix, 4)
    return unpack(packed.weight, packed.group, 4) * packed.scale[:, None]


def same(rows: Floats) -> Floats:
    """Not rounded."""
    return rows


@dataclass(frozen=True)
class Scheme:
    """How matrices in blocks, other matrices, and the rows multiplied with them are rounded."""

    name: str
    weights: Callable[[Floats], Floats] = same
    embeddings: Callable[[Floats], Floats] = per_row
    activations: Callable[[Floats], Floats] = same
    down: Callable[[Floats], Floats] | None = None  # the rows of the down projection, where they are treated otherwise


SCHEMES = (
    Scheme("float32", embeddings=same),
    Scheme("int8 per row, float activations", per_row),
    Scheme("int8 per row, int8 activations per token (the blob's)", per_row, activations=per_row),
    Scheme("the same, down projection's input in groups of 16", per_row, activations=per_row, down=in_groups),
    Scheme("the same, down projection's input in float", per_row, activations=per_row, down=same),
    Scheme("float weights, int8 activations per token", embeddings=same, activations=per_row),
    Scheme("int8 in groups of 16, float activations", in_groups, in_groups),
    Scheme("int8 in groups of 16, int8 activations in groups of 16", in_groups, in_groups, in_groups),
    Scheme("int4, float activations", four_bits),
    Scheme("int4, int8 activations per token (the blob's)", four_bits, activations=per_row),
)


class Rounded(Reference):
    """The reference with the matrices and activations of a scheme."""

    def __init__(self, blob: Blob, parameters: dict[str, Floats], scheme: Scheme):
        super().__init__(blob)
        self.scheme = scheme
        shared, blocks = slots(blob.config, blob.bits)
        self.rounded = {
            slot.name: (scheme.weights if slot.name.startswith("blk.") else scheme.embeddings)(
                parameters[slot.parameter]
            )
            for slot in [*shared, *(slot for block in blocks for slot in block)]
            if slot.bits
        }

    def _embed(self, ids: Any) -> Floats:
        return self.rounded["token_embd"][ids]

    def _multiply(self, name: str, rows: Floats) -> Floats:
        scheme = self.scheme
        activations = scheme.down if scheme.down and name.endswith("ffn_down") else scheme.activations
        return activations(rows) @ self.rounded[name].T


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", nargs="+", required=True, help="model folders")
    parser.add_argument("--text", nargs="+", required=True, help="text files")
    parser.add_argument(
        "--kilobytes", type=int, default=100, help="of each text, from its beginning (default: %(default)s)"
    )
    args = parser.parse_args()
    results = []
    for folder in args.model:
        model, tokenizer = load_folder(folder)
        with tempfile.TemporaryDirectory() as temporary:
            write_model(model, tokenizer, Path(temporary) / "model.gguf", 8)
            blob = read_blob(Path(temporary) / "model.gguf")
            parameters = parameters_as_used(model)
            for file in args.text:
                text = Path(file).read_bytes()[: 1000 * args.kilobytes].decode("utf-8", "ignore")
                windows = text_windows(tokenizer, text, model.config.max_position_embeddings)
                size = len(text.encode())
                plain = measure(lambda ids: transformers_logits(model, ids), windows)  # noqa: B023 - called at once
                rows = []
                for scheme in SCHEMES:
                    made = measure(Rounded(blob, parameters, scheme).logits, windows)
                    change = made.nats - plain.nats
                    rows.append(
                        {
                            "scheme": scheme.name,
                            "bits_per_byte": made.loss(size).bits_per_byte,
                            "perplexity": made.loss(size).perplexity,
                            "change_percent": 100 * float(np.expm1(change.mean())),
                            "standard_error_percent": 100 * float(change.std() / len(change) ** 0.5),
                            "same_best_token": float(np.mean(made.best == plain.best)),
                        }
                    )
                    print(folder, file, rows[-1], flush=True)
                results.append(
                    {
                        "model": "/".join(Path(folder).resolve().parts[-3:]),
                        "parameters": model.num_parameters(),
                        "text": Path(file).name,
                        "bytes": size,
                        "tokens": len(plain.nats),
                        "perplexity": plain.loss(size).perplexity,
                        "bits_per_byte": plain.loss(size).bits_per_byte,
                        "schemes": rows,
                    }
                )
    write({"environment": environment(), "results": results})


def write(report: dict[str, Any]) -> None:
    """Both files."""
    with file_written_aside(OUT / "quantization.json") as aside:
        aside.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    lines = [
        "# What quantisation costs",
        "",
        "Written by `benchmarks/quantization.py`. The change of perplexity is against the same model in float32 "
        "(transformers) on the same text, with the standard error of the mean over tokens. The last column is the "
        "share of places where both find the same token most probable.",
    ]
    for result in report["results"]:
        lines += [
            "",
            f"## {result['model']}, {result['parameters']:,} parameters, on {result['bytes'] / 1000:,.0f} kB of "
            f"{result['text']} ({result['tokens']:,} tokens)",
            "",
            f"float32: perplexity {result['perplexity']:.2f}, {result['bits_per_byte']:.4f} bits per byte.",
            "",
            "| scheme | bits per byte | change of perplexity | same best token |",
            "|---|---|---|---|",
        ]
        lines += [
            f"| {row['scheme']} | {row['bits_per_byte']:.4f} | {round(row['change_percent'], 2) + 0.0:+.2f} ± "
            f"{row['standard_error_percent']:.2f} % | {100 * row['same_best_token']:.1f} % |"
            for row in result["schemes"]
        ]
    with file_written_aside(OUT / "quantization.md") as aside:
        aside.write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
