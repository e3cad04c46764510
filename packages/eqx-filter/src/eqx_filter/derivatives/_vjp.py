"""`filter_vjp`: vector-Jacobian products for the floating arrays of any arguments."""

import functools
from collections.abc import Callable
from typing import Any

import jax

from ..shared._describe import describe_value
from ..shared._naming import function_name, refuse_uncallable
from ..shared._packed import pack
from ..shared._predicates import is_differentiable
from ..trees._partition import combine, partition


def filter_vjp(fun: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """Compute a function's value, and the function that takes cotangents back to its arguments.

    **Arguments:**

    - `fun`: a function; its arguments and its result are any PyTrees.
    - `primals`: the arguments. Their floating and complex arrays, JAX's or NumPy's, have
        cotangents.
    - `has_aux`: whether `fun` returns a pair `(out, aux)`, of which `aux` is any PyTree.

    **Returns:** `(out, vjp_fun)`, or `(out, vjp_fun, aux)` if `has_aux`. `vjp_fun` is a PyTree. It
    takes a PyTree with the structure of `out`: a cotangent, of its shape and dtype, for each
    floating or complex array, and None for every other leaf. It gives a tuple with one PyTree for
    each argument, in its structure, with None for every leaf that has no cotangent.

    **Raises:** `TypeError` if `fun` cannot be called; `TypeError` or `ValueError` if `has_aux` and
    no pair is returned. `vjp_fun` raises `ValueError` for another structure, shape or dtype.
    """
    refuse_uncallable("filter_vjp", fun=fun)
    moving, still = partition(primals, is_differentiable)

    @functools.wraps(fun, updated=())  # so that messages of JAX speak of it
    def of_moving(*moving: Any) -> Any:
        out = fun(*combine(moving, still))
        out, aux = split_aux(fun, out) if has_aux else (out, None)
        differentiable, rest = partition(out, is_differentiable)
        return differentiable, pack((rest, aux))

    out, vjp_fun, packed = jax.vjp(of_moving, *moving, has_aux=True)
    rest, aux = packed.unpack()
    out = combine(out, rest)
    return (out, vjp_fun, aux) if has_aux else (out, vjp_fun)


def split_aux(fun: Callable[..., Any], out: Any) -> tuple[Any, Any]:
    """Split what a function returned into output and auxiliary output.

    **Raises:** `TypeError` if it is no sequence, `ValueError` if it is one of another length.
    """
    if isinstance(out, (tuple, list)) and len(out) == 2:
        return out[0], out[1]
    message = (
        f"With `has_aux`, `{function_name(fun)}` must return a pair `(out, aux)`; it returned "
        f"{describe_value(out)}."
    )
    raise (ValueError if isinstance(out, (tuple, list)) else TypeError)(message)
