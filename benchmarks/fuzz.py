"""Feed the engine damaged blobs and odd texts for a while; writes docs/benchmarks/fuzz.{json,md}.

    python benchmarks/fuzz.py --minutes 60

Builds benchmarks/fuzz/fuzz_engine.c and the engine with clang's libFuzzer, AddressSanitizer and
UndefinedBehaviorSanitizer. Inputs that break the engine are kept in FOLDER/crashes, and so is the corpus in
FOLDER/work, which the next run goes on with. The page keeps the runs before, each with a hash of the engine's files.
Exit status 1 if there are any crashes.
"""

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from brandon_hf.environment import environment
from brandon_hf.files import file_written_aside

REPO = Path(__file__).parents[1]
ENGINE = REPO / "brandon_hf/runtime/engine"
COMPUTING = ("fuzz_engine", "kernels", "kernels_avx2", "kernels_avx512", "math", "model", "weights")
OUTSIDE = ("main", "kernels_mmi", "platform_freestanding", "platform_posix", "platform_ps2")
FLAGS = ["-std=c99", "-O1", "-g", "-fno-math-errno", "-ffp-contract=off", "-Wall", "-Wextra", "-Wno-psabi"]
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
SLOWEST, LARGEST, MOST_MEMORY = 20, 200_000, 1500  # seconds and bytes of an input, MB
MOST_CRASHES = 20  # then there is no point in going on


@dataclass
class Result:
    """What a run came to; edges are those of the engine and the target."""

    executions: int = 0
    seconds: float = 0.0
    edges: int = 0
    all_edges: int = 0
    crashes: list[str] = field(default_factory=list)


def build(folder: Path, compiler: str, traced: list[str], plain: list[str], link: list[str]) -> Path:
    """The target as a program; `traced` are the flags of files that read what is fed, `plain` those of all others."""
    seeds = f'-DSEEDS="{folder / "seeds"}"'
    files = [REPO / "benchmarks/fuzz/fuzz_engine.c"]
    files += sorted(path for path in ENGINE.glob("*.c") if path.stem not in OUTSIDE)
    made = []
    for file in tqdm(files, desc="building", disable=None, leave=False):
        made.append(folder / f"{file.stem}.o")
        flags = plain if file.stem in COMPUTING else traced
        command = [compiler, *FLAGS, *SANITIZE, *flags, seeds, f"-I{ENGINE}", "-c", str(file), "-o", str(made[-1])]
        subprocess.run(command, check=True)
    command = [compiler, *SANITIZE, *link, "-Wl,--wrap=bt_take", *map(str, made), "-o", str(folder / "fuzz_engine")]
    subprocess.run(command, check=True)
    return folder / "fuzz_engine"


def run_libfuzzer(folder: Path, compiler: str, seconds: float) -> Result:
    """Run clang's fuzzer, again and again where an input breaks the engine."""
    traced = ["-fsanitize=fuzzer-no-link"]  # watches every comparison, which only slows down loops over numbers
    plain = [*traced, "-fno-sanitize-coverage=trace-cmp"]
    program = build(folder, compiler, traced, plain, ["-fsanitize=fuzzer"])
    result, start = Result(), time.monotonic()
    with tqdm(total=round(seconds), desc="fuzzing", unit="s", disable=None) as bar:
        while (left := seconds - (time.monotonic() - start)) >= 1 and len(result.crashes) < MOST_CRASHES:
            limits = [f"-timeout={SLOWEST}", f"-rss_limit_mb={MOST_MEMORY}", f"-max_len={LARGEST}"]
            options = [f"-max_total_time={int(left)}", *limits, f"-dict={folder / 'words.dict'}"]
            options += [f"-artifact_prefix={folder / 'crashes'}/", "-print_final_stats=1"]
            with (folder / "log").open("w+") as log:
                process = subprocess.Popen(
                    [program, *options, folder / "work", folder / "corpus"], stdout=log, stderr=subprocess.STDOUT
                )
                while process.poll() is None:
                    time.sleep(1)
                    bar.update(round(time.monotonic() - start) - bar.n)
            add_libfuzzer(result, (folder / "log").read_text(errors="replace"))
    result.seconds = time.monotonic() - start
    return result


