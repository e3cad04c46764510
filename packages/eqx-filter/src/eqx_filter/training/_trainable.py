"""`trainable`: the parameters of a model, which are all floating arrays but its buffers."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax.tree_util as jtu

from ..paths._nodes import Node, nodes_of
from ..paths._selectors import Selector
from ..shared._filter_spec import IsLeaf
from ..shared._predicates import is_parameter


class Trainable(Selector):
    """Selects the floating and complex arrays of a tree that are in no buffer.

    A buffer is what lies below a field of a dataclass, such as a `Module`, that was declared with
    `field(trainable=False)`, or below a node whose class has a false `__trainable__`. As any
    selector it goes together with others by `&`, `|` and `~`.
    """

    def __call__(self, tree: Any) -> Any:
        """Make a mask of a tree, any PyTree; of one without parameters, False everywhere."""
        nodes = nodes_of(tree)
        pairs = zip(nodes, self._matched(nodes, None), strict=True)
        return jtu.tree_structure(tree).unflatten([it for node, it in pairs if node.is_leaf])

    def __repr__(self) -> str:
        return "trainable"

    def _matched(self, nodes: Sequence[Node], is_leaf: IsLeaf) -> list[bool]:
        buffers: list[bool] = []
        for node in nodes:
            above = node.parent >= 0 and buffers[node.parent]
            buffers.append(above or _is_buffer(nodes, node))
        pairs = zip(nodes, buffers, strict=True)
        return [node.is_leaf and not buffer and is_parameter(node.value) for node, buffer in pairs]


trainable = Trainable()
"""The parameters of a model: a selector, and a function from a PyTree to a mask.

    filter_value_and_grad(loss, wrt=trainable & "head")
    trainable(model)  # True for each floating or complex array that is in no buffer

A buffer is what lies below a field that was declared with `field(trainable=False)`.
"""


def _is_buffer(nodes: Sequence[Node], node: Node) -> bool:
    if not getattr(type(node.value), "__trainable__", True):
        return True
    if not node.keys or not dataclasses.is_dataclass(above := nodes[node.parent].value):
        return False
    buffers = [
        it.name for it in dataclasses.fields(above) if not it.metadata.get("trainable", True)
    ]
    key = node.keys[-1]
    if isinstance(key, jtu.GetAttrKey):
        return key.name in buffers
    return any(getattr(above, name, None) is node.value for name in buffers)
