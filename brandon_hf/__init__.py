"""Brandon-Tiny for the Hugging Face ecosystem: importing this package makes its models known to the Auto classes."""

__version__ = "0.1.0"

import os
import sys

if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
    # Read when torch is loaded: how long an idle OpenMP thread spins before it sleeps. By default it is so long that on
    # cores shared with other work threads wait for each other most of the time (docs/decisions.md).
    os.environ["GOMP_SPINCOUNT"] = "10000"

from transformers import AutoTokenizer

from . import modeling
from .tokenization.auto import BrandonTokenizer

# Where TRL (before 1.16) and `transformers serve` look for the class that a config names.
vars(sys.modules["transformers"])["BrandonForCausalLM"] = modeling.BrandonForCausalLM
AutoTokenizer.register(modeling.BrandonConfig, BrandonTokenizer, exist_ok=True)

__all__ = ["__version__", "modeling"]
