"""Looking at how a PyTree is built: `tree_flatten_one_level` and `tree_check`."""

from typing import Any

import jax.tree_util as jtu

from ..shared._levels import below, one_level_with_paths, self_referential


def tree_flatten_one_level(pytree: Any) -> tuple[list[Any], Any]:
    """Take a PyTree apart into its immediate children.

    **Arguments:** `pytree`, any PyTree.

    **Returns:** the children and a treedef with them as leaves. A leaf is its own only child.

    **Raises:** `ValueError` if `pytree` is one of its own children.
    """
    children, structure = jtu.tree_flatten(pytree, is_leaf=below(pytree))
    return list(children), structure


def tree_check(pytree: Any) -> None:
    """Check that a PyTree is a tree: no node appears in it twice, and none inside itself.

    Leaves may repeat, and so may nodes without leaves. A node that stands in two places becomes
    two nodes when it is flattened and unflattened, as at the edge of a jitted function.

    **Arguments:** `pytree`, any PyTree.

    **Raises:** `ValueError` that names the node's type and both places.
    """
    _check(pytree, (), {}, set())


def _check(
    node: Any, path: tuple[Any, ...], seen: dict[int, tuple[Any, ...]], above: set[int]
) -> None:
    if id(node) in above:
        raise ValueError(self_referential(node))
    children = one_level_with_paths(node)
    if not children:
        return
    if id(node) in seen:
        first, second = jtu.keystr(seen[id(node)]), jtu.keystr(path)
        message = (
            f"PyTree node of type `{type(node).__name__}` appears in the PyTree multiple times: at "
            f"`pytree{first}` and at `pytree{second}`. This is almost always an error, since "
            "flattening turns it into two separate copies, e.g. at a JIT boundary. Build it twice, "
            "or keep it in one place and refer to it by that place."
        )
        raise ValueError(message)
    seen[id(node)] = path
    above.add(id(node))
    for key, child in children:
        _check(child, (*path, *key), seen, above)
    above.discard(id(node))
