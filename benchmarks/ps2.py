"""What a token costs on a PlayStation 2: counted in an emulator of its processor, turned into cycles by a model.

    python benchmarks/ps2.py [--position 128]

Builds the engine for the R5900 (needs gcc-mipsel-linux-gnu), with a blob of the flagship's shape and random weights,
and the emulator in tests/r5900. Two programs compute one and two tokens at a position; their difference is what a token
costs. Instructions, cache misses and branches are counted; cycles follow from the assumptions in the table, each of
which is varied. No console was used. Writes docs/benchmarks/ps2.json and .md.
"""

import argparse
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from brandon_hf.export.blob import write_model
from brandon_hf.files import file_written_aside
from brandon_hf.modeling import BrandonConfig, BrandonForCausalLM
from brandon_hf.tokenization.train import MIN_VOCAB_SIZE, train_tokenizer

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs/benchmarks"
ENGINE = ROOT / "brandon_hf/runtime/engine"
EMULATOR = ROOT / "tests/r5900"
CLOCK = 294_912_000
PARTS = ("reader.c", "blob.c", "tensors.c", "weights.c", "model.c", "kernels.c", "kernels_mmi.c", "math.c")
# option of the emulator: (value, others to try, what it is, where it comes from)
ASSUMPTIONS: dict[str, tuple[int, tuple[int, ...], str, str]] = {
    "miss": (40, (30, 50, 60, 80), "cycles from a cache miss to its data, one at a time", "ps2tek: about 40"),
    "write-back": (20, (40,), "cycles that a dirty line holds the memory", "half a miss; a guess"),
    "mispredict": (3, (6,), "cycles lost by a wrongly predicted branch", "six stages; a guess"),
    "accumulate": (1, (2, 4), "cycles between multiply-accumulates into one accumulator", "assumed: one per cycle"),
    "wide-pairs": (0, (1,), "128-bit operations start together with loads and branches", "assumed not to"),
}
# fixed in tests/r5900/r5900.h
LATENCIES = "load 2, float 4, division and root 8, integer and 128-bit product 4, integer division 37, all else 1"


def make(*arguments: str) -> None:
    subprocess.run(["make", "-s", *arguments], check=True, env={**os.environ, "MAKEFLAGS": ""})


def write_flagship(blob: Path) -> None:
    """The flagship's shape with random weights."""
    torch.manual_seed(0)
    tokenizer = train_tokenizer(["A lemon is yellow and a frog is green. "] * 4, vocab_size=MIN_VOCAB_SIZE)
    write_model(BrandonForCausalLM(BrandonConfig()).eval(), tokenizer, blob)


def build(work: Path, blob: Path, position: int) -> list[Path]:
    """The programs for one and two tokens."""
    programs = []
    for tokens in (1, 2):
        out = work / f"{tokens}-at-{position}"
        flags = f"-DTOKENS={tokens} -DPOSITION={position}"
        values = [f"BLOB={blob}", f"MAIN={EMULATOR / 'decode_cost.c'}", f"MAIN_FLAGS={flags}", f"OUT={out}"]
        values += [f"OBJECTS_IN={work / 'objects'}", "PARTS=" + " ".join(str(ENGINE / part) for part in PARTS)]
        make("-f", str(ENGINE / "mips.mk"), "elf", *values)
        programs.append(out / "BRANDON.ELF")
    return programs


def difference(first: Any, second: Any) -> Any:
    """What the second report has more than the first."""
    if isinstance(second, dict):
        return {name: difference(first[name], value) for name, value in second.items() if name != "functions"}
    return second - first


def token_cost(emulator: Path, programs: list[Path], **assumptions: int) -> dict[str, Any]:
    """Counts and cycles of one token."""
    reports = []
    for program in programs:
        report = program.with_suffix(".json")
        options = [part for name, value in assumptions.items() for part in (f"--{name}", str(value))]
        subprocess.run([emulator, "--timing", report, *options, program], check=True)
        reports.append(json.loads(report.read_text()))
    cost = difference(*reports)
    before = {one["name"]: one for one in reports[0]["functions"]}
    nothing = {"instructions": 0, "cycles": 0}
    cost["functions"] = {
        one["name"]: {key: one[key] - before.get(one["name"], nothing)[key] for key in nothing}
        for one in reports[1]["functions"]
    }
    cost["tokens_per_second"] = CLOCK / cost["cycles"]
    return cost


