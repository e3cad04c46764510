"""What goes round in a loop, or comes out of branches: arrays that change, all else the same."""

from typing import Any

import jax.tree_util as jtu

from eqx_pytree import static_key

from .._predicates import is_array
from ..trees._difference import first_difference
from ._naming import function_name
from ._packed import Packed, pack


class Carry:
    """A PyTree that a function takes and must give back, with other arrays in it.

    `rule` begins a message, with `{}` for the function's name; `name` is where paths begin.
    """

    def __init__(self, rule: str, name: str, tree: Any) -> None:
        self.rule = rule
        self.name = name
        self.tree = tree
        self.packed = pack(tree)
        self.given: Any = None

    @property
    def arrays(self) -> list[Any]:
        """The arrays that it begins with."""
        return list(self.packed.arrays)

    def rebuild(self, arrays: Any) -> Any:
        """The PyTree with these arrays."""
        return Packed(self.packed.layout, arrays).unpack()

    def take(self, fun: Any, tree: Any) -> list[Any]:
        """The arrays of what `fun` gave back.

        **Raises:** `TypeError` naming the first place where anything but an array has changed.
        """
        path, told = first_difference(tree, self.tree)
        if not told:
            path, told = _first_change(tree, self.tree)
        if told:
            raise TypeError(self._message(fun, path, told))
        self.given = tree
        return list(pack(tree).arrays)

    def why_refused(self, fun: Any) -> str | None:
        """Name the first array that came back with another shape or dtype, if there is one."""
        if self.given is None:
            return None
        before, now = (jtu.tree_flatten_with_path(tree)[0] for tree in (self.tree, self.given))
        for (path, one), (_, other) in zip(before, now, strict=True):
            if is_array(one) and (one.shape, one.dtype) != (other.shape, other.dtype):
                told = f"{other.dtype}{list(other.shape)} instead of {one.dtype}{list(one.shape)}"
                return self._message(fun, path, told)
        return None

    def _message(self, fun: Any, path: Any, told: str) -> str:
        return (
            f"{self.rule.format(function_name(fun))} in structure, in the shapes and dtypes of its "
            "arrays, and in every leaf that is no array; "
            f"`{self.name}{jtu.keystr(path)}` is {told}."
        )


def _first_change(now: Any, before: Any) -> tuple[Any, str]:
    pairs = zip(jtu.tree_flatten_with_path(now)[0], jtu.tree_leaves(before), strict=True)
    for (path, leaf), earlier in pairs:
        if is_array(leaf) and is_array(earlier):
            continue
        if is_array(leaf):
            return path, (
                f"an array instead of `{earlier!r}`, which is static; begin with an array, "
                "`jnp.asarray(...)` of it"
            )
        if is_array(earlier) or static_key(leaf) != static_key(earlier):
            was = f"an array of shape {earlier.shape}" if is_array(earlier) else f"`{earlier!r}`"
            return path, f"`{leaf!r}` instead of {was}"
    return (), ""
