"""The next floating-point number, broadcasting from the left, and arrays like a function's result.

None of it knows what a tree is for.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu

from ..shared._describe import describe_value
from ..shared._predicates import is_number_or_array
from ..tracing import filter_eval_shape


def nextafter(x: Any) -> "jax.Array":
    """Give the smallest number above each element, with the derivative of the identity.

    From zero it steps to the smallest *normal* number, since JAX programs may take the numbers
    below that for zero (IEEE 754-2019, 5.3.1 `nextUp`, but for zero).

    **Arguments:**

    - `x`: a floating array of any shape, or a Python float.

    **Returns:** an array of the shape and dtype of `x`. Infinity and NaN stay; minus infinity
    becomes the lowest finite number.

    **Raises:** `ValueError` for integers and bools; `TypeError` for anything else that is not
    floating.
    """
    return _above(_floating(x, "nextafter"))


def prevbefore(x: Any) -> "jax.Array":
    """Give the largest number below each element; otherwise as `nextafter`."""
    return _below(_floating(x, "prevbefore"))


def _step(x: jax.Array, direction: float) -> jax.Array:
    beside = jnp.nextafter(x, jnp.asarray(direction * jnp.inf, x.dtype))
    smallest = jnp.asarray(jnp.finfo(x.dtype).tiny, x.dtype)
    return jnp.where(x == 0, direction * smallest, beside)


@jax.custom_jvp
def _above(x: jax.Array) -> jax.Array:
    return _step(x, 1.0)


@jax.custom_jvp
def _below(x: jax.Array) -> jax.Array:
    return _step(x, -1.0)


@_above.defjvp
def _above_jvp(primals: Any, tangents: Any) -> Any:
    return _above(*primals), tangents[0]


@_below.defjvp
def _below_jvp(primals: Any, tangents: Any) -> Any:
    return _below(*primals), tangents[0]


def _floating(x: Any, name: str) -> jax.Array:
    if not is_number_or_array(x):
        message = f"`{name}` takes a floating array, not {describe_value(x)}."
        raise TypeError(message)
    dtype = jnp.result_type(x)
    if jnp.issubdtype(dtype, jnp.floating):
        return jnp.asarray(x)
    message = f"`{name}` takes a floating array, not one of dtype {dtype}."
    if jnp.issubdtype(dtype, jnp.integer) or jnp.issubdtype(dtype, jnp.bool_):
        message += f" Convert it first: `{name}(jnp.asarray(x, float))`."
        raise ValueError(message)
    raise TypeError(message)


def left_broadcast_to(arr: Any, shape: Sequence[int]) -> "jax.Array":
    """Broadcast an array whose axes are the *first* of a shape: axes are added on the right.

    **Arguments:**

    - `arr`: an array of shape `(a, b)`, say, of any dtype; typed PRNG keys too.
    - `shape`: the shape to give, `(a, b, c, d)`, say.

    **Returns:** an array of that shape, and of the dtype of `arr`.

    **Raises:** `ValueError` if the axes of `arr` are not the first of `shape`, or 1;
    `TypeError` if `shape` is no sequence of lengths.
    """
    arr, shape = jnp.asarray(arr), tuple(shape)
    if arr.ndim <= len(shape):
        aligned = arr.reshape(arr.shape + (1,) * (len(shape) - arr.ndim))
        if all(old in (1, new) or new < 0 for old, new in zip(aligned.shape, shape)):  # noqa: B905
            return jnp.broadcast_to(aligned, shape)
    message = (
        f"`left_broadcast_to` got `arr` of shape {arr.shape} and `shape` {shape}; the axes of "
        "`arr` must be the first of `shape`, or have length 1."
    )
    raise ValueError(message)


def eval_empty(fn: Callable[..., Any], *inputs: Any) -> Any:
    """Give arrays like those that `fn(*inputs)` returns, of no particular value.

    `fn` is traced and not run, as by `filter_eval_shape`.

    **Arguments:**

    - `fn`: a function from PyTrees to a PyTree.
    - `inputs`: its arguments; arrays may be `jax.ShapeDtypeStruct`s.

    **Returns:** a PyTree of the structure that `fn` returns, with an array of the same shape and
    dtype for each array, and the same leaf for each that is not an array.
    """
    return jtu.tree_map(_stand_in(jnp.empty), filter_eval_shape(fn, *inputs))


def eval_zero(fn: Callable[..., Any], *inputs: Any) -> Any:
    """Give zeros like the arrays that `fn(*inputs)` returns; otherwise as `eval_empty`."""
    return jtu.tree_map(_stand_in(jnp.zeros), filter_eval_shape(fn, *inputs))


def _stand_in(make: Callable[..., Any]) -> Callable[[Any], Any]:
    def stand_in(leaf: Any) -> Any:
        is_abstract = isinstance(leaf, jax.ShapeDtypeStruct)
        return make(leaf.shape, leaf.dtype) if is_abstract else leaf

    return stand_in
