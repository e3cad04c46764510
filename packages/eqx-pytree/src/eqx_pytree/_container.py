"""`ContainerMeta`: a class statement that lists values, read back by number."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


class ContainerMeta(type):
    """Metaclass of a class whose attributes become the numbers of the values assigned to them.

        class Colour(metaclass=ContainerMeta):
            red = "#f00"
            green = "#0f0"

        Colour.green     # 1, which can be traced
        Colour[1]        # "#0f0"
        len(Colour)      # 2

    Every attribute but the magic ones (`__doc__`, ...) is a value; values are numbered in the order
    of the class body. The class iterates over them and says what is `in` it; an instance of it is
    any integer, be it an `int` or an integer array of shape `()`. A class that inherits lists its
    own values only.
    """

    reverse_lookup: list[Any]

    def __new__(mcs, name: str, bases: tuple[type, ...], dict: dict[str, Any]) -> Any:
        """Make the class, with each value replaced by its number."""
        magic = {key: value for key, value in dict.items() if _is_magic(key)}
        values = {key: value for key, value in dict.items() if key not in magic}
        numbers = {key: number for number, key in enumerate(values)}
        lookup = {"reverse_lookup": list(values.values())}
        return super().__new__(mcs, name, bases, {**magic, **numbers, **lookup})

    def __getitem__(cls, item: Any) -> Any:
        """Give the value of a number, a NumPy or JAX integer too; a list for a slice."""
        return cls.reverse_lookup[item]

    def __len__(cls) -> int:
        """Count the values."""
        return len(cls.reverse_lookup)

    def __iter__(cls) -> Iterator[Any]:
        """Go through the values in order."""
        return iter(cls.reverse_lookup)

    def __contains__(cls, value: object) -> bool:
        """Whether it is one of the values."""
        return value in cls.reverse_lookup

    def __instancecheck__(cls, instance: Any) -> bool:
        """Whether it is a number that may stand for a value."""
        if isinstance(instance, (jax.Array, np.ndarray, np.generic)):
            return instance.shape == () and jnp.issubdtype(instance.dtype, jnp.integer)
        return isinstance(instance, int) or super().__instancecheck__(instance)


def _is_magic(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")
