"""`brandon make-chats`: a file of chats and what it is made of, complete or not at all."""

import gzip
import json

import pytest
import yaml
from tiny_texts import write_texts

from brandon_hf.cli import main
from brandon_hf.data.chat import load_chats
from brandon_hf.data.derived import HeldOut
from brandon_hf.evaluation.generation import read_prompts


def failure(capsys, *arguments):
    """The one line that a command which fails prints."""
    assert main(["make-chats", *map(str, arguments)]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("brandon ")]
    return line


def test_it_writes_chats_that_load_and_says_what_they_are_made_of(tmp_path, capsys):
    folder = write_texts(tmp_path / "texts")
    output = tmp_path / "out" / "chats.jsonl.gz"
    assert main(["make-chats", "--pretrain", str(folder), "--output", str(output), "--rows", "300"]) == 0
    chats = load_chats(str(output))
    printed = capsys.readouterr().out
    manifest = yaml.safe_load((tmp_path / "out" / "chats.manifest.yaml").read_text("utf-8"))
    assert len(chats) == manifest["rows"] > 200
    assert "stories" in printed
    assert str(output) in printed
    assert manifest["kinds"]["definitions"]["licence"].startswith("as stated for files of these names: CC BY-SA")
    assert {path.name for path in output.parent.iterdir()} == {"chats.jsonl.gz", "chats.manifest.yaml"}
    assert load_chats(str(output.parent)), "the manifest beside it is not taken for chats"


def test_the_prompts_of_the_evaluation_are_left_out_by_themselves(tmp_path):
    output = tmp_path / "chats.jsonl"
    assert main(["make-chats", "--output", str(output), "--kinds", "numbers,words,facts,lists", "--rows", "3000"]) == 0
    excluded = HeldOut(row.prompt for row in read_prompts("strict")["instructions"])
    rows = [json.loads(line) for line in output.read_text("utf-8").splitlines()]
    assert len(rows) == 3000
    assert not [row for row in rows if row["messages"][0]["content"] in excluded]
    manifest = yaml.safe_load((tmp_path / "chats.manifest.yaml").read_text("utf-8"))
    assert sum(kind["left out"]["asked of finished models"] for kind in manifest["kinds"].values()) > 0


def test_the_same_seed_writes_the_same_bytes(tmp_path):
    files = [tmp_path / name for name in ("a.jsonl.gz", "b.jsonl.gz", "c.jsonl.gz")]
    for file, seed in zip(files, (4, 4, 5), strict=True):
        assert main(["make-chats", "--output", str(file), "--kinds", "words", "--rows", "50", "--seed", str(seed)]) == 0
    first, again, other = (file.read_bytes() for file in files)
    assert first == again != other
    assert gzip.decompress(first)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output", "chats.txt"], "chats.txt: the name of a file of chats ends in .jsonl or .jsonl.gz"),
        (["--output", "chats.jsonl", "--kinds", "word"], "there is no kind of chats 'word'; did you mean words?"),
        (["--output", "chats.jsonl", "--rows", "0"], "rows=0 must be a whole number of at least 1"),
        (["--output", "chats.jsonl", "--kinds", "stories"], "are made from text: name the folder"),
        (["--output", "chats.jsonl", "--pretrain", "nowhere"], "nowhere: there is no such folder of text"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert message in failure(capsys, *arguments)
    assert not list(tmp_path.iterdir())


def test_a_damaged_source_leaves_no_file(tmp_path, capsys):
    folder = write_texts(tmp_path / "texts")
    (folder / "storybooks_ccby.jsonl.gz").write_bytes((folder / "storybooks_ccby.jsonl.gz").read_bytes()[:60])
    line = failure(
        capsys, "--pretrain", folder, "--output", tmp_path / "chats.jsonl", "--kinds", "stories,words", "--rows", "50"
    )
    assert "storybooks_ccby.jsonl.gz: corrupt or cut off" in line
    assert {path.name for path in tmp_path.iterdir()} == {"texts"}
