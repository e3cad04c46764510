"""Named axes with haliax: layers, sums over names, scans over layers that are stacked."""

from typing import Any

import haliax as hax
import jax
import jax.numpy as jnp
from program import Program

import equinox as eqx

KEY = jax.random.key(0)
X = jnp.array([0.5, -0.3, 0.8])
In, Out, Layers = hax.Axis("in", 3), hax.Axis("out", 2), hax.Axis("layers", 4)


def named(x: jax.Array) -> hax.NamedArray:
    return hax.named(x, "in")


def reductions(x: jax.Array) -> Any:
    pair = named(x).broadcast_axis(Out) * hax.arange(Out)
    return hax.sum(pair, "in").array, hax.mean(pair).array, hax.dot(pair, named(x), axis="in").array


def linear(x: jax.Array) -> jax.Array:
    return hax.nn.Linear.init(In, Out, key=KEY)(named(x)).array


def normalised(x: jax.Array) -> jax.Array:
    norm = hax.nn.LayerNorm.init(In, eps=1e-5)
    return hax.nn.softmax(norm(named(x)), axis="in").array


class Block(eqx.Module):
    """A layer of as many outputs as inputs."""

    weight: hax.NamedArray

    @staticmethod
    def init(*, key: jax.Array) -> "Block":
        return Block(hax.random.normal(key, (In, In.alias("new"))))

    def __call__(self, x: hax.NamedArray) -> hax.NamedArray:
        return hax.tanh(hax.dot(x, self.weight, axis="in").rename({"new": "in"}))


def stacked(x: jax.Array) -> jax.Array:
    """Layers of one kind in a row: a scan with checkpoints."""
    init = hax.nn.Stacked.init(Layers, Block, gradient_checkpointing=True)
    return init(key=jax.random.split(KEY, 4)).fold(named(x)).array


def gradient(x: jax.Array) -> Any:
    layer = hax.nn.Linear.init(In, Out, key=KEY)

    def loss(layer: Any) -> jax.Array:
        return hax.sum(layer(named(x)) ** 2).scalar()

    return eqx.filter_value_and_grad(loss)(layer)


def scanned(x: jax.Array) -> Any:
    def step(carry: Any, row: Any) -> Any:
        carry = hax.sin(carry * row)
        return carry, hax.sum(carry)

    rows = hax.random.normal(KEY, (Layers, In))
    last, sums = hax.scan(step, Layers)(named(x), rows)
    return last.array, sums.array


PROGRAMS = {
    "reductions": Program(reductions, X),
    "linear": Program(linear, X),
    "normalised": Program(normalised, X),
    "stacked": Program(stacked, X),
    "gradient": Program(gradient, X),
    "scanned": Program(scanned, X),
}
