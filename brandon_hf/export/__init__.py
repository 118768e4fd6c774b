"""The blob: a Brandon model in one file. docs/blob-format.md specifies it."""

from .blob import write_blob
from .importing import import_blob
from .reading import Blob, read_blob
from .reference import Reference

__all__ = ["Blob", "Reference", "import_blob", "read_blob", "write_blob"]
