"""Batches: which leaves have a batch axis, on one device or over several."""

from ._axes import if_array
from ._pmap import filter_pmap
from ._vmap import filter_vmap

__all__ = [
    "filter_pmap",
    "filter_vmap",
    "if_array",
]
