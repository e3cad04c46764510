"""A layer with its inputs, and what several checks ask of it."""

from collections.abc import Callable
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

import eqx_filter as eqx

_BATCH = 3


class Case:
    """A layer, how it is called, and inputs: one example, and a batch of examples near it."""

    def __init__(
        self,
        layer: Any,
        inputs: tuple[Any, ...],
        key: Any,
        call: Callable[..., Any] | None,
        rtol: float,
    ) -> None:
        settings = {} if key is None else {"key": key}
        plain = lambda layer, *inputs: layer(*inputs, **settings)  # noqa: E731
        self.call = plain if call is None else partial(call, **settings)
        self.compiled = eqx.filter_jit(self.call)
        self.layer = layer
        self.inputs = inputs
        self.rtol = rtol

    def __call__(self, *inputs: Any) -> Any:
        """Call the layer; without inputs, with those of the one example."""
        return self.call(self.layer, *(inputs or self.inputs))

    @cached_property
    def expected(self) -> Any:
        """Give what the layer gives for the one example."""
        return self()

    def batch(self, times: int = 1) -> list[jax.Array]:
        """Give the arrays of the inputs, each with examples along a new first axis, so many times.

        They differ from example to example.
        """
        return [_stacked(times * of_all) for of_all in zip(*self._examples, strict=True)]

    @cached_property
    def _examples(self) -> list[list[jax.Array]]:
        arrays, _ = self._arrays_and_rest
        return [[_another(it, i) for it in arrays] for i in range(_BATCH)]

    @cached_property
    def _arrays_and_rest(self) -> tuple[list[Any], Callable[[Any], Any]]:
        arrays, rest = eqx.partition(self.inputs, eqx.is_array)
        leaves, structure = jax.tree.flatten(arrays)
        return leaves, lambda leaves: eqx.combine(structure.unflatten(leaves), rest)

    def whole(self, arrays: Any) -> tuple[Any, ...]:
        """Give the inputs that have these arrays."""
        return self._arrays_and_rest[1](arrays)

    def mapped(self, batch: list[jax.Array]) -> Any:
        """Call the layer for a batch, by `jax.vmap`."""
        return jax.vmap(lambda arrays: self(*self.whole(arrays)))(batch)

    def for_each(self, times: int = 1) -> Any:
        """Give the outputs for each example of the batch, one above the other."""
        return jax.tree.map(lambda *leaves: _stacked(times * leaves), *self._outs)

    @cached_property
    def _outs(self) -> list[Any]:
        return [self.compiled(self.layer, *self.whole(it)) for it in self._examples]

    @property
    def arrays(self) -> tuple[Any, ...]:
        """Give the arrays of layer and inputs, None elsewhere."""
        return eqx.filter((self.layer, *self.inputs), eqx.is_array)

    def of_arrays(self, *arrays: Any) -> Any:
        """Call with other arrays in layer and inputs."""
        rest = eqx.filter((self.layer, *self.inputs), eqx.is_array, inverse=True)
        return self.call(*eqx.combine(arrays, rest))

    def cast(self, dtype: Any) -> tuple[Any, ...]:
        """Give the arrays, the floating ones abstract and in another dtype."""

        def cast(leaf: Any) -> Any:
            is_floating = jnp.issubdtype(leaf.dtype, jnp.floating)
            return jax.ShapeDtypeStruct(leaf.shape, dtype) if is_floating else leaf

        return jax.tree.map(cast, self.arrays)


def _stacked(arrays: tuple[Any, ...]) -> jax.Array:
    """Stack arrays, by NumPy, which compiles nothing; keys by JAX."""
    return jnp.stack(arrays) if _is_key(arrays[0]) else jnp.asarray(np.stack(arrays))


def _is_key(array: Any) -> bool:
    return jnp.issubdtype(array.dtype, jax.dtypes.prng_key)


def _another(array: Any, number: int) -> jax.Array:
    """Give an array like it: keys folded, numbers scaled and shifted, integers in another order."""
    if _is_key(array):
        fold = jnp.vectorize(lambda key: jax.random.fold_in(key, number))
        return fold(array) if array.ndim == 0 else jax.vmap(fold)(array)
    array = np.asarray(array)
    if jnp.issubdtype(array.dtype, jnp.inexact):
        scale, shift = (np.asarray(it, array.dtype) for it in (1 - number / 4, number / 8))
        return jnp.asarray(array * scale + shift)
    return jnp.asarray(np.roll(array.ravel(), number).reshape(array.shape))


def agree(ours: str, xs: Any, theirs: str, ys: Any, rtol: float) -> None:
    """Raise `AssertionError` at the first leaf where two ways to compute the same differ."""
    (xs, others), (ys, rest) = (eqx.partition(it, eqx.is_array) for it in (xs, ys))
    if jax.tree.leaves(others) != jax.tree.leaves(rest):
        message = f"{ours} and {theirs} differ in what is no array."
        raise AssertionError(message)
    if jax.tree.structure(xs) != jax.tree.structure(ys):
        message = f"{ours} gives another structure than {theirs}."
        raise AssertionError(message)
    for (path, y), x in zip(jtu.tree_leaves_with_path(ys), jax.tree.leaves(xs), strict=True):
        difference = _difference(x, y, rtol)
        if difference:
            message = f"{ours} and {theirs} differ at `out{jtu.keystr(path)}`: {difference}."
            raise AssertionError(message)


def _difference(x: Any, y: Any, rtol: float) -> str:
    """Say how two arrays differ, if they do."""
    if (x.shape, x.dtype) != (y.shape, y.dtype):
        return f"{x.dtype} of shape {x.shape}, and {y.dtype} of shape {y.shape}"
    if jnp.issubdtype(y.dtype, jax.dtypes.extended):
        x, y = jax.random.key_data(x), jax.random.key_data(y)
    if not jnp.issubdtype(y.dtype, jnp.inexact):
        return "" if np.array_equal(x, y) else "in integers, booleans or keys"
    x, y = np.asarray(x, complex), np.asarray(y, complex)
    is_finite = np.isfinite(y)
    if not np.array_equal(x[~is_finite], y[~is_finite], equal_nan=True):
        return "in where they are infinite or NaN"
    error = np.max(np.abs(x[is_finite] - y[is_finite]), initial=0.0)
    allowed = rtol * np.max(np.abs(y[is_finite]), initial=0.0)
    return "" if error <= allowed else f"by up to {error:.3g}, where {allowed:.3g} is allowed"


def same(what: str, x: Any, y: Any) -> None:
    """Raise `AssertionError` at the first leaf of two layers that is not the same."""
    if eqx.tree_equal(x, y):
        return
    pairs = zip(jtu.tree_leaves_with_path(y), jax.tree.leaves(x), strict=False)
    differ = [path for (path, leaf), other in pairs if not eqx.tree_equal(leaf, other)]
    where = f"at `layer{jtu.keystr(differ[0])}`" if differ else "in its structure"
    message = f"the layer, {what}, differs {where}."
    raise AssertionError(message)
