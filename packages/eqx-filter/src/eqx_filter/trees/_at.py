"""`tree_at`: a PyTree with some of its nodes replaced.

`where` is called once, on a copy of the tree whose leaves are placeholders. So a node is known by
its place and not by its value: `[True, True]` has two places, and so has a layer that stands in a
tree twice.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax.tree_util as jtu

from ..shared._describe import describe
from ._missing import missing_in

_Tree = TypeVar("_Tree")


class _Unset:
    """Stands for an argument that was not given."""

    def __repr__(self) -> str:
        return "<unset>"


_UNSET: Any = _Unset()


class _Place:
    """Stands for the leaf at `index` of `leaves`.

    It is true, and equal to nothing else; where the leaf's own value would say otherwise, the
    answer would depend on that value, and is refused.
    """

    __slots__ = ("index", "leaves")

    def __init__(self, index: int, leaves: list[Any]) -> None:
        self.index = index
        self.leaves = leaves

    def __bool__(self) -> bool:
        if not self.leaves[self.index]:
            raise _DependsOnValueError(self.index)
        return True

    def __eq__(self, other: object) -> bool:
        if type(other) is not _Place and _may_equal(self.leaves[self.index], other):
            raise _DependsOnValueError(self.index)
        return self is other

    __hash__ = object.__hash__


def _may_equal(leaf: Any, other: Any) -> bool:
    try:
        return bool(leaf == other)
    except Exception:  # no plain answer: a tracer, an array of several elements
        return True


class _DependsOnValueError(Exception):
    """`where` asked a leaf for its value; the argument is the leaf's index."""


def tree_at(
    where: Callable[[_Tree], Any],
    pytree: _Tree,
    replace: Any = _UNSET,
    replace_fn: Callable[[Any], Any] = _UNSET,
    is_leaf: Callable[[Any], bool] | None = None,
) -> _Tree:
    """Replace nodes of a PyTree, as `array.at[...].set(...)` replaces elements of an array.

    **Arguments:**

    - `where`: takes a PyTree like `pytree` and returns a node of it, or a sequence of nodes. A
        node is a leaf or a subtree. It may look at the structure, not at the leaves' values. Where
        it returns one node twice, the later replacement counts.
    - `pytree`: the PyTree.
    - `replace`: the new node; where `where` returns a sequence, a sequence of the same length.
    - `replace_fn`: called with each node in turn; its results are the new nodes. Precisely one of
        `replace` and `replace_fn` is given.
    - `is_leaf`: as in `jax.tree_util.tree_map`. To replace one None of several, pass
        `is_leaf=lambda x: x is None`.

    **Returns:** a PyTree; `pytree` stays as it was.

    **Raises:** `ValueError` if not precisely one of `replace` and `replace_fn` is given, if the
    lengths differ, or if nodes overlap or cannot be told apart; `TypeError` if what `where` returns
    is not in `pytree`, or if it computes with a leaf.
    """
    if (replace is _UNSET) == (replace_fn is _UNSET):
        message = "Precisely one of `replace` and `replace_fn` must be specified."
        raise ValueError(message)
    leaves, structure = jtu.tree_flatten(pytree, is_leaf)
    copy = structure.unflatten([_Place(i, leaves) for i in range(len(leaves))])
    chosen = _call_where(where, copy, pytree, is_leaf)
    if type(chosen) is not _Place and _holds_bare_nodes(chosen):
        copy = _told_apart(copy)
        chosen = _call_where(where, copy, pytree, is_leaf)
    if type(chosen) is _Place:
        nodes, is_sequence = [chosen], False
    else:
        nodes, is_sequence = _nodes(chosen, copy, where, pytree)
    replacements = _replacements(replace, nodes, is_sequence, where)
    if all(type(node) is _Place for node in nodes):
        replaced = list(leaves)
        for i, node in enumerate(nodes):
            at = node.index
            replaced[at] = replace_fn(leaves[at]) if replacements is None else replacements[i]
        return structure.unflatten(replaced)
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
        if type(stand_in) is _Place:
            return self.leaves[stand_in.index]
        return () if type(stand_in) is _Empty else stand_in.node


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


