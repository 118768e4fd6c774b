"""Make the model of a finished run one that comes with the package: brandon_hf/pretrained/NAME, weights in bf16.

    python scripts/ship_pretrained.py runs/5m brandon-tiny-5m                     # the folder, card without results
    brandon eval brandon-tiny-5m --data FOLDER --protocol standard,original,strict --output runs/5m/evaluation
    python scripts/ship_pretrained.py runs/5m brandon-tiny-5m --results runs/5m/evaluation

`--licence-of SOURCE LICENCE` states the licence of a source anew, where the run recorded another. A run that started
from the model of this name replaces it: keep the card of that model elsewhere first, and give both calls `--base TEXT`,
which says in the new card what the run started from.

The second call leaves the weights alone; it writes the card and keeps the results files in docs/benchmarks/NAME.
"""

import argparse
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from brandon_hf.cli.card import run_facts, write_card
from brandon_hf.evaluation.reading import results_files
from brandon_hf.files import folder_written_aside
from brandon_hf.hub.card import model_card
from brandon_hf.pipeline.recipe import load_recipe
from brandon_hf.pipeline.run import FOLDERS

ROOT = Path(__file__).resolve().parents[1]


def ship(final: Path, folder: Path) -> None:
    """Write the model in bf16. Its code is `modeling/`, linked, so that it stands in the repository once."""
    model: Any = AutoModelForCausalLM.from_pretrained(str(final), dtype=torch.bfloat16)
    model.generation_config.update(do_sample=True, temperature=0.3, top_k=50)  # docs/benchmarks/history.md
    with folder_written_aside(folder) as aside:
        model.save_pretrained(aside)
        AutoTokenizer.from_pretrained(str(final)).save_pretrained(aside)
        (aside / "model.safetensors").chmod(0o644)  # safetensors writes it for its owner alone
        for file in aside.glob("*.py"):
            file.unlink()
            file.symlink_to(Path(os.path.relpath(ROOT / "modeling", folder)) / file.name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="directory of the run")
    parser.add_argument("name", help="of the model in the package")
    parser.add_argument("--results", type=Path, help="of brandon eval")
    parser.add_argument("--licence", default="cc-by-sa-4.0", help="of the model (default: %(default)s)")
    parser.add_argument("--licence-of", nargs=2, action="append", default=[], metavar=("SOURCE", "LICENCE"))
    parser.add_argument("--base", help="how the card calls the model that the run started from")
    options = parser.parse_args()
    recipe = load_recipe(str(options.run / "recipe.yaml"))
    if recipe.values.get("base_model") == options.name and not options.base:
        parser.error(f"the run started from {options.name} itself: say with --base what that was")
    phase = recipe.phases[-1]
    final = options.run / FOLDERS[phase] / "final"
    folder = ROOT / "brandon_hf" / "pretrained" / options.name
    if options.results is None:
        ship(final, folder)
    card = model_card(
        folder,
        repo=options.name,
        packaged=True,
        results=options.results,
        run=run_facts(final),
        licence=options.licence,
        licences=dict(options.licence_of),
        base=options.base,
    )
    print(write_card(card, folder / "README.md"))
    kept = ROOT / "docs" / "benchmarks" / options.name
    if options.results is not None and options.results.resolve() != kept:
        for file in results_files(options.results):
            copy = kept / file.relative_to(options.results)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, copy)


if __name__ == "__main__":
    main()
