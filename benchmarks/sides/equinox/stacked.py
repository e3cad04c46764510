"""Ours: equal blocks as one. The peer has no such thing."""

import time

import jax
import jax.numpy as jnp

import equinox as eqx
from sides.equinox import side
from sides.settings import key

SIZE, BLOCKS, IS_OURS = 128, 12, hasattr(eqx.nn, "Stacked")


def stacked(depth):
    return eqx.nn.Stacked(lambda key: eqx.nn.TransformerBlock(SIZE, 4, key=key), depth, key=key())


def compiled(layers):
    """The gradient as a program."""

    def loss(layers, x):
        for layer in layers if isinstance(layers, tuple) else [layers]:
            x = layer(x)
        return jnp.sum(x**2)

    x = jnp.ones((SIZE, SIZE))
    program = eqx.filter_jit(eqx.filter_grad(loss)).lower(layers, x).compile()
    return lambda: jax.block_until_ready(program(layers, x))


def seconds(function, *args):
    start = time.perf_counter()
    function(*args)
    return time.perf_counter() - start


def stacked_compile():
    few, many = stacked(2), stacked(100)
    return lambda: seconds(compiled, many) / seconds(compiled, few)


def stacked_gradient():
    layers = stacked(BLOCKS)
    one, each = compiled(layers), compiled(tuple(layers))
    each()
    return lambda: seconds(one) / seconds(each)


if IS_OURS:
    side.figure(stacked_compile)
    side.figure(stacked_gradient)
