"""`trainable`: parameters, and what `field(trainable=False)` takes out of them."""

import dataclasses

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import pytest

from eqx_filter import filter_grad, trainable, tree_mask, tree_paths
from eqx_pytree import Module, field


class Layer(Module):
    weight: jax.Array
    table: dict = field(trainable=False)
    steps: int = 0


class Model(Module):
    layers: list
    buffer: Layer = field(trainable=False)


def layer():
    return Layer(jnp.ones(2), {"mean": jnp.zeros(2), "count": jnp.arange(2)})


def chosen(mask):
    return [path for path, it in tree_paths(mask).items() if it]


def test_floating_arrays_that_are_in_no_buffer():
    model = Model([layer(), layer()], layer())
    assert chosen(trainable(model)) == ["layers.0.weight", "layers.1.weight"]
    assert jtu.tree_structure(trainable(model)) == jtu.tree_structure(model)


def test_kinds_of_leaves():
    tree = {
        "half": jnp.ones(2, jnp.bfloat16),
        "complex": jnp.ones(2, complex),
        "numpy": np.ones(2),
        "int": jnp.arange(2),
        "key": jax.random.key(0),
        "number": 2.0,
        "function": jnp.tanh,
        "struct": jax.ShapeDtypeStruct((2,), jnp.float32),
        "struct of int": jax.ShapeDtypeStruct((2,), jnp.int32),
    }
    assert chosen(trainable(tree)) == ["complex", "half", "numpy", "struct"]


def test_a_tree_without_parameters():
    assert trainable({"a": 1}) == {"a": False}
    assert trainable({}) == {}


def test_as_a_selector():
    model = Model([layer(), layer()], layer())
    assert chosen(tree_mask(model, trainable & "layers.1")) == ["layers.1.weight"]
    assert chosen(tree_mask(model.layers[0], ~trainable)) == ["table.count", "table.mean", "steps"]
    assert repr(trainable & "layers") == "trainable & 'layers'"

    def loss(model):
        return jnp.sum(model.layers[0].weight * model.buffer.weight)

    assert [*tree_paths(filter_grad(loss, wrt=trainable)(model))] == [
        "layers.0.weight",
        "layers.1.weight",
    ]


def test_plain_dataclasses_and_subclasses():
    @jtu.register_dataclass
    @dataclasses.dataclass
    class Plain:
        weight: jax.Array
        table: jax.Array = dataclasses.field(metadata={"trainable": False})

    assert chosen(trainable(Plain(jnp.ones(2), jnp.ones(2)))) == ["weight"]

    class Sub(Layer):
        more: jax.Array = field(trainable=False, default_factory=lambda: jnp.ones(2))

    assert chosen(trainable(Sub(jnp.ones(2), {}))) == ["weight"]


def test_a_class_may_say_so_of_itself():
    class Table(Module):
        __trainable__ = False
        values: jax.Array

    assert chosen(trainable([Table(jnp.ones(2)), jnp.ones(2)])) == ["1"]
    assert chosen(trainable(Table(jnp.ones(2)))) == []


@pytest.mark.parametrize("value", [True, False])
def test_the_field_says_it_in_its_metadata(value):
    assert dict(field(trainable=value).metadata) == ({} if value else {"trainable": False})
    with pytest.raises(ValueError, match="Cannot use metadata with `trainable` already set"):
        field(trainable=False, metadata={"trainable": value})


def test_a_dataclass_that_names_its_children_otherwise():
    @jtu.register_pytree_node_class
    @dataclasses.dataclass
    class Plain:
        weight: object
        table: object = field(trainable=False)

        def tree_flatten(self):
            return (self.weight, self.table), None

        @classmethod
        def tree_unflatten(cls, _, children):
            return cls(*children)

    mask = trainable(Plain(jnp.ones(2), jnp.ones(2)))
    assert (mask.weight, mask.table) == (True, False)
