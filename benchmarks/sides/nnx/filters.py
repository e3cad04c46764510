"""Flax NNX: `split` and `merge`, which are its partition and combine."""

from flax import nnx

from sides.nnx import side
from sides.nnx.models import MLP
from sides.settings import LAYERS


@side.row
def partition():
    model = MLP(LAYERS)
    return lambda: nnx.split(model, nnx.Param, ...)


@side.row
def combine():
    parts = nnx.split(MLP(LAYERS), nnx.Param, ...)
    return lambda: nnx.merge(*parts)
