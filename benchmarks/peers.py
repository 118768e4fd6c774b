"""Speed and memory of our engine beside llama.cpp and llama2.c, at the flagship's shape, in one run on one thread.

    python benchmarks/peers.py --engine PROGRAM --llama-python PYTHON --runq RUNQ --output docs/benchmarks/peers

Decoding: 128 tokens after a context of one. Prompt: 480 tokens at once. All weights are random, the shape is the
flagship's: 24 layers of width 256, 8,192 tokens. The peers lack sharing, averages, value residual and registers, which
makes their files larger and their arithmetic a little less. Rows of 720, the flagship's feed-forward network, fit
neither Q8_0 nor llama2.c's groups of 64: with these it has 704.

Every measurement is a process of its own, and the runtimes alternate, so that a change of the machine's speed meets all
of them; the table has medians. Memory is the peak of the whole process (VmHWM; Linux only). llama.cpp runs inside
Python, whose own share is listed. What is not given is not measured:

PYTHON   an interpreter that has llama-cpp-python, best built for the machine: CMAKE_ARGS=-DGGML_NATIVE=ON
RUNQ     llama2.c's `runq`, built with -O3 -march=native -ffast-math
PROGRAM  our `brandon-engine` (`make -C brandon_hf/runtime/engine`)

Writes OUTPUT.json and OUTPUT.md.
"""

import argparse
import json
import platform
import re
import shlex
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from brandon_hf.environment import processor
from brandon_hf.export import write_blob
from brandon_hf.export.llama import write_llama
from brandon_hf.files import file_written_aside
from brandon_hf.modeling import BrandonConfig, BrandonForCausalLM
from brandon_hf.tokenization import train_tokenizer

DECODE, PROMPT = 128, 480  # what `brandon-engine --bench` measures
FITTING = 704  # feed-forward units that fill groups of 64
PLAIN: dict[str, Any] = {
    "depth_weighted_average": False,
    "value_residual": "none",
    "num_registers": 0,
    "block_repeat": 1,
}
OURS = "Brandon engine, int8"


def save_flagship(folder: Path, **overrides: Any) -> Path:
    """A folder with a random model of the flagship's shape and a tokenizer of little more than bytes."""
    torch.manual_seed(0)
    BrandonForCausalLM(BrandonConfig(**overrides)).save_pretrained(folder)
    train_tokenizer(["aaaa aaaa"], vocab_size=263).save_pretrained(folder)  # llama.cpp wants merges
    return folder


