"""How primitives behave: for PyTrees, in batches, and for exporters."""

from ._filtered import (
    filter_primitive_batching,
    filter_primitive_bind,
    filter_primitive_def,
    filter_primitive_jvp,
    filter_primitive_transpose,
    materialise_zeros,
)
from ._finalise import (
    finalise_eval_jaxpr,
    finalise_fn,
    finalise_jaxpr,
    finalise_jaxpr_as_fn,
    finalise_make_jaxpr,
    primitive_finalisations,
    register_impl_finalisation,
)
from ._unvmap import unvmap_all, unvmap_all_p, unvmap_any, unvmap_any_p, unvmap_max, unvmap_max_p
from ._vprim import create_vprim

__all__ = [
    "create_vprim",
    "filter_primitive_batching",
    "filter_primitive_bind",
    "filter_primitive_def",
    "filter_primitive_jvp",
    "filter_primitive_transpose",
    "finalise_eval_jaxpr",
    "finalise_fn",
    "finalise_jaxpr",
    "finalise_jaxpr_as_fn",
    "finalise_make_jaxpr",
    "materialise_zeros",
    "primitive_finalisations",
    "register_impl_finalisation",
    "unvmap_all",
    "unvmap_all_p",
    "unvmap_any",
    "unvmap_any_p",
    "unvmap_max",
    "unvmap_max_p",
]