def add_libfuzzer(result: Result, log: str) -> None:
    """Add to a result what libFuzzer has printed."""
    result.executions += int(_last(r"number_of_executed_units: (\d+)", log))
    result.edges = max(result.edges, int(_last(r"cov: (\d+)", log)))
    result.all_edges = int(_last(r"\((\d+) inline 8-bit counters\)", log))
    broken = re.findall(r"^SUMMARY: (.*)$", log, re.MULTILINE)
    promise = re.findall(r"^the engine broke a promise: (.*)$", log, re.MULTILINE)
    if broken:
        file = _last(r"Test unit written to \S*/(\S+)", log)
        result.crashes.append(f"{promise[-1] if promise else broken[-1].replace(str(REPO) + '/', '')} ({file})")


def _last(pattern: str, text: str) -> str:
    found = re.findall(pattern, text)
    return str(found[-1]) if found else "0"


def engine_hash() -> str:
    """Which engine it is: of the names and contents of its files."""
    files = sorted(path for path in ENGINE.iterdir() if path.suffix in (".c", ".h", ".inc"))
    parts = (part for path in files for part in (path.name.encode(), path.read_bytes()))
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]


def render(runs: list[dict[str, Any]]) -> str:
    """The runs as a page, the last one first."""
    lines = ["# Fuzzing the engine", "", "Written by `python benchmarks/fuzz.py`."]
    lines += [
        "Damaged and odd blobs, texts, ids and settings by libFuzzer, under AddressSanitizer and "
        "UndefinedBehaviorSanitizer.",
        "",
    ]
    lines += ["| engine | executions | seconds | a second | edges reached | crashes |"]
    lines += ["|---|---|---|---|---|---|"]
    for run in runs:
        lines.append(
            f"| {run['engine'] or 'an earlier one'} | {run['executions']:,} | {run['seconds']:,.0f} "
            f"| {run['executions'] / max(run['seconds'], 1):,.0f} "
            f"| {run['edges']:,} ({run['edges'] / max(run['all_edges'], 1):.0%}) | {len(run['crashes'])} |"
        )
    lines += ["", f"An engine is named by a hash of its files; that of the last run is {runs[0]['engine']}. Edges are "]
    lines[-1] += "counted in the engine, all kernels of this processor's kind, and the target itself."
    lines += [f"- {run['engine']}: {crash}" for run in runs for crash in run["crashes"]]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Make the seeds, build, run, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--folder", type=Path, help="of corpus and crashes (default: one that is removed afterwards)")
    parser.add_argument("--output", type=Path, default=REPO / "docs/benchmarks/fuzz")
    arguments = parser.parse_args()
    clang = shutil.which("clang")
    if not clang:
        raise SystemExit("fuzzing needs clang with libFuzzer (Debian: clang)")

    engine = engine_hash()  # before somebody changes it
    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.folder or Path(temporary)).resolve()
        for name in ("work", "crashes"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, REPO / "benchmarks/fuzz/seeds.py", folder], check=True)
        seconds = 60 * arguments.minutes
        result = run_libfuzzer(folder, clang, seconds)
        if result.crashes and arguments.folder is None:
            kept = Path(tempfile.mkdtemp(prefix="fuzz-"))
            shutil.copytree(folder / "crashes", kept, dirs_exist_ok=True)
            print(f"inputs that broke the engine: {kept}")
    kept_runs = arguments.output.with_suffix(".json")
    before = json.loads(kept_runs.read_text())["runs"] if kept_runs.exists() else []
    runs = [{"engine": engine, **vars(result), "environment": environment()}, *before]
    report = render(runs)
    print(report)
    with file_written_aside(kept_runs) as aside:
        aside.write_text(json.dumps({"runs": runs}, indent=1) + "\n")
    with file_written_aside(arguments.output.with_suffix(".md")) as aside:
        aside.write_text(report)
    return int(bool(result.crashes))


if __name__ == "__main__":
    raise SystemExit(main())
