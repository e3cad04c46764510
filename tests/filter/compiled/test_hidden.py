"""A warning where an object that is held static has arrays inside."""

import dataclasses
import enum
import functools
import types
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


def holding(value):
    class Holder:
        def __init__(self):
            self.size = 3
            self.held = value

        def __call__(self, x):
            return x

        def step(self, x):
            return x

        @filter_jit
        def decorated(self, x):
            return x

    return Holder()


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
    ("value", "path"),
    [(Seen(X), "weight"), ([1, X], r"\[1\]"), ({"a": (np.ones(3),)}, r"\['a'\]\[0\]")],
    ids=["module", "list", "dict"],
)
def test_arrays_are_found_in_what_an_attribute_holds(value, path):
    with pytest.warns(UserWarning, match=rf"so is the array `o\.held\.?{path}` in it"):
        filter_jit(lambda x, o: x)(X, holding(value))


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda o: filter_jit(o)(X), r"The function is a `.*Holder`, .* array `Holder\.held\[0\]`"),
        (
            lambda o: filter_jit(o.step)(X),
            r"`.*Holder\.step` is a method of a `.*Holder`, .* array `self\.held\[0\]`",
        ),
        (lambda o: o.decorated(X), r"`self` of `decorated` is a `.*`, .* array `self\.held\[0\]`"),
    ],
    ids=["instance", "method", "decorated"],
)
def test_a_function_is_named_as_what_it_is(call, told):
    with pytest.warns(UserWarning, match=told) as caught:
        call(holding([X]))
    assert caught[0].filename == __file__


def test_a_function_that_was_bound_to_a_pytree_by_hand_is_none():
    @jax.tree_util.register_dataclass
    @dataclasses.dataclass
    class Node:
        weight: jax.Array

    function, node = (lambda self, x: self.weight * x), Node(X)
    call = filter_jit(lambda function, x: function(x))
    with pytest.warns(UserWarning, match=r"of a `.*Node`, but .* `self\.weight` .* Bind .*Partial"):
        call(types.MethodType(function, node), X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        call(jax.tree_util.Partial(function, node), X)


def test_a_leaf_of_a_call_of_a_plain_object_is_named_by_its_parameter():
    with pytest.raises(ValueError, match=r"`x`, a `set` .*, passed to `Holder`, can be neither"):
        filter_jit(holding(None))({1})


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
        holding([jnp.sin, jax.jit(jnp.sin), np, Seen, None, "text"]),
        holding(jax.sharding.Mesh(np.array(jax.devices()), ("d",))),
        holding({1: 0, "a": X}).step,  # no PyTree: JAX cannot sort its keys
        "text",
        (1, None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_nothing_is_said_of_functions_classes_modules_and_the_like(static):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        filter_jit(lambda x, o: x)(X, static)


class Settings:
    def __init__(self, scale):
        self.scale = scale


class OfNoModule(Settings):
    pass


OfNoModule.__module__ = None


class Hiding:
    @property
    def __dict__(self):
        raise RuntimeError


class Colours(enum.Enum):
    RED = np.arange(3)


@pytest.mark.parametrize(
    "static",
    [
        Settings(np.float32(2)),
        OfNoModule(2.0),
        Hiding(),
        Colours.RED,
    ],
    ids=["NumPy scalar", "no module", "no __dict__", "enumeration"],
)
def test_what_is_held_safely_or_cannot_be_looked_at_is_no_matter(static):
    assert filter_jit(lambda held, x: x)(static, jnp.ones(1)) == 1


def test_a_function_may_close_over_what_cannot_be_flattened():
    """One looks into it for tracers."""
    odd = {1: 2.0, "a": 3.0}  # keys without an order
    assert filter_jit(lambda fn, x: fn(x))(lambda x: x * odd[1], 4.0) == 8
