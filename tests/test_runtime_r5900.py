"""The engine on a PlayStation 2's processor, in the emulator of tests/r5900, and on MIPS under QEMU with 32 MB."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from r5900.cases import CASES, NINE, TEN

from brandon_hf.export.blob import write_model
from brandon_hf.export.reference import Reference
from brandon_hf.export.tokenizer import build_tokenizer
from brandon_hf.modeling import BrandonConfig, BrandonForCausalLM
from brandon_hf.tokenization.train import train_tokenizer

TESTS = Path(__file__).parent / "r5900"
ENGINE = Path(__file__).parents[1] / "brandon_hf/runtime/engine"
CROSS = "mipsel-linux-gnu-"
R5900 = ("-march=r5900", "-msingle-float", "-mabi=32", "-ffreestanding", "-fno-pic", "-mno-abicalls", "-G0")
START = """
    .set noreorder
    .set noat
    .text
    .globl _start
_start:
    la $29, 0x1000000
    jal body
    nop
    li $3, 4
    syscall
body:
    move $16, $31
"""
EMIT = """
    .globl emit
emit:                       # $8 as 32 hexadecimal digits
    la $11, spare
    sq $8, 0($11)
    lui $12, 0x1000
    ori $12, $12, 0xf180
    addiu $13, $11, 15
1:  lbu $14, 0($13)
    srl $15, $14, 4
    la $24, digits
    addu $15, $15, $24
    lbu $15, 0($15)
    sb $15, 0($12)
    andi $14, $14, 15
    addu $14, $14, $24
    lbu $14, 0($14)
    sb $14, 0($12)
    bne $13, $11, 1b
    addiu $13, $13, -1
    li $14, 10
    jr $31
    sb $14, 0($12)
    .data
    .balign 16
bytes: .byte 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
spare: .space 32
nine: .word {nine}
ten: .word {ten}
digits: .ascii "0123456789abcdef"
"""

needs_cross_compiler = pytest.mark.skipif(
    not shutil.which(CROSS + "gcc"), reason="mipsel-linux-gnu-gcc is not installed (Debian: gcc-mipsel-linux-gnu)"
)
needs_host_compiler = pytest.mark.skipif(not shutil.which("cc"), reason="cc is not installed")
pytestmark = [needs_cross_compiler, needs_host_compiler]


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("r5900")
    subprocess.run(["make", "-s", "-C", str(TESTS), f"OUT={folder}"], check=True, env={**os.environ, "MAKEFLAGS": ""})
    return folder / "r5900"


@pytest.fixture(scope="session")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the objects of the engine for the R5900 are shared between tests."""
    return tmp_path_factory.mktemp("objects")


def make(*values: str) -> None:
    made = subprocess.run(
        ["make", "-s", "-f", str(ENGINE / "mips.mk"), *values],
        env={**os.environ, "MAKEFLAGS": ""},
        capture_output=True,
        text=True,
    )
    if made.returncode:
        raise RuntimeError(made.stderr)


def run_program(*command: str) -> subprocess.CompletedProcess[str]:
    # what a model with random weights says is not always UTF-8
    return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=300)


