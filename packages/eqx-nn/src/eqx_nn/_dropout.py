"""`Dropout`: noise on the way forward, none at inference."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, ArrayLike, Bool, Float, Inexact, Shaped

from eqx_pytree import Module

from ._flag import known
from ._random import Key, with_key
from ._shapes import shape_of

Probability = float | int | Float[Array, "..."]
Flag = Bool[ArrayLike, ""]


class Dropout(Module):
    """Set each element to zero with probability `p`, and divide the others by `1 - p`.

    From Srivastava et al. (2014, "Dropout: A Simple Way to Prevent Neural Networks from
    Overfitting"), with the scaling done here instead of at inference, as in their section 10.

    `p` and `inference` are leaves: `tree_at` and `inference_mode` change them. The flag
    has a second name, `deterministic`, wherever it is given or read.
    """

    p: Probability
    inference: Flag

    def __init__(
        self, p: Probability = 0.5, inference: Flag = False, *, deterministic: Flag | None = None
    ) -> None:
        """Set the probability and the flag.

        **Arguments:**

        - `p`: the probability of zero, between 0 and 1.
        - `inference`: whether to do nothing when called.
        - `deterministic`: another name for `inference`; wins where both are given.

        **Raises:** `ValueError` for a number outside 0 to 1.
        """
        if isinstance(p, (int, float)) and not 0 <= p <= 1:
            message = f"`Dropout` needs a probability, `0 <= p <= 1`; got `p={p!r}`."
            raise ValueError(message)
        self.p = p
        self.inference = inference if deterministic is None else deterministic

    @property
    def deterministic(self) -> Flag:
        """The field `inference`: `tree_at(lambda d: d.deterministic, dropout, True)` sets it."""
        return self.inference

    @jax.named_scope("eqx.nn.Dropout")
    def __call__(
        self,
        x: Shaped[ArrayLike, "*shape"],
        *,
        key: Key | None = None,
        inference: Flag | None = None,
        deterministic: Flag | None = None,
    ) -> Inexact[Array, "*shape"] | Shaped[ArrayLike, "*shape"]:
        """Drop elements of `x`, an array of any shape and dtype.

        The result has the shape of `x` and its dtype; integers become floats. At inference, and
        if `p` is 0, it is `x` itself. `inference`, or `deterministic`, which wins, takes the place
        of the flag of the layer.

        **Raises:** `RuntimeError` if a `key` is needed and not given; `AttributeError` if it is
        needed and `x` is no array; `jax.errors.TracerBoolConversionError` if the flag is traced.
        """
        if deterministic is not None:
            inference = deterministic
        elif inference is None:
            inference = self.inference
        if known("Dropout", inference) or (isinstance(self.p, (int, float)) and self.p == 0):
            return x
        if key is None:
            message = (
                "Dropout requires a key when running in non-deterministic mode. Pass "
                "`key=jax.random.key(...)`; or, to drop nothing, pass `inference=True` or make "
                "the model with `inference_mode(model)`."
            )
            raise RuntimeError(message)
        shape = shape_of(x)
        if shape is None:
            kind = type(x).__name__
            message = f"`Dropout` expects an array `x`; a `{kind}` has no attribute 'shape'."
            raise AttributeError(message)
        keep = _keep(self.p)
        mask = with_key("Dropout", key, lambda key: jax.random.bernoulli(key, keep, shape))
        return jnp.where(mask, x / _nonzero(keep), 0)


def _keep(p: Any) -> Any:
    """`1 - p`, without a gradient; for a Python number a `float`, rounded as JAX rounds it."""
    if type(p) in (int, float, bool):
        kind = jnp.result_type(float).type
        return float(kind(1) - kind(p))
    return 1 - lax.stop_gradient(p)


def _nonzero(keep: Any) -> Any:
    """Let what is always dropped be divided by one, so that its gradient is zero and not NaN."""
    if isinstance(keep, (jax.Array, np.ndarray)):
        return jnp.where(keep == 0, 1, keep)
    return keep or 1.0
