"""The filter that a user passed: which leaves of some arguments are asked for."""

from collections.abc import Callable, Sequence
from typing import Any

import jax.tree_util as jtu

from eqx_pytree import static_key

from ..shared._difference import first_difference


class Filter:
    """Which leaves of a sequence of arguments a user asked for: by function, or leaf by leaf."""

    def __init__(self, caller: str, filter_fn: Any, filter_tree: Any) -> None:
        if (filter_fn is None) == (filter_tree is None):
            given = "neither was" if filter_fn is None else "both were"
            message = (
                "Precisely one of `filter_fn` and `filter_tree` must be passed to "
                f"`{caller}`; {given}."
            )
            raise ValueError(message)
        if filter_fn is not None and not callable(filter_fn):
            message = (
                f"`filter_fn` of `{caller}` is {filter_fn!r}; it must be a function of a leaf."
            )
            raise TypeError(message)
        self.caller = caller
        self.fn: Callable[[Any], Any] | None = filter_fn
        self.tree = filter_tree
        self._check_booleans()

    def _check_booleans(self) -> None:
        for path, leaf in jtu.tree_flatten_with_path(self.tree)[0]:
            if type(leaf) is not bool:
                message = (
                    f"Every leaf of `filter_tree` must be True or False; "
                    f"`filter_tree{jtu.keystr(path)}` is {leaf!r}, passed to `{self.caller}`."
                )
                raise ValueError(message)

    @property
    def key(self) -> Any:
        """What tells filters apart."""
        leaves, structure = jtu.tree_flatten(self.tree)
        return static_key(self.fn), tuple(leaves), structure

    def mask_of_leaves(self, leaves: Sequence[Any]) -> list[bool]:
        """Ask the function of each leaf."""
        fn: Callable[[Any], Any] = self.fn  # type: ignore[assignment]
        return [bool(fn(leaf)) for leaf in leaves]

    def mask(self, args: Sequence[Any]) -> list[bool]:
        """Say of each leaf of the arguments whether it is asked for.

        **Raises:** `ValueError` if `filter_tree` has another structure, saying where.
        """
        if self.fn is not None:
            return self.mask_of_leaves(jtu.tree_leaves(args))
        structure = jtu.tree_structure(tuple(args))
        row = tuple(self.tree) if isinstance(self.tree, (tuple, list)) else None
        for tree in (row, (self.tree,)):
            if jtu.tree_structure(tree) == structure:
                return jtu.tree_leaves(tree)
        is_row = row is not None and len(row) == len(args)
        path, told = first_difference(row if is_row else (self.tree,), tuple(args))
        if not is_row:
            path = path[1:]
        message = (
            f"`filter_tree` of `{self.caller}` must have the structure of the inputs, as one tree "
            "for one input or a tuple or list with one for each; at "
            f"`filter_tree{jtu.keystr(path)}`: "
            f"{told}. Make it from the inputs, with `jax.tree.map(lambda _: False, ...)` and "
            "`tree_at`."
        )
        raise ValueError(message)
