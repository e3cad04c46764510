"""Split a PyTree leaf by leaf, and put it together again: `filter`, `partition`, `combine`."""

from collections.abc import Callable, Hashable, Iterable
from typing import Any, TypeVar

import jax.tree_util as jtu

from eqx_pytree import static_key

from ..shared._difference import first_difference
from ..shared._filter_spec import IsLeaf, filter_mask
from ..shared._jax import flatten_with_nones
from ..shared._predicates import is_none

_Tree = TypeVar("_Tree")


def filter(
    pytree: _Tree,
    filter_spec: Any,
    inverse: bool = False,
    replace: Any = None,
    is_leaf: IsLeaf = None,
) -> _Tree:
    """Keep the leaves that a filter holds for, and replace the others.

    **Arguments:**

    - `pytree`: any PyTree.
    - `filter_spec`: a PyTree prefix of `pytree` whose leaves are booleans or functions
        `leaf -> bool`; each speaks for the leaves below it. Often a single function.
    - `inverse`: keep the others instead.
    - `replace`: what stands for a leaf that is not kept.
    - `is_leaf`: as in `jax.tree_util.tree_map`.

    **Returns:** a PyTree with the structure of `pytree`.

    **Raises:** `ValueError` if `filter_spec` is no prefix of `pytree`, or holds anything else.
    """
    leaves, structure = jtu.tree_flatten(pytree, is_leaf)
    mask = filter_mask(pytree, leaves, filter_spec, is_leaf)
    wanted = not inverse
    kept = [leaf if m is wanted else replace for leaf, m in zip(leaves, mask, strict=True)]
    return structure.unflatten(kept)


def partition(
    pytree: _Tree, filter_spec: Any, replace: Any = None, is_leaf: IsLeaf = None
) -> tuple[_Tree, _Tree]:
    """Split a PyTree in two: the leaves that a filter holds for, and the others.

    **Arguments:** as `filter`.

    **Returns:** two PyTrees with the structure of `pytree`; each has `replace` where the other has
    the leaf. `combine` undoes it.

    **Raises:** as `filter`.
    """
    leaves, structure = jtu.tree_flatten(pytree, is_leaf)
    mask = filter_mask(pytree, leaves, filter_spec, is_leaf)
    pairs = list(zip(leaves, mask, strict=True))
    return (
        structure.unflatten([leaf if m else replace for leaf, m in pairs]),
        structure.unflatten([replace if m else leaf for leaf, m in pairs]),
    )


def combine(*pytrees: _Tree, is_leaf: IsLeaf = None) -> _Tree:
    """Put PyTrees of one structure together: at each place the first leaf that is not None.

    **Arguments:**

    - `pytrees`: one PyTree or more. Where the first has None, another may have a subtree.
    - `is_leaf`: as in `jax.tree_util.tree_map`; None is a leaf in any case.

    **Returns:** a PyTree.

    **Raises:** `TypeError` if none is given, `ValueError` if the structures differ.
    """
    if not pytrees:
        message = "`combine` puts PyTrees together; it was called with none."
        raise TypeError(message)
    if is_leaf is None:
        leaf_here = is_none
        leaves, structure = flatten_with_nones(pytrees[0])
    else:
        leaf_here = lambda node: node is None or is_leaf(node)  # noqa: E731
        leaves, structure = jtu.tree_flatten(pytrees[0], leaf_here)
    columns = [leaves]
    for i, pytree in enumerate(pytrees[1:], start=1):
        try:
            columns.append(structure.flatten_up_to(pytree))
        except ValueError:
            raise ValueError(_unlike(pytrees[0], i, pytree, leaf_here)) from None
    if len(columns) == 2:
        pairs = zip(*columns, strict=True)
        return structure.unflatten([y if x is None else x for x, y in pairs])
    return structure.unflatten([_first(column) for column in zip(*columns, strict=True)])


def hashable_partition(pytree: Any, filter_fn: Any) -> tuple[tuple[Any, ...], tuple[Hashable, Any]]:
    """Split a PyTree into leaves to trace and a value that can be a dictionary's key.

    **Arguments:**

    - `pytree`: any PyTree.
    - `filter_fn`: as `filter_spec` of `filter`.

    **Returns:** `(dynamic_leaves, static)`. `static` holds the other leaves and the structure. Two
    are equal when the structures are, and the leaves are by type and value; hashing it raises
    `TypeError` if a leaf has no hash. `hashable_combine` undoes it.

    **Raises:** as `filter`.
    """
    leaves, structure = jtu.tree_flatten(pytree)
    pairs = list(zip(leaves, filter_mask(pytree, leaves, filter_fn, None), strict=True))
    dynamic = tuple(leaf if m else None for leaf, m in pairs)
    static = StaticLeaves(None if m else leaf for leaf, m in pairs)
    return dynamic, (static, structure)


def hashable_combine(dynamic_leaves: Iterable[Any], static: tuple[Any, Any]) -> Any:
    """Undo `hashable_partition`.

    **Arguments:** the two values that it returned; the dynamic leaves may be others by now.

    **Returns:** the PyTree.
    """
    static_leaves, structure = static
    pairs = zip(dynamic_leaves, static_leaves, strict=True)
    return structure.unflatten([s if d is None else d for d, s in pairs])


class StaticLeaves(tuple):
    """Leaves as a key: equal when each pair is, by type and value."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, StaticLeaves):
            return False
        return static_key(tuple(self)) == static_key(tuple(other))

    def __hash__(self) -> int:
        return hash(static_key(tuple(self)))


def _unlike(first: Any, i: int, other: Any, leaf_here: Callable[[Any], bool]) -> str:
    path, told = first_difference(first, other, prefix=True, is_leaf=leaf_here)
    return (
        "`combine` takes PyTrees of one structure; at "
        f"`pytrees[0]{jtu.keystr(path)}`: {told} in `pytrees[{i}]`."
    )


def _first(column: tuple[Any, ...]) -> Any:
    for leaf in column:
        if leaf is not None:
            return leaf
    return None
