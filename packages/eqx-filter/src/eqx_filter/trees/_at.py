"""`tree_at`: a PyTree with some of its nodes replaced."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, overload

import jax.tree_util as jtu

from ..paths._selectors import Chooser, as_function, is_selector
from ..paths._where import Placeholder, choose, stood_for
from ..shared._describe import describe
from ..shared._predicates import is_none
from ..shared._unset import UNSET
from ._parts import has_parts, replace_parts

_Tree = TypeVar("_Tree")


@overload
def tree_at(
    where: Callable[[_Tree], Any],
    pytree: _Tree,
    replace: Any = ...,
    replace_fn: Callable[[Any], Any] = ...,
    is_leaf: Callable[[Any], bool] | None = None,
) -> _Tree: ...


@overload
def tree_at(
    where: Chooser,
    pytree: _Tree,
    replace: Any = ...,
    replace_fn: Callable[[Any], Any] = ...,
    is_leaf: Callable[[Any], bool] | None = None,
) -> _Tree: ...


def tree_at(
    where: Callable[[Any], Any] | Chooser,
    pytree: _Tree,
    replace: Any = UNSET,
    replace_fn: Callable[[Any], Any] = UNSET,
    is_leaf: Callable[[Any], bool] | None = None,
) -> _Tree:
    """Replace nodes of a PyTree, as `array.at[...].set(...)` replaces elements of an array.

    **Arguments:**

    - `where`: takes a PyTree like `pytree` and returns a node of it, or a sequence of nodes. A
        node is a leaf or a subtree, a part of a leaf, such as `m.weight[0]`, or a subtree of such
        parts. It may look at the structure, not at the leaves' values. Where it returns one node
        twice, the later replacement counts. Or a selector, such as the path `"layers.0.bias"`,
        which is that node, and `"layers.*.bias"`, which is a sequence of those that it finds; see
        `by`.
    - `pytree`: the PyTree.
    - `replace`: the new node; where `where` returns a sequence, a sequence of the same length.
    - `replace_fn`: called with each node in turn; its results are the new nodes. Precisely one of
        `replace` and `replace_fn` is given.
    - `is_leaf`: as in `jax.tree_util.tree_map`. To replace one None of several, pass
        `is_leaf=lambda x: x is None`.

    **Returns:** a PyTree; `pytree` stays as it was.

    **Raises:** `ValueError` if not precisely one of `replace` and `replace_fn` is given, if the
    lengths differ, if nodes overlap or cannot be told apart, or if a part is to become something of
    another shape; `TypeError` if what `where` returns is not in `pytree`, if it computes with a
    leaf, or if a part is to become something of a dtype that its leaf does not hold.
    """
    if (replace is UNSET) == (replace_fn is UNSET):
        message = "Precisely one of `replace` and `replace_fn` must be specified."
        raise ValueError(message)
    function = as_function(where, pytree, is_leaf) if is_selector(where) else where
    chosen = choose(function, pytree, is_leaf, parts=True)
    if function is not where and is_leaf is None and any(it is None for it in chosen.nodes):
        function = as_function(where, pytree, is_none)  # a path tells one None from another
        chosen = choose(function, pytree, is_none, parts=True)
    where, (copy, leaves, structure, nodes, is_sequence) = function, chosen
    replacements = _replacements(replace, nodes, is_sequence, where)
    if all(type(node) is Placeholder for node in nodes):
        replaced = list(leaves)
        for i, node in enumerate(nodes):
            at = node.index
            replaced[at] = replace_fn(leaves[at]) if replacements is None else replacements[i]
        return structure.unflatten(replaced)
    if has_parts(nodes):
        return replace_parts(where, chosen, replacements, replace_fn)
    return _replace_subtrees(_Request(where, copy, leaves), nodes, replacements, replace_fn)


class _Request:
    """A call of `tree_at` whose nodes are subtrees, or None."""

    def __init__(self, where: Callable[[Any], Any], copy: Any, leaves: list[Any]) -> None:
        self.where = where
        self.copy = copy
        self.leaves = leaves

    def restored(self, node: Any) -> Any:
        """A node of the copy, with its leaves in the place of the placeholders."""
        return jtu.tree_map(self.value, node)

    def value(self, stand_in: Any) -> Any:
        """What a leaf of the copy stands for."""
        return stood_for(stand_in, self.leaves)


def _replace_subtrees(
    request: _Request,
    nodes: Sequence[Any],
    replacements: Sequence[Any] | None,
    replace_fn: Callable[[Any], Any],
) -> Any:
    wanted = {id(node): i for i, node in enumerate(nodes)}
    found, structure = jtu.tree_flatten(request.copy, lambda node: id(node) in wanted)
    times = [0] * len(nodes)
    result = []
    for node in found:
        i = wanted.get(id(node))
        if i is None:
            result.append(request.value(node))
            continue
        times[i] += 1
        if replacements is None:
            result.append(replace_fn(request.restored(node)))
        else:
            result.append(replacements[i])
    for node in nodes:
        found_times = times[wanted[id(node)]]
        if found_times != 1:
            _refuse(request, node, found_times)
    return structure.unflatten(result)


def _refuse(request: _Request, node: Any, times: int) -> None:
    shown = request.restored(node)
    if times > 1:
        message = (
            f"`where` does not uniquely identify a single element of `pytree`: it returned "
            f"`{shown!r}`, which is there {times} times. Where that is None, pass "
            f"`is_leaf=lambda x: x is None`. `where` is {describe(request.where)}."
        )
    else:
        message = (
            f"`where` does not specify an element or elements of `pytree`: it returned "
            f"`{shown!r}`, which is no node of it, or lies inside another node that it returned. "
            f"`where` is {describe(request.where)}."
        )
    raise ValueError(message)


def _replacements(
    replace: Any, nodes: Sequence[Any], is_sequence: bool, where: Callable[[Any], Any]
) -> Sequence[Any] | None:
    if replace is UNSET:
        return None
    if not is_sequence:
        return [replace]
    if not hasattr(replace, "__len__"):
        message = (
            f"`where` must return a sequence of leaves of the same length as `replace`: it returns "
            f"{len(nodes)}, and `replace` is a `{type(replace).__name__}`, which is no sequence. "
            f"`where` is {describe(where)}."
        )
        raise TypeError(message)
    if len(replace) != len(nodes):
        message = (
            f"`where` must return a sequence of leaves of the same length as `replace`: it returns "
            f"{len(nodes)}, and `replace` has {len(replace)}. `where` is {describe(where)}."
        )
        raise ValueError(message)
    return list(replace)
