"""`RotaryPositionalEmbedding`: positions as rotations."""

from __future__ import annotations

import functools
from collections.abc import Hashable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Inexact, Shaped

from eqx_pytree import Module, field

from .._init import checked_size

Table = Inexact[Array, "end half_size"]
SHORTEST = 16
"""Tables have a power of two of rows, and at least this many, so that lengths share them."""


def _default_dtype() -> Any:
    return jnp.float64 if jnp.result_type(float) == jnp.float64 else jnp.float32


class RotaryPositionalEmbedding(Module):
    """Rotate the vectors of a sequence by angles that grow with their positions.

    With `d` the `embedding_size`, elements `i` and `i + d/2` of the vector at position `m`, which
    counts from zero, are rotated, as the coordinates of a point in the plane, by the angle
    `m * theta**(-2i/d)`. This is equation (34) of Su et al. (2021, "RoFormer: Enhanced Transformer
    with Rotary Position Embedding"), with elements paired as in GPT-NeoX instead of side by side.
    The dot product of two rotated vectors depends on their positions by the difference alone.

    **Arguments:**

    - `embedding_size`: the size of the vectors, an even number.
    - `theta`: the base of the angles.
    - `dtype`: of the tables of sines and cosines; float32 unless given (float64 in JAX's 64-bit
        mode).

    **Raises:** `TypeError` for an `embedding_size` that is no integer, `ValueError` for a negative
    or an odd one.

    Give it to `MultiheadAttention` by way of `process_heads`:

        def process_heads(query, key, value):
            rotate = jax.vmap(rotary, in_axes=1, out_axes=1)  # over the heads
            return rotate(query), rotate(key), value
    """

    embedding_size: int = field(static=True)
    theta: float = field(static=True, default=10_000.0)
    dtype: Any = field(static=True, default_factory=_default_dtype)

    def __check_init__(self) -> None:
        size = checked_size("RotaryPositionalEmbedding", "embedding_size", self.embedding_size)
        if size % 2:
            message = (
                "`RotaryPositionalEmbedding` rotates pairs of elements, and so needs an even "
                f"`embedding_size`; got {size}."
            )
            raise ValueError(message)

    @staticmethod
    def rotate_half(
        x: Shaped[Array, "*lengths embedding_size"],
    ) -> Shaped[Array, "*lengths embedding_size"]:
        """Turn `(a, b)`, the halves of the last axis, into `(-b, a)`: a rotation by 90 degrees.

        The result has the shape and dtype of `x`. Of an odd axis, `b` is the longer half.

        **Raises:** `AttributeError` for what is no array, `IndexError` for a scalar.
        """
        half = x.shape[-1] // 2
        return jnp.concatenate([-x[..., half:], x[..., :half]], axis=-1)

    @staticmethod
    def precompute_freqs_cis(
        embedding_size: int, end: int, theta: float, dtype: Any
    ) -> tuple[Table, Table]:
        """Return cosines and sines of the angles `m * theta**(-2i/embedding_size)`.

        Both have shape `(end, embedding_size / 2)`, a row for each position `m` and a column for
        each `i`, and the `dtype` given; `None` is the default of JAX's mode.
        """
        exponents = jnp.arange(0.0, embedding_size, 2.0)[None] / embedding_size
        frequencies = 1.0 / (theta**exponents)  # (1, half_size)
        angles = jnp.arange(float(end))[:, None] * frequencies  # (end, half_size)
        kind = float if dtype is None else dtype
        return jnp.cos(angles).astype(kind), jnp.sin(angles).astype(kind)

    @jax.named_scope("eqx.nn.RotaryPositionalEmbedding")
    def __call__(
        self, x: Shaped[Array, "length embedding_size"], *, key: Any = None, offset: Any = None
    ) -> Shaped[Array, "length embedding_size"]:
        """Rotate each row of `x`; the result has the shape and dtype of `x`. `key` is ignored.

        `offset`, an integer of shape (), is the position of the first row: of a token that comes
        after those in a `Cache`, it is `cache.position`.

        **Raises:** `ValueError` for an `x` of another shape; `AttributeError` for what is no array;
        in JAX's strict mode of promotion, `ValueError` for a dtype that is not that of the tables.
        """
        shape = getattr(x, "shape", None)
        if shape is None:
            message = (
                f"`RotaryPositionalEmbedding` expects an array `x`; a `{type(x).__name__}` has no "
                "attribute 'shape'. Use `jax.numpy.asarray(x)`."
            )
            raise AttributeError(message)
        if len(shape) != 2 or shape[1] != self.embedding_size:
            raise ValueError(wrong_shape(shape, self.embedding_size))
        if offset is not None:
            return rotated(x, *_tables_from(offset, shape[0], self))
        rows = max(SHORTEST, 1 << (shape[0] - 1).bit_length())
        tables = _cached if isinstance(self.theta, Hashable) else _tables
        cos, sin = tables(self.embedding_size, rows, self.theta, self.dtype, jnp.result_type(float))
        try:
            return rotated(x, cos, sin)
        except ValueError as error:
            message = (
                f"`RotaryPositionalEmbedding` has tables of dtype `{cos.dtype}`, and `x` is of "
                f"dtype `{jnp.result_type(x)}`. Make the layer with that `dtype`, or cast `x`. "
                f"({error})"
            )
            raise type(error)(message) from None


def wrong_shape(shape: tuple[int, ...], size: int, layer: str = "RotaryPositionalEmbedding") -> str:
    """Say which shape a rotation is for, and how others are called."""
    told = (
        f"`{layer}` expects `x` of shape (length, embedding_size) = "
        f"(length, {size}), got shape {shape}."
    )
    heads = "jax.vmap(layer, in_axes=1, out_axes=1)"
    if len(shape) == 3:
        return (
            f"{told} It acts on one sequence; for shape (length, heads, size), as `process_heads` "
            f"is given, use `{heads}`, and for shape (batch, length, size) `jax.vmap(layer)`."
        )
    if len(shape) == 4:
        return (
            f"{told} It acts on one sequence; for shape (batch, length, heads, size) use "
            f"`jax.vmap({heads})`."
        )
    return told


def _tables(size: int, rows: int, theta: Any, dtype: Any, mode: Any) -> tuple[Table, Table]:
    """The tables themselves, also while tracing. `mode` only tells entries of the cache apart."""
    del mode
    with jax.ensure_compile_time_eval():
        return RotaryPositionalEmbedding.precompute_freqs_cis(size, rows, theta, dtype)


def _tables_from(offset: Any, rows: int, layer: RotaryPositionalEmbedding) -> tuple[Table, Table]:
    """The rows of the tables from a position on, which may be traced."""
    exponents = jnp.arange(0.0, layer.embedding_size, 2.0)[None] / layer.embedding_size
    positions = (jnp.asarray(offset) + jnp.arange(rows)).astype(exponents.dtype)
    angles = positions[:, None] * (1.0 / (layer.theta**exponents))
    kind = float if layer.dtype is None else layer.dtype
    return jnp.cos(angles).astype(kind), jnp.sin(angles).astype(kind)


_cached = functools.lru_cache(maxsize=16)(_tables)


@jax.jit
def rotated(x: Array, cos: Table, sin: Table) -> Array:
    """Turn the pairs of each row of `x` by angles, given by their cosines and sines."""
    length, size = x.shape
    cos, sin = cos[:length], sin[:length]
    a, b = x[:, : size // 2], x[:, size // 2 :]
    rotated = jnp.concatenate([a * cos + (-b) * sin, b * cos + a * sin], axis=1)
    return rotated.astype(x.dtype)
