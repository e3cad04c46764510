"""Types that the trees of the laws are made of, besides Modules; all can be imported."""

import enum
from typing import Any, NamedTuple

import jax.tree_util as jtu


class Pair(NamedTuple):
    """A named tuple."""

    first: Any
    second: Any


class Box:
    """A node that is registered with JAX by hand."""

    def __init__(self, content: Any) -> None:
        self.content = content

    def __repr__(self) -> str:
        return f"Box({self.content!r})"


class Colour(enum.Enum):
    """Values that are static."""

    RED = 1
    BLUE = 2


def double(x: Any) -> Any:
    return x * 2


def first(x: Any, *more: Any, **named: Any) -> Any:
    return x


jtu.register_pytree_with_keys(
    Box,
    lambda box: (((jtu.GetAttrKey("content"), box.content),), None),
    lambda _, content: Box(*content),
    lambda box: ((box.content,), None),
)