def written(results: dict[str, Any]) -> str:
    """The page."""
    base, position = results["token"], results["position"]
    millions = {name: one["cycles"] for name, one in base["functions"].items() if one["cycles"] > base["cycles"] / 200}
    lines = [
        "# A token on a PlayStation 2, modelled",
        "Written by `python benchmarks/ps2.py`. Nothing here ran on a console: instructions, cache misses and branches "
        "are counted in the emulator of `tests/r5900`, cycles are modelled.",
        f"Flagship's shape (24 layers of width 256, 8,192 tokens, int8), float32 cache, position {position}: "
        f"**{base['cycles'] / 1e6:.1f} M cycles, {base['tokens_per_second']:.1f} tokens/s at 294.912 MHz.**",
        "| counted per token | |\n|---|---:|\n"
        + "\n".join(
            f"| {name} | {value:,} |"
            for name, value in [
                ("instructions", base["instructions"]),
                *((f"- {name.replace('_', ' ')}", count) for name, count in base["classes"].items() if count),
                *((f"cache lines, {name.replace('_', ' ')}", count) for name, count in base["lines"].items()),
            ]
        ),
        "| where the cycles go | M cycles | share |\n|---|---:|---:|\n"
        + "\n".join(
            f"| `{name}` | {cycles / 1e6:.2f} | {cycles / base['cycles']:.0%} |"
            for name, cycles in sorted(millions.items(), key=lambda item: -item[1])
        ),
        "| assumption | value | source | varied | tokens/s |\n|---|---:|---|---:|---:|\n"
        + "\n".join(
            f"| {meaning} | {value} | {source} | {other} | {results['varied'][f'{name} {other}']:.1f} |"
            for name, (value, others, meaning, source) in ASSUMPTIONS.items()
            for other in others
        ),
        f"Latencies in cycles: {LATENCIES}. Two instructions start together if they are of different kinds or both "
        "integer and do not depend on each other; nothing starts together with a branch before it. With 60 cycles for "
        f"a miss, 6 for a wrong branch and 2 between accumulations: {results['varied']['pessimistic']:.1f} tokens/s.",
        "At other positions: "
        + ", ".join(f"{rate:.1f} tokens/s at {place}" for place, rate in results["positions"].items())
        + ".",
    ]
    return "\n\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--position", type=int, default=128, help="of the token in the context")
    options = parser.parse_args()
    if not 0 <= options.position <= 500:
        raise SystemExit(f"--position {options.position} must be 0 to 500")
    if not shutil.which("mipsel-linux-gnu-gcc"):
        raise SystemExit("mipsel-linux-gnu-gcc is not installed (Debian: gcc-mipsel-linux-gnu)")
    usual = {name: value for name, (value, *_) in ASSUMPTIONS.items()}
    trials = {f"{name} {other}": {name: other} for name, (_, others, *_) in ASSUMPTIONS.items() for other in others}
    trials["pessimistic"] = {"miss": 60, "mispredict": 6, "accumulate": 2}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        emulator, blob = work / "r5900", work / "flagship.gguf"
        make("-C", str(EMULATOR), f"OUT={work}")
        write_flagship(blob)
        programs = build(work, blob, options.position)
        results: dict[str, Any] = {"position": options.position, "clock": CLOCK, "assumptions": usual}
        results["token"] = token_cost(emulator, programs, **usual)
        results["varied"] = {
            name: token_cost(emulator, programs, **{**usual, **changed})["tokens_per_second"]
            for name, changed in tqdm(trials.items(), disable=None)
        }
        results["positions"] = {
            position: token_cost(emulator, build(work, blob, position), **usual)["tokens_per_second"]
            for position in (0, 256, 500)
        }
    page = written(results)
    for name, text in (("ps2.json", json.dumps(results, indent=1) + "\n"), ("ps2.md", page)):
        with file_written_aside(DOCS / name) as aside:
            aside.write_text(text, "utf-8")
    print(page)


if __name__ == "__main__":
    main()
