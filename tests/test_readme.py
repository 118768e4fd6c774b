"""Every snippet of README.md runs, in the order of the page and in one folder."""

import contextlib
import io
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from original_layout import tiny_model, write_original, write_sentencepiece

from brandon_hf import cli

REPO = Path(__file__).resolve().parents[1]
BLOCKS = re.findall(r"^```(python|bash)\n(.*?)^```", (REPO / "README.md").read_text(), re.MULTILINE | re.DOTALL)
# Run by .ci/run and by tests/test_serve.py.
ELSEWHERE = ("make run", "make test", "brandon serve")
ENGINE = "brandon_hf/runtime/engine"


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the snippets start from: the model of `make run` and a checkpoint of the original."""
    folder = tmp_path_factory.mktemp("readme")
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as printed:
        patch.chdir(folder)
        phases = ("teacher.pretrain", "pretrain", "distill", "sft")
        steps = [f"{phase}.max_steps=4" for phase in phases]
        assert cli.main(["run", "--recipe", "demo", "data.max_tokens=100_000", "samples.questions=5", *steps]) == 0
    assert "report.html" in printed.getvalue()
    original = folder / "checkpoints/brandon-tiny-10m-instruct"
    original.mkdir(parents=True)
    write_original(tiny_model(), original)
    write_sentencepiece(original / "tokenizer.model")
    return folder


def test_readme_begins_with_the_two_commands() -> None:
    language, code = BLOCKS[0]
    assert language == "bash"
    assert [line.split("#")[0].strip() for line in code.splitlines()] == ["make run", "make test"]


@pytest.mark.parametrize(
    ("language", "code"), [pytest.param(*block, id=f"{block[0]}-{i}") for i, block in enumerate(BLOCKS)]
)
def test_snippet_runs(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], language: str, code: str
) -> None:
    assert len([line for line in code.splitlines() if line]) <= 10
    monkeypatch.chdir(workplace)
    monkeypatch.setenv("XDG_CACHE_HOME", str(workplace / "cache"))
    torch._dynamo.reset()  # what other tests compiled counts against its limit
    if language == "python":
        exec(compile(code, "README.md", "exec"), {"__name__": "__readme__"})
    else:
        for line in code.splitlines():
            if line.startswith(ELSEWHERE):
                continue
            command, *arguments = shlex.split(line.replace(ENGINE, str(REPO / ENGINE)))
            if command == "brandon":
                assert cli.main(arguments) == 0
            elif shutil.which("make") and shutil.which("cc"):
                assert subprocess.run([command, *arguments], check=True, capture_output=True).stdout
