"""Flax NNX: its Modules are PyTrees; of functions they hold none, so there are eighteen leaves."""

import jax.tree_util as jtu

from sides.nnx import side
from sides.nnx.models import MLP
from sides.settings import LAYERS


@side.row
def flatten():
    model = MLP(LAYERS)
    return lambda: jtu.tree_flatten(model)


@side.row
def unflatten():
    leaves, structure = jtu.tree_flatten(MLP(LAYERS))
    return lambda: jtu.tree_unflatten(structure, leaves)
