"""Array types of one's own with quax: a new one, and LoRA, units and a structured matrix."""

from typing import Any

import jax
import jax.numpy as jnp
import quax
from program import Program
from quax.examples import lora, unitful

import equinox as eqx

X = jnp.array([0.5, -0.3, 0.8])
KEY = jax.random.key(0)


class Mirrored(quax.ArrayValue):
    """An array of twice the length, the other half of which is the first one reversed."""

    half: jax.Array = eqx.field(converter=jnp.asarray)

    def aval(self) -> jax.core.ShapedArray:
        return jax.core.ShapedArray((2 * self.half.shape[0],), self.half.dtype)

    def materialise(self) -> jax.Array:
        return jnp.concatenate([self.half, self.half[::-1]])


@quax.register(jax.lax.mul_p)
def _(x: Mirrored, y: Mirrored, **params: Any) -> Mirrored:
    return Mirrored(x.half * y.half)


@quax.register(jax.lax.sin_p)
def _(x: Mirrored, **params: Any) -> Mirrored:
    return Mirrored(jnp.sin(x.half))


def own_type(x: jax.Array) -> Any:
    """Some operations keep the type, others make an array of it."""
    mirrored = Mirrored(x)
    kept = quax.quaxify(lambda a, b: jnp.sin(a) * b)(mirrored, mirrored)
    left = quax.quaxify(jnp.cumsum)(mirrored)
    return kept, left, isinstance(kept, Mirrored)


def gradient_inside(x: jax.Array) -> Any:
    def total(x: jax.Array) -> jax.Array:
        return quax.quaxify(lambda a: jnp.sum(jnp.sin(a) * a))(Mirrored(x))

    return jax.value_and_grad(total)(x)


def quaxified_gradient(x: jax.Array) -> Any:
    """The gradient is taken of what sees plain arrays alone."""
    layer = lora.loraify(eqx.nn.Linear(3, 2, key=KEY), rank=2, key=KEY)

    def loss(layer: eqx.nn.Linear) -> jax.Array:
        return jnp.sum(quax.quaxify(lambda it: it(x))(layer) ** 2)

    return eqx.filter_value_and_grad(loss)(layer)


def lora_of_mlp(x: jax.Array) -> jax.Array:
    mlp = eqx.nn.MLP(3, 2, width_size=4, depth=2, key=KEY)
    return quax.quaxify(mlp)(x) + quax.quaxify(lora.loraify(mlp, rank=1, key=KEY))(x)


def units(x: jax.Array) -> jax.Array:
    length = unitful.Unitful(x, {unitful.meters: 1})
    return quax.quaxify(lambda a: a * a)(length).array


PROGRAMS = {
    "own_type": Program(own_type, X),
    "gradient_inside": Program(gradient_inside, X),
    "quaxified_gradient": Program(quaxified_gradient, X),
    "lora_of_mlp": Program(lora_of_mlp, X),
    "units": Program(units, X),
}
