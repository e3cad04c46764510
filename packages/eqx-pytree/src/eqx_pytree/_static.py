"""`Static`: any value, as a PyTree without leaves."""

from typing import Any, Generic, TypeVar

from ._fields import field
from ._module import Module

_Value = TypeVar("_Value")


class Static(Module, Generic[_Value]):
    """Holds a value as structure: it passes through every transformation untouched.

    Two are equal when the values are, by type and value. A change of the value compiles anew.
    """

    _value: Any = field(static=True)

    def __init__(self, value: _Value) -> None:
        self._value = value

    @property
    def value(self) -> _Value:
        """The value that was given."""
        return self._value
