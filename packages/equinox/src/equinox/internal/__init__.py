"""Names that libraries built on Equinox use: the toolkit under solvers."""

from eqx_filter import hashable_combine, hashable_partition
from eqx_pytree import Static

__all__ = [
    "Static",
    "hashable_combine",
    "hashable_partition",
]
