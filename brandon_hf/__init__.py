"""Brandon-Tiny for the Hugging Face ecosystem: importing this package makes its models known to the Auto classes."""

__version__ = "0.1.0"

from . import modeling

__all__ = ["__version__", "modeling"]
