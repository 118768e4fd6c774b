"""Compares models by their results: tables, paired differences, plots, as a page, as text and for machines."""

import base64
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from tqdm import tqdm

from brandon_hf.files import file_written_aside, folder_written_aside
from brandon_hf.pretrained import known_model
from brandon_hf.rendering import templates

from .reading import Evaluated, protocols_of, read_results, results_files
from .tables import SPEED_COLUMNS, Table, compare

MAX_MODELS = 8  # colours and markers that can be told apart
PLOTS = "plots"


def evaluated_folders(models: Sequence[str], output: Path, evaluate: Callable[[str, Path], object]) -> dict[str, Path]:
    """The results folder of each model, by name; models without results are evaluated into `output`/<name>.

    Args:
        models: results folders, model folders, exported files and names on the Hub, each maybe as NAME=...
        evaluate: evaluates a model folder, file or Hub name into a folder.

    Raises:
        ValueError: a model is none of these, or two have the same name; nothing was evaluated yet.
    """
    if not 2 <= len(models) <= MAX_MODELS:
        raise ValueError(f"{len(models)} models cannot be compared: 2 to {MAX_MODELS} can")
    paths: dict[str, str] = {}
    for argument in models:
        name, path = named(argument)
        if name in paths:
            raise ValueError(f"{paths[name]} and {path} are both called {name}: say NAME={path}")
        if not _has_results(path) and not _is_model(path):
            raise ValueError(
                f"{path} is neither a results folder (with results.json), nor a model folder (with config.json), nor "
                "a .gguf of brandon export, nor a name on the Hub"
            )
        paths[name] = path
    folders = {name: Path(path) if _has_results(path) else output / name for name, path in paths.items()}
    wanted = {name: path for name, path in paths.items() if folders[name] != Path(path)}
    for name, path in tqdm(wanted.items(), "models", unit="model", disable=None):
        evaluate(path, folders[name])
    return folders


def write_comparison(folders: Mapping[str, Path], output: Path) -> str:
    """Write index.html, comparison.md, comparison.json and plots/*.png into `output`.

    Args:
        folders: Of each model the name to show and its results folder; the first model is the baseline.

    Returns:
        The tables as plain text.

    Raises:
        ValueError: there are no or more than 8 models, results are missing or damaged, or two models were evaluated on
            different examples of a task.
    """
    if not 1 <= len(folders) <= MAX_MODELS:
        raise ValueError(f"{len(folders)} models cannot be compared: 1 to {MAX_MODELS} can")
    models = [read_results(name, folder) for name, folder in folders.items()]
    protocols = protocols_of(models)
    tables = [compare(models, name) for name in tqdm(protocols, "compare", unit="protocol", leave=False, disable=None)]
    tables = [table for table in tables if table.columns or table.speeds]

    from .plots import comparison_plots  # matplotlib takes a while to import

    plots, missing = comparison_plots(models, tables)
    with folder_written_aside(output / PLOTS) as pictures:
        for plot in plots:
            (pictures / f"{plot.name}.png").write_bytes(plot.png)
    facts = {"models": models, "tables": tables, "missing": missing}
    facts |= {"speed_columns": [heading for heading, *_ in SPEED_COLUMNS]}
    facts |= {"plots": plots, "folder": PLOTS, "baseline": models[0].name}
    facts["environments"] = [(m.name, r) for m in models for r in m.protocols.values() if r.environment]
    with file_written_aside(output / "comparison.json") as aside:
        aside.write_text(json.dumps(_machine_readable(models, tables), indent=1, allow_nan=False), "utf-8")
    for name in ("comparison.md", "index.html"):
        with file_written_aside(output / name) as aside:
            aside.write_text(_template(name).render(facts), "utf-8")
    return "\n\n".join(_text(table, models) for table in tables)


def named(argument: str) -> tuple[str, str]:
    """The name and the path of NAME=PATH or PATH, which is then called after its folder.

    PATH may be the name of a model that comes with this package.
    """
    name, equals, path = argument.partition("=")
    if not equals or Path(argument).exists():
        path = argument
        parts = [part for part in Path(argument).resolve().parts if part != "final"]  # <run>/<phase>/final
        name = "-".join(parts[-2:]) if Path(argument).name == "final" else parts[-1]
    if not re.fullmatch(r"\w[\w.+ -]*", name) or not path:
        raise ValueError(f"{argument!r} is not NAME=PATH: a name has letters, digits, spaces and . _ + - only")
    return name, known_model(path)


