"""Layers whose weight is computed from others at each call: `SpectralNorm` and `WeightNorm`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import jax
import jax.numpy as jnp
import jax.random as jr
from jax import lax
from jaxtyping import Array, Inexact, PRNGKeyArray

from eqx_filter import is_array, tree_at
from eqx_pytree import Module, field

from .._entries import check_entry
from .._flag import known
from .._init import checked_size
from .._random import split_key
from .._state import State, StatefulLayer, StateIndex

INITIAL_ITERATIONS = 15
"""Steps of the power iteration that a `SpectralNorm` takes when it is built."""

_VMAP = "jax.vmap(layer, in_axes=(0, None), out_axes=(0, None))"

Layer = TypeVar("Layer", bound=Callable[..., Any])


class SpectralNorm(StatefulLayer, Generic[Layer]):
    """A layer whose weight is divided by its largest singular value.

    Miyato et al. (2018, "Spectral Normalization for Generative Adversarial Networks"), equations
    (8) to (10) and Algorithm 1: with `W` the weight as a matrix of shape `(out, in)`, its first
    axis against all others, each call takes steps of the power iteration

        u <- W v / |W v|
        v <- W^H u / |W^H u|

    and calls the layer with `W / (u^H W v)`. No gradient passes through `u` and `v`, which are an
    entry of the `State`: unit vectors of shapes `(out,)` and `(in,)`.

        layer, state = make_with_state(SpectralNorm)(linear, "weight", key=key)
        y, state = layer(x, state)
    """

    layer: Layer
    weight_name: str = field(static=True)
    uv_index: StateIndex[tuple[Inexact[Array, " out"], Inexact[Array, " in"]]]
    num_power_iterations: int = field(static=True)
    eps: float = field(static=True)
    inference: Any

    def __init__(
        self,
        layer: Layer,
        weight_name: str,
        num_power_iterations: int = 1,
        eps: float = 1e-12,
        inference: bool = False,
        *,
        key: PRNGKeyArray,
    ) -> None:
        """Wrap a layer.

        **Arguments:**

        - `layer`: called as `layer(x)`.
        - `weight_name`: the attribute of `layer` that is its weight, an array of rank 2 or more.
        - `num_power_iterations`: steps of the power iteration in each call.
        - `eps`: the least norm that a vector is divided by.
        - `inference`: whether calls leave `u` and `v` as they are.
        - `key`: a PRNG key for the first `u` and `v`, which 15 steps then improve.

        **Raises:** `AttributeError` if `layer` has no such attribute, or if that is no array;
        `ValueError` for a weight of a rank below 2, or without elements; `TypeError` or
        `ValueError` if `num_power_iterations` is no integer, or negative.
        """
        self.layer = layer
        self.weight_name = weight_name
        name = type(self).__name__
        self.num_power_iterations = checked_size(name, "num_power_iterations", num_power_iterations)
        self.eps = eps
        self.inference = inference
        weight = _weight(name, layer, weight_name)
        if weight.ndim < 2 or not weight.size:
            message = (
                f"`{name}` needs an array with at least two axes and one element; "
                f"`{type(layer).__name__}.{weight_name}` has shape {weight.shape}."
            )
            raise ValueError(message)
        u_key, v_key = split_key(name, key)
        matrix = jnp.reshape(weight, (weight.shape[0], -1))
        u = jr.normal(u_key, (matrix.shape[0],), matrix.dtype)
        v = jr.normal(v_key, (matrix.shape[1],), matrix.dtype)
        self.uv_index = StateIndex(_power_iteration(matrix, u, v, INITIAL_ITERATIONS, eps))

    @jax.named_scope("eqx.nn.SpectralNorm")
    def __call__(
        self, x: Any, state: State, *, key: Any = None, inference: bool | None = None
    ) -> tuple[Any, State]:
        """Call the layer with its weight divided; return what it returns, and the new state.

        `x` is whatever the layer takes. `inference` takes the place of the flag of the layer, and
        `key` is ignored. **Raises** `ValueError` for a state that gained or lost an axis, what
        `State` raises for one that is old or of another model, and what the layer raises.
        """
        weight = getattr(self.layer, self.weight_name)
        matrix = jnp.reshape(weight, (weight.shape[0], -1))
        u, v = state.get(self.uv_index)
        sizes = [(size,) for size in matrix.shape]
        check_entry(type(self).__name__, self.uv_index.marker, (u, v), sizes, _VMAP)
        if not known("SpectralNorm", self.inference if inference is None else inference):
            u, v = _power_iteration(matrix, u, v, self.num_power_iterations, self.eps)
            state = state.set(self.uv_index, (u, v))
        return _with_weight(self.layer, self.weight_name, _divided(weight, matrix, u, v))(x), state


@functools.partial(jax.jit, static_argnums=3, inline=True)
def _power_iteration(
    matrix: Inexact[Array, "out in"],
    u: Inexact[Array, " out"],
    v: Inexact[Array, " in"],
    steps: int,
    eps: Any,
) -> tuple[Inexact[Array, " out"], Inexact[Array, " in"]]:
    matrix = lax.stop_gradient(matrix)
    for _ in range(steps):
        u = _unit(matrix @ v, eps)
        v = _unit(jnp.conj(matrix.T) @ u, eps)
    return u, v


def _unit(vector: Array, eps: Any) -> Array:
    length = jnp.linalg.norm(vector)
    with jax.numpy_dtype_promotion("standard"):  # the length of a complex vector is real
        return vector / jnp.maximum(length, jnp.asarray(eps, length.dtype))


@functools.partial(jax.jit, inline=True)
def _divided(weight: Array, matrix: Array, u: Array, v: Array) -> Array:
    u, v = lax.stop_gradient(u), lax.stop_gradient(v)
    return weight / (jnp.conj(u) @ matrix @ v)


class WeightNorm(Module, Generic[Layer]):
    """A layer whose weight is kept as a direction and a length.

    Salimans & Kingma (2016, "Weight Normalization: A Simple Reparameterization to Accelerate
    Training of Deep Neural Networks"), equation (2): the layer is called with `g v / |v|`, where
    `v` is its weight and the norms are taken over all axes but one. `g` begins as those norms,
    so that the first weight is what it was.
    """

    layer: Layer
    g: Inexact[Array, "*axes"]
    weight_name: str = field(static=True)
    axis: int | None = field(static=True)

    def __init__(self, layer: Layer, weight_name: str = "weight", axis: int | None = 0) -> None:
        """Wrap a layer.

        **Arguments:**

        - `layer`: called as `layer(x)`.
        - `weight_name`: the attribute of `layer` that is its weight, an array.
        - `axis`: along which the lengths are apart: `g` has the size of the weight there, and size
            1 on its other axes. `None` is one length for all.

        **Raises:** `AttributeError` if `layer` has no such attribute; `ValueError` if that is no
        array, or has no such axis.
        """
        self.layer = layer
        self.weight_name = weight_name
        self.axis = axis
        weight = _weight("WeightNorm", layer, weight_name)
        if axis is not None and not (isinstance(axis, int) and -weight.ndim <= axis < weight.ndim):
            message = (
                f"`WeightNorm` needs `axis` to be an axis of `{type(layer).__name__}."
                f"{weight_name}`, which has shape {weight.shape}, or None; got {axis!r}."
            )
            raise ValueError(message)
        self.g = _lengths(weight, axis)

    @jax.named_scope("eqx.nn.WeightNorm")
    def __call__(self, x: Any, *, key: Any = None) -> Any:
        """Call the layer with its weight computed. `x` is whatever it takes; `key` is ignored."""
        weight = _scaled(getattr(self.layer, self.weight_name), self.g, self.axis)
        return _with_weight(self.layer, self.weight_name, weight)(x)


@functools.partial(jax.jit, static_argnums=1, inline=True)
def _lengths(weight: Array, axis: int | None) -> Array:
    kept = None if axis is None else axis % weight.ndim
    axes = tuple(each for each in range(weight.ndim) if each != kept)
    return jnp.sqrt(jnp.sum(jnp.real(weight * jnp.conj(weight)), axis=axes, keepdims=True))


@functools.partial(jax.jit, static_argnums=2, inline=True)
def _scaled(weight: Array, g: Array, axis: int | None) -> Array:
    with jax.numpy_dtype_promotion("standard"):  # lengths of complex weights are real
        return weight * (g / _lengths(weight, axis))


def _weight(wrapper: str, layer: Any, name: str) -> Array:
    """The attribute of the layer that is its weight."""
    if not hasattr(layer, name):
        message = (
            f"`{wrapper}` found no weight to normalise: '{type(layer).__name__}' object has no "
            f"attribute '{name}'. Give the name of one of its arrays as `weight_name`."
        )
        raise AttributeError(message)
    weight = getattr(layer, name)
    if not is_array(weight):
        message = (
            f"`{wrapper}` needs an array as weight, and `{type(layer).__name__}.{name}` is a "
            f"`{type(weight).__name__}`. Give the name of one of its arrays as `weight_name`."
        )
        raise AttributeError(message) if wrapper == "SpectralNorm" else ValueError(message)
    return weight


def _with_weight(layer: Any, name: str, weight: Array) -> Any:
    return tree_at(lambda it: getattr(it, name), layer, weight)
