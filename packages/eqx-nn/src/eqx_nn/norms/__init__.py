"""Norms of activations, and of weights."""

from ._batch_norm import BatchNorm
from ._norm import GroupNorm, LayerNorm, RMSNorm
from ._reparametrise import SpectralNorm, WeightNorm

__all__ = [
    "BatchNorm",
    "GroupNorm",
    "LayerNorm",
    "RMSNorm",
    "SpectralNorm",
    "WeightNorm",
]
