"""Whatever is wrong with a blob, the engine says so by its own status, and never touches memory that is not its own."""

import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from blobs import KINDS, take_apart, write_tiny
from damaged_blobs import CASES, TABLE

TESTS = Path(__file__).resolve().parent
ENGINE = TESTS.parent / "brandon_hf/runtime/engine"
OUTSIDE = ("main", "kernels_mmi", "platform_freestanding", "platform_posix", "platform_ps2")
SANITIZE = ["-fsanitize=address,undefined,float-cast-overflow", "-fno-sanitize-recover=all"]
FLAGS = ["-std=c99", "-O0", "-g", "-fno-math-errno", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror", "-Wno-psabi"]
ENUM = (ENGINE / "brandon.h").read_text().partition("} bt_status;")[0]
STATUSES = {name: int(number) for name, number in re.findall(r"\bBT_(\w+) = (\d+)", ENUM)}
NAMES = {number: name for name, number in STATUSES.items()}


class Driver:
    """A process of blob_driver.c; one that a sanitizer has ended is replaced by the next."""

    def __init__(self, program: Path, folder: Path) -> None:
        self.program, self.folder, self.process = program, folder, None

    def ask(self, operation: str, data: bytes, start: int = 0, step: int = 1) -> list[str]:
        """The names of the statuses that an operation answers with."""
        path = self.folder / "blob.gguf"
        path.write_bytes(data)
        if self.process is None:
            with (self.folder / "errors").open("w") as errors:
                self.process = subprocess.Popen(
                    [self.program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
                )
        self.process.stdin.write(f"{operation} {start} {step} {path}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            self.close()
            pytest.fail(f"the engine broke: {(self.folder / 'errors').read_text()[:3000]}")
        return [NAMES[int(number)] for number in answer.split()]

    def open(self, data: bytes, cache: int = 0) -> str:
        """The status, which is the same from memory and from a disc."""
        memory, disc = self.ask("open", data, cache)
        assert memory == disc
        return memory

    def close(self) -> None:
        if self.process is not None:
            self.process.stdin.close()
            self.process.stdout.close()
            self.process.wait()
            self.process = None


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    compiler = shutil.which("gcc") or shutil.which("clang")
    if not compiler:
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("driver")
    sources = [TESTS / "blob_driver.c", *sorted(path for path in ENGINE.glob("*.c") if path.stem not in OUTSIDE)]
    made = subprocess.run(
        [compiler, *FLAGS, *SANITIZE, f"-I{ENGINE}", *sources, "-o", folder / "driver"], capture_output=True, text=True
    )
    if "cannot find" in made.stderr:
        pytest.skip("the compiler has no sanitizers")
    assert made.returncode == 0, made.stderr
    driver = Driver(folder / "driver", folder)
    yield driver
    driver.close()


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    return {kind: take_apart(write_tiny(kind, folder / f"{kind}.gguf").read_bytes()) for kind in KINDS}


@pytest.mark.parametrize("kind", ["byte-level", "four-bits"])
@pytest.mark.parametrize("name", TABLE)
def test_a_wrong_row_of_the_table_is_refused_whichever_tensor_it_names(driver, good, kind, name):
    status, damage = TABLE[name]
    for index in range(len(good[kind].tensors)):
        parts = good[kind].copy()
        damage(parts, index)
        assert driver.open(parts.join()) == status, parts.tensors[index].name


def test_a_tensor_on_top_of_the_one_before_is_refused(driver, good):
    for index in range(1, len(good["byte-level"].tensors)):
        parts = good["byte-level"].copy()
        parts.tensors[index].offset = parts.tensors[index - 1].offset
        assert driver.open(parts.join()) == "TENSOR_OVERLAP"


# --- all the others ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_a_damaged_blob_is_refused_with_its_own_status(driver, good, name):
    kind, damage, status = CASES[name]
    parts = good[kind].copy()
    data = damage(parts)
    assert driver.open(parts.join() if data is None else data) == status


@pytest.mark.parametrize("kind", KINDS)
def test_an_undamaged_blob_is_opened_after_taking_it_apart_and_joining_it(driver, good, kind):
    assert driver.open(good[kind].join()) == "OK"


@pytest.mark.parametrize(("kind", "step"), [("byte-level", 1), ("sentencepiece", 1), ("four-bits", 7), ("ternary", 7)])
def test_a_file_that_ends_early_is_refused_wherever_it_ends(driver, good, kind, step):
    data = good[kind].join()
    header = len(data) - sum(-(-len(tensor.data) // 2048) * 2048 for tensor in good[kind].tensors)
    statuses = driver.ask("cut", data[:header], step=step)
    assert statuses == ["NOT_GGUF" if at < 4 else "TRUNCATED" for at in range(0, header, step)]
    assert set(driver.ask("cut", data, header, step=509)) == {"TRUNCATED"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_disc_that_fails_is_reported_wherever_it_fails(driver, good, kind):
    statuses = driver.ask("fail", good[kind].join(), step=7)
    assert statuses[-1] == "OK"
    assert len(statuses) > 10
    assert set(statuses[:-1]) == {"READ_FAILED"}


def test_every_status_of_a_blob_is_reached():
    reached = {status for _, _, status in CASES.values()} | {status for status, _ in TABLE.values()}
    assert reached | {"READ_FAILED"} == {name for name, number in STATUSES.items() if 0 < number < 40}


# --- values and calls -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", [".scale", "norm.weight", "rope_freqs.weight", "registers.weight"])
@pytest.mark.parametrize("kind", KINDS)
def test_finite_numbers_of_any_size_are_computed_with(driver, good, kind, part):
    parts = good[kind].copy()
    for tensor in parts.tensors:
        if tensor.name.endswith(part.encode()):
            tensor.data = struct.pack("<f", 3e38) * (len(tensor.data) // 4)
    for cache in range(3):
        assert driver.open(parts.join(), cache) == "OK"


def test_what_the_calls_refuse_leaves_no_trace(driver, good):
    assert driver.ask("misuse", good["byte-level"].join()) == [
        *("ARENA_TOO_SMALL", "OPTION", "OPTION", "CONTEXT_FULL", "BAD_TOKEN", "BAD_TOKEN"),
        *("BUFFER_TOO_SMALL", "BUFFER_TOO_SMALL", "WORD_TOO_LONG", "NO_LOGITS", "STOPPED"),
    ]
