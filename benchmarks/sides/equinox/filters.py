"""An `equinox`: taking models apart, editing and comparing them."""

import equinox as eqx
from sides.equinox import side
from sides.equinox.models import mlp
from sides.settings import LAYERS, X


@side.row
def partition():
    model = mlp(LAYERS)
    return lambda: eqx.partition(model, eqx.is_array)


@side.row
def combine():
    arrays, static = eqx.partition(mlp(LAYERS), eqx.is_array)
    return lambda: eqx.combine(arrays, static)


@side.row
def tree_at():
    model = mlp(LAYERS)
    return lambda: eqx.tree_at(lambda tree: tree.layers[0].weight, model, X)


def biases(model):
    return [layer.bias for layer in model.layers]


@side.row
def tree_at_lambda():
    model, new = mlp(LAYERS), [X] * LAYERS
    return lambda: eqx.tree_at(biases, model, new)


@side.row
def tree_at_path():
    model, new = mlp(LAYERS), [X] * LAYERS
    where = "layers.*.bias" if hasattr(eqx, "tree_paths") else biases
    return lambda: eqx.tree_at(where, model, new)


@side.row
def tree_equal():
    model, other = mlp(LAYERS), mlp(LAYERS)
    return lambda: eqx.tree_equal(model, other)


@side.row
def apply_updates():
    model = mlp(LAYERS)
    updates = eqx.filter(model, eqx.is_array)
    return lambda: eqx.apply_updates(model, updates)
