"""Between this project's folders and the rest of the world: import of original checkpoints."""

from .import_checkpoint import ImportReport, import_checkpoint

__all__ = ["ImportReport", "import_checkpoint"]
