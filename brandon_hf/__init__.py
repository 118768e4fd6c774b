"""Brandon-Tiny for the Hugging Face ecosystem: importing this package makes its models known to the Auto classes."""

__version__ = "0.1.0"

import sys

from transformers import AutoTokenizer

from . import modeling
from .tokenization.auto import BrandonTokenizer

# Where TRL (before 1.16) and `transformers serve` look for the class that a config names.
vars(sys.modules["transformers"])["BrandonForCausalLM"] = modeling.BrandonForCausalLM
AutoTokenizer.register(modeling.BrandonConfig, BrandonTokenizer, exist_ok=True)

__all__ = ["__version__", "modeling"]
