"""`Embedding`: a table of vectors, looked up by index."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jax.typing import DTypeLike
from jaxtyping import Array, ArrayLike, Inexact, Int, PRNGKeyArray

from eqx_pytree import Module, field

from ._init import checked_size
from ._initial import Initializer, drawn_by
from ._random import with_key
from ._shapes import shape_of
from ._weight import Weight


class Embedding(Module):
    """A table of `num_embeddings` vectors of size `embedding_size`, the rows of `weight`."""

    num_embeddings: int = field(static=True)
    embedding_size: int = field(static=True)
    weight: Inexact[Array, "num_embeddings embedding_size"]

    def __init__(
        self,
        num_embeddings: int | None = None,
        embedding_size: int | None = None,
        weight: Inexact[Array, "num_embeddings embedding_size"] | None = None,
        dtype: DTypeLike | None = None,
        *,
        weight_init: Initializer | None = None,
        key: PRNGKeyArray | None = None,
    ) -> None:
        """Draw the table from the normal distribution N(0, 1), or take `weight` as it is.

        **Arguments:**

        - `num_embeddings`, `embedding_size`: the shape of the table. Not needed with `weight`.
        - `weight`: the table itself; then `dtype` and `key` are ignored.
        - `dtype`: of the drawn table; float32 unless given (float64 in JAX's 64-bit mode).
        - `weight_init`: a function `(key, shape, dtype) -> array` to draw the table by, any of
            `jax.nn.initializers`; its shape is `(num_embeddings, embedding_size)`.
        - `key`: a PRNG key for the drawn table.

        **Raises:** `ValueError` if the sizes and `key` are missing as well as `weight`, for a
        `weight` that is no matrix or not of the given sizes, for negative sizes and for a `dtype`
        that is neither floating nor complex; `TypeError` for a size that is no integer;
        `AttributeError` for a `weight` that is no array.
        """
        if weight is None:
            if num_embeddings is None or embedding_size is None or key is None:
                message = (
                    "`Embedding` needs `num_embeddings`, `embedding_size` and `key`, or else "
                    "`weight`: "
                    f"got `num_embeddings={num_embeddings!r}`, `embedding_size={embedding_size!r}` "
                    f"and {'no' if key is None else 'a'} `key`."
                )
                raise ValueError(message)
            rows = checked_size("Embedding", "num_embeddings", num_embeddings)
            columns = checked_size("Embedding", "embedding_size", embedding_size)
            weight = _drawn(weight_init, key, (rows, columns), dtype)
        else:
            _refuse_two(weight_init)
            rows, columns = _shape_of_table(weight, num_embeddings, embedding_size)
        self.num_embeddings = rows
        self.embedding_size = columns
        self.weight = weight

    @jax.named_scope("eqx.nn.Embedding")
    def __call__(
        self, x: Int[ArrayLike, ""], *, key: Any = None
    ) -> Inexact[Array, " embedding_size"]:
        """Return row `x` of the table, of shape `(embedding_size,)`.

        `x` is an integer, or an integer array of shape `()`. A negative `x` counts from the end;
        beyond either end the nearest row is taken. A `weight` of NumPy is indexed as NumPy does,
        with an `IndexError` there. `key` is ignored.

        **Raises:** `ValueError` for an `x` of another shape, `TypeError` for one that is no
        integer, `IndexError` for a table without rows.
        """
        if shape_of(x) != ():
            raise ValueError(_not_an_index(x))
        kind = "i" if type(x) is int else jnp.result_type(x).kind
        if kind == "i" and getattr(x, "itemsize", 4) < 4:  # may not hold the number of rows
            x = jnp.asarray(x, jnp.int32)
        if kind in "iu":
            if isinstance(self.weight, np.ndarray) and not isinstance(x, Tracer):
                return self.weight[x]
            if self.weight.shape[0]:
                if isinstance(self.weight, Weight):
                    return self.weight.row(x)
                return lax.dynamic_index_in_dim(self.weight, x, keepdims=False)
            message = f"`Embedding` of no rows has no row {x}: `num_embeddings` is 0."
            raise IndexError(message)
        if kind == "b":  # a mask, as in any indexing
            return jnp.asarray(self.weight)[x]
        message = f"`Embedding` expects an integer `x`, got one of dtype `{jnp.result_type(x)}`."
        raise TypeError(message)


def _drawn(
    init: Initializer | None,
    key: PRNGKeyArray,
    shape: tuple[int, int],
    dtype: DTypeLike | None,
) -> Array:
    if init is not None:
        told = "`weight_init` of `Embedding`"
        return with_key("Embedding", key, lambda key: drawn_by(told, init, key, shape, dtype))
    kind: Any = float if dtype is None else dtype
    if not jnp.issubdtype(kind, jnp.inexact):
        message = (
            "`dtype` must be a floating or a complex dtype, since the table is drawn from a normal "
            f"distribution; got `{jnp.dtype(kind).name}`. Cast the layer afterwards."
        )
        raise ValueError(message)
    return with_key("Embedding", key, lambda key: jax.random.normal(key, shape, kind))


def _refuse_two(init: Initializer | None) -> None:
    if init is not None:
        message = (
            "`Embedding` was given both `weight` and `weight_init`, which draws one. Give one of "
            "them."
        )
        raise ValueError(message)


def _shape_of_table(weight: Any, rows: int | None, columns: int | None) -> tuple[int, int]:
    shape = getattr(weight, "shape", None)
    if shape is None:
        message = (
            f"`Embedding` expects an array `weight`; a `{type(weight).__name__}` has no attribute "
            "'shape'. Use `jax.numpy.asarray(weight)`."
        )
        raise AttributeError(message)
    expected = tuple("any" if size is None else size for size in (rows, columns))
    if len(shape) != 2 or not all(e in ("any", s) for e, s in zip(expected, shape, strict=True)):
        message = (
            "`Embedding` expects a `weight` of shape (num_embeddings, embedding_size) = "
            f"({expected[0]}, {expected[1]}), got shape {shape}."
        )
        raise ValueError(message)
    return shape


def _not_an_index(x: Any) -> str:
    shape = shape_of(x)
    given = f"a `{type(x).__name__}`" if shape is None else f"shape {shape}"
    told = f"`Embedding` expects a scalar index `x`, an integer of shape (), got {given}."
    return f"{told} For several indices use `jax.vmap(layer)(x)` with an array `x`."
