"""What attention says of sizes, shapes and masks that are wrong, or odd. Computes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from eqx_pytree import warn_user

from .._init import checked_size

Shape = tuple[int, ...]
NAMES = ("query", "key_", "value")
LENGTHS = ("q_length", "kv_length", "kv_length")


def attention_sizes(num_heads: Any, **sizes: Any) -> dict[str, Any]:
    """Return the checked sizes of a `MultiheadAttention`, with what was not given filled in.

    **Raises** what `checked_size` does, and `ZeroDivisionError` for no heads where a size of the
    heads is not given.
    """
    heads = checked_size("MultiheadAttention", "num_heads", num_heads)
    query_size = checked_size("MultiheadAttention", "query_size", sizes["query_size"])
    if heads == 0 and None in (sizes["qk_size"], sizes["vo_size"]):
        message = (
            "`MultiheadAttention` needs a `num_heads` of at least 1 to divide `query_size` by; "
            "got 0."
        )
        raise ZeroDivisionError(message)
    checked = {"num_heads": heads}
    for name, given in sizes.items():
        size = given
        if given is None:
            size = query_size // heads if name in ("qk_size", "vo_size") else query_size
        scalar = name == "output_size"
        checked[name] = checked_size("MultiheadAttention", name, size, scalar=scalar)
    left_out = [name for name in ("qk_size", "vo_size") if sizes[name] is None]
    if left_out and query_size % heads:
        _warn_of_remainder(left_out, checked)
    return checked


def _warn_of_remainder(left_out: Sequence[str], sizes: dict[str, Any]) -> None:
    heads, size = sizes["num_heads"], sizes["query_size"]
    chosen, given = " and ".join(f"`{name}`" for name in left_out), size // heads
    keywords = " and ".join(f"`{name}={given}`" for name in left_out)
    message = (
        f"`MultiheadAttention(num_heads={heads}, query_size={size})`: {heads} heads do not divide "
        f"a size of {size}, so {chosen} became {size} // {heads} = {given}, and all heads together "
        f"have {heads * given}. To mean that, pass {keywords}; else choose sizes that the number "
        "of heads divides."
    )
    warn_user(message)


def checked_kv_heads(num_kv_heads: Any, num_heads: int) -> int:
    """The number of heads of keys and values, `num_heads` where it is not given.

    **Raises** `TypeError` if it is no integer and `ValueError` if it does not divide `num_heads`.
    """
    if num_kv_heads is None:
        return num_heads
    count = checked_size("MultiheadAttention", "num_kv_heads", num_kv_heads)
    if not count or num_heads % count:
        message = (
            f"`MultiheadAttention` expects a `num_kv_heads` that divides `num_heads={num_heads}`; "
            f"got {num_kv_heads}."
        )
        raise ValueError(message)
    return count


def check_inputs(query: Any, key: Any, value: Any, parameters: Sequence[Any]) -> None:
    """Check the inputs of a `MultiheadAttention` against the weights of its projections.

    `parameters` holds weight and bias of each projection, or `None` where they are not known.
    **Raises** as `MultiheadAttention.__call__` says.
    """
    layer = "MultiheadAttention"
    for index, x in enumerate((query, key, value)):
        shape = _shape(layer, NAMES[index], x)
        known = parameters[index]
        size = None if known is None else known[0].shape[1]
        if len(shape) != 2 or (size is not None and shape[1] != size):
            told = size if size is not None else f"{NAMES[index].strip('_')}_size"
            rule = f"`{NAMES[index]}` of shape ({LENGTHS[index]}, {told})"
            message = f"`{layer}` expects {rule}, got shape {shape}.{_hint(shape)}"
            raise (TypeError if len(shape) == 2 else ValueError)(message)
    _check_lengths(layer, key, value)


def check_one_head(function: str, query: Any, key: Any, value: Any = None) -> None:
    """Check the inputs of the attention of a single head; `value` may be left out.

    **Raises** `AttributeError` for what is no array and `ValueError` for wrong shapes.
    """
    key_name = "key" if value is None else "key_"
    for name, x in {"query": query, key_name: key, "value": value}.items():
        if name == "value" and x is None:
            continue
        shape = _shape(function, name, x)
        if len(shape) != 2:
            message = f"`{function}` expects a matrix `{name}`, got shape {shape}.{_hint(shape)}"
            raise ValueError(message)
    if query.shape[1] != key.shape[1]:
        message = (
            f"`{function}` expects `query` and `{key_name}` of equal size, of shapes "
            f"(q_length, qk_size) and (kv_length, qk_size); got {query.shape} and {key.shape}."
        )
        raise ValueError(message)
    if value is not None:
        _check_lengths(function, key, value)


def check_heads(function: str, query: Any, key: Any, value: Any) -> None:
    """Check the inputs of attention, matrices or with an axis of heads in the middle.

    **Raises** `AttributeError` for what is no array and `ValueError` for wrong shapes.
    """
    shapes = [_shape(function, n, x) for n, x in zip(NAMES, (query, key, value), strict=True)]
    if len({len(shape) for shape in shapes}) > 1 or len(shapes[0]) not in (2, 3):
        message = (
            f"`{function}` expects `query`, `key_` and `value` as matrices, or each of shape "
            f"(length, heads, size); got shapes {', '.join(map(str, shapes))}."
            f"{_hint(shapes[0][1:])}"
        )
        raise ValueError(message)
    if shapes[0][-1] != shapes[1][-1]:
        message = (
            f"`{function}` expects `query` and `key_` of equal size; got shapes {shapes[0]} and "
            f"{shapes[1]}."
        )
        raise ValueError(message)
    _check_lengths(function, key, value)


def check_mask(layer: str, mask: Any, query: Any, key: Any, num_heads: int | None = None) -> None:
    """Check the shape of a mask of all heads, or of one for each of `num_heads`.

    A floating mask warns, since most of them are made to be added, and so does one of integers in
    which a number below zero is seen: not if it is traced, or would have to be fetched.

    **Raises** `AttributeError` for what is no array and `ValueError` for wrong shapes.
    """
    if mask is None:
        return
    shape = _shape(layer, "mask", mask)
    expected = (query.shape[0], key.shape[0])
    if shape == expected or (num_heads is not None and shape == (num_heads, *expected)):
        if mask.dtype != bool and (jnp.issubdtype(mask.dtype, jnp.inexact) or _is_negative(mask)):
            _warn_of_numbers(layer, mask.dtype)
        return
    told = f"(q_length, kv_length) = {expected}"
    if num_heads is not None:
        told += f" or (num_heads, q_length, kv_length) = {(num_heads, *expected)}"
    message = f"`{layer}` expects a `mask` of shape {told}, got shape {shape}."
    raise ValueError(message)


def axis_index(function: str, axis: Any) -> jax.Array:
    """The place of this device along an axis. **Raises** `ValueError` if there is no such axis."""
    try:
        return jax.lax.axis_index(axis)
    except NameError as error:
        message = (
            f"`{function}` was told that sequences are split over `{axis}`, an axis that is not "
            "there. Call it inside of `filter_shard_map` or `jax.shard_map`, over a mesh with that "
            "axis."
        )
        raise ValueError(message) from error


def _is_negative(mask: Any) -> bool:
    """Whether integers at hand, which need not come from another device, go below zero."""
    if isinstance(mask, jax.core.Tracer) or not jnp.issubdtype(mask.dtype, jnp.signedinteger):
        return False
    if isinstance(mask, jax.Array) and any(it.platform != "cpu" for it in mask.sharding.device_set):
        return False
    fetched = not isinstance(mask, jax.Array) or mask.is_fully_addressable
    return bool(fetched and mask.size and np.asarray(mask).min() < 0)


def _warn_of_numbers(layer: str, dtype: Any) -> None:
    message = (
        f"`{layer}` was given a `mask` of dtype `{dtype}`, which is taken as booleans: nonzero "
        "attends. So an additive mask, of zeros and large negative numbers, must be passed as "
        "`mask == 0`, and one of zeros and ones as `mask != 0`."
    )
    warn_user(message)


def processed(process_heads: Callable[..., Any], *heads: Any) -> tuple[Any, ...]:
    """Return what `process_heads` makes of the heads.

    **Raises** `TypeError` or `ValueError` if that is not three arrays of the same shapes.
    """
    result = process_heads(*heads)
    try:
        q, k, v = result
    except (TypeError, ValueError) as error:
        message = f"`process_heads` must return three arrays, `(query, key, value)`: {error}."
        raise type(error)(message) from None
    expected = tuple(x.shape for x in heads)
    given = tuple(getattr(x, "shape", None) for x in (q, k, v))
    if given != expected:
        message = (
            "`process_heads` must return arrays of the shapes (length, num_heads, size) that it "
            f"was given: it was given {expected} and returned {given}."
        )
        raise ValueError(message)
    return q, k, v


def _shape(layer: str, name: str, x: Any) -> Shape:
    shape = getattr(x, "shape", None)
    if shape is None:
        message = (
            f"`{layer}` expects an array `{name}`; a `{type(x).__name__}` has no attribute "
            f"'shape'. Use `jax.numpy.asarray({name})`."
        )
        raise AttributeError(message)
    return shape


def _check_lengths(layer: str, key: Any, value: Any) -> None:
    if key.shape[0] != value.shape[0]:
        message = (
            f"`{layer}` expects `key_` and `value` of equal length, got {key.shape[0]} and "
            f"{value.shape[0]}."
        )
        raise ValueError(message)


def _hint(shape: Shape) -> str:
    if len(shape) <= 2:
        return ""
    return " It acts on one sequence; for a batch along the first axis, use `jax.vmap(layer)`."
