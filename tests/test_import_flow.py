"""Imports flow one way: each part of the house imports only what lies below it."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# From the bottom up: a part may import the parts before it, unless MAY_IMPORT says less.
ORDER = (
    "environment.py",
    "files.py",
    "rendering.py",
    "modeling",
    "metrics",
    "tokenization",
    "data",  # takes tokenizer objects
    "recipes",
    "training",
    "export",
    "pretrained",
    "runtime",
    "evaluation",
    "hub",
    "pipeline",
    "demo",  # one file that runs alone
    "cli",
)
MAY_IMPORT: dict[str, set[str]] = {
    "modeling": set(),
    "metrics": set(),
    "tokenization": set(),
    "data": {"metrics", "tokenization"},
    "recipes": {"modeling"},
    "pretrained": {"export"},
    "demo": set(),
    "": {"modeling", "tokenization"},  # brandon_hf/__init__.py
}
# Pushed to the Hub as remote code, modeling has to run where only these are installed.
MODELING_NEEDS = {"torch", "transformers", "safetensors", "huggingface_hub"} | sys.stdlib_module_names

REPO = Path(__file__).resolve().parents[1]


def imports(source: str, package: str) -> Iterator[str]:
    """Absolute dotted names of all that `source` imports, anywhere in it, as a module directly inside `package`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            base = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, (base, node.module)))
            yield from (f"{module}.{alias.name}" for alias in node.names)


def part_of(dotted: str) -> str | None:
    """The part of the house a dotted name lies in: "" for the root package itself, None for what is not ours."""
    head, *rest = dotted.split(".")
    if head != "brandon_hf":
        return None
    return rest[0] if rest and (rest[0] in ORDER or (REPO / "brandon_hf" / rest[0]).exists()) else ""


def against_the_flow(source: str, package: str) -> list[str]:
    """The imports of a module in `package` that its part of the house must not have."""
    part = part_of(package)
    assert part is not None
    allowed = MAY_IMPORT.get(part, set(ORDER[: ORDER.index(part)]) if part in ORDER else set()) | {part, ""}
    ours = ((name, part_of(name)) for name in imports(source, package))
    return [name for name, target in ours if target is not None and target not in allowed]


def modules() -> list[tuple[str, Path]]:
    """(package, file) of every module of ours; modeling, a symlink in brandon_hf, is walked where it lies."""
    found = [("brandon_hf.modeling", path) for path in (REPO / "modeling").rglob("*.py")]
    for path in (REPO / "brandon_hf").rglob("*.py"):
        parts = path.relative_to(REPO).parent.parts
        if parts[:2] != ("brandon_hf", "modeling") and path.name != "__main__.py":  # which starts the command
            found.append((".".join(parts), path))
    return sorted(found)


def test_every_part_has_its_place_in_the_order():
    parts = {path.name for path in (REPO / "brandon_hf").iterdir() if path.is_dir() or path.suffix == ".py"}
    assert parts - {"__init__.py", "__main__.py", "__pycache__"} <= set(ORDER)


@pytest.mark.parametrize(("package", "path"), modules(), ids=lambda value: str(value).removeprefix(f"{REPO}/"))
def test_module_imports_only_what_lies_below_it(package, path):
    assert against_the_flow(path.read_text("utf-8"), package) == []


@pytest.mark.parametrize(
    ("package", "source"),
    [
        ("brandon_hf.metrics", "from ..modeling import BrandonConfig"),
        ("brandon_hf.metrics.loops", "from ...training import losses"),
        ("brandon_hf.training", "def f():\n    import brandon_hf.pipeline"),
        ("brandon_hf.tokenization", "from brandon_hf import modeling"),
        ("brandon_hf.data", "from brandon_hf.recipes import list_models"),
        ("brandon_hf", "from . import cli"),
    ],
)
def test_an_import_against_the_flow_is_caught(package, source):
    assert against_the_flow(source, package)


@pytest.mark.parametrize(
    ("package", "source"),
    [
        ("brandon_hf.training", "from ..modeling import BrandonConfig\nfrom . import losses\nimport torch"),
        ("brandon_hf.cli", "from brandon_hf import __version__, pipeline"),
        ("brandon_hf.data", "from ..tokenization import train_tokenizer"),
    ],
)
def test_an_import_along_the_flow_passes(package, source):
    assert not against_the_flow(source, package)


def test_modeling_is_flat_and_needs_only_torch_and_transformers():
    files = list((REPO / "modeling").rglob("*.py"))
    assert files
    siblings = {path.stem for path in files}
    for path in files:
        assert path.parent == REPO / "modeling", f"{path.name} lies in a subfolder"
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level:
                names = [node.module] if node.module else [alias.name for alias in node.names]
                assert node.level == 1, f"{path.name}:{node.lineno}"
                assert siblings.issuperset(names), f"{path.name}:{node.lineno} imports {names}"
            elif isinstance(node, ast.Import | ast.ImportFrom):
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
                assert MODELING_NEEDS.issuperset(name.split(".")[0] for name in names), f"{path.name}:{node.lineno}"


def test_modeling_is_never_imported_as_a_top_level_package():
    for folder in ("brandon_hf", "modeling", "scripts", "tests", "benchmarks"):
        for path in (REPO / folder).rglob("*.py"):
            tops = {name.split(".")[0] for name in imports(path.read_text("utf-8"), "brandon_hf")}
            assert "modeling" not in tops, path
