"""Ours: layers with their channels last, over the same ones with them first.

The peer has no such thing; for the default format see the rows of single layers.
"""

import inspect
import time

import jax
import jax.numpy as jnp

import equinox as eqx
from sides.equinox import side
from sides.settings import key

nn = eqx.nn
CHANNELS, SIZE, BATCH = 32, 32, 16
IS_OURS = "data_format" in inspect.signature(nn.Conv2d).parameters


def compiled(layer, is_last, of_gradient):
    """The layer, or its gradient, over a batch, as a program."""

    def loss(both):
        layer, xs = both
        return jnp.sum(jax.vmap(layer)(xs) ** 2)

    def forward(both):
        layer, xs = both
        return jax.vmap(layer)(xs)

    shape = (SIZE, SIZE, CHANNELS) if is_last else (CHANNELS, SIZE, SIZE)
    both = layer, jnp.ones((BATCH, *shape))
    function = eqx.filter_grad(loss) if of_gradient else forward
    program = eqx.filter_jit(function).lower(both).compile()
    return lambda: jax.block_until_ready(jax.tree.leaves(program(both)))


def seconds(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def last_over_first(make, of_gradient):
    first = compiled(make(), False, of_gradient)
    last = compiled(make(data_format="channels_last"), True, of_gradient)
    last(), first()
    return lambda: seconds(last) / seconds(first)


def conv(**options):
    return nn.Conv2d(CHANNELS, 64, 3, padding=1, **options, key=key())


def pool(**options):
    return nn.MaxPool2d(2, 2, **options)


def norm(**options):
    return nn.GroupNorm(8, CHANNELS, **options)


def last_conv():
    return last_over_first(conv, False)


def last_conv_gradient():
    return last_over_first(conv, True)


def last_pool():
    return last_over_first(pool, False)


def last_pool_gradient():
    return last_over_first(pool, True)


def last_norm():
    return last_over_first(norm, False)


def last_norm_gradient():
    return last_over_first(norm, True)


if IS_OURS:
    side.figure(last_conv)
    side.figure(last_conv_gradient)
    side.figure(last_pool)
    side.figure(last_pool_gradient)
    side.figure(last_norm)
    side.figure(last_norm_gradient)
