"""Haiku: partition and merge of parameters, and Optax's `apply_updates`, which goes with it."""

import haiku as hk
import optax

from sides.haiku import side
from sides.haiku.models import mlp
from sides.settings import LAYERS


def is_weight(module: str, name: str, value: object) -> bool:
    return name == "w"


@side.row
def partition():
    params, _ = mlp(LAYERS)
    return lambda: hk.data_structures.partition(is_weight, params)


@side.row
def combine():
    params, _ = mlp(LAYERS)
    parts = hk.data_structures.partition(is_weight, params)
    return lambda: hk.data_structures.merge(*parts)


@side.row
def apply_updates():
    params, _ = mlp(LAYERS)
    return lambda: optax.apply_updates(params, params)
