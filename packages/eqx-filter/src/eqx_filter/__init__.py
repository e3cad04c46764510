"""Filtered transformations for JAX, and what is done to PyTrees of any kind."""

from typing import Any

from eqx_pytree import tree_equal

from . import checkpoints, errors, transforms, trees
from ._conveniences import GetKey, str2jax
from ._enumeration import Enumeration, EnumerationItem
from ._numerics import eval_empty, eval_zero, left_broadcast_to, nextafter, prevbefore
from ._onnx import to_onnx
from ._partition import combine, filter, hashable_combine, hashable_partition, partition
from ._predicates import is_array, is_array_like, is_inexact_array, is_inexact_array_like
from ._progress import (
    AbstractProgressMeter,
    NoProgressMeter,
    TextProgressMeter,
    TqdmProgressMeter,
)
from .checkpoints import *  # noqa: F403 - the names in its `__all__`
from .errors import *  # noqa: F403
from .transforms import *  # noqa: F403
from .trees import *  # noqa: F403

__all__ = [
    "AbstractProgressMeter",
    "Enumeration",
    "EnumerationItem",
    "GetKey",
    "NoProgressMeter",
    "TextProgressMeter",
    "TqdmProgressMeter",
    "combine",
    "eval_empty",
    "eval_zero",
    "filter",
    "hashable_combine",
    "hashable_partition",
    "is_array",
    "is_array_like",
    "is_inexact_array",
    "is_inexact_array_like",
    "left_broadcast_to",
    "nextafter",
    "partition",
    "prevbefore",
    "str2jax",
    "to_onnx",
    "tree_equal",
]
__all__ += checkpoints.__all__
__all__ += errors.__all__
__all__ += transforms.__all__
__all__ += trees.__all__


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("eqx-filter")
    message = f"module `{__name__}` has no attribute `{name}`"
    raise AttributeError(message)