def _call_where(where: Callable[[Any], Any], copy: Any, pytree: Any, is_leaf: Any) -> Any:
    try:
        return where(copy)
    except _DependsOnValueError as error:
        path = jtu.tree_flatten_with_path(pytree, is_leaf)[0][error.args[0]][0]
        message = (
            "`where` must use just the PyTree structure of `pytree`, and not depend on the values "
            f"of its leaves; it asked for that of `pytree{jtu.keystr(path)}`. `where` is "
            f"{describe(where)}."
        )
        raise ValueError(message) from None
    except (TypeError, AttributeError, LookupError) as error:
        if "_Place" not in str(error):
            missing = missing_in(where, copy)
            error.add_note(f"{missing}. " * bool(missing) + f"`where` is {describe(where)}.")
            raise
        paths = [jtu.keystr(path) for path, _ in jtu.tree_flatten_with_path(pytree, is_leaf)[0]]
        leaves = ", ".join(f"`pytree{path}`" for path in paths[:10])
        message = (
            f"`where` must return nodes of `pytree`, and cannot compute with its leaves; it tried: "
            f"{str(error).replace('_Place', 'leaf')}. The leaves are {leaves}"
            f"{', ...' if len(paths) > 10 else ''}. `where` is {describe(where)}."
        )
        raise type(error)(message) from None


def _nodes(
    chosen: Any, copy: Any, where: Callable[[Any], Any], pytree: Any
) -> tuple[Sequence[Any], bool]:
    """What `where` returned, as nodes of the copy; and whether it returned several."""
    if isinstance(chosen, (tuple, list)) and not _holds(copy, chosen, where):
        for node in chosen:
            _check_node(node, where, pytree)
        return chosen, True
    _check_node(chosen, where, pytree)
    return [chosen], False


def _holds(tree: Any, node: Any, where: Callable[[Any], Any]) -> bool:
    """Whether what `where` returned is itself a node of the tree."""
    leaves = jtu.tree_leaves(tree, lambda other: other is node)
    return any(leaf is node for leaf in leaves)


class _Empty(tuple):
    """Stands for an empty tuple of the tree: there is but one `()`."""

    __slots__ = ()


class _Bare:
    """Stands for another node without children, of which there may be but one object."""

    def __init__(self, node: Any) -> None:
        self.node = node


def _is_bare(node: Any) -> bool:
    """Whether a node has no children. None is told apart by `is_leaf`."""
    structure = jtu.tree_structure(node)
    return node is not None and structure.num_nodes == 1 and structure.num_leaves == 0


def _holds_bare_nodes(chosen: Any) -> bool:
    nodes = chosen if isinstance(chosen, (tuple, list)) else ()
    return _is_bare(chosen) or any(map(_is_bare, nodes))


def _told_apart(tree: Any) -> Any:
    """The tree with an object of its own for each node that may be one object with another.

    Nodes with children were made anew when the placeholders were put in.
    """
    times = Counter(map(id, jtu.tree_leaves(tree, is_leaf=_is_bare)))

    def stand_in(node: Any) -> Any:
        if type(node) is tuple and not node:
            return _Empty()
        return _Bare(node) if times[id(node)] > 1 and _is_bare(node) else node

    return jtu.tree_map(stand_in, tree, is_leaf=_is_bare)


def _check_node(node: Any, where: Callable[[Any], Any], pytree: Any) -> None:
    for leaf in jtu.tree_leaves(node):
        if type(leaf) not in (_Place, _Empty, _Bare):
            message = (
                f"Operation undefined, {leaf!r} is not a leaf of the pytree. `where` must return "
                f"nodes of `pytree`, a `{type(pytree).__name__}`: leaves or subtrees, and no "
                f"static fields or new values. `where` is {describe(where)}."
            )
            raise TypeError(message)


def _replacements(
    replace: Any, nodes: Sequence[Any], is_sequence: bool, where: Callable[[Any], Any]
) -> Sequence[Any] | None:
    if replace is _UNSET:
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
