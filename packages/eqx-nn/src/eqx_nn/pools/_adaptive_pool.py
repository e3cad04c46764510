"""Adaptive pools: as many windows as the result is to have elements."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, ArrayLike, Shaped

from eqx_pytree import Module, field

from .._init import checked_size
from .._spatial import DataFormat, checked_format, is_last, per_axis, spatial, wrong_rank

BY_AXIS: tuple[Any, ...] = (jnp.mean, jnp.max, jnp.min, jnp.sum)


class AdaptivePool(Module):
    """Reduce windows whose size is chosen so that the result has the shape `target_shape`.

    The windows along an axis lie side by side and cover it. Where its size is no multiple of the
    target the first windows are longer, by one element. The axes are reduced one after another,
    the first one first.
    """

    target_shape: tuple[int, ...] = field(static=True)
    operation: Callable[[Array], Array]
    data_format: DataFormat = field(static=True, default="channels_first", init=False, repr=False)

    def __init__(
        self,
        target_shape: int | Sequence[int],
        num_spatial_dims: int,
        operation: Callable[[Array], Array],
        *,
        data_format: DataFormat = "channels_first",
    ) -> None:
        """Say how to pool.

        **Arguments:**

        - `target_shape`: the sizes of the result's spatial axes; one integer, or one for each.
        - `num_spatial_dims`: how many axes follow that of channels.
        - `operation`: a function from a vector of any size to a scalar, as `jax.numpy.mean`. It is
            called under `jax.vmap`.
        - `data_format`: `"channels_first"`, or `"channels_last"` for input and result of shape
            `(dim_1, ..., dim_N, channels)`.

        **Raises:** `ValueError` for a `target_shape` of another form, for a size below 1 and for
        another `data_format`, `TypeError` for elements and for a `num_spatial_dims` that are no
        integers.
        """
        name = type(self).__name__
        axes = checked_size(name, "num_spatial_dims", num_spatial_dims)
        self.target_shape = per_axis(name, "target_shape", target_shape, axes, refusal=ValueError)
        self.operation = operation
        self.data_format = checked_format(name, data_format)

    @jax.named_scope("eqx.nn.AdaptivePool")
    def __call__(self, x: Shaped[ArrayLike, ...], *, key: Any = None) -> Shaped[Array, ...]:
        """Pool one example.

        `x` has shape `(channels, dim_1, ..., dim_N)`, each size at least that of the target; the
        result has shape `(channels, *target_shape)` and the dtype that `operation` gives. With
        `data_format="channels_last"` the channels are the last axis of both. `key` is ignored.

        **Raises:** `ValueError` for an input of another rank, `AttributeError` for one that is no
        array, `ZeroDivisionError` for an axis that is shorter than its target, and `TypeError` for
        an `operation` that does not give a scalar.
        """
        return self._pooled(x)

    def _pooled(self, x: Any) -> Array:
        target, operation, last = self.target_shape, self.operation, is_last(self)
        if getattr(x, "ndim", None) != len(target) + 1:
            name, axes = type(self).__name__, len(target)
            raise wrong_rank(name, x, "channels", axes, ValueError, last=last)
        sizes = spatial(x.shape, last=last)
        if any(size < wanted for size, wanted in zip(sizes, target, strict=True)):
            raise ZeroDivisionError(_too_small(type(self).__name__, x.shape, target))
        by_axis = any(operation is known for known in BY_AXIS)
        if by_axis and not any(size % wanted for size, wanted in zip(sizes, target, strict=True)):
            return _evenly(x, target, operation, last)
        for axis, wanted in enumerate(target, start=0 if last else 1):
            x = _along(x, axis, wanted, operation if by_axis else _vectors(self))
        return x


def _evenly(x: Any, target: tuple[int, ...], operation: Callable[..., Array], last: bool) -> Array:
    """Reduce all axes at once, whose windows are all equally long."""
    shape: list[int] = [] if last else [x.shape[0]]
    for size, wanted in zip(spatial(x.shape, last=last), target, strict=True):
        shape += [wanted, size // wanted]
    windows = tuple(range(1 if last else 2, len(shape), 2))
    shape += [x.shape[-1]] if last else []
    return operation(jnp.reshape(x, shape), axis=windows)


def _along(x: Any, axis: int, wanted: int, operation: Callable[..., Array]) -> Array:
    """Reduce one axis: the longer windows, then the others."""
    short, longer = divmod(x.shape[axis], wanted)
    if not longer:
        return _windows(x, axis, wanted, operation)
    cut = longer * (short + 1)
    first, rest = lax.split(jnp.asarray(x), (cut, x.shape[axis] - cut), axis)
    parts = [
        _windows(first, axis, longer, operation),
        _windows(rest, axis, wanted - longer, operation),
    ]
    return lax.concatenate(parts, axis)


def _windows(x: Any, axis: int, count: int, operation: Callable[..., Array]) -> Array:
    """Reduce `count` windows of equal size along one axis."""
    shape = (*x.shape[:axis], count, x.shape[axis] // count, *x.shape[axis + 1 :])
    return operation(jnp.reshape(x, shape), axis=axis + 1)


def _vectors(pool: AdaptivePool) -> Callable[..., Array]:
    """The operation on vectors as one that takes an axis."""

    def reduced(windows: Array, axis: int) -> Array:
        windows = jnp.moveaxis(windows, axis, -1)
        result = jax.vmap(pool.operation)(jnp.reshape(windows, (-1, windows.shape[-1])))
        if getattr(result, "ndim", None) != 1:
            shape = [jnp.shape(leaf)[1:] for leaf in jax.tree.leaves(result)]
            message = (
                f"`{type(pool).__name__}` needs an `operation` from a vector to a scalar; it gave "
                f"{len(shape)} arrays of shapes {shape}."
            )
            raise TypeError(message)
        return jnp.reshape(result, windows.shape[:-1])

    return reduced


def _too_small(name: str, shape: tuple[int, ...], target: tuple[int, ...]) -> str:
    return (
        f"`{name}` has the `target_shape` {target} and needs at least as many elements along each "
        f"spatial axis, got `x` of shape {shape}. Use `jax.image.resize` to enlarge it."
    )


class AdaptiveAvgPool1d(AdaptivePool):
    """The mean of each window along one axis, for a result of `target_shape`."""

    def __init__(
        self,
        target_shape: int | Sequence[int],
        *,
        data_format: DataFormat = "channels_first",
    ) -> None:
        """Say the `target_shape`, and raise, as `AdaptivePool` does."""
        super().__init__(target_shape, 1, jnp.mean, data_format=data_format)


class AdaptiveAvgPool2d(AdaptivePool):
    """The mean of each window along two axes, for a result of `target_shape`."""

    def __init__(
        self,
        target_shape: int | Sequence[int],
        *,
        data_format: DataFormat = "channels_first",
    ) -> None:
        """Say the `target_shape`, and raise, as `AdaptivePool` does."""
        super().__init__(target_shape, 2, jnp.mean, data_format=data_format)


class AdaptiveAvgPool3d(AdaptivePool):
    """The mean of each window along three axes, for a result of `target_shape`."""

    def __init__(
        self,
        target_shape: int | Sequence[int],
        *,
        data_format: DataFormat = "channels_first",
    ) -> None:
        """Say the `target_shape`, and raise, as `AdaptivePool` does."""
        super().__init__(target_shape, 3, jnp.mean, data_format=data_format)


class AdaptiveMaxPool1d(AdaptivePool):
    """The largest element of each window along one axis, for a result of `target_shape`."""

    def __init__(
        self,
        target_shape: int | Sequence[int],
        *,
        data_format: DataFormat = "channels_first",
    ) -> None:
        """Say the `target_shape`, and raise, as `AdaptivePool` does."""
        super().__init__(target_shape, 1, jnp.max, data_format=data_format)


class AdaptiveMaxPool2d(AdaptivePool):
    """The largest element of each window along two axes, for a result of `target_shape`."""

    def __init__(
        self,
        target_shape: int | Sequence[int],
        *,
        data_format: DataFormat = "channels_first",
    ) -> None:
        """Say the `target_shape`, and raise, as `AdaptivePool` does."""
        super().__init__(target_shape, 2, jnp.max, data_format=data_format)


class AdaptiveMaxPool3d(AdaptivePool):
    """The largest element of each window along three axes, for a result of `target_shape`."""

    def __init__(
        self,
        target_shape: int | Sequence[int],
        *,
        data_format: DataFormat = "channels_first",
    ) -> None:
        """Say the `target_shape`, and raise, as `AdaptivePool` does."""
        super().__init__(target_shape, 3, jnp.max, data_format=data_format)
