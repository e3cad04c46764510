"""Loops by how they are differentiated, and arrays that loops write element by element."""

from ._buffers import Buffer, MaybeBuffer, buffer_at_set
from ._maybe_set import maybe_set_p
from ._scan import scan, scan_trick
from ._select import select_if_vmap_p
from ._while import Kind, while_loop

__all__ = [
    "Buffer",
    "Kind",
    "MaybeBuffer",
    "buffer_at_set",
    "maybe_set_p",
    "scan",
    "scan_trick",
    "select_if_vmap_p",
    "while_loop",
]
