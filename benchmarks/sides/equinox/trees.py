"""An `equinox`: flatten and unflatten."""

import jax.tree_util as jtu

import equinox as eqx
from sides.equinox import side
from sides.equinox.models import mlp
from sides.settings import LAYERS


@side.row
def flatten():
    model = mlp(LAYERS)
    return lambda: jtu.tree_flatten(model)


@side.row
def unflatten():
    leaves, structure = jtu.tree_flatten(mlp(LAYERS))
    return lambda: jtu.tree_unflatten(structure, leaves)


@side.row
def paths():
    model = mlp(LAYERS)
    by_path = getattr(eqx, "tree_paths", None) or jtu.tree_flatten_with_path
    return lambda: by_path(model)
