"""Layers of layers: one after another, a function, one at several places, one for a batch."""

from ._batched import batched
from ._composed import Lambda, Sequential
from ._shared import Shared, SharedNode

__all__ = ["Lambda", "Sequential", "Shared", "SharedNode", "batched"]
