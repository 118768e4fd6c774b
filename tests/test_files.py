"""Files and folders written aside: complete or absent, and nothing lost of what was there before."""

import pytest

from brandon_hf.files import file_written_aside, folder_written_aside


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_has_its_name_only_when_it_is_complete(tmp_path):
    with folder_written_aside(tmp_path / "model") as aside:
        (aside / "weights").write_text("1")
        assert not (tmp_path / "model").exists()
    assert (tmp_path / "model/weights").read_text() == "1"
    assert names(tmp_path) == ["model"]


def test_a_file_has_its_name_only_when_it_is_complete(tmp_path):
    path = tmp_path / "new" / "figures.json"
    with file_written_aside(path) as aside:
        aside.write_text("{}")
        assert not path.exists()
    assert names(path.parent) == ["figures.json"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_what_was_there_and_nothing_else(tmp_path, error):
    (tmp_path / "file").write_text("old")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/weights").write_text("old")

    def fail(written_aside, path, inside):
        with written_aside(path) as aside:
            (aside / inside).write_text("half")
            raise error

    with pytest.raises(error):
        fail(file_written_aside, tmp_path / "file", "")
    with pytest.raises(error):
        fail(folder_written_aside, tmp_path / "folder", "weights")
    assert (tmp_path / "file").read_text() == (tmp_path / "folder/weights").read_text() == "old"
    assert names(tmp_path) == ["file", "folder"]


def test_what_a_kill_left_behind_is_replaced(tmp_path):
    for leftover in (".model.partial", ".model.old"):
        (tmp_path / leftover).mkdir()
        (tmp_path / leftover / "half").touch()
    (tmp_path / "model").mkdir()
    (tmp_path / "model/weights").write_text("old")
    with folder_written_aside(tmp_path / "model") as aside:
        (aside / "weights").write_text("new")
    assert (tmp_path / "model/weights").read_text() == "new"
    assert names(tmp_path / "model") == ["weights"]
    assert names(tmp_path) == ["model"]
