"""Brandon-Tiny for the Hugging Face ecosystem: importing this package makes its models known to the Auto classes."""

__version__ = "0.1.0"

from transformers import AutoTokenizer

from . import modeling
from .tokenization.auto import BrandonTokenizer

AutoTokenizer.register(modeling.BrandonConfig, BrandonTokenizer, exist_ok=True)

__all__ = ["__version__", "modeling"]
