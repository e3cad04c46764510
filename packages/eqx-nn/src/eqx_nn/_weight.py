"""`Weight`: what stands for the array that is a layer's weight. Knows no layer.

A layer that finds one in the place of its `weight` calls it by what it does with an array: a
product, a row, a convolution. So the layer is of the same class, and a node is where a leaf was.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from eqx_pytree import Module

Convolve = Callable[[Any, Any], Array]
"""From a batch and a kernel to a batch, linear in each."""


class Weight(Module):
    """What computes with a weight that is not kept as an array. Beyond that it is one for JAX.

    A function of `jax.numpy` that is given one makes the array, by `dense`, and so do arithmetic
    and the methods of arrays that it has; `weight[rows]` of a matrix makes these rows alone.
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
    def size(self) -> int:
        """How many elements the array has."""
        return math.prod(self.shape)

    @property
    def T(self) -> Array:  # noqa: N802 - the name that arrays have for it
        """The array, transposed."""
        return self.dense().T

    def dense(self) -> Array:
        """The array."""
        raise NotImplementedError

    def __jax_array__(self) -> Array:
        return self.dense()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.dense(), dtype)

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[Array]:
        return iter(self.dense())

    def __getitem__(self, index: Any) -> Array:
        """The array, indexed; of a matrix, what integers select is made of these rows alone."""
        kind = getattr(index, "dtype", type(index))
        is_rows = isinstance(index, (int, np.integer, np.ndarray, jax.Array))
        if not (is_rows and self.ndim == 2 and jnp.issubdtype(kind, jnp.integer)):
            return self.dense()[index]
        rows = jax.vmap(self.row)(jnp.ravel(index))
        return jnp.reshape(rows, (*np.shape(index), self.shape[1]))

    def __add__(self, other: Any) -> Array:
        return self.dense() + other

    def __radd__(self, other: Any) -> Array:
        return other + self.dense()

    def __sub__(self, other: Any) -> Array:
        return self.dense() - other

    def __rsub__(self, other: Any) -> Array:
        return other - self.dense()

    def __mul__(self, other: Any) -> Array:
        return self.dense() * other

    def __rmul__(self, other: Any) -> Array:
        return other * self.dense()

    def __truediv__(self, other: Any) -> Array:
        return self.dense() / other

    def __rtruediv__(self, other: Any) -> Array:
        return other / self.dense()

    def __pow__(self, other: Any) -> Array:
        return self.dense() ** other

    def __neg__(self) -> Array:
        return -self.dense()

    def __abs__(self) -> Array:
        return abs(self.dense())

    def astype(self, dtype: Any) -> Array:
        """The array in another dtype."""
        return self.dense().astype(dtype)

    def reshape(self, *shape: Any) -> Array:
        """The array in another shape."""
        return self.dense().reshape(*shape)

    def sum(self, *args: Any, **kwargs: Any) -> Array:
        """As `jax.numpy.sum` of the array."""
        return jnp.sum(self.dense(), *args, **kwargs)

    def mean(self, *args: Any, **kwargs: Any) -> Array:
        """As `jax.numpy.mean` of the array."""
        return jnp.mean(self.dense(), *args, **kwargs)

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
