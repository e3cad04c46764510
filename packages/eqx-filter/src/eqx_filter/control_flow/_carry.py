"""What goes round in a loop, or comes out of branches: arrays that change, all else the same."""

import re
from typing import Any

import jax
import jax.tree_util as jtu

from eqx_pytree import static_key

from ..shared._difference import first_difference
from ..shared._naming import function_name
from ..shared._packed import Packed, pack

_POSITION = re.compile(r"(?<=carry component )(?:arrays|loop_carry\[1\])\[(\d+)\]")


def outline(packed: Packed) -> Any:
    """The PyTree with the shape and dtype of each array in its place; it holds no memory."""
    arrays = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in packed.arrays]
    return packed.layout.rebuild(arrays)


class Carry:
    """What a function takes and must give back, with other arrays in it: kept as an outline.

    `rule` begins a message, with `{}` for the function's name; `name` is where paths begin.
    """

    def __init__(self, rule: str, name: str, expected: Any) -> None:
        self.rule = rule
        self.name = name
        self.expected = expected
        self.given: Any = None

    def take(self, fun: Any, tree: Any) -> list[Any]:
        """The arrays of what `fun` gave back.

        **Raises:** `TypeError` naming the first place where anything but an array has changed.
        """
        packed = pack(tree)
        self.refuse_other(fun, outline(packed))
        return list(packed.arrays)

    def refuse_other(self, fun: Any, given: Any) -> None:
        """Refuse the outline of a PyTree where anything but an array differs.

        **Raises:** `TypeError` naming the first place.
        """
        path, told = first_difference(given, self.expected)
        if not told:
            path, told = _first_change(given, self.expected)
        if told:
            raise TypeError(self._message(fun, path, told))
        self.given = given

    def why_refused(self, fun: Any) -> str | None:
        """Name the first array that came back with another shape or dtype, if there is one."""
        if self.given is None:
            return None
        before, now = (jtu.tree_flatten_with_path(tree)[0] for tree in (self.expected, self.given))
        for (path, one), (_, other) in zip(before, now, strict=True):
            if _is_outline(one) and (one.shape, one.dtype) != (other.shape, other.dtype):
                told = f"{other.dtype}{list(other.shape)} instead of {one.dtype}{list(one.shape)}"
                return self._message(fun, path, told)
        return None

    def name_arrays(self, error: Exception) -> None:
        """Put the path in the place of the position, where JAX blames one of the arrays."""
        text, *others = error.args or (None,)
        if self.given is not None and isinstance(text, str):
            leaves = jtu.tree_flatten_with_path(self.expected)[0]
            paths = [f"`{self.name}{jtu.keystr(path)}`" for path, it in leaves if _is_outline(it)]
            known = dict(enumerate(paths))
            text = _POSITION.sub(lambda match: known.get(int(match[1]), match[0]), text)
            error.args = (text, *others)

    def _message(self, fun: Any, path: Any, told: str) -> str:
        return (
            f"{self.rule.format(function_name(fun))} in structure, in the shapes and dtypes of its "
            "arrays, and in every leaf that is no array; "
            f"`{self.name}{jtu.keystr(path)}` is {told}."
        )


def _is_outline(leaf: Any) -> bool:
    return isinstance(leaf, jax.ShapeDtypeStruct)


def _first_change(now: Any, before: Any) -> tuple[Any, str]:
    pairs = zip(jtu.tree_flatten_with_path(now)[0], jtu.tree_leaves(before), strict=True)
    for (path, leaf), earlier in pairs:
        if _is_outline(leaf) and _is_outline(earlier):
            continue
        if _is_outline(leaf):
            return path, (
                f"an array instead of `{earlier!r}`, which is static; begin with an array, "
                "`jnp.asarray(...)` of it"
            )
        if _is_outline(earlier) or static_key(leaf) != static_key(earlier):
            was = f"an array of shape {earlier.shape}" if _is_outline(earlier) else f"`{earlier!r}`"
            way_out = ""
            if isinstance(leaf, (bool, int, float, complex)):
                way_out = "; begin with an array, `jnp.asarray(...)` of it, if it is to change"
            return path, f"`{leaf!r}` instead of {was}{way_out}"
    return (), ""
