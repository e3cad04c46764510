"""Plain JAX: flatten and unflatten."""

import jax
import jax.tree_util as jtu

from sides.plain import side
from sides.plain.models import mlp
from sides.settings import LAYERS


def tree() -> dict[str, object]:
    """The leaves that `eqx.nn.MLP` has: eighteen arrays and two functions."""
    return {"layers": mlp(LAYERS), "activation": jax.nn.relu, "final_activation": jax.nn.tanh}


@side.row
def flatten():
    model = tree()
    return lambda: jtu.tree_flatten(model)


@side.row
def unflatten():
    leaves, structure = jtu.tree_flatten(tree())
    return lambda: jtu.tree_unflatten(structure, leaves)


@side.row
def paths():
    model = mlp(LAYERS)
    return lambda: jtu.tree_flatten_with_path(model)
