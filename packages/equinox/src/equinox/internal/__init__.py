"""Names that libraries built on Equinox use: the toolkit under solvers."""

from eqx_filter import (
    cached_filter_eval_shape,
    hashable_combine,
    hashable_partition,
)
from eqx_pytree import (
    AbstractClassVar,
    AbstractVar,
    ContainerMeta,
    Static,
    TreeWLCustom,
    doc_remove_args,
    doc_repr,
)

__all__ = [
    "AbstractClassVar",
    "AbstractVar",
    "ContainerMeta",
    "Static",
    "TreeWLCustom",
    "cached_filter_eval_shape",
    "doc_remove_args",
    "doc_repr",
    "hashable_combine",
    "hashable_partition",
]
