"""Where in a sequence a vector stands: added to it, or to the scores of attention."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Inexact, PRNGKeyArray, Shaped

from eqx_pytree import Module, field

from .._init import checked_size
from .._initial import Initializer, drawn_by
from .._random import with_key
from .._shapes import describe


class SinusoidalPositions(Module):
    """Add waves of the position: sines in the even elements, cosines in the odd ones.

    Element `2i` of position `m` gains `sin(m / base**(2i / size))`, element `2i + 1` the cosine:
    Vaswani et al. (2017, "Attention Is All You Need"), section 3.5, with `base` 10,000.
    """

    size: int = field(static=True)
    base: float = field(static=True, default=10_000.0)

    def __check_init__(self) -> None:
        checked_size("SinusoidalPositions", "size", self.size)

    @jax.named_scope("eqx.nn.SinusoidalPositions")
    def __call__(
        self, x: Shaped[Array, "length size"], *, key: Any = None, offset: Any = 0
    ) -> Inexact[Array, "length size"]:
        """Add to each row of `x`; the result has its shape and dtype. `key` is ignored.

        `offset`, an integer of shape (), is the position of the first row. **Raises** `ValueError`
        for an `x` of another shape.
        """
        _check("SinusoidalPositions", x, self.size)
        places = (jnp.asarray(offset) + jnp.arange(x.shape[0])).astype(float)[:, None]
        element = jnp.arange(self.size)
        angles = places / self.base ** ((element - element % 2) / self.size)
        waves = jnp.where(element % 2 == 0, jnp.sin(angles), jnp.cos(angles))
        return x + waves.astype(x.dtype)


class LearnedPositions(Module):
    """Add a vector for each position, which is learned: Gehring et al. (2017), section 3.1.

    `weight` begins with numbers from a normal distribution of standard deviation 0.02.
    """

    weight: Inexact[Array, "length size"]

    def __init__(
        self,
        length: int,
        size: int,
        dtype: DTypeLike | None = None,
        *,
        weight_init: Initializer | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Draw the first vectors.

        **Arguments:**

        - `length`: how many positions there are.
        - `size`: of a vector.
        - `dtype`: of the vectors; float32 unless given (float64 in JAX's 64-bit mode).
        - `weight_init`: a function `(key, shape, dtype) -> array` to draw them by, any of
            `jax.nn.initializers`; its shape is `(length, size)`.
        - `key`: a PRNG key.

        **Raises:** `TypeError` for a size that is no integer, `ValueError` for a negative one.
        """
        shape = (
            checked_size("LearnedPositions", "length", length),
            checked_size("LearnedPositions", "size", size),
        )
        kind, told = float if dtype is None else dtype, "`weight_init` of `LearnedPositions`"

        def draw(key: Any) -> Array:
            if weight_init is None:
                return 0.02 * jax.random.normal(key, shape, kind)
            return drawn_by(told, weight_init, key, shape, dtype)

        self.weight = with_key("LearnedPositions", key, draw)

    @jax.named_scope("eqx.nn.LearnedPositions")
    def __call__(
        self, x: Shaped[Array, "length size"], *, key: Any = None, offset: Any = 0
    ) -> Inexact[Array, "length size"]:
        """Add to each row of `x`; the result has its shape. `key` is ignored.

        `offset`, an integer of shape (), is the position of the first row. **Raises** `ValueError`
        for an `x` of another shape, or of more rows than there are positions; at run time, from
        `error_if`, if an `offset` goes beyond them.
        """
        _check("LearnedPositions", x, self.weight.shape[1])
        count, length = x.shape[0], self.weight.shape[0]
        if count > length:
            message = (
                f"`LearnedPositions` has {length} positions, and was given {count} rows. Make it "
                "with a larger `length`."
            )
            raise ValueError(message)
        if isinstance(offset, int) and 0 <= offset <= length - count:
            return x + self.weight[offset : offset + count]
        from eqx_filter import error_if

        told = (
            f"`LearnedPositions` has {length} positions: {count} rows from this `offset` on go "
            "beyond them. Make it with a larger `length`."
        )
        start = jnp.asarray(offset)
        start = error_if(start, (start < 0) | (start > length - count), told)
        return x + jax.lax.dynamic_slice_in_dim(self.weight, start, count)


def alibi_bias(num_heads: int, length: int, dtype: Any = jnp.float32) -> Inexact[Array, "h 1 l"]:
    """Give a `bias` for causal attention that grows less with distance: ALiBi.

    Head `h` adds `-slope_h * distance` to the scores, where the slopes fall geometrically: Press,
    Smith & Lewis (2022, "Train Short, Test Long"), section 3. As a number that is added to all
    scores of a query changes nothing, it is given as `slope_h * key` alone, and needs no table of
    all pairs.

    **Arguments:**

    - `num_heads`: number of heads; where it is no power of 2, slopes are taken as by the authors.
    - `length`: number of keys.
    - `dtype`: of the result.

    **Returns:** an array of shape `(num_heads, 1, length)`.

    **Raises:** `TypeError` for a size that is no integer, `ValueError` for a negative one.
    """
    heads = checked_size("alibi_bias", "num_heads", num_heads)
    count = checked_size("alibi_bias", "length", length)
    slopes = jnp.asarray(_slopes(heads), dtype)
    return slopes[:, None, None] * jnp.arange(1 - count, 1, dtype=dtype)


def _slopes(heads: int) -> list[float]:
    lower = 2 ** int(math.log2(heads)) if heads else 0
    slopes = [2 ** (-8 * (i + 1) / lower) for i in range(lower)]
    between = [2 ** (-4 * (i + 1) / lower) for i in range(2 * lower)][::2]
    return slopes + between[: heads - lower]


def _check(layer: str, x: Any, size: int) -> None:
    shape = getattr(x, "shape", None)
    if shape is None or len(shape) != 2 or shape[1] != size:
        length = "length" if shape is None or len(shape) != 2 else shape[0]
        raise ValueError(describe(layer, "x", x, (length, size)))
