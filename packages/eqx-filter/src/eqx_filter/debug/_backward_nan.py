"""`backward_nan`: shows the gradient that comes back through a value, and stops at NaN."""

from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import jax.tree_util as jtu

from eqx_pytree import tree_pformat

from ..derivatives import filter_custom_vjp
from ..errors._check import checked
from ..errors._stack import Stack, caller_stack
from ..shared._predicates import is_array, is_differentiable
from ..trees._partition import combine, partition

_Tree = TypeVar("_Tree")


def backward_nan(x: _Tree, name: Any = None, terminate: bool = True) -> _Tree:
    """Print the gradient that comes back through a PyTree, and stop if it holds NaN.

    **Arguments:**

    - `x`: any PyTree.
    - `name`: is printed first.
    - `terminate`: whether NaN in a cotangent is an error, as of `error_if`.

    **Returns:** `x`. When reverse-mode differentiation comes by, its value and its cotangent are
    printed.

    **Raises:** `EquinoxRuntimeError` where the gradient holds NaN.
    """
    return _pass(x, name, caller_stack() if terminate else None)


@filter_custom_vjp
def _pass(x: Any, name: Any, stack: Stack | None) -> Any:
    return x


@_pass.def_fwd
def _forward(perturbed: Any, x: Any, name: Any, stack: Stack | None) -> Any:
    return x, None


@_pass.def_bwd
def _backward(
    residuals: Any, gradient: Any, perturbed: Any, x: Any, name: Any, stack: Stack | None
) -> Any:
    shown, rest = partition((x, gradient), is_array)

    def show(shown: Any) -> None:
        primals, cotangents = combine(shown, rest)
        head = "" if name is None else f"{name}:\n"
        told = [tree_pformat(tree, short_arrays=False) for tree in (primals, cotangents)]
        print(f"{head}   primals={told[0]}\ncotangents={told[1]}")

    jax.debug.callback(show, shown)
    if stack is not None:
        leaves = [leaf for leaf in jtu.tree_leaves(gradient) if is_differentiable(leaf)]
        if leaves:
            is_nan = jnp.array([jnp.isnan(leaf).any() for leaf in leaves]).any()
            at = "" if name is None else f" of `{name}`"
            message = f"`backward_nan`: the gradient{at} holds NaN."
            gradient = checked(gradient, is_nan, 0, [message], stack=stack)
    return gradient
