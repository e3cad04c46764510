"""Weights with adapters, and weights of few bits."""

from ._lora import Adapted, LoRA, lora, merge_lora
from ._quantised import Quantised, dequantise, quantise

__all__ = [
    "Adapted",
    "LoRA",
    "Quantised",
    "dequantise",
    "lora",
    "merge_lora",
    "quantise",
]
