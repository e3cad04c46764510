"""`Static`: any value, as a PyTree without leaves."""

from typing import Any, Generic, TypeVar

import jax.tree_util as jtu

from ._fields import field
from ._module import Module

_Value = TypeVar("_Value")


class Static(Module, Generic[_Value]):
    """Holds a value as structure: it passes through every transformation untouched.

    A PyTree is held as its leaves and their structure. Two are equal when these are, leaf by leaf
    by type and value. A change of the value compiles anew.
    """

    _leaves: list[Any] = field(static=True)
    _treedef: Any = field(static=True)

    def __init__(self, value: _Value) -> None:
        self._leaves, self._treedef = jtu.tree_flatten(value)

    @property
    def value(self) -> _Value:
        """The value that was given; where it is a PyTree, put together anew."""
        return jtu.tree_unflatten(self._treedef, self._leaves)