def write_llama2c(checkpoint: Path, tokenizer: Path, intermediate_size: int, group: int = 64) -> None:
    """Random weights of the flagship's shape in llama2.c's version 2 (int8 with a scale per group), and a tokenizer.

    The format: 256 bytes of header; norms in float32; then each matrix, layer by layer within its kind, as int8 and
    then its scales.
    """
    shape, rng = BrandonConfig(), np.random.default_rng(0)
    width, layers, vocabulary = shape.hidden_size, shape.num_hidden_layers, shape.vocab_size
    keys = width // shape.num_attention_heads * shape.num_key_value_heads
    sizes = (shape.num_attention_heads, shape.num_key_value_heads, vocabulary, shape.max_position_embeddings)
    header = struct.pack("<Ii7iBi", 0x616B3432, 2, width, intermediate_size, layers, *sizes, 1, group)
    with checkpoint.open("wb") as file:
        file.write(header.ljust(256, b"\0"))
        file.write(np.ones((2 * layers + 1) * width, np.float32).tobytes())

        def write(rows: int, columns: int, count: int) -> None:
            for _ in range(count):
                file.write(rng.integers(-127, 128, rows * columns, np.int8).tobytes())
                scales = np.full(
                    rows * columns // group, columns**-0.5 / 73, np.float32
                )  # 73: deviation of the integers
                if rows == vocabulary:  # bos, id 1, would end the text: never the largest logit
                    scales[columns // group : 2 * columns // group] *= 1e-3
                file.write(scales.tobytes())

        write(vocabulary, width, 1)
        for rows in (width, keys, keys, width):
            write(rows, width, layers)
        write(intermediate_size, width, layers)
        write(width, intermediate_size, layers)
        write(intermediate_size, width, layers)
    piece = struct.pack("<fi", 0.0, 1) + b"a"
    tokenizer.write_bytes(struct.pack("<i", 1) + piece * vocabulary)


def run_engine(command: list[str]) -> dict[str, Any]:
    """The engine prints a key and a value per line."""
    output, _, peak = run(command)
    said = dict(line.split(maxsplit=1) for line in output.splitlines())
    if (int(said["decode_tokens"]), int(said["prompt_tokens"])) != (DECODE, PROMPT):
        raise SystemExit(f"{command[0]} measured {said['decode_tokens']} and {said['prompt_tokens']} tokens")
    speeds = {f"{what}_tokens_per_second": float(said[f"{what}_tokens_per_second"]) for what in ("decode", "prompt")}
    return {**speeds, "peak_kib": peak}


def run_json(command: list[str]) -> dict[str, Any]:
    """What a runtime says of itself in its last line, and the peak of its memory."""
    output, _, peak = run(command)
    figures = json.loads(output.strip().splitlines()[-1])
    return {"peak_kib": peak, **figures}


def run_llama2c(runq: str, checkpoint: Path, tokenizer: Path) -> dict[str, Any]:
    """llama2.c reads a prompt as it decodes, a token at a time: a text of 480 tokens stands for one."""
    figures: dict[str, Any] = {}
    for name, count in (("decode", DECODE + 1), ("prompt", PROMPT)):
        settings = ["-z", str(tokenizer), "-t", "0", "-n", str(count)]
        _, errors, figures["peak_kib"] = run([runq, str(checkpoint), *settings])
        figures[f"{name}_tokens_per_second"] = float(errors.split("achieved tok/s:")[1])
    return figures


def run(command: list[str]) -> tuple[str, str, int]:
    """Standard output, standard error and peak memory in KiB (0 where /proc is not) of a command."""
    peak = 0
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdout=output, stderr=errors)
        status = Path(f"/proc/{process.pid}/status")
        while process.poll() is None:
            found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
            peak = max(peak, int(found[1]) if found else 0)
            time.sleep(0.002)
        output.seek(0)
        errors.seek(0)
        said, complained = output.read(), errors.read()
    if process.returncode:
        raise SystemExit(f"{shlex.join(command)} failed with status {process.returncode}:\n{complained}")
    return said, complained, peak


def prepare(arguments: argparse.Namespace, folder: Path) -> dict[str, tuple[Path, Callable[[], dict[str, Any]]]]:
    """The file of each runtime and how to measure it once."""
    runtimes: dict[str, tuple[Path, Callable[[], dict[str, Any]]]] = {}
    if arguments.engine:
        blob = folder / "model.gguf"
        write_blob(save_flagship(folder / "flagship"), blob)
        runtimes[OURS] = (blob, lambda: run_engine([arguments.engine, str(blob), "--bench"]))
    if arguments.llama_python:
        worker = [arguments.llama_python, str(Path(__file__).with_name("peers_llama.py"))]
        for name, tensor_type, size in (("Q8_0", "q8_0", FITTING), ("F16", "f16", 720), ("F32", "f32", 720)):
            file = folder / f"llama_{tensor_type}.gguf"
            source = folder / f"plain_{size}"
            if not source.exists():
                save_flagship(source, intermediate_size=size, **PLAIN)
            write_llama(source, file, tensor_type)
            call = [*worker, "speed", str(file), "--decode", str(DECODE), "--prompt", str(PROMPT)]
            runtimes[f"llama.cpp, {name}"] = (file, lambda call=call: run_json(call))
    if arguments.runq:
        checkpoint, tokenizer = folder / "llama2c.bin", folder / "tokenizer.bin"
        write_llama2c(checkpoint, tokenizer, FITTING)
        runtimes["llama2.c runq, int8"] = (checkpoint, lambda: run_llama2c(arguments.runq, checkpoint, tokenizer))
    return runtimes


