"""Plain JAX: of what filters do, it has the additions of `apply_updates`, one by one."""

import jax.tree_util as jtu

from sides.plain import side
from sides.plain.models import mlp
from sides.settings import LAYERS


@side.row
def apply_updates():
    model = mlp(LAYERS)
    return lambda: [leaf + leaf for leaf in jtu.tree_leaves(model)]
