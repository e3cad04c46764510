"""What is said of a `key` that is no PRNG key. Costs nothing where it is one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.random as jr
from jaxtyping import Array, PRNGKeyArray

T = TypeVar("T")


def split_key(layer: str, key: Any, number: int = 2) -> Array:
    """Split the key that `layer` was given.

    **Raises** `TypeError` for what is no key and `ValueError` for several, naming layer and `key`.
    """
    return with_key(layer, key, lambda key: jr.split(key, number))


def with_key(layer: str, key: Any, draw: Callable[[PRNGKeyArray], T]) -> T:
    """Draw with the key that `layer` was given. **Raises** as `split_key` does."""
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
        jr.split(key)
    except (TypeError, ValueError) as error:
        if not isinstance(key, jax.Array):
            return f"got {key!r} of type `{type(key).__name__}`"
        if type(error) is TypeError:
            return f"got an array of dtype `{key.dtype}` and shape {key.shape}"
        told = f"got several, of shape {key.shape}"
        return f"{told}. Give a single key, or map over them with `jax.vmap`"
    return None