def run(emulator: Path, program: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return run_program(str(emulator), *options, str(program))


def words(value: int) -> str:
    return ", ".join(hex(value >> shift & 0xFFFFFFFF) for shift in (0, 32, 64, 96))


def assemble(folder: Path, lines: list[str]) -> Path:
    """A program that runs `lines`, which may call `emit`, and exits with $4."""
    source = folder / "program.s"
    body = "\n".join(f"    {line}" for line in lines)
    source.write_text(START + body + "\n    jr $16\n    nop\n" + EMIT.format(nine=words(NINE), ten=words(TEN)))
    subprocess.run([f"{CROSS}gcc", *R5900, "-c", "-o", folder / "program.o", source], check=True)
    program = folder / "program.elf"
    link = [f"{CROSS}ld", "-EL", "-static", "-Ttext=0x100000", "-Tdata=0x200000", "-o", program, folder / "program.o"]
    subprocess.run(link, check=True)
    return program


def test_emulator_computes_what_the_manuals_say(emulator: Path, tmp_path: Path) -> None:
    lines = []
    for _, body, _ in CASES:
        lines += ["la $11, nine", "lq $9, 0($11)", "la $11, ten", "lq $10, 0($11)", *body, "jal emit", "nop"]
    lines.append("li $4, 0")
    result = run(emulator, assemble(tmp_path, lines))
    assert result.returncode == 0, result.stderr
    computed = {name: value for (name, _, _), value in zip(CASES, result.stdout.split(), strict=True)}
    assert computed == {name: f"{expected:032x}" for name, _, expected in CASES}


def test_emulator_exits_with_the_status_of_the_program(emulator: Path, tmp_path: Path) -> None:
    assert run(emulator, assemble(tmp_path, ["li $4, 7"])).returncode == 7


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["la $11, bytes", "lw $8, 2($11)"], "unaligned access to 0x200002"),
        (["la $11, bytes", "lq $8, 8($11)"], "unaligned access to 0x200008"),
        (["lui $11, 0x0200", "sw $0, 0($11)"], "no memory at 0x2000000"),
        ([".word 0x46001044"], "unknown instruction 0x46001044"),  # sqrt.s with its source where gas puts it
        (["1: b 1b", "nop"], "limit of instructions"),
        (["teq $0, $0"], "trap"),
        (["la $11, bytes", "jr $11", "nop"], "no code at 0x200000"),
    ],
)
def test_emulator_stops_at_faults_and_names_the_place(
    emulator: Path, tmp_path: Path, lines: list[str], message: str
) -> None:
    result = run(emulator, assemble(tmp_path, lines), "--limit", "10000")
    assert result.returncode == 3
    assert message in result.stderr
    assert "pc 0x00" in result.stderr


