"""`Shared`: one value at several places of a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import jax

from eqx_filter import is_array, tree_at, tree_equal
from eqx_pytree import Module

T = TypeVar("T")


class SharedNode:
    """Stands where a shared value was: a leaf that is no array. All of them are equal."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SharedNode)

    def __hash__(self) -> int:
        return hash(SharedNode)

    def __repr__(self) -> str:
        return "SharedNode"


class Shared(Module, Generic[T]):
    """A PyTree in which some nodes are others of its nodes, kept once.

    A PyTree knows no identity: an array that is at two places becomes two parameters after the
    first update. Here one is kept, and calling the object gives the whole PyTree. To tie the
    weights of an embedding and of the layer that maps back:

        class LanguageModel(Module):
            shared: Shared

            def __init__(self, ...):
                embedding, linear = Embedding(...), Linear(...)
                where = lambda pair: pair[1].weight
                get = lambda pair: pair[0].weight
                self.shared = Shared((embedding, linear), where, get)

            def __call__(self, token):
                embedding, linear = self.shared()
                return linear(embedding(token))

    Weight tying is from Press & Wolf (2017, "Using the Output Embedding to Improve Language
    Models") and Inan, Khosravi & Socher (2017).
    """

    pytree: T
    where: Callable[[T], Any]
    get: Callable[[T], Any]

    def __init__(self, pytree: T, where: Callable[[T], Any], get: Callable[[T], Any]) -> None:
        """Take out of `pytree` what is shared.

        **Arguments:**

        - `pytree`: any PyTree.
        - `where`: from the PyTree to the node, or to a sequence of nodes, to be taken out.
        - `get`: from the PyTree to the node, or to a sequence of as many, to be put there.

        **Raises:** `ValueError` unless the nodes that share have equal structures, shapes, dtypes
        and other leaves; what `tree_at` raises if `where` gives no node.
        """
        taken, given = where(pytree), get(pytree)
        if not tree_equal(_outline(taken), _outline(given)):
            message = (
                "Every node being shared together must have the same pytree structure, "
                "shape+dtype of arrays, etc., as each other. `where(pytree)` is\n"
                f"{_outline(taken)}\nand `get(pytree)` is\n{_outline(given)}\n"
                "Build them with equal sizes, or let `get` transform its node to those of `where`."
            )
            raise ValueError(message)
        self.pytree = tree_at(where, pytree, replace_fn=lambda _: SharedNode())
        self.where = where
        self.get = get

    def __call__(self) -> T:
        """The PyTree with every shared node in its places.

        **Raises:** what `get` raises for the PyTree as it has become, and what `tree_at` raises.
        """
        return tree_at(self.where, self.pytree, self.get(self.pytree), is_leaf=lambda x: x is None)


def _outline(node: Any) -> Any:
    """The node with shapes and dtypes for arrays."""
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype) if is_array(x) else x, node
    )
