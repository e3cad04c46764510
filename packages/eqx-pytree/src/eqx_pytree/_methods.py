"""Methods of a Module: looked up on an instance, a method is a PyTree with the instance inside.

So `jax.jit(model.method)`, `filter_jit(model.method)` and a method held in another tree see the
instance's leaves. Knows nothing of classes under construction.
"""

import dataclasses
import types
from collections.abc import Callable
from typing import Any

import jax
import jax.tree_util as jtu

from ._equality import tree_equal
from ._printing import tree_pformat


@dataclasses.dataclass(init=False, eq=False, repr=False)
class BoundMethod:
    # A function and the instance that it is called with: a PyTree whose one child is `__self__`.
    # (No docstring: `__doc__` is the function's.)
    #
    # Two are equal when the function is the same and the instances are equal leaf by leaf; tracers
    # are equal only to themselves, so that the answer is always a `bool`. The hash comes from the
    # function, the structure and the leaves that are no arrays.
    #
    # The slot `__call__` holds Python's own bound method: a call costs no frame here.

    __slots__ = ("__call__", "__func__", "__self__", "__weakref__")

    __func__: Callable[..., Any]
    __self__: Any

    def __init__(self, __func__: Callable[..., Any], __self__: Any) -> None:
        self.__func__ = __func__
        self.__self__ = __self__
        self.__call__ = types.MethodType(__func__, __self__)

    @property
    def __doc__(self) -> str | None:
        return self.__func__.__doc__

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "__func__"), name)

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        return self.__call__

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if type(other) is not BoundMethod or self.__func__ is not other.__func__:
            return False
        return _surely_equal(self.__self__, other.__self__)

    def __hash__(self) -> int:
        leaves, structure = jtu.tree_flatten(self.__self__)
        return hash((self.__func__, structure, *map(_hash_or_none, leaves)))

    def __reduce__(self) -> tuple[Any, ...]:
        return BoundMethod, (self.__func__, self.__self__)

    def __repr__(self) -> str:
        return tree_pformat(self)


class Method:
    """The descriptor that stands for a function in a Module's class."""

    __slots__ = ("function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self.function
        return BoundMethod(self.function, instance)

    @property
    def __isabstractmethod__(self) -> bool:
        return getattr(self.function, "__isabstractmethod__", False)

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        return self.function.__doc__

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        return self.function


def _surely_equal(one: Any, other: Any) -> bool:
    one_leaves, one_structure = jtu.tree_flatten(one)
    other_leaves, other_structure = jtu.tree_flatten(other)
    if one_structure != other_structure:
        return False
    return all(
        one_leaf is other_leaf
        or (_known(one_leaf, other_leaf) and tree_equal(one_leaf, other_leaf))
        for one_leaf, other_leaf in zip(one_leaves, other_leaves, strict=True)
    )


def _known(*leaves: Any) -> bool:
    return not any(isinstance(leaf, jax.core.Tracer) for leaf in leaves)


def _hash_or_none(leaf: Any) -> int | None:
    if isinstance(leaf, jax.Array):
        return None
    try:
        return hash(leaf)
    except TypeError:
        return None


_SELF = jtu.GetAttrKey("__self__")

jtu.register_pytree_with_keys(
    BoundMethod,
    lambda method: (((_SELF, method.__self__),), method.__func__),
    lambda function, children: BoundMethod(function, *children),
    lambda method: ((method.__self__,), method.__func__),
)
