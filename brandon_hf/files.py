"""Files and folders that are complete or absent, whatever kills the process that writes them."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError


@contextmanager
def folder_written_aside(path: Path) -> Iterator[Path]:
    """An empty folder beside `path` to write into; it becomes `path` when the block ends without an error.

    What a killed process left there before is removed first. An existing `path` is replaced.
    """
    aside = path.with_name(f".{path.name}.partial")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        yield aside
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    for file in aside.rglob("*"):
        if file.is_file():
            _to_disk(file)
    _to_disk(aside)
    if path.exists():
        old = path.with_name(f".{path.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        path.rename(old)
        aside.rename(path)
        shutil.rmtree(old)
    else:
        aside.rename(path)
    _to_disk(path.parent)


@contextmanager
def file_written_aside(path: Path) -> Iterator[Path]:
    """A file beside `path` to write; it becomes `path` when the block ends without an error."""
    aside = path.with_name(f".{path.name}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield aside
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    _to_disk(aside)
    aside.replace(path)
    _to_disk(path.parent)


@contextmanager
def full_disk_named(folder: Path) -> Iterator[None]:
    """Where torch and safetensors fail to write, raise an OSError that names `folder` and the space left there.

    They have errors of their own for a full disk (RuntimeError, SafetensorError), which say neither.
    """
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        free = shutil.disk_usage(folder if folder.exists() else folder.parent).free
        raise OSError(f"{folder} cannot be written, {free / 1e6:,.0f} MB are free there: {error}") from error


def _to_disk(path: Path) -> None:
    """A rename may reach the disk before the bytes it names; this makes the bytes come first."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
