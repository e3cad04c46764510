"""`maybe_set`: write into an array where a condition holds; only what is written is selected.

Its transpose leaves the cotangent of the array as it is, so a loop need not copy it in each step.
The places that were written keep theirs, which nothing looks at if each is written once and not
read before; `_entry.py` takes it out where a loop begins.
"""

from typing import Any

import jax.numpy as jnp
from jax.interpreters.ad import is_undefined_primal

from ..rules._filtered import (
    filter_primitive_bind,
    filter_primitive_def,
    filter_primitive_jvp,
    filter_primitive_transpose,
    materialise_zeros,
)
from ..rules._finalise import register_impl_finalisation
from ..rules._vprim import create_vprim
from ..shared._jax import Primitive, vary_alike


def maybe_set(pred: Any, array: Any, x: Any, item: Any, options: dict[str, Any]) -> Any:
    """Return `array.at[item].set(x, **options)` where `pred` holds, else `array`.

    `pred` has shape `()`; `x` has the shape of `array[item]` and the dtype of `array`.
    """
    pred, array, x = vary_alike(pred, array, x)
    return _bind(pred, array, x, item, tuple(options.items()))


def _bind(*args: Any) -> Any:
    return filter_primitive_bind(maybe_set_p, *args)


@filter_primitive_def
def _impl(pred: Any, array: Any, x: Any, item: Any, options: Any) -> Any:
    return array.at[item].set(jnp.where(pred, x, array[item]), **dict(options))


@filter_primitive_def
def _abstract_eval(pred: Any, array: Any, x: Any, item: Any, options: Any) -> Any:
    return array


@filter_primitive_jvp
def _jvp(primals: Any, tangents: Any) -> Any:
    pred, array, x, *place = primals
    _, by_array, by_x, *_ = tangents
    if by_array is not None or by_x is not None:
        by_array, by_x = materialise_zeros(array, by_array), materialise_zeros(x, by_x)
        by_array = _bind(*vary_alike(pred, by_array, by_x), *place)
    return _bind(*primals), by_array


@filter_primitive_transpose
def _transpose(inputs: Any, cotangent: Any) -> Any:
    pred, _, x, item, options = inputs
    by_x = None
    if cotangent is not None and is_undefined_primal(x):
        reading = {"mode": "fill", "fill_value": 0, **dict(options)}
        there = cotangent.at[item].get(**reading)
        by_x = jnp.where(pred, there, jnp.zeros_like(there))
    return None, cotangent, by_x, None, None


maybe_set_p: Primitive = create_vprim("maybe_set", _impl, _abstract_eval, _jvp, _transpose)
"""The primitive by which a loop writes to a buffer, or leaves it, as a predicate says."""
register_impl_finalisation(maybe_set_p)
