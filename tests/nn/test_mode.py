"""`inference_mode`."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from eqx_nn import MLP, Dropout, Lambda, Sequential, inference_mode
from eqx_pytree import Module, field, tree_equal


class Layer(Module):
    inference: Any
    inside: Any = None


class Named(Module):
    """A flag under another name, found through a property."""

    value: Any

    @property
    def inference(self):
        return self.value


class Method(Module):
    """`inference` is what it does, no flag."""

    dropout: Dropout

    def inference(self, x):
        return self.dropout(x, inference=True)


class Static(Module):
    inference: bool = field(static=True)


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Plain:
    inference: bool
    inside: Any


class NoNode:
    inference = False


@pytest.mark.parametrize("value", [True, False])
def test_sets_each_flag_and_nothing_else(key, value):
    tree = [Dropout(0.3), {"a": Lambda(Dropout()), "b": None}, MLP(2, 2, 2, 1, key=key), "s", 3]
    changed = inference_mode(tree, value)
    expected = [
        Dropout(0.3, value),
        {"a": Lambda(Dropout(inference=value)), "b": None},
        *tree[2:],
    ]
    assert tree_equal(changed, expected)
    assert tree[0].inference is False


def test_layers_inside_layers():
    tree = Layer(False, [Dropout(), Layer(True, Layer(None, Dropout()))])
    expected = Layer(True, [Dropout(0.5, True), Layer(True, Layer(True, Dropout(0.5, True)))])
    assert tree_equal(inference_mode(tree), expected)


def test_flags_that_are_no_bool():
    for flag in (None, jnp.array(False), 0):
        assert inference_mode(Layer(flag)).inference is True


def test_trees_of_other_kinds():
    changed = inference_mode(Plain(False, (Dropout(),)))
    assert changed == Plain(True, (Dropout(inference=True),))


def test_property_that_names_a_field():
    assert inference_mode(Named(False)).value is True


def test_method_is_no_flag():
    changed = inference_mode(Method(Dropout()))
    assert changed.dropout.inference is True
    assert changed.inference(3) == 3


def test_bound_method():
    x = object()
    assert inference_mode(Dropout().__call__) is not None
    assert inference_mode(Method(Dropout()).inference).__self__.dropout(x) is x


def test_leaf_with_the_attribute_is_left_alone():
    leaf = NoNode()
    assert inference_mode([leaf])[0] is leaf
    assert leaf.inference is False


@pytest.mark.parametrize("tree", [None, [], 3, ()])
def test_nothing_to_set(tree):
    assert inference_mode(tree) == tree


def test_static_flag_is_refused():
    with pytest.raises(TypeError, match="not a leaf of the pytree"):
        inference_mode(Static(False))


def test_sequential_at_inference_needs_no_key():
    model = inference_mode(Sequential([Dropout(), Lambda(abs), Dropout()]))
    assert model(-3) == 3
    with pytest.raises(RuntimeError, match="requires a key"):
        inference_mode(model, value=False)(-3)


def test_under_jit():
    flag = jax.jit(lambda value: inference_mode(Layer(value)).inference)(0.0)
    assert flag.dtype == bool
    assert flag
