"""Filtered transformations for JAX, and what is done to PyTrees of any kind."""

from typing import Any

from eqx_pytree import tree_equal

from . import checkpoints, errors, transforms, trees
from ._enumeration import Enumeration
from ._partition import combine, filter, hashable_combine, hashable_partition, partition
from ._predicates import is_array, is_array_like, is_inexact_array, is_inexact_array_like
from .checkpoints import *  # noqa: F403 - the names in its `__all__`
from .errors import *  # noqa: F403
from .transforms import *  # noqa: F403
from .trees import *  # noqa: F403

__all__ = [
    "Enumeration",
    "combine",
    "filter",
    "hashable_combine",
    "hashable_partition",
    "is_array",
    "is_array_like",
    "is_inexact_array",
    "is_inexact_array_like",
    "partition",
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
