"""Derivatives: which leaves have one, in which mode, and rules of one's own."""

from ._checkpoint import filter_checkpoint
from ._custom_jvp import filter_custom_jvp
from ._custom_vjp import filter_custom_vjp
from ._explicit import gradf, jitf, value_and_grad_f
from ._grad import filter_grad, filter_value_and_grad
from ._jacobian import filter_hessian, filter_jacfwd, filter_jacrev
from ._jvp import filter_jvp
from ._vjp import filter_vjp

__all__ = [
    "filter_checkpoint",
    "filter_custom_jvp",
    "filter_custom_vjp",
    "filter_grad",
    "filter_hessian",
    "filter_jacfwd",
    "filter_jacrev",
    "filter_jvp",
    "filter_value_and_grad",
    "filter_vjp",
    "gradf",
    "jitf",
    "value_and_grad_f",
]