def table(runtimes: dict[str, dict[str, Any]]) -> list[str]:
    """Markdown rows of medians; the ratios say how many times faster the first runtime is."""
    lines = [
        "| runtime | decoding, tokens/s | min - max | ratio | prompt, tokens/s | ratio | file, MB | peak, MiB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    first = next(iter(runtimes.values()))
    for name, figures in runtimes.items():
        cells = [name]
        for what in ("decode", "prompt"):
            values = figures[f"{what}_tokens_per_second"]
            middle = statistics.median(values)
            cells.append(f"{middle:,.0f}")
            if what == "decode":
                cells.append(f"{min(values):,.0f} - {max(values):,.0f}")
            cells.append(f"{statistics.median(first[f'{what}_tokens_per_second']) / middle:.2f}")
        peak = f"{max(figures['peak_kib']) / 1024:.1f}"
        if "interpreter_kib" in figures:
            peak += f" ({max(figures['interpreter_kib']) / 1024:.1f} of them Python)"
        cells += [f"{figures['file_bytes'] / 1e6:.1f}", peak]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def environment(rounds: int) -> dict[str, Any]:
    """What the figures depend on."""
    return {"cpu": processor(), "system": platform.platform(), "rounds": rounds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", metavar="PROGRAM", help="our brandon-engine")
    parser.add_argument("--llama-python", metavar="PYTHON", help="interpreter with llama-cpp-python")
    parser.add_argument("--runq", metavar="FILE", help="llama2.c's runq")
    parser.add_argument("--rounds", type=int, default=7, help="counted rounds, after one that is not (default 7)")
    parser.add_argument("--output", type=Path, help="write OUTPUT.json and OUTPUT.md")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        runtimes = prepare(arguments, Path(folder))
        if not runtimes:
            parser.error("nothing to measure: give --engine, --llama-python or --runq")
        results: dict[str, dict[str, Any]] = {
            name: {"file_bytes": file.stat().st_size} for name, (file, _) in runtimes.items()
        }
        for round_number in tqdm(range(arguments.rounds + 1), desc="rounds", disable=None):
            for name, (_, measure) in runtimes.items():
                for key, value in measure().items():
                    if key == "version":
                        results[name][key] = value
                    elif round_number:
                        results[name].setdefault(key, []).append(value)

    missing = [
        name
        for name, given in (
            ("our engine", arguments.engine),
            ("llama.cpp", arguments.llama_python),
            ("llama2.c", arguments.runq),
        )
        if not given
    ]
    described = environment(arguments.rounds)
    lines = ["# Speed of the engine and its peers", "", "Written by `python benchmarks/peers.py`, which says how.", ""]
    lines += [", ".join(f"{key} {value}" for key, value in described.items()) + ", 1 thread.", ""]
    lines += [*table(results), ""]
    lines += [f"A ratio says how many times as fast the first row is. Decoding {DECODE} tokens, prompt {PROMPT}.", ""]
    if missing:
        lines += [f"Not measured: {', '.join(missing)}.", ""]
    report = "\n".join(lines)
    print(report)
    if arguments.output:
        for suffix, text in (
            (".json", json.dumps({"environment": described, "not_measured": missing, "runtimes": results}, indent=1)),
            (".md", report),
        ):
            with file_written_aside(arguments.output.with_suffix(suffix)) as aside:
                aside.write_text(text.rstrip("\n") + "\n")
        print(f"written: {arguments.output}.json and {arguments.output}.md", file=sys.stderr)


if __name__ == "__main__":
    main()
