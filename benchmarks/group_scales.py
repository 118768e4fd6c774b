"""Speed of weights with a scale per 16 columns beside a scale per row; writes docs/benchmarks/group_scales.{json,md}.

    python benchmarks/group_scales.py [--rounds 24] [--seconds 0.03]

Products of a token with all matrices of the flagship's shape (12 blocks, each applied twice, and 8192 x 256 for the
logits), quantising the activations included, on one thread. The engine's own kernel of each instruction set runs beside
kernels of group_scales/group_scales.c with scales per 16 columns: once with the activations quantised per token as in
the blob, once per 16 too. Of several ways to write a kernel the fastest counts, of those with a scale per row too. With
a MIPS compiler the same is counted for the PlayStation 2, in the emulator of tests/r5900.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from tqdm import tqdm

from brandon_hf.environment import processor
from brandon_hf.files import file_written_aside

REPO = Path(__file__).resolve().parents[1]
OUT = REPO / "docs/benchmarks/group_scales"
ENGINE, HERE, EMULATOR = REPO / "brandon_hf/runtime/engine", REPO / "benchmarks/group_scales", REPO / "tests/r5900"
FLAGS = ["-std=c99", "-O3", "-fno-math-errno", "-ffp-contract=off", "-Wall", "-Wextra", "-Wno-psabi", "-Werror"]
PARTS = ("kernels", "kernels_avx2", "kernels_avx512", "math")
BLOCK = ((384, 256), (256, 256), (1440, 256), (256, 720))  # of group_mmi.c
NAMES = {"portable": "portable C", "avx2": "AVX2", "avx512": "AVX-512 VNNI", "r5900": "R5900 (MMI)"}


def time_kernels(folder: Path, rounds: int, seconds: float) -> list[dict[str, Any]]:
    """Microseconds per token of each kernel and round; its results are checked before."""
    program = folder / "group_scales"
    sources = [HERE / "group_scales.c", *(ENGINE / f"{name}.c" for name in PARTS)]
    subprocess.run(["cc", *FLAGS, f"-I{ENGINE}", *sources, "-lm", "-o", program], check=True)
    with (folder / "times").open("w") as output, tqdm(total=rounds, desc="rounds", disable=None) as bar:
        command = [str(program), str(rounds), str(seconds)]
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        for line in process.stderr:
            if line != "round\n":
                raise SystemExit(line)
            bar.update()
    if process.wait():
        raise SystemExit(f"{program.name} failed with status {process.returncode}")
    found: list[dict[str, Any]] = json.loads((folder / "times").read_text())
    return found


def count_on_console(folder: Path) -> dict[str, dict[str, float]] | None:
    """Instructions, and cycles by the emulator's model, per 16 columns of a row; None without a compiler for it."""
    if not shutil.which("mipsel-linux-gnu-gcc"):
        return None
    quiet = {**os.environ, "MAKEFLAGS": ""}
    parts = " ".join(str(ENGINE / f"{name}.c") for name in ("kernels", "kernels_mmi", "math"))
    values = [f"OUT={folder}", f"OBJECTS_IN={folder / 'objects'}", f"PARTS={parts}", f"MAIN={HERE / 'group_mmi.c'}"]
    subprocess.run(["make", "-s", "-C", str(EMULATOR), f"OUT={folder}"], check=True, env=quiet)
    subprocess.run(["make", "-s", "-f", str(ENGINE / "mips.mk"), "elf", *values], check=True, env=quiet)
    subprocess.run([folder / "r5900", "--timing", folder / "counts", folder / "BRANDON.ELF"], check=True)
    units = sum(rows * columns // 16 for rows, columns in BLOCK)
    totals: dict[str, dict[str, float]] = {}
    for function in json.loads((folder / "counts").read_text())["functions"]:
        total = totals.setdefault(function["name"], {"instructions": 0.0, "cycles": 0.0})
        for key in total:
            total[key] += function[key] / units
    return {
        "rows": totals["multiply"],
        "token": {key: totals["four_rows_token"][key] + totals["widen"][key] / 2 for key in totals["widen"]},
        "groups": {key: totals["four_rows_groups"][key] + totals["widen"][key] / 2 for key in totals["widen"]},
    }


def compared(times: list[dict[str, Any]], what: str) -> list[dict[str, Any]]:
    """For each instruction set the fastest kernel of each kind: medians, and of the ratios in each round."""
    rows = []
    for name in dict.fromkeys(one["set"] for one in times):
        row: dict[str, Any] = {"set": name}
        for kind in ("rows", "token", "groups"):
            candidates = [one for one in times if (one["set"], one["kind"]) == (name, kind)]
            best = min(candidates, key=lambda one: statistics.median(one[what]))
            if kind == "rows":
                base = best
            ratio = statistics.median(own / rows for own, rows in zip(best[what], base[what], strict=True))
            row[kind] = {"microseconds": statistics.median(best[what]), "kernel": best["kernel"], "ratio": ratio}
        rows.append(row)
    return rows


def render(results: dict[str, Any]) -> str:
    """The page."""
    lines = [
        "# A scale per 16 columns, or one per row",
        "",
        "Written by `python benchmarks/group_scales.py`, which says how.",
        "",
        f"cpu {results['cpu']}, 1 thread, rounds {results['rounds']}. Microseconds of processor time, medians; a ratio "
        "says how many times as long it takes as with a scale per row, the median over rounds.",
    ]
    for what, title in (
        ("all", "All matrices of the flagship's shape, as a token needs them (10.6 MB of weights)"),
        (
            "one_block",
            "One block as often as the model applies blocks (0.7 MB of weights: arithmetic more than memory)",
        ),
    ):
        lines += ["", f"## {title}", ""]
        lines += ["| instruction set | per row | per 16 columns, activations per token | ratio | both per 16 | ratio |"]
        lines += ["|---|---|---|---|---|---|"]
        for row in results["compared"][what]:
            cells = [NAMES[row["set"]]]
            for kind in ("rows", "token", "groups"):
                cells.append(f"{row[kind]['microseconds']:.0f} ({row[kind]['kernel']})")
                cells += [f"{row[kind]['ratio']:.2f}"] if kind != "rows" else []
            lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "In brackets what was the fastest of the ways tried; all are in the JSON file.", ""]
    lines += ["## On a PlayStation 2", ""]
    console = results["console"]
    if console is None:
        return "\n".join([*lines, "Not counted, for want of mipsel-linux-gnu-gcc."]) + "\n"
    lines += [
        "Counted in the emulator of `tests/r5900` over the matrices of a block; the cycles are its model's. Quantising "
        "the activations is not in these figures.",
        "",
        "| for 16 columns of a row | instructions | cycles | ratio of cycles |",
        "|---|---|---|---|",
    ]
    for kind, name in (("rows", "per row"), ("token", "per 16, activations per token"), ("groups", "both per 16")):
        cost = console[kind]
        ratio = cost["cycles"] / console["rows"]["cycles"]
        lines.append(f"| {name} | {cost['instructions']:.1f} | {cost['cycles']:.1f} | {ratio:.2f} |")
    return "\n".join(lines) + "\n"


def in_short(times: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each kernel's least, median and greatest time instead of those of all rounds."""
    short = []
    for one in times:
        spans = {what: [min(one[what]), statistics.median(one[what]), max(one[what])] for what in ("all", "one_block")}
        short.append({**one, **spans})
    return short


def main() -> None:
    """Measure, count, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=24, help="(default 24, at most 64)")
    parser.add_argument("--seconds", type=float, default=0.03, help="of each kernel in each round (default 0.03)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        times = time_kernels(Path(folder), arguments.rounds, arguments.seconds)
        results: dict[str, Any] = {"cpu": processor(), "rounds": arguments.rounds}
        results["compared"] = {what: compared(times, what) for what in ("all", "one_block")}
        results |= {"console": count_on_console(Path(folder)), "times": in_short(times)}
    page = render(results)
    for suffix, text in ((".json", json.dumps(results, indent=1) + "\n"), (".md", page)):
        with file_written_aside(OUT.with_suffix(suffix)) as aside:
            aside.write_text(text)
    print(page)


if __name__ == "__main__":
    main()
