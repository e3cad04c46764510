"""`closure_to_pytree`: functions as PyTrees of what they close over."""

import types
from typing import Any

import jax.tree_util as jtu

from eqx_pytree import Module


class Code:
    """A function without what it closes over. Two of one definition are equal.

    So a function that is defined anew at each step has the same static part at each.
    """

    __slots__ = ("function",)

    def __init__(self, function: types.FunctionType) -> None:
        self.function = function

    def _key(self) -> tuple[Any, ...]:
        function = self.function
        given = (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
        return function.__code__, id(function.__globals__), tuple(map(id, given))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Code) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"<code of {self.function.__qualname__}>"

    def with_contents(self, contents: tuple[Any, ...] | None) -> types.FunctionType:
        """Make the function that closes over these values."""
        old = self.function
        cells = None if contents is None else tuple(map(types.CellType, contents))
        made = types.FunctionType(
            old.__code__, old.__globals__, old.__name__, old.__defaults__, cells
        )
        made.__kwdefaults__ = old.__kwdefaults__
        made.__qualname__ = old.__qualname__
        return made


class Closure(Module):
    """A function of which what it closes over are children."""

    fn: Code
    contents: tuple[Any, ...] | None

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return self.fn.with_contents(self.contents)(*args, **kwargs)


def closure_to_pytree(tree: Any) -> Any:
    """Make each function in a PyTree a PyTree itself, of the values that it closes over.

    Unlike `filter_closure_convert`, it does not trace: what is closed over may be any PyTrees,
    functions among them, and the result can be called with any arguments.

    **Arguments:** `tree`, any PyTree, often a function.

    **Returns:** the PyTree with a callable PyTree in the place of each Python function. Its leaves
    are the function without its closure, which is equal to that of another function of the same
    definition, and what is closed over, in the order of the variables' names. Where a function
    refers to itself, it is left as it is. Other callables stay: methods, `functools.partial`s, and
    what `jax.jit` returns. An assignment to a `nonlocal` variable lasts for one call.

    **Raises:** `ValueError` if a variable that is closed over has no value yet.
    """
    return _converted(tree, ())


def _converted(tree: Any, around: tuple[types.FunctionType, ...]) -> Any:
    return jtu.tree_map(lambda leaf: _converted_leaf(leaf, around), tree)


def _converted_leaf(leaf: Any, around: tuple[types.FunctionType, ...]) -> Any:
    if not isinstance(leaf, types.FunctionType) or any(leaf is each for each in around):
        return leaf
    if leaf.__closure__ is None:
        return Closure(Code(leaf), None)
    contents = []
    for name, cell in zip(leaf.__code__.co_freevars, leaf.__closure__, strict=True):
        try:
            content = cell.cell_contents
        except ValueError:
            message = (
                f"`{leaf.__qualname__}` closes over `{name}`, which has no value yet; convert it "
                "after the variable is assigned."
            )
            raise ValueError(message) from None
        contents.append(_converted(content, (*around, leaf)))
    return Closure(Code(leaf), tuple(contents))