@pytest.fixture(scope="session")
def kernel_check(objects: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kernels")
    parts = " ".join(str(ENGINE / name) for name in ("kernels.c", "kernels_mmi.c", "math.c"))
    make("elf", f"MAIN={TESTS / 'check_kernels.c'}", f"OBJECTS_IN={objects}", f"OUT={folder}", f"PARTS={parts}")
    return folder / "BRANDON.ELF"


def test_mmi_kernels_agree_with_the_portable_ones(emulator: Path, kernel_check: Path) -> None:
    result = run(emulator, kernel_check)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.endswith("checks, 0 wrong\n")


# --- the whole engine ----------------------------------------------------------------------------------------------

MAIN_FLAGS = '-DTEXT="\\"The lemon of Mia is\\"" -DTOKENS=12 -DWEIGHTS={}'


@pytest.fixture(scope="session")
def blob(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with all that the flagship has; its weights are so large that no two logits are close."""
    tokenizer = train_tokenizer(["The lemon of Mia is yellow. The frog of Leo is green."] * 4, vocab_size=280)
    config = BrandonConfig(
        vocab_size=len(tokenizer),
        hidden_size=48,
        intermediate_size=80,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=64,
        qk_norm=True,
        attention_output_gate=True,
        initializer_range=0.3,
    )
    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("blob") / "tiny.gguf"
    write_model(BrandonForCausalLM(config).eval(), tokenizer, path)
    return path


@pytest.fixture(scope="session")
def ids_on_this_machine(blob: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("host")
    outside = {"main.c"} | {file.name for file in ENGINE.glob("platform_*.c")}
    parts = [str(file) for file in sorted(ENGINE.glob("*.c")) if file.name not in outside]
    flags = ["-std=c99", "-O1", "-ffp-contract=off", "-fno-math-errno", "-w", f"-I{ENGINE}"]
    flags += ['-DTEXT="The lemon of Mia is"', "-DTOKENS=12"]
    program = folder / "greedy"
    blob_flag = f'-DBLOB="{blob}"'
    command = ["cc", *flags, "-DWEIGHTS=BT_WEIGHTS_RESIDENT", blob_flag, "-o", str(program), str(TESTS / "greedy.c")]
    subprocess.run([*command, *parts, str(ENGINE / "ps2_blob.S")], check=True)
    found = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    reference = Reference(blob)  # in numpy
    tokenizer = build_tokenizer(reference.blob.tokenizer, 64)
    ids = tokenizer.apply_chat_template(
        [{"role": "user", "content": "The lemon of Mia is"}], add_generation_prompt=True
    )
    expected = list(ids["input_ids"])
    while len(expected) < len(found.split()):
        expected.append(int(reference.logits(expected)[-1].argmax()))
    assert [int(number) for number in found.split()] == expected
    return found


def test_whole_engine_generates_the_same_ids_on_the_console(
    emulator: Path, objects: Path, blob: Path, ids_on_this_machine: str, tmp_path: Path
) -> None:
    flags = MAIN_FLAGS.format("BT_WEIGHTS_IN_PLACE")
    values = (f"MAIN={TESTS / 'greedy.c'}", f"MAIN_FLAGS={flags}", f"OBJECTS_IN={objects}", f"OUT={tmp_path}")
    make("elf", f"BLOB={blob}", *values)
    result = run(emulator, tmp_path / "BRANDON.ELF")
    assert result.returncode == 0, result.stderr
    assert result.stdout == ids_on_this_machine
    assert len(set(result.stdout.split())) > 8  # it says more than one thing


def test_program_that_does_not_fit_the_memory_is_refused_by_the_linker(
    objects: Path, blob: Path, tmp_path: Path
) -> None:
    with pytest.raises(RuntimeError, match="region `ram' overflowed"):
        make("elf", f"BLOB={blob}", f"OBJECTS_IN={objects}", f"OUT={tmp_path}", "ARENA_BYTES=0x1f00000")


@pytest.mark.skipif(not shutil.which("xorriso"), reason="xorriso is not installed (Debian: xorriso)")
def test_disc_has_the_program_and_the_file_that_names_it(
    emulator: Path, objects: Path, blob: Path, tmp_path: Path
) -> None:
    make("ps2", f"BLOB={blob}", f"OBJECTS_IN={objects}", f"OUT={tmp_path}", 'PROMPTS="Mia", "Leo"')
    extract = ["xorriso", "-osirrox", "on", "-indev", tmp_path / "brandon.iso", "-extract", "/", tmp_path / "read"]
    subprocess.run(extract, check=True, capture_output=True)
    settings = (tmp_path / "read/SYSTEM.CNF").read_text("ascii")
    assert settings.splitlines()[0] == r"BOOT2 = cdrom0:\BRANDON.ELF;1"
    result = run(emulator, tmp_path / "read/BRANDON.ELF")
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.startswith("> Mia\n")
    assert "\n> Leo\n" in result.stdout


@pytest.mark.skipif(
    not (shutil.which("xorriso") and shutil.which("qemu-mipsel")), reason="xorriso or qemu-mipsel is not installed"
)
def test_documented_commands_work_one_after_the_other(blob: Path, tmp_path: Path) -> None:
    root = Path(__file__).parents[1]
    page = (root / "docs/ps2.md").read_text("utf-8").partition("## Build\n")[2].partition("\n## ")[0]
    commands = [line.strip() for line in page.splitlines() if line.startswith(("    make ", "    build/", "    qemu"))]
    assert len(commands) == 6
    (tmp_path / "brandon_hf").symlink_to(root / "brandon_hf")
    (tmp_path / "tests").symlink_to(root / "tests")
    (tmp_path / "model.gguf").symlink_to(blob)
    said = {}
    for command in commands:
        shell = subprocess.run(
            ["sh", "-c", command],
            cwd=tmp_path,
            env={**os.environ, "MAKEFLAGS": ""},
            capture_output=True,
            text=True,
            errors="replace",
        )
        assert shell.returncode == 0, f"{command}\n{shell.stderr}"
        said[command] = shell.stdout
    assert said["build/r5900 build/BRANDON.ELF"].startswith("> Hello!\n")
    assert (tmp_path / "counts.json").stat().st_size


@pytest.mark.skipif(not shutil.which("qemu-mipsel"), reason="qemu-mipsel is not installed (Debian: qemu-user)")
def test_whole_engine_generates_the_same_ids_on_mips_in_32_mb(
    blob: Path, ids_on_this_machine: str, tmp_path: Path
) -> None:
    flags = MAIN_FLAGS.format("BT_WEIGHTS_IN_PLACE")
    make("linux", f"BLOB={blob}", f"LINUX_MAIN={TESTS / 'greedy.c'}", f"MAIN_FLAGS={flags}", f"OUT={tmp_path}")
    cap = ["qemu-mipsel", "-R", "0x2000000", "-s", "0x40000"]
    result = run_program(*cap, str(tmp_path / "brandon-mipsel"))
    assert result.returncode == 0, result.stderr
    assert result.stdout == ids_on_this_machine
