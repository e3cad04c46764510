"""`quantise` and `dequantise`: weights of few bits, with a scale for each output."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, Float, Int

from eqx_filter import tree_at

from .._init import at_least_float32
from .._weight import Convolve, Weight, along
from ._lora import Adapted
from ._places import Place, each_weight, replaced, selected

Tree = TypeVar("Tree")

DTYPES = {8: jnp.int8, 4: jnp.int4}
"""By the number of bits."""


class Quantised(Weight):
    """A weight `scale * values`, with `values` integers of few bits and a scale for each output.

    It stands in the place of the array that is the weight of a layer, of shape
    `(out, in, *kernel)`, which computes with the integers and multiplies what comes out:
    `weight @ x` is `scale * (values @ x)`. No part of it is a parameter for `trainable`.

    `values` has the shape of the weight, `scale` that of its rows and the dtype of what it was,
    and `error` is `|W - scale * values| / |W|`, in the norm of Frobenius. Of several layers that
    are kept as one, all have the axes of these in front.
    """

    __trainable__: ClassVar[bool] = False

    values: Int[Array, "*layers out in//groups *kernel"]
    scale: Float[Array, "*layers out"]
    error: Float[Array, "*layers"]

    @property
    def shape(self) -> tuple[int, ...]:
        """That of `values`."""
        return self.values.shape

    @property
    def dtype(self) -> Any:
        """That of `scale`."""
        return self.scale.dtype

    def dense(self) -> Array:
        """The array `scale * values`."""
        scale = jnp.reshape(self.scale, self.scale.shape + (1,) * (self.ndim - self.scale.ndim))
        return self.values.astype(self.dtype) * scale

    def __matmul__(self, x: Any) -> Array:
        """The product `scale * (values @ x)`, for `x` of shape `(in,)` or `(in, columns)`."""
        return self._scaled(operator.matmul, x, 0)

    def row(self, index: Any) -> Array:
        """Row `index` of the integers, times its scale."""
        values, scale = (
            lax.dynamic_index_in_dim(it, index, keepdims=False) for it in (self.values, self.scale)
        )
        return values.astype(self.dtype) * scale

    def convolved(self, convolve: Convolve, x: Any, axis: int) -> Array:
        """The convolution with the integers, each channel of it times its scale."""
        return self._scaled(lambda kernel, x: convolve(x, kernel), x, axis)

    def _scaled(self, product: Callable[[Any, Any], Array], x: Any, axis: int) -> Array:
        """A product with the integers, scaled along an axis of what comes out.

        Of float16, which has not the range for such products, it is taken in float32.
        """
        is_half = self.dtype == getattr(x, "dtype", None) == jnp.float16
        kind = jnp.dtype(jnp.float32) if is_half else self.dtype
        y = product(self.values.astype(kind), x.astype(kind) if is_half else x)
        y = y * along(self.scale.astype(kind), axis, y.ndim)
        return y.astype(self.dtype) if is_half else y

    @property
    def __summary_type__(self) -> str:
        """What `summary` calls it: with the dtype, and the largest error of a layer if known."""
        told = f"{type(self).__name__}, {self.values.dtype}"
        if not isinstance(self.error, (jax.Array, np.ndarray)) or isinstance(self.error, Tracer):
            return told
        return f"{told}, error {float(np.max(self.error)):.2%}"


def quantise(model: Tree, where: Any, bits: int = 8) -> Tree:
    """Round weights of a model to integers of few bits, with a scale for each output.

        model = quantise(model, "**.weight")
        print(summary(model))                    # bytes, and the error of each weight

    In place of each weight `W` of shape `(out, in, *kernel)` stands a `Quantised`. Its scale for
    output `o` is `max |W[o]| / (2**(bits - 1) - 1)`, and its values are `W / scale`, rounded to the
    nearest: symmetric quantisation by channel, of weights alone, as in Krishnamoorthi (2018,
    "Quantizing deep convolutional networks for efficient inference", arXiv:1806.08342), section
    3.1; see also Jacob et al. (2018, arXiv:1712.05877). So no entry is off by more than half its
    scale. An output of zeros stays zero, and each layer of a `Stacked` has scales of its own.

    **Arguments:**

    - `model`: any PyTree.
    - `where`: a selector, or anything that `by` takes, of weights of `Linear`, convolutions,
        transposed ones and `Embedding`, or of nodes above: all such weights there. Weights of
        recurrent layers (`RNN`, `LSTM`, `GRU`, their cells, `LRU`) are never among them. Of a
        weight with an update by `lora`, what that is added to.
    - `bits`: 8, or 4 for `jax.numpy.int4`, of which programs keep two in a byte, and NumPy and
        files one.

    **Returns:** the model, with a quarter or an eighth of the bytes for weights of float32. What it
    computes has the dtypes that it had. `save` and `load` know it as any other.

    **Raises:** `ValueError` with the nearest paths if `where` selects no weight, for another number
    of bits, and naming a weight that is not finite; `TypeError` naming a leaf that is selected and
    is no such weight, is complex, or is quantised already.
    """
    if bits not in DTYPES or isinstance(bits, bool):
        message = f"`quantise` rounds to `bits` of 8 or 4, as `int8` or `int4`; got {bits!r}."
        raise ValueError(message)
    places = selected("quantise", model, where)
    return replaced(model, {place.keys: _rounded(place, bits) for place in places})


def dequantise(model: Tree) -> Tree:
    """Make arrays of the weights that `quantise` rounded.

    The structure and the names of leaves are those before `quantise`, the values those that the
    model computes with. What `lora` added stays added.

    **Arguments:** `model`: any PyTree; one that is not quantised is returned as it is.
    """
    return each_weight(model, Quantised, lambda weight: weight.dense())


def _rounded(place: Place, bits: int) -> Weight:
    weight = place.weight
    if isinstance(weight, Adapted):
        base = _rounded(place._replace(weight=weight.base), bits)
        return tree_at(lambda it: it.base, weight, base)
    problem = _problem(weight)
    if problem is not None:
        kind, told = problem
        message = f"`quantise` cannot round `{place.path}`, {told}"
        raise kind(message)
    weight = jnp.asarray(weight)
    return Quantised(*_quantised(weight, weight.ndim - place.axes, bits))


def _problem(weight: Any) -> tuple[type[Exception], str] | None:
    if isinstance(weight, Quantised):
        return TypeError, "which is `Quantised` already. Narrow `where`, or `dequantise` first."
    if jnp.iscomplexobj(weight):
        return TypeError, f"of dtype `{weight.dtype}`: only real weights are. Narrow `where`."
    if isinstance(weight, Tracer) or bool(jnp.all(jnp.isfinite(weight))):
        return None
    return ValueError, "which has NaNs or infinities. Repair it, or narrow `where`."


def _quantised(weight: Array, front: int, bits: int) -> tuple[Array, Array, Array]:
    """The integers, the scales, and the error of each layer."""
    kind, most = at_least_float32(weight.dtype), 2 ** (bits - 1) - 1
    exact = weight.astype(kind)
    rows = tuple(range(front + 1, weight.ndim))
    largest = jnp.max(jnp.abs(exact), axis=rows, keepdims=True, initial=0)
    scale, least = _scales(largest, most, weight.dtype)
    rounded = jnp.round(exact / scale.astype(kind))
    layer = tuple(range(front, weight.ndim))
    whole = jnp.max(largest, axis=layer, keepdims=True, initial=0)
    whole = jnp.where(whole == 0, 1, whole)  # to divide by, so that squares are finite
    lost = (exact - rounded * scale.astype(kind)) / whole
    error = _norm(lost, layer) / jnp.maximum(_norm(exact / whole, layer), least)
    return rounded.astype(DTYPES[bits]), jnp.squeeze(scale, rows), error


def _scales(largest: Array, most: int, dtype: Any) -> tuple[Array, Any]:
    """The scales in a dtype, and the least that there is: they are never 0, for rows of zeros."""
    is_half = dtype == jnp.float16  # whose weights come close to both ends of its range
    least = jnp.finfo(dtype).smallest_subnormal if is_half else jnp.finfo(dtype).tiny
    scale = jnp.maximum((largest / most).astype(dtype), least)
    below = scale * jnp.asarray(1 - jnp.finfo(dtype).eps, dtype)
    return jnp.where(jnp.isfinite(scale * most), scale, below), least


def _norm(array: Array, axes: tuple[int, ...]) -> Array:
    return jnp.sqrt(jnp.sum(array**2, axis=axes))
