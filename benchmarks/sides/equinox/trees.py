"""An `equinox`: flatten and unflatten."""

import jax.tree_util as jtu

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
