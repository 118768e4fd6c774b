"""`brandon card`: write the model card of a model folder from what its files say."""

import argparse
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard

from brandon_hf.pretrained import known_model, model_name


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `card`."""
    parser.epilog = "Of a model inside a run directory (RUN/phase*/final) the card says how it was trained."
    parser.add_argument("model", metavar="MODEL", type=known_model, help="folder of a finished model")
    parser.add_argument("--output", metavar="FILE", help="the card (default: README.md in MODEL)")
    parser.add_argument("--repo", metavar="NAME", help="name on the Hub, for the instructions (default: the folder)")
    add_card_arguments(parser)


def add_card_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that decide what a card says."""
    parser.add_argument("--results", metavar="DIR", help="evaluation results, as `brandon eval` wrote them")
    parser.add_argument(
        "--licence", metavar="ID", help="licence of the model, as the Hub calls it: apache-2.0, mit, ..."
    )
    parser.add_argument(
        "--licence-of",
        metavar="NAME=LICENCE",
        action="append",
        default=[],
        help="licence of a source of training data, where the run does not know it; may be repeated",
    )


def run(args: argparse.Namespace) -> int:
    """Write the card and say where."""
    if args.output is None and model_name(args.model) != args.model:
        raise ValueError(
            f"{model_name(args.model)} has its card, which this would replace: --output names another file"
        )
    path = Path(args.output) if args.output else Path(args.model) / "README.md"
    if path.is_dir():
        raise ValueError(f"{path} is a folder; --output names the file to write")
    print(write_card(card_of(args, args.repo), path))
    return 0


def card_of(args: argparse.Namespace, repo: str | None) -> ModelCard:
    """The card that the arguments of `add_card_arguments` ask for."""
    licences = dict(item.rpartition("=")[::2] for item in args.licence_of)
    if "" in licences or "" in licences.values():
        raise ValueError(f"--licence-of {args.licence_of}: write NAME=LICENCE, with the name of a source of the data")
    results = Path(args.results) if args.results else None
    licence = args.licence
    if licence is None and model_name(args.model) != args.model:  # its own card states it
        licence = ModelCard.load(Path(args.model) / "README.md").data.license
    return make_card(Path(args.model), results, repo=repo, licence=licence, licences=licences)


def make_card(model: Path, results: Path | None, **options: Any) -> ModelCard:
    """`hub.card.model_card` of a model and the run it lies in."""
    from brandon_hf.hub.card import model_card

    return model_card(model, results=results, run=run_facts(model), **options)


def write_card(card: ModelCard, path: Path) -> Path:
    """Write the card, whole or not at all."""
    from brandon_hf.files import file_written_aside

    with file_written_aside(path) as aside:
        aside.write_text(card.content, "utf-8")
    return path


def run_facts(model: Path) -> dict[str, Any] | None:
    """What is known of the run that `model` lies in, with the model's phase; `None` if it lies in none."""
    from brandon_hf.pipeline.report import read_facts
    from brandon_hf.pipeline.run import FOLDERS

    final = model.absolute()
    folder = final.parent.parent
    phase = next((key for key, name in FOLDERS.items() if name == final.parent.name), None)
    if final.name != "final" or phase is None or not (folder / "recipe.yaml").is_file():
        return None
    return read_facts(folder) | {"phase": phase}
