"""Where the weights of layers stand in a model, and which of them a selector selects."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import jax.tree_util as jtu
import numpy as np
from jaxtyping import Array

from eqx_filter import tree_at

from .._embedding import Embedding
from .._linear import Linear
from .._weight import Weight
from ..composing import SharedNode
from ..convolutions import Conv, ConvTranspose
from ..norms import SpectralNorm, WeightNorm

Tree = TypeVar("Tree")
Keys = tuple[Any, ...]

LAYERS = (Linear, Conv, ConvTranspose, Embedding)
_TOLD = "`Linear`, `Conv`, `ConvTranspose` or `Embedding`"
_UNSUPPORTED = "weights of recurrent layers are not supported"
_MOST_NEAREST = 5


class Place(NamedTuple):
    """A weight of a layer, and the path to it; `norm` is the layer that computes it, if any."""

    keys: Keys
    layer: Any
    weight: Any
    norm: Any

    @property
    def path(self) -> str:
        """What messages call it."""
        return f"model{jtu.keystr(self.keys)}"

    @property
    def axes(self) -> int:
        """How many axes the weight of one layer has; those in front are of several layers."""
        return getattr(self.layer, "num_spatial_dims", 0) + 2

    @property
    def groups(self) -> int:
        """In how many groups the rows of the weight are."""
        return getattr(self.layer, "groups", 1)


class _Selected:
    """Stands for a node that is selected."""

    def __init__(self, node: Any) -> None:
        self.node = node


def selected(function: str, model: Any, where: Any) -> list[Place]:
    """The weights that a selector selects: those below a node of it, or each by itself.

    What is tied, the node of a `Shared`, is left out below a node.

    **Raises:** `ValueError` if it selects no weight, `TypeError` for an array that is selected and
    is no weight, both with the nearest paths; what the selector raises.
    """
    from eqx_filter import by

    selector = by(where)
    selector(model)
    marked = tree_at(selector, model, replace_fn=_Selected)
    nodes = jtu.tree_flatten_with_path(marked)[0]
    chosen = [(keys, it.node) for keys, it in nodes if isinstance(it, _Selected)]
    places: list[Place] = []
    _gather(places, model, (), None)
    found: dict[Keys, Place] = {}
    for keys, node in chosen:
        for place in places:
            is_below = _is_at(place.keys, keys) and not isinstance(place.weight, SharedNode)
            if is_below or _is_base(place, keys):
                found[place.keys] = place
        is_leaf = selector.names_leaves and jtu.all_leaves([node])
        if is_leaf and not any(_is_at(keys, it) for it in found):
            message = (
                f"`where={selector!r}` of `{function}` selects `model{jtu.keystr(keys)}`, which "
                f"{_reason(model, places, keys)}. {_nearest(places, keys)}"
            )
            raise TypeError(message)
    if not found:
        below = [keys for keys, _ in _recurrent(model) if any(_is_at(keys, it) for it, _ in chosen)]
        message = (
            f"`where={selector!r}` of `{function}` selects no weight of a {_TOLD}"
            f"{f'; {_UNSUPPORTED}' * bool(below)}. {_nearest(places, chosen[0][0])}"
        )
        raise ValueError(message)
    for place in found.values():
        _check(function, place)
    return list(found.values())


def replaced(model: Tree, news: Mapping[Keys, Any]) -> Tree:
    """The model with other weights, by their paths."""
    nodes, structure = jtu.tree_flatten_with_path(model, is_leaf=is_weight)
    return structure.unflatten([news.get(keys, node) for keys, node in nodes])


def is_weight(node: Any) -> bool:
    """Whether a node is no array and stands for one."""
    return isinstance(node, Weight)


def each_weight(model: Tree, kind: type[Weight], function: Callable[[Any], Any]) -> Tree:
    """The model with a function called on each weight of a kind, or of one that has it as base."""

    def new(node: Any) -> Any:
        if isinstance(node, kind):
            return function(node)
        if isinstance(node, Weight) and is_weight(base := getattr(node, "base", None)):
            return tree_at(lambda it: it.base, node, new(base))
        return node

    return jax.tree.map(new, model, is_leaf=is_weight)


def _gather(places: list[Place], node: Any, keys: Keys, norm: Any) -> None:
    """Append the places at and below a node."""
    if jtu.all_leaves([node]) or isinstance(node, Weight):
        return
    is_layer = isinstance(node, LAYERS)
    for key, child in jtu.tree_flatten_with_path(node, is_leaf=lambda it: it is not node)[0]:
        name = getattr(key[0], "name", None) if key else None
        if is_layer and name == "weight":
            places.append(Place(keys + key, node, child, norm))
        else:
            _gather(places, child, keys + key, node if _computes(node, name) else None)


def _computes(node: Any, name: str | None) -> bool:
    """Whether a node computes the weight of the layer that is its child of this name."""
    is_norm = isinstance(node, (SpectralNorm, WeightNorm))
    return is_norm and name == "layer" and node.weight_name == "weight"


def _is_base(place: Place, keys: Keys) -> bool:
    """Whether a path is that of what an adapter is added to."""
    base = getattr(place.weight, "base", None)
    return base is not None and keys == (*place.keys, jtu.GetAttrKey("base"))


def _is_at(keys: Keys, other: Keys) -> bool:
    """Whether a path leads to a node or below it."""
    return keys[: len(other)] == other


def _recurrent(model: Any) -> list[tuple[Keys, Any]]:
    """The cells and other recurrent layers of a model, and their paths."""
    from ..recurrent import LRU, GRUCell, LSTMCell, RNNCell

    kinds = (LRU, GRUCell, LSTMCell, RNNCell)
    nodes = jtu.tree_flatten_with_path(model, is_leaf=lambda it: isinstance(it, kinds))[0]
    return [(keys, node) for keys, node in nodes if isinstance(node, kinds)]


def _reason(model: Any, places: Sequence[Place], keys: Keys) -> str:
    place = next((it for it in places if _is_at(keys, it.keys)), None)
    if place is None:
        for path, layer in _recurrent(model):
            if _is_at(keys, path):
                return f"is of a `{type(layer).__name__}`: {_UNSUPPORTED}"
        return f"is no weight of a {_TOLD}"
    if isinstance(place.weight, SharedNode):
        return "is tied by a `Shared` to a weight that is kept in another place: select that"
    return f"is a part of `{place.path}`, a `{type(place.weight).__name__}`"


def _nearest(places: Sequence[Place], keys: Keys) -> str:
    paths = [place.path for place in places if not isinstance(place.weight, SharedNode)]
    near = difflib.get_close_matches(f"model{jtu.keystr(keys)}", paths, _MOST_NEAREST, 0.4)
    told = ", ".join(f"`{path}`" for path in near or paths[:_MOST_NEAREST])
    return f"The nearest weights are {told}." if told else "The model has none."


def _check(function: str, place: Place) -> None:
    """Refuse a weight that is computed, and what is no floating or complex array."""
    weight = place.weight
    if place.norm is not None:
        norm = type(place.norm).__name__
        message = (
            f"`{function}` cannot replace `{place.path}`, of which `{norm}` computes the weight. "
            f"Leave it out, as in `by(...) & ~by({norm})`."
        )
        raise TypeError(message)
    if isinstance(weight, jax.ShapeDtypeStruct):
        message = (
            f"`{function}` needs arrays; `{place.path}` is abstract. Call it inside, as in "
            f"`filter_eval_shape(lambda: {function}(make(key), ...))`."
        )
        raise TypeError(message)
    is_array = isinstance(weight, (Array, np.ndarray, Weight))
    if not is_array or not jax.numpy.issubdtype(weight.dtype, jax.numpy.inexact):
        what = f"of dtype `{weight.dtype}`" if is_array else f"a `{type(weight).__name__}`"
        message = f"`{function}` needs a weight that is a floating array; `{place.path}` is {what}."
        raise TypeError(message)
    if weight.ndim < place.axes:
        message = (
            f"`{function}` needs a weight of {place.axes} axes or more; `{place.path}` has shape "
            f"{weight.shape}."
        )
        raise ValueError(message)
