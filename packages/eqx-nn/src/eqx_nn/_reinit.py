"""`reinit`: first values of a model that is there already, by selectors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jax.core import Tracer
from jax.sharding import NamedSharding
from jaxtyping import Array

from ._initial import Initializer, Layout, drawn_as
from ._random import Key, Keys, with_key
from .stacked import Stacked

Tree = TypeVar("Tree")
Rules = Mapping[Any, Initializer] | Iterable[tuple[Any, Initializer]]


def reinit(model: Tree, rules: Rules, key: Key) -> Tree:
    """Draw leaves of a model anew, each by the first rule that selects it.

        he, zeros = jax.nn.initializers.he_normal(), jax.nn.initializers.zeros
        model = reinit(model, {"layers.*.weight": he, "**.bias": zeros}, key)

    A leaf has the numbers of its place, `Keys(key)["layers", 2, "weight"]`, whatever other rules
    say. What a layer keeps in another layout than `jax.nn.initializers` expect is drawn in theirs,
    by group and by gate, as by its argument `weight_init`; biases are drawn as vectors, and all
    else in its own shape. The class of a layer says so by its `__weight_layouts__`, a mapping from
    the name of a field to `(ndim, blocks)`: arrays `(out, in, *kernel)` of so many axes, in which
    so many are on top of each other, or of biases with `blocks` of 0. An array with more axes is
    drawn slice by slice. So are those of a `Stacked`, where block `i` has the numbers that it would
    have in a tuple.

    **Arguments:**

    - `model`: any PyTree. Arrays may be abstract, as those of `filter_eval_shape`.
    - `rules`: a dict from selectors, anything that `eqx_filter.by` takes, to functions
        `(key, shape, dtype) -> array`, any of `jax.nn.initializers`; or pairs of them, in order.
    - `key`: a PRNG key, or `Keys`.

    **Returns:** the model with new arrays of the same shapes and dtypes, with the sharding of those
    in their places if that is a `NamedSharding`. What no rule selects is left as it is.

    **Raises:** `ValueError` if a rule selects nothing, with the nearest paths, or nothing that
    those before it leave; `TypeError` for a leaf that is no floating or complex array, for rules
    that are no pairs, and for a key that is none; `TypeError` or `ValueError` for an initializer
    that gives another array than it was asked for; what it raises, with a note of the leaf.
    """
    from eqx_filter import by, tree_label

    pairs = _pairs(rules)
    numbered = [(where, number) for number, (where, _) in enumerate(pairs)]
    homes = jtu.tree_leaves(tree_label(model, numbered, default=-1).tree)
    keys = with_key("reinit", key, Keys) if not isinstance(key, Keys) else key
    paths, structure = jtu.tree_flatten_with_path(model)
    places: list[_Place] = []
    _gather(places, model, (), None)

    def at(keypath: Any, leaf: Any, place: _Place, home: int) -> Any:
        if home < 0:
            return leaf
        where, init = pairs[home]
        told = f"The rule `{by(where)!r}` of `reinit`, for `model{jtu.keystr(keypath)}`,"
        return _anew(told, leaf, place, init, keys)

    rows = zip(paths, places, homes, strict=True)
    return structure.unflatten([at(*it, place, home) for it, place, home in rows])


def _pairs(rules: Any) -> list[tuple[Any, Initializer]]:
    try:
        pairs = [tuple(it) for it in (rules.items() if isinstance(rules, Mapping) else rules)]
    except TypeError:
        pairs = [()]
    if isinstance(rules, str) or any(len(pair) != 2 for pair in pairs):
        message = (
            "`rules` of `reinit` is a dict from selectors to initializers, such as "
            '`{"**.bias": jax.nn.initializers.zeros}`, or pairs of them; '
            f"got {rules!r}."
        )
        raise TypeError(message)
    return pairs  # type: ignore[return-value]


class _Place(NamedTuple):
    """Where a leaf stands, as `Keys` has it, None for an index of a `Stacked`; and its layout."""

    parts: tuple[str | int | None, ...]
    layout: Layout | None


def _gather(places: list[_Place], node: Any, parts: tuple[Any, ...], layout: Any) -> None:
    """Append the place of each leaf from a node on, in the order of flattening."""
    if jtu.all_leaves([node]):
        places.append(_Place(parts, layout))
        return
    layouts = getattr(node, "__weight_layouts__", {})
    for (key, *_), child in jtu.tree_flatten_with_path(node, lambda it: it is not node)[0]:
        part = _part(key)
        own = layouts.get(part) if isinstance(part, str) else None
        is_row = isinstance(node, Stacked) and part == "block"
        _gather(places, child, (*parts, None if is_row else part), own and Layout(*own))


def _part(key: Any) -> str | int:
    if isinstance(key, jtu.GetAttrKey):
        return key.name
    if isinstance(key, jtu.SequenceKey):
        return key.idx
    key = key.key if isinstance(key, jtu.DictKey | jtu.FlattenedIndexKey) else key
    if isinstance(key, str):
        return key
    return key if type(key) is int and key >= 0 else str(key)


def _anew(told: str, leaf: Any, place: _Place, init: Initializer, keys: Keys) -> Array:
    """A leaf's new values."""
    is_array = isinstance(leaf, (jax.Array, np.ndarray, jax.ShapeDtypeStruct))
    if not is_array or not jnp.issubdtype(leaf.dtype, jnp.inexact):
        what = f"an array of dtype `{leaf.dtype}`" if is_array else f"a `{type(leaf).__name__}`"
        message = (
            f"{told} selects {what}; only floating and complex arrays are drawn. Narrow the "
            "selector, as in `by(...) & jax.Array`."
        )
        raise TypeError(message)
    stacked = place.parts.count(None)
    front = stacked if place.layout is None else max(stacked, leaf.ndim - place.layout.ndim)
    shape = leaf.shape[front:]
    if leaf.ndim < front or (place.layout and len(shape) != place.layout.ndim):
        message = f"{told} selects an array of shape {leaf.shape}, which has too few axes."
        raise ValueError(message)

    def draw(indices: tuple[Any, ...]) -> Array:
        rest = iter(indices)
        parts = [next(rest) if part is None else part for part in place.parts]
        return drawn_as(place.layout, told, init, keys[(*parts, *rest)](), shape, leaf.dtype)

    new = _over(leaf.shape[:front], draw)
    kept = isinstance(leaf, jax.Array) and not isinstance(leaf, Tracer)
    if kept and isinstance(leaf.sharding, NamedSharding):
        return jax.device_put(new, leaf.sharding)
    return new


def _over(
    sizes: tuple[int, ...],
    draw: Callable[[tuple[Any, ...]], Array],
    indices: tuple[Any, ...] = (),
) -> Array:
    """Draw for all indices below `sizes`, with an axis for each."""
    if not sizes:
        return draw(indices)
    each = jax.vmap(lambda index: _over(sizes[1:], draw, (*indices, index)))
    return each(jnp.arange(sizes[0]))
