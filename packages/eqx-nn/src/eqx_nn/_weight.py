"""`Weight`: what stands for the array that is a layer's weight. Knows no layer.

A layer that finds one in the place of its `weight` calls it by what it does with an array: a
product, a row, a convolution. So the layer is of the same class, and a node is where a leaf was.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from eqx_pytree import Module

Convolve = Callable[[Any, Any], Array]
"""From a batch and a kernel to a batch, linear in each."""


class Weight(Module):
    """What computes with a weight that is not kept as an array. Beyond that it is one for JAX.

    A function of `jax.numpy` that is given one makes the array, by `dense`.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array."""
        raise NotImplementedError

    @property
    def dtype(self) -> Any:
        """The dtype of the array, and of what is computed with arrays of this dtype."""
        raise NotImplementedError

    @property
    def ndim(self) -> int:
        """How many axes the array has."""
        return len(self.shape)

    @property
    def T(self) -> Array:  # noqa: N802 - the name that arrays have for it
        """The array, transposed."""
        return self.dense().T

    def dense(self) -> Array:
        """The array."""
        raise NotImplementedError

    def __jax_array__(self) -> Array:
        return self.dense()

    def __matmul__(self, x: Any) -> Array:
        """What `weight @ x` is, for a matrix."""
        raise NotImplementedError

    def row(self, index: Any) -> Array:
        """One row of a matrix; beyond either end the nearest, and from the end if negative."""
        raise NotImplementedError

    def convolved(self, convolve: Convolve, x: Any, axis: int) -> Array:
        """What `convolve(x, weight)` is, whose channels are at `axis`."""
        raise NotImplementedError


def along(vector: Any, axis: int, ndim: int) -> Array:
    """A vector along one axis of so many."""
    return jnp.reshape(vector, [-1 if i == axis % ndim else 1 for i in range(ndim)])
