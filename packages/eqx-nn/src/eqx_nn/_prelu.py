"""`PReLU`: a rectifier whose slope is learnt."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Inexact, Shaped

from eqx_pytree import Module

from ._shapes import shape_of


class PReLU(Module):
    """The parametric rectifier: `x` where `x >= 0`, and `negative_slope * x` elsewhere.

    This is equation (1) of He et al. (2015, "Delving Deep into Rectifiers: Surpassing Human-Level
    Performance on ImageNet Classification"). `negative_slope` is an array, and so it is trained.
    """

    negative_slope: Shaped[Array, "*slopes"]

    def __init__(self, init_alpha: Shaped[ArrayLike, "*slopes"] | None = 0.25) -> None:
        """Set the first slope.

        `init_alpha` is a number, for one slope, or an array of slopes that broadcasts against the
        input, for instance of shape `(channels, 1, 1)`. A Python number does not widen the dtype
        of the input; an array takes part in promotion.

        **Raises:** `ValueError` for `None` and `TypeError` for what is no array.
        """
        if init_alpha is None:
            message = "`PReLU` needs a number or an array as `init_alpha`, got `None`."
            raise ValueError(message)
        self.negative_slope = jnp.asarray(init_alpha)

    @jax.named_scope("eqx.nn.PReLU")
    def __call__(self, x: Shaped[ArrayLike, "*shape"]) -> Inexact[Array, "*out"]:
        """Apply the rectifier to each element of `x`, of any shape.

        The result has the shape and dtype to which `x` and `negative_slope` broadcast and promote,
        in JAX's mode of strict promotion too.

        **Raises:** `TypeError` for what is no array, `ValueError` for shapes that do not broadcast.
        """
        shape = shape_of(x)
        if shape is None:
            message = (
                f"`PReLU` expects an array or a number `x`, got a `{type(x).__name__}`. Use "
                "`jax.numpy.asarray(x)`."
            )
            raise TypeError(message)
        try:
            return _rectify(x, self.negative_slope)
        except (TypeError, ValueError):
            slopes = jnp.shape(self.negative_slope)
            if _broadcasts(shape, slopes):
                raise
            message = (
                "`PReLU` needs an `x` that broadcasts against its slopes: it has slopes of shape "
                f"{slopes}, and `x` of shape {shape} is given."
            )
            raise ValueError(message) from None


@jax.jit
def _rectify(x: Array, slope: Array) -> Array:
    rank = max(x.ndim, slope.ndim)
    x, slope = (jnp.reshape(a, (1,) * (rank - a.ndim) + a.shape) for a in (x, slope))
    with jax.numpy_dtype_promotion("standard"):
        return jnp.where(x >= 0, x, slope * x)


def _broadcasts(*shapes: tuple[int, ...]) -> bool:
    try:
        jnp.broadcast_shapes(*shapes)
    except ValueError:
        return False
    return True
