"""Names that libraries built on Equinox use: the toolkit under solvers."""

from eqx_filter import (
    Enumeration,
    assert_dce,
    branched_error_if,
    cached_filter_eval_shape,
    error_if,
    hashable_combine,
    hashable_partition,
)
from eqx_filter.debug import announce_transform, breakpoint_if, inspect_dce, store_dce
from eqx_filter.primitives import unvmap_all, unvmap_any, unvmap_max
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
    "Enumeration",
    "Static",
    "TreeWLCustom",
    "announce_transform",
    "assert_dce",
    "branched_error_if",
    "breakpoint_if",
    "cached_filter_eval_shape",
    "doc_remove_args",
    "doc_repr",
    "error_if",
    "hashable_combine",
    "hashable_partition",
    "inspect_dce",
    "store_dce",
    "unvmap_all",
    "unvmap_any",
    "unvmap_max",
]
