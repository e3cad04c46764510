"""A warning where an object that is held static has arrays inside."""

import functools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter import filter_jit
from eqx_pytree import Module

X = jnp.ones(3)


def plain_class():
    class Plain:
        def __init__(self):
            self.scale = 2
            self.weight = jnp.ones(3)

    return Plain


def slotted_class():
    class Slotted:
        __slots__ = ("weight",)

        def __init__(self):
            self.weight = np.ones(3)

    return Slotted


@pytest.mark.parametrize("make", [plain_class, slotted_class])
def test_it_names_the_leaf_the_array_and_the_way_out_once_a_type(make):
    cls = make()
    told = (
        rf"`o\['a'\]\[1\]` of `.*` is a `.*{cls.__name__}`, which is no PyTree: .* so is the array "
        r"`o\['a'\]\[1\]\.weight` in it.*Make the class a `Module`, or register it"
    )
    with pytest.warns(UserWarning, match=told) as caught:
        filter_jit(lambda x, o: x)(X, {"a": (1, cls())})
    assert caught[0].filename == __file__
    filter_jit(lambda x, o: x)(X, cls())  # a warning would be an error


class Seen(Module):
    weight: jax.Array


@pytest.mark.parametrize(
    "static",
    [
        jnp.sin,
        np,
        Seen,
        Seen(X),
        np.dtype("float32"),
        jax.sharding.Mesh(np.array(jax.devices()), ("d",)),
        functools.partial(jnp.add, 1),
        plain_class(),
        "text",
        (1, None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_nothing_is_said_of_functions_classes_modules_and_the_like(static):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        filter_jit(lambda x, o: x)(X, static)
