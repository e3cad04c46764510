"""Layers that are affine maps: `Linear`, and `Identity`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypeVar

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, ArrayLike, Inexact, PRNGKeyArray, Shaped

from eqx_pytree import Module, field

from ._init import checked_size, refuse_two_biases
from ._initial import Initializer, Layout, first_bias, first_weight
from ._random import split_key
from ._shapes import columns, describe, shape_of, wrong_shape

T = TypeVar("T")


class Linear(Module):
    """The affine map `y = W x + b` of one vector.

    `weight` has shape `(out_features, in_features)` and `bias` has shape `(out_features,)`, or is
    `None`. Both are drawn from U(-1/sqrt(in_features), 1/sqrt(in_features)).
    """

    weight: Inexact[Array, "out_features in_features"]
    bias: Inexact[Array, " out_features"] | None
    in_features: int | Literal["scalar"] = field(static=True)
    out_features: int | Literal["scalar"] = field(static=True)
    use_bias: bool = field(static=True)

    __weight_layouts__: ClassVar[Mapping[str, Layout]] = {
        "weight": Layout(2, 1),
        "bias": Layout(1, 0),
    }

    @refuse_two_biases
    def __init__(
        self,
        in_features: int | Literal["scalar"],
        out_features: int | Literal["scalar"],
        use_bias: bool = True,
        dtype: DTypeLike | None = None,
        *,
        bias: bool | None = None,
        weight_init: Initializer | None = None,
        bias_init: Initializer | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Draw the first weights.

        **Arguments:**

        - `in_features`, `out_features`: sizes of input and output. `"scalar"` stands for a value
            of shape `()`, and for a size of 1 in `weight` and `bias`.
        - `use_bias`: whether to add a bias; may also be spelled `bias`.
        - `dtype`: of weight and bias; float32 unless given (float64 in JAX's 64-bit mode). May be
            complex.
        - `weight_init`, `bias_init`: functions `(key, shape, dtype) -> array` to draw weight and
            bias by, any of `jax.nn.initializers`. The weight's gets the shape that these expect,
            `(in_features, out_features)`.
        - `key`: a PRNG key for the first weights.

        **Raises:** `TypeError` for a size that is no integer, `ValueError` for a negative one, for
        a `dtype` that is neither floating nor complex, and if `use_bias` and `bias` differ.
        """
        self.in_features = checked_size("Linear", "in_features", in_features, scalar=True)
        self.out_features = checked_size("Linear", "out_features", out_features, scalar=True)
        self.use_bias = use_bias if bias is None else bias
        fan_in = 1 if self.in_features == "scalar" else self.in_features
        fan_out = 1 if self.out_features == "scalar" else self.out_features
        limit = 1 / math.sqrt(fan_in) if fan_in else 1.0
        weight_key, bias_key = split_key("Linear", key)
        shape = (fan_out, fan_in)
        self.weight = first_weight("Linear", weight_init, weight_key, shape, dtype, limit)
        self.bias = None
        if self.use_bias:
            self.bias = first_bias("Linear", bias_init, bias_key, (fan_out,), dtype, limit)

    @jax.named_scope("eqx.nn.Linear")
    def __call__(
        self, x: Shaped[ArrayLike, " in_features"] | Shaped[ArrayLike, ""], *, key: Any = None
    ) -> Inexact[Array, " out_features"] | Inexact[Array, ""]:
        """Map one vector.

        `x` has shape `(in_features,)`, or `()` if `in_features` is `"scalar"`; the result has
        shape `(out_features,)`, or `()` if `out_features` is `"scalar"`, and the dtype that
        `weight @ x + bias` promotes to. `key` is ignored. Without a bias, `x` may also be a
        matrix of columns, as in `weight @ x`.

        **Raises:** `TypeError` or `ValueError` for an input of another shape.
        """
        if self.in_features == "scalar":
            if shape_of(x) != ():
                message = f"x must have scalar shape: {describe('Linear', 'x', x, ())}"
                raise ValueError(message)
            x = jnp.reshape(x, (1,))
        try:
            y = self.weight @ x  # (out_features,)
        except (TypeError, ValueError) as error:
            raise wrong_shape("Linear", error, {"x": (x, columns(self.weight))}) from None
        if self.bias is not None:
            if y.ndim > 1 and jnp.shape(self.bias) not in (y.shape, (1,), ()):
                raise ValueError(describe("Linear", "x", x, columns(self.weight)))
            y = y + self.bias
        if self.out_features == "scalar":
            if y.shape != (1,):
                raise ValueError(describe("Linear", "x", x, columns(self.weight)))
            y = jnp.reshape(y, ())
        return y


class Identity(Module):
    """The identity map. Takes and ignores any arguments, so that it can stand for any layer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Ignore every argument."""

    def __call__(self, x: T, *, key: Any = None) -> T:
        """Return `x`, of any type, as it is. `key` is ignored."""
        return x
