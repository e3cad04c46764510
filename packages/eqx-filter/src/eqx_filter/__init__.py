"""Filtered transformations for JAX, and what is done to PyTrees of any kind."""

from typing import Any

from eqx_pytree import tree_equal

from ._partition import combine, filter, hashable_combine, hashable_partition, partition
from ._predicates import is_array, is_array_like, is_inexact_array, is_inexact_array_like
from .transforms import (
    filter_checkpoint,
    filter_closure_convert,
    filter_custom_jvp,
    filter_custom_vjp,
    filter_grad,
    filter_hessian,
    filter_jacfwd,
    filter_jacrev,
    filter_jit,
    filter_jvp,
    filter_value_and_grad,
    filter_vjp,
    gradf,
    jitf,
    value_and_grad_f,
)
from .trees import apply_updates, tree_at, tree_check, tree_flatten_one_level

__all__ = [
    "apply_updates",
    "combine",
    "filter",
    "filter_checkpoint",
    "filter_closure_convert",
    "filter_custom_jvp",
    "filter_custom_vjp",
    "filter_grad",
    "filter_hessian",
    "filter_jacfwd",
    "filter_jacrev",
    "filter_jit",
    "filter_jvp",
    "filter_value_and_grad",
    "filter_vjp",
    "gradf",
    "hashable_combine",
    "hashable_partition",
    "is_array",
    "is_array_like",
    "is_inexact_array",
    "is_inexact_array_like",
    "jitf",
    "partition",
    "tree_at",
    "tree_check",
    "tree_equal",
    "tree_flatten_one_level",
    "value_and_grad_f",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("eqx-filter")
    message = f"module `{__name__}` has no attribute `{name}`"
    raise AttributeError(message)
