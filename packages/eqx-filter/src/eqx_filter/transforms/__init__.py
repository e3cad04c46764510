"""Transformations of JAX that choose leaf by leaf what to trace or to differentiate."""

from ._explicit import gradf, jitf, value_and_grad_f
from ._grad import filter_grad, filter_value_and_grad
from ._jit import filter_jit

__all__ = [
    "filter_grad",
    "filter_jit",
    "filter_value_and_grad",
    "gradf",
    "jitf",
    "value_and_grad_f",
]
