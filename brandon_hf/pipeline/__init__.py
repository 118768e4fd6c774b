"""From a recipe to a trained model and its report: `load_recipe`, `Run`, `write_report`."""

from .recipe import Recipe, list_recipes, load_recipe
from .report import write_report
from .run import OutOfTime, Run

__all__ = ["OutOfTime", "Recipe", "Run", "list_recipes", "load_recipe", "write_report"]
