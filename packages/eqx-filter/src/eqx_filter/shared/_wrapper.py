"""What the transformations return: a callable that is a PyTree, with what it wraps as its child."""

import functools
import types
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import jax.tree_util as jtu

from eqx_pytree import BoundMethod, Module, Partial, module_update_wrapper

_W = TypeVar("_W", bound="Wrapper")


class Wrapper(Module):
    """A transformed callable. As an attribute of a class it is a method of its instances."""

    fun: Callable[..., Any]

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        return self.fun

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else Partial(self, instance)


def wrap(caller: str, make: Callable[..., _W], fun: Any, *options: Any) -> Any:
    """Make a wrapper that has the name, docstring and signature of what it wraps.

    Without a `fun`, a decorator is returned. **Raises** `TypeError` if `fun` cannot be called.
    """
    if fun is None:
        return functools.partial(_wrap, caller, make, options)
    return _wrap(caller, make, options, fun)


def _wrap(caller: str, make: Callable[..., _W], options: tuple[Any, ...], fun: Any) -> _W:
    if not callable(fun):
        message = f"`{caller}` wraps a function; {fun!r} is not a callable object."
        raise TypeError(message)
    return module_update_wrapper(make(fun, *options))


def check_keywords(caller: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse a keyword that the wrapped transformation of JAX does not have.

    **Raises:** `TypeError`.
    """
    for name in given:
        if name not in known:
            told = ", ".join(f"`{parameter}`" for parameter in known)
            message = f"`{caller}` got an unexpected keyword argument `{name}`; it takes {told}."
            raise TypeError(message)


def as_tree(fun: Any) -> Any:
    """A method of an instance that is a PyTree, as a PyTree itself; anything else as it is."""
    if isinstance(fun, types.MethodType) and not jtu.all_leaves([fun.__self__]):
        return BoundMethod(fun.__func__, fun.__self__)
    return fun


def inner_tree(fun: Any) -> tuple[Any, Callable[[Any], Any]]:
    """What is wrapped, or what a method is of, and how to put another one there."""
    if isinstance(fun, Wrapper):
        tree, put_back = inner_tree(fun.fun)
        return tree, lambda new: _with_fun(fun, put_back(new))
    if isinstance(fun, BoundMethod):
        return fun.__self__, lambda new: BoundMethod(fun.__func__, new)
    return fun, lambda new: new


def _with_fun(wrapper: Any, fun: Any) -> Any:
    inner = wrapper.fun
    leaves, structure = jtu.tree_flatten(wrapper, is_leaf=lambda node: node is inner)
    return structure.unflatten([fun if leaf is inner else leaf for leaf in leaves])
