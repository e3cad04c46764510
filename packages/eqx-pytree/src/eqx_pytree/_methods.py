"""Methods of a Module: looked up on an instance, a method is a PyTree with the instance inside.

So `jax.jit(model.method)`, `filter_jit(model.method)` and a method held in another tree see the
instance's leaves. Knows nothing of classes under construction.
"""

import dataclasses
import functools
import operator
import types
from collections.abc import Callable
from typing import Any

import jax
import jax.tree_util as jtu
import numpy as np

from ._keys import static_key
from ._printing import tree_pformat


def _get(name: str) -> Any:
    """A property that reads an attribute of what is in the slot `__call__`."""
    return property(operator.attrgetter(f"__call__.{name}"))


class _InThisModule(type):
    """Tells the class its module, so that `__module__` of an instance can be the function's."""

    @property
    def __module__(cls) -> str:  # type: ignore[override]
        return __name__

    def __repr__(cls) -> str:
        return f"<class '{cls.__module__}.{cls.__qualname__}'>"


@dataclasses.dataclass(init=False, eq=False, repr=False)
class BoundMethod(metaclass=_InThisModule):
    # A function and the instance that it is called with: a PyTree whose one child is `__self__`.
    # (No docstring: `__doc__` is the function's.)
    #
    # Two are equal when a program traced for one is right for the other: the function is the same,
    # and so are the instances, leaf by leaf in type and bits. A tracer is equal only to itself, so
    # that the answer is always a `bool`. The hash comes from the function, the structure and the
    # leaves that are no arrays.
    #
    # All that it holds is Python's own bound method, in the slot `__call__`: so a call costs no
    # frame here. It is frozen, as a Module is.

    __slots__ = ("__call__", "__weakref__")

    __func__: Callable[..., Any] = _get("__func__")  # noqa: RUF009 - no default, but the field
    __self__: Any = _get("__self__")  # noqa: RUF009

    def __init__(self, __func__: Callable[..., Any], __self__: Any) -> None:
        bind = _MethodOfNone if __self__ is None else types.MethodType
        _hold(self, bind(__func__, __self__))

    @property
    def __doc__(self) -> str | None:
        return self.__func__.__doc__

    @property
    def __module__(self) -> str:  # type: ignore[override]
        return self.__func__.__module__

    def __get__(self, instance: Any, owner: type | None = None) -> "BoundMethod":
        return self  # as Python's bound methods do, by which `inspect` and `help` know a routine

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "__func__"), name)

    def __setattr__(self, name: str, value: Any) -> None:
        message = f"cannot assign to field '{name}': `{self.__qualname__}` is a method of a Module."
        raise dataclasses.FrozenInstanceError(message)

    def __delattr__(self, name: str) -> None:
        message = f"cannot delete field '{name}': `{self.__qualname__}` is a method of a Module."
        raise dataclasses.FrozenInstanceError(message)

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        return self.__call__

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if type(other) is not BoundMethod or self.__func__ is not other.__func__:
            return False
        return _interchangeable(self.__self__, other.__self__)

    def __hash__(self) -> int:
        leaves, structure = jtu.tree_flatten(self.__self__)
        return hash((self.__func__, structure, *map(_hash_or_none, leaves)))

    def __reduce__(self) -> tuple[Any, ...]:
        name = self.__func__.__name__
        if getattr(type(self.__self__), name, None) is self.__func__:
            return getattr, (self.__self__, name)  # so the function is that of the class again
        return BoundMethod, (self.__func__, self.__self__)

    def __repr__(self) -> str:
        return tree_pformat(self)


class _MethodOfNone:
    """Python's bound method, of None, which Python makes none of: for trees with gaps."""

    __slots__ = ("__func__", "__self__")

    def __init__(self, __func__: Callable[..., Any], __self__: None) -> None:
        self.__func__ = __func__
        self.__self__ = __self__

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return self.__func__(None, *args, **kwargs)


_hold = vars(BoundMethod)["__call__"].__set__
del BoundMethod.__annotations__  # those of an instance are the function's


_COPIED = tuple(name for name in functools.WRAPPER_ASSIGNMENTS if name != "__doc__")


class Method:
    """The descriptor that stands for a function in a Module's class.

    It says of itself what the function says, for tools that read the class's `__dict__`, such as
    `doctest`.
    """

    __slots__ = ("__dict__", "function")

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        functools.update_wrapper(self, function, _COPIED)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

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


def _interchangeable(one: Any, other: Any) -> bool:
    """Whether a program traced with one tree in it is right for the other."""
    one_leaves, one_structure = jtu.tree_flatten(one)
    other_leaves, other_structure = jtu.tree_flatten(other)
    if one_structure != other_structure:
        return False
    return all(map(_same_leaf, one_leaves, other_leaves))


def _same_leaf(one: Any, other: Any) -> bool:
    if one is other:
        return True
    if not isinstance(one, jax.Array) or type(one) is not type(other):
        return static_key(one) == static_key(other)
    if isinstance(one, jax.core.Tracer) or not (
        one.is_fully_addressable and one.size == other.size
    ):
        return False
    if (one.aval, one.sharding) != (other.aval, other.sharding):
        return False
    if jax.numpy.issubdtype(one.dtype, jax.dtypes.prng_key):
        one, other = jax.random.key_data(one), jax.random.key_data(other)
    return np.asarray(one).tobytes() == np.asarray(other).tobytes()


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
    lambda method: (((_SELF, method.__call__.__self__),), method.__call__.__func__),
    lambda function, children: BoundMethod(function, *children),
    lambda method: ((method.__call__.__self__,), method.__call__.__func__),
)
