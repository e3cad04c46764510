"""Flax NNX: a Module of many Modules."""

import jax.tree_util as jtu
from flax import nnx

from sides import growing
from sides.nnx import side
from sides.nnx.models import Many, Pair
from sides.settings import X, fresh, scalars

MOST = 1_000  # ten times as many take ten seconds to compile, and half a second at each call


@side.family
def leaves():
    call = nnx.jit(fresh(growing.ignore))

    def at(size):
        if size > MOST:
            return {}
        arrays = scalars(size)
        model = Many([*map(Pair, arrays[::2], arrays[1::2])])
        return {
            "flatten": lambda: jtu.tree_flatten(model),
            "partition": lambda: nnx.split(model, nnx.Param, ...),
            "jit": lambda: call(model, X),
        }

    return at
