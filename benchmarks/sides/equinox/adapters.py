"""Ours: updates of low rank and weights of few bits. The peer has no such thing."""

import time

import jax

import equinox as eqx
from sides.equinox import side
from sides.settings import MANY, RANK, WIDE, key

nn = eqx.nn
IS_OURS = hasattr(nn, "lora")


def linear():
    return nn.Linear(WIDE, WIDE, use_bias=False, key=key())


def adapted():
    return nn.lora(linear(), "weight", RANK, key=key())


def rounded():
    return nn.quantise(linear(), "weight")


def called(layer):
    """The layer over a batch, compiled as a function of its arrays, as plain JAX has it."""
    leaves, structure = jax.tree.flatten(layer)
    forward = jax.jit(lambda x, *leaves: jax.vmap(structure.unflatten(leaves))(x))
    return lambda: forward(MANY, *leaves)


def one(layer):
    """The layer, compiled, of one vector."""
    leaves, structure = jax.tree.flatten(layer)
    forward = jax.jit(lambda x, *leaves: structure.unflatten(leaves)(x))
    return lambda: forward(MANY[0], *leaves)


def seconds(function):
    start = time.perf_counter()
    for _ in range(20):
        jax.block_until_ready(function())
    return time.perf_counter() - start


def over(function, other):
    function(), other()
    return lambda: seconds(function) / seconds(other)


def lora_forward():
    return called(adapted())


def lora_over():
    return over(called(adapted()), called(linear()))


def quantised_forward():
    return called(rounded())


def quantised_over():
    return over(called(rounded()), called(linear()))


def quantised_one_over():
    return over(one(rounded()), one(linear()))


def quantised_bytes():
    return lambda: eqx.summary(rounded()).bytes / eqx.summary(linear()).bytes


if IS_OURS:
    side.row(lora_forward)
    side.row(quantised_forward)
    side.figure(lora_over)
    side.figure(quantised_over)
    side.figure(quantised_one_over)
    side.figure(quantised_bytes)
