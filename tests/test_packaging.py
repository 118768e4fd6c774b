"""Packaging: what the wheel holds, what it asks for, and what must not be in the repository."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
from email.message import Message
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import brandon_hf

SOURCES = ("brandon_hf", "modeling", "setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def dist(repo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a wheel and an sdist, built without network from a copy, so that the repository stays clean."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in SOURCES:
        if (repo / name).is_dir():
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(repo / name, source / name, symlinks=True, ignore=ignore)
        else:
            shutil.copy(repo / name, source / name)
    code = f"from setuptools import build_meta as b; b.build_wheel({str(out)!r}); b.build_sdist({str(out)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=source, check=True, capture_output=True)
    return out


@pytest.fixture(scope="module")
def wheel(dist: Path) -> ZipFile:
    return ZipFile(next(dist.glob("*.whl")))


@pytest.fixture(scope="module")
def metadata(wheel: ZipFile) -> Message:
    name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return Parser().parsestr(wheel.read(name).decode())


def test_wheel_holds_modeling_recipes_and_type_marker(wheel: ZipFile, repo: Path):
    expected = {f"brandon_hf/modeling/{path.name}" for path in (repo / "modeling").glob("*.py")}
    for pattern in ("*.py", "*.yaml", "*.jinja", "py.typed"):
        expected |= {str(path.relative_to(repo)) for path in (repo / "brandon_hf").rglob(pattern)}
    expected |= {str(path.relative_to(repo)) for path in (repo / "brandon_hf/pretrained").glob("brandon-*/*")}
    assert "brandon_hf/pretrained/brandon-tiny-5m/model.safetensors" in expected
    assert "brandon_hf/modeling/__init__.py" in expected
    assert expected <= set(wheel.namelist())
    assert not [name for name in wheel.namelist() if name.startswith(("modeling/", "tests/"))]


def test_sdist_holds_modeling_as_real_files(dist: Path, repo: Path):
    with tarfile.open(next(dist.glob("*.tar.gz"))) as archive:
        files = {member.name.partition("/")[2] for member in archive if member.isfile()}
    assert {f"modeling/{path.name}" for path in (repo / "modeling").glob("*.py")} <= files
    assert "brandon_hf/recipes/10m_enhanced/model.yaml" in files
    assert "brandon_hf/hub/templates/model_card.md.jinja" in files


def test_wheel_version_is_the_package_version(metadata: Message):
    assert metadata["Version"] == brandon_hf.__version__


def test_pinned_versions_lie_in_the_stated_ranges(metadata: Message, repo: Path):
    lines = (repo / "constraints.txt").read_text("utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    pins = {canonicalize_name(name): Version(version) for name, version in pins.items()}
    for requirement in map(Requirement, metadata.get_all("Requires-Dist", [])):
        name = canonicalize_name(requirement.name)
        assert pins[name] in requirement.specifier, f"{name} {pins[name]} is outside {requirement}"


def test_modeling_symlink_is_relative_and_resolves(repo: Path):
    link = repo / "brandon_hf/modeling"
    assert link.is_symlink()
    assert os.readlink(link) == "../modeling"
    assert link.resolve() == repo / "modeling"


def test_citation_states_the_package_version(repo: Path):
    assert f"\nversion: {brandon_hf.__version__}\n" in (repo / "CITATION.cff").read_text("utf-8")


def test_no_tracked_file_names_a_path_of_one_machine(repo: Path):
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=repo, capture_output=True, text=True)
    if listing.returncode:
        pytest.skip("not a git checkout")
    machine_path = re.compile(rb"(?<![\w.])/(?:work|root|farm|home)/")
    paths = (repo / name for name in listing.stdout.split("\0") if name)
    assert [path for path in paths if path.is_file() and machine_path.search(path.read_bytes())] == []
