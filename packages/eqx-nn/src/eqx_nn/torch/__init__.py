"""Weights from and to PyTorch, which need not be installed."""

from ._state_dicts import TorchReport, from_torch, to_torch

__all__ = [
    "TorchReport",
    "from_torch",
    "to_torch",
]
