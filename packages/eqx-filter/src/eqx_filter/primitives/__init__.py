"""Primitives of JAX's, made for PyTrees or for one purpose."""

from .. import rules
from ..rules import *  # noqa: F403 - the names in its `__all__`
from ..shared._jax import scan_of_tangents, vary_alike
from ._barriers import (
    nonbatchable,
    nonbatchable_p,
    nondifferentiable,
    nondifferentiable_backward,
    nondifferentiable_backward_p,
    nontraceable,
    nontraceable_p,
)
from ._closures import closure_to_pytree
from ._noinline import noinline, noinline_p

__all__ = [
    "closure_to_pytree",
    "noinline",
    "noinline_p",
    "nonbatchable",
    "nonbatchable_p",
    "nondifferentiable",
    "nondifferentiable_backward",
    "nondifferentiable_backward_p",
    "nontraceable",
    "nontraceable_p",
    "scan_of_tangents",
    "vary_alike",
]
__all__ += rules.__all__
