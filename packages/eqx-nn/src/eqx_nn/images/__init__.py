"""Layers for images: what changes their sizes, and the norm of each channel."""

from ._instance_norm import InstanceNorm
from ._shuffle import PixelShuffle, PixelUnshuffle
from ._upsample import Upsample

__all__ = ["InstanceNorm", "PixelShuffle", "PixelUnshuffle", "Upsample"]
