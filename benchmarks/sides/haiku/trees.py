"""Haiku: its parameters are dicts of dicts, eighteen leaves."""

import jax.tree_util as jtu

from sides.haiku import side
from sides.haiku.models import mlp
from sides.settings import LAYERS


@side.row
def flatten():
    params, _ = mlp(LAYERS)
    return lambda: jtu.tree_flatten(params)


@side.row
def unflatten():
    params, _ = mlp(LAYERS)
    leaves, structure = jtu.tree_flatten(params)
    return lambda: jtu.tree_unflatten(structure, leaves)
