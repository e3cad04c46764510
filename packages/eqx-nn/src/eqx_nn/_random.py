"""Keys by place; and what is said of a `key` that is no PRNG key, at no cost where it is one."""

from __future__ import annotations

import operator
import zlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, PRNGKeyArray

from eqx_pytree import Module, field

T = TypeVar("T")

_NAMES = 1 << 31
"""From here on are the numbers that are folded in for names; below, those of indices."""


class Keys(Module):
    """A PRNG key for each place of a model, made where it is used.

        keys = Keys(jax.random.key(0))
        x = dropout(x, key=keys["encoder", 3, "dropout"])

    `keys["encoder", 3]` and `keys["encoder"][3]` are the keys below that place, and calling them
    gives the key of the place: each part of its path folded into the first key, in turn. So a place
    has the same numbers whatever others draw, and whether a loop, a scan or a mesh goes through it:
    the parts are names and indices, and an index may be traced. What no layer draws from leaves
    nothing in the program. All layers take it as `key`.
    """

    key: PRNGKeyArray
    path: tuple[str | int, ...] = field(static=True)

    def __init__(self, key: PRNGKeyArray) -> None:
        """Take the first key.

        **Raises:** `TypeError` for what is no key, `ValueError` for several.
        """
        fault = _fault(key)
        if fault is not None:
            message = f"`Keys` needs a PRNG key, such as `jax.random.key(0)`; {fault}."
            raise (ValueError if "several" in fault else TypeError)(message)
        self.key = key
        self.path = ()

    def __getitem__(self, part: Any) -> Keys:
        """The keys below a place: that of a name, an index, or one after another.

        **Raises:** `TypeError` for another part, `ValueError` for a negative index.
        """
        parts = part if isinstance(part, tuple) else (part,)
        key, path = self.key, self.path
        for it in parts:
            if (
                isinstance(it, jax.Array)
                and it.shape == ()
                and jnp.issubdtype(it.dtype, jnp.integer)
            ):
                key, path = jr.fold_in(_below(key, path), it), ()
            else:
                path = (*path, _checked(it))
        return _keys(key, path)

    def __call__(self) -> PRNGKeyArray:
        """The key of this place."""
        return _below(self.key, self.path)


def _keys(key: Any, path: tuple[str | int, ...]) -> Keys:
    new = object.__new__(Keys)
    object.__setattr__(new, "key", key)
    object.__setattr__(new, "path", path)
    return new


def _below(key: Any, path: tuple[str | int, ...]) -> Any:
    for part in path:
        number = part if isinstance(part, int) else zlib.crc32(part.encode()) | _NAMES
        key = jr.fold_in(key, number)
    return key


def _checked(part: Any) -> str | int:
    if isinstance(part, str):
        return part
    try:
        index = operator.index(part)
    except TypeError:
        message = (
            f"A part of the path of `Keys` is a name or an index; got `{part!r}`, a "
            f"`{type(part).__name__}`."
        )
        raise TypeError(message) from None
    if not 0 <= index < _NAMES:
        message = f"An index in the path of `Keys` is from 0 on, below 2**31; got {index}."
        raise ValueError(message)
    return index


Key = PRNGKeyArray | Keys
"""What a layer draws with."""


def split_key(layer: str, key: Any, number: int = 2) -> Array:
    """Split the key that `layer` was given; of `Keys`, those of as many places.

    **Raises** `TypeError` for what is no key and `ValueError` for several, naming layer and `key`.
    """
    if isinstance(key, Keys):
        return jax.vmap(lambda i: key[i]())(jnp.arange(number))
    return with_key(layer, key, lambda key: jr.split(key, number))


def key_of_each(layer: str, key: Any, number: int) -> Sequence[Any]:
    """A key for each of what `layer` calls; None for each without a key."""
    if isinstance(key, Keys):
        return [key[i] for i in range(number)]
    return [None] * number if key is None else list(split_key(layer, key, number))


def key_at(layer: str, key: Any, index: Any) -> Any:
    """The key of a place, which may be traced: that index folded in."""
    if isinstance(key, Keys):
        return key[index]
    return with_key(layer, key, lambda key: jr.fold_in(key, index))


def drawn(key: Any) -> Any:
    """The key itself, of `Keys` that of their place."""
    return key() if isinstance(key, Keys) else key


def with_key(layer: str, key: Any, draw: Callable[[PRNGKeyArray], T]) -> T:
    """Draw with the key that `layer` was given. **Raises** as `split_key` does."""
    key = drawn(key)
    try:
        return draw(key)
    except (TypeError, ValueError) as error:
        fault = _fault(key)
        if fault is None:
            raise
        message = f"`{layer}` needs a PRNG key as `key`, such as `jax.random.key(0)`; {fault}."
        raise type(error)(message) from error


def _fault(key: Any) -> str | None:
    """Say what is wrong with a key, if something is."""
    try:
        jax.eval_shape(jr.split, key)
    except (TypeError, ValueError) as error:
        if not isinstance(key, jax.Array):
            return f"got {key!r} of type `{type(key).__name__}`"
        if type(error) is TypeError:
            return f"got an array of dtype `{key.dtype}` and shape {key.shape}"
        told = f"got several, of shape {key.shape}"
        return f"{told}. Give a single key, or map over them with `jax.vmap`"
    return None
