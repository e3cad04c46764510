"""Names for the leaves of a call, for messages: `x['a'][0]` is in the argument called `x`."""

import inspect
import types
from collections.abc import Iterator
from typing import Any

import jax.tree_util as jtu

_MOST_LAYERS = 32
"""Of wrappers around a function that are looked through."""


def function_name(fun: Any) -> str:
    """The name of a function, or of the type of a callable that has none."""
    return getattr(fun, "__qualname__", None) or type(fun).__qualname__


def code_of(fun: Any) -> types.FunctionType | None:
    """The Python function that a callable calls in the end, if there is one."""
    for _ in range(_MOST_LAYERS):
        if isinstance(fun, types.FunctionType):
            wrapped = getattr(fun, "__wrapped__", None)
            return fun if wrapped is None else code_of(wrapped) or fun
        inner = (getattr(fun, word, None) for word in ("__func__", "__wrapped__", "func"))
        at_class = inspect.getattr_static(type(fun), "__call__", None)
        fun = next((it for it in inner if it is not None), at_class)
    return None


def refuse_uncallable(caller: str, **functions: Any) -> None:
    """Refuse what stands in the place of a function, by the name of the argument.

    **Raises:** `TypeError`.
    """
    for name, function in functions.items():
        if not callable(function):
            message = f"`{caller}` takes a function as `{name}`; {function!r} cannot be called."
            raise TypeError(message)


def named_arguments(fun: Any, args: Any, kwargs: Any) -> Iterator[tuple[str, Any]]:
    """Give the arguments of a call with their names, in the order of flattening.

    `fun` is the function, or its signature, or None where that is not known.
    """
    positional, variadic = _parameters(fun)
    for i, arg in enumerate(args):
        yield positional[i] if i < len(positional) else f"{variadic}[{i - len(positional)}]", arg
    for name in sorted(kwargs):
        yield name, kwargs[name]


def leaf_names(fun: Any, args: Any, kwargs: Any) -> list[str]:
    """Name each leaf of `(args, kwargs)`, in the order of flattening."""
    named = named_arguments(fun, args, kwargs)
    return [name for root, argument in named for name in _paths(root, argument)]


def callable_names(fun: Any) -> list[str]:
    """Name each leaf of a callable that is itself a PyTree."""
    return list(_paths(function_name(fun), fun))


def _paths(root: str, tree: Any) -> list[str]:
    return [f"{root}{jtu.keystr(path)}" for path, _ in jtu.tree_flatten_with_path(tree)[0]]


def _parameters(fun: Any) -> tuple[list[str], str]:
    try:
        signature = fun if isinstance(fun, inspect.Signature) else inspect.signature(fun)
    except (TypeError, ValueError):
        return [], "args"
    parameters = signature.parameters.values()
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    positional = [p.name for p in parameters if p.kind in kinds]
    variadic = [p.name for p in parameters if p.kind is inspect.Parameter.VAR_POSITIONAL]
    return positional, (variadic or ["args"])[0]


def parameter_name(name: str) -> str:
    """The parameter that an argument belongs to: `args` for `args[0]`."""
    return name.partition("[")[0]
