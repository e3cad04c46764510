"""What the constructors share: first values, sizes, dtypes and the two spellings of `bias`.

Knows no layer. First values are drawn from U(-limit, limit) with a limit of one over the square
root of the fan-in, the heuristic that Glorot & Bengio (2010, "Understanding the difficulty of
training deep feedforward neural networks") give as their equation (1).
"""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import Callable
from typing import Any, ParamSpec

import jax
import jax.numpy as jnp
import jax.random as jr
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Inexact, PRNGKeyArray

P = ParamSpec("P")


def default_init(
    key: PRNGKeyArray, shape: tuple[int, ...], dtype: DTypeLike | None, lim: float
) -> Inexact[Array, "*axes"]:
    """Draw from U(-lim, lim); for complex dtypes real and imaginary part each, from a split key.

    `dtype=None` is float64 in JAX's 64-bit mode and else float32. **Raises** `ValueError` for a
    dtype that is neither floating nor complex.
    """
    kind = checked_dtype(dtype)
    if jnp.issubdtype(kind, jnp.complexfloating):
        part = jnp.finfo(kind).dtype
        real, imag = (jr.uniform(k, shape, part, -lim, lim) for k in jr.split(key, 2))
        return lax.complex(real, imag)
    return jr.uniform(key, shape, kind, -lim, lim)


def checked_dtype(dtype: DTypeLike | None) -> Any:
    """Return the dtype of first values: the mode's where it is None or one of Python's types.

    **Raises** `ValueError` for one that is neither floating nor complex.
    """
    kind: Any = float if dtype is None else dtype  # JAX reads Python's types as the mode's
    if kind is complex:
        kind = jnp.result_type(complex)
    if not jnp.issubdtype(kind, jnp.inexact):
        message = (
            f"`dtype` must be a floating or a complex dtype, since first values are drawn from a "
            f"uniform distribution; got `{jnp.dtype(kind).name}`. Cast the layer afterwards."
        )
        raise ValueError(message)
    return kind


def at_least_float32(dtype: DTypeLike) -> Any:
    """The dtype in which to compute statistics of arrays of `dtype`."""
    with jax.numpy_dtype_promotion("standard"):
        return jnp.promote_types(dtype, jnp.float32)


def checked_size(layer: str, name: str, size: Any, *, scalar: bool = False) -> Any:
    """Return `size` as an `int`, or as it is where `scalar` and it is `"scalar"`.

    **Raises** `TypeError` for what is no integer and `ValueError` for a negative one, naming the
    argument.
    """
    kinds = 'a non-negative integer or `"scalar"`' if scalar else "a non-negative integer"
    rule = f"`{layer}` needs {kinds} as `{name}`"
    try:
        checked = operator.index(size)
    except TypeError as error:
        if scalar and isinstance(size, str) and size == "scalar":
            return size
        message = f"{rule}, got {size!r} of type `{type(size).__name__}`."
        raise TypeError(message) from error
    if checked < 0:
        message = f"{rule}, got {checked}."
        raise ValueError(message)
    return size if isinstance(size, int) else checked


def refuse_two_biases(init: Callable[P, None]) -> Callable[P, None]:
    """Make a constructor refuse `use_bias` and `bias` that are both given and differ."""
    position = list(inspect.signature(init).parameters).index("use_bias")

    @functools.wraps(init)
    def checked(*args: P.args, **kwargs: P.kwargs) -> None:
        bias = kwargs.get("bias")
        if bias is not None:
            use_bias = args[position] if len(args) > position else kwargs.get("use_bias", bias)
            if use_bias != bias:
                message = (
                    f"`{type(args[0]).__name__}` was given both `use_bias={use_bias!r}` and "
                    f"`bias={bias!r}`. They are two names for one choice: give one of them."
                )
                raise ValueError(message)
        init(*args, **kwargs)

    return checked
