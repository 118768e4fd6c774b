"""The Brandon-Tiny architecture. Importing it registers the classes with transformers' Auto classes."""

from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification

from .configuration_brandon import BrandonConfig
from .conversion_brandon import load_original_pt
from .generation_brandon import MTPDecodingOutput
from .modeling_brandon import (
    BrandonCausalLMOutput,
    BrandonForCausalLM,
    BrandonForSequenceClassification,
    BrandonModel,
    BrandonPreTrainedModel,
)

AutoConfig.register(BrandonConfig.model_type, BrandonConfig, exist_ok=True)
AutoModel.register(BrandonConfig, BrandonModel, exist_ok=True)
AutoModelForCausalLM.register(BrandonConfig, BrandonForCausalLM, exist_ok=True)
AutoModelForSequenceClassification.register(BrandonConfig, BrandonForSequenceClassification, exist_ok=True)

__all__ = [
    "BrandonCausalLMOutput",
    "BrandonConfig",
    "BrandonForCausalLM",
    "BrandonForSequenceClassification",
    "BrandonModel",
    "BrandonPreTrainedModel",
    "MTPDecodingOutput",
    "load_original_pt",
]
