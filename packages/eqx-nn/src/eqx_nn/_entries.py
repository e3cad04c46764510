"""What is said of an entry of a `State` that has other shapes than it had. Knows no `State`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

Shape = tuple[int, ...]


def name_of(marker: Any) -> str:
    """What messages call the entry of a marker."""
    return f"`{marker}`" if isinstance(marker, str) else "an entry that has no name yet"


def check_entry(layer: str, marker: Any, entry: Any, shapes: Sequence[Shape], vmap: str) -> None:
    """Check that the arrays of an entry have the shapes that a layer wrote.

    `vmap` is how the layer is to be called on a batch. **Raises** `ValueError`: a state that gained
    or lost an axis on its way through `jax.vmap` would be broadcast from then on.
    """
    found = tuple(jnp.shape(leaf) for leaf in jax.tree.leaves(entry))
    if found == tuple(shapes):
        return
    ranks, wrote = sum(map(len, found)), sum(map(len, shapes))
    way = "gained" if ranks > wrote else "lost" if ranks < wrote else "changed"
    cause = {
        "gained": "as it does where `out_axes` is left out of `jax.vmap`",
        "lost": "as it does where `in_axes` is left out of `jax.vmap`",
        "changed": "so that it is not the one that this layer wrote",
    }[way]
    message = (
        f"`{layer}` finds arrays of shapes {_shapes(found)} at {name_of(marker)} of its `State`, "
        f"and wrote shapes {_shapes(shapes)} there: the state has {way} an axis, {cause}. A batch "
        f"has one state: call `{vmap}`, and begin with the state that `make_with_state` gave."
    )
    raise ValueError(message)


def axis_of_a_batch(old: Any, new: Any) -> str:
    """Say what to do if either value has the other's shapes with an axis more in front."""
    olds, news = ([jnp.shape(leaf) for leaf in jax.tree.leaves(it)] for it in (old, new))
    gained = all(after[1:] == before for before, after in zip(olds, news, strict=False))
    lost = all(before[1:] == after for before, after in zip(olds, news, strict=False))
    if olds == news or len(olds) != len(news) or not (gained or lost):
        return ""
    return (
        " If the axis that one of them has more is that of a batch, which shares one state, call "
        "the layer as `jax.vmap(layer, in_axes=(0, None), out_axes=(0, None))(x, state)`."
    )


def _shapes(shapes: Sequence[Shape]) -> str:
    return ", ".join(map(str, shapes))