def _has_results(path: str) -> bool:
    """Whether this is a results folder; a model folder is not, though its publisher may have put results into it."""
    return not (Path(path) / "config.json").is_file() and bool(results_files(Path(path)))


def _is_model(path: str) -> bool:
    """Whether this is a model folder or an exported file, or could be a name on the Hub."""
    if Path(path).suffix == ".gguf":
        return Path(path).is_file()
    if Path(path).exists():
        return (Path(path) / "config.json").is_file()
    return re.fullmatch(r"\w[\w.-]*(/[\w.-]+)?", path) is not None


# Rendering


def _machine_readable(models: Sequence[Evaluated], tables: Sequence[Table]) -> dict[str, Any]:
    return {
        "baseline": models[0].name,
        "models": [{**model.model, "shown_as": model.name, "protocols": [*model.protocols]} for model in models],
        "protocols": {
            table.protocol: {
                "results": [
                    {
                        "task": column.metric.task,
                        "metric": column.metric.name,
                        "better": column.metric.better or None,
                        "chance": column.metric.chance,
                        "models": {name: vars(cell) if cell else None for name, cell in column.cells.items()},
                    }
                    for column in table.columns
                ],
                "differences": [
                    {
                        "model": against.model,
                        "task": against.metric.task,
                        "metric": against.metric.name,
                        **vars(against.difference),
                        "verdict": against.verdict,
                    }
                    for against in table.differences
                ],
                "engines": [{"model": speed.model, "engine": speed.engine, **speed.figures} for speed in table.speeds],
                "settings_that_differ": table.settings,
                "notes": table.notes,
            }
            for table in tables
        },
    }


def _text(table: Table, models: Sequence[Evaluated]) -> str:
    """The table for a terminal."""
    text = _aligned(_speed_rows(table) if table.speeds else _rows(table, models))
    if table.differences:
        rows = [[f"against {models[0].name}", "", "difference", "95 % interval", ""]]
        for against in table.differences:
            metric = against.metric
            shown = metric.shown(against.difference.mean, signed=True)
            rows.append([against.model, f"{metric.label} {metric.name}", shown, against.interval, against.verdict])
        text += f"\n\n{_aligned(rows)}"
    different = []
    for key, values in table.settings.items():
        said = (
            f"{'transformers' if (key, value) == ('engine', 'None') else value} for {', '.join(names)}"
            for value, names in values.items()
        )
        different.append(f"{key} differs: {'; '.join(said)}")
    skipped = [f"{speed.name}: skipped: {speed.skipped}" for speed in table.speeds if speed.skipped]
    about = [table.about] if table.speeds else []
    return "\n".join([text, *skipped, *about, *different, *table.notes])


def _rows(table: Table, models: Sequence[Evaluated]) -> list[list[str]]:
    rows = [
        ["", *(column.metric.label for column in table.columns)],
        [table.protocol, *(column.heading for column in table.columns)],
        *([model.name, *(column.text(model.name) for column in table.columns)] for model in models),
    ]
    if any(column.metric.chance is not None for column in table.columns):
        rows.append(["chance", *(column.metric.shown(column.metric.chance) for column in table.columns)])
    return [*rows, ["examples", *(column.n for column in table.columns)]]


def _speed_rows(table: Table) -> list[list[str]]:
    heading = [f"{table.protocol}: model, engine", *(heading for heading, *_ in SPEED_COLUMNS)]
    return [heading, *([speed.name, *speed.texts] for speed in table.speeds if not speed.skipped)]


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of text in columns, the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(
            f"{cell:{'>' if at else '<'}{width}}" for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def _template(name: str) -> jinja2.Template:
    environment = templates(Path(__file__).parent / "templates", page=name.endswith(".html"))
    environment.filters["data_uri"] = lambda png: f"data:image/png;base64,{base64.b64encode(png).decode()}"
    return environment.get_template(name)
