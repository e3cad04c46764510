"""`Cache`: keys and values of the tokens so far, so that the next needs no more than itself."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Inexact, Int

from eqx_pytree import Module, field


class Cache(Module):
    """Projected keys and values of a sequence that grows; made by `MultiheadAttention.init_cache`.

        cache = layer.init_cache(length)
        y, cache = layer(prompt, prompt, prompt, cache=cache)   # many tokens at once
        y, cache = layer(token, token, token, cache=cache)      # shape (1, size): one more

    Heads come first, so that no copy is made to attend to it. `position`, of shape (), is the
    number of tokens so far. A ring writes token `i` to row `i % length`, over the oldest. A new
    cache is written in the place of the old one where that is donated to a compiled function.
    """

    key: Inexact[Array, "kv_heads length qk_size"]
    value: Inexact[Array, "kv_heads length vo_size"]
    position: Int[Array, ""]
    is_ring: bool = field(static=True)

    @property
    def length(self) -> int:
        """How many tokens it holds at most."""
        return self.key.shape[-2]

    def extended(self, key: Array, value: Array) -> Cache:
        """Append the projected keys and values of new tokens, of shapes `(n, kv_heads, size)`.

        **Raises:** `ValueError` for more tokens than it holds, and for rows of other sizes; at run
        time, from `error_if`, if there is no room left.
        """
        count = key.shape[0]
        if count > self.length:
            message = (
                f"The `Cache` holds {self.length} tokens, and was given {count} at once. Make it "
                "longer, by `init_cache`, or append them in parts."
            )
            raise ValueError(message)
        for name, new, old in (("key", key, self.key), ("value", value, self.value)):
            if (new.shape[1], new.shape[2]) != (old.shape[0], old.shape[2]):
                message = (
                    f"The `Cache` has rows of {old.shape[0]} heads of size {old.shape[2]} for each "
                    f"`{name}`, and was given {new.shape[1]} of size {new.shape[2]}: it belongs to "
                    "another layer. Make it by `init_cache` of the layer that it is for."
                )
                raise ValueError(message)
        pairs = zip((key, value), self._held(), strict=True)
        rows = [jnp.swapaxes(new, 0, 1).astype(old.dtype) for new, old in pairs]
        if self.is_ring:
            places = (self.position + jnp.arange(count)) % self.length
            held = [old.at[:, places].set(new) for old, new in zip(self._held(), rows, strict=True)]
            return Cache(*held, self.position + count, True)
        from eqx_filter import error_if

        told = (
            f"The `Cache` of {self.length} tokens is full: there is no room for {count} more. Make "
            "it longer, by `init_cache`, or, for attention of a `window`, a ring."
        )
        start = error_if(self.position, self.position + count > self.length, told)
        held = [
            lax.dynamic_update_slice_in_dim(old, new, start, 1)
            for old, new in zip(self._held(), rows, strict=True)
        ]
        return Cache(*held, start + count, False)

    def _held(self) -> tuple[Array, Array]:
        return self.key, self.value

    def seen(self, count: int, window: tuple[int | None, int | None]) -> Array | None:
        """Which rows the last `count` tokens see, `(count, length)`; None if that is all before.

        **Raises:** `ValueError` for a ring that does not hold what a window sees.
        """
        if not self.is_ring:
            return None
        left, _ = window
        if left is None or left + count > self.length:
            needs = "a window" if left is None else f"{left + count}"
            message = (
                f"A ring of {self.length} tokens forgets what attention still looks at: with "
                f"{count} new tokens it needs {needs}{'' if left is None else ' rows'}. Pass "
                "`window=`, make the ring longer, or append the tokens in parts."
            )
            raise ValueError(message)
        last = self.position - 1
        of_row = last - (last - jnp.arange(self.length)) % self.length
        of_query = self.position - count + jnp.arange(count)[:, None]
        return (of_row >= 0) & (of_row <= of_query) & (of_query - of_row <= left)


def empty_cache(
    length: int, heads: int, sizes: tuple[int, int], dtype: Any, batch: int | None, is_ring: bool
) -> Cache:
    """A cache without tokens, with an axis of a batch in front if there is a `batch`."""
    axes = () if batch is None else (batch,)
    held = [jnp.zeros((*axes, heads, length, size), dtype) for size in sizes]
    return Cache(*held, jnp.zeros(axes, jnp.int32), is_ring)


def step_of(cache: Cache, key: Array, value: Array, options: dict[str, Any]) -> tuple[Any, ...]:
    """The new cache, and what its attention is asked for: causal, from the first new token on."""
    count, new = key.shape[0], cache.extended(key, value)
    window = options["window"]
    sides = window if isinstance(window, (tuple, list)) else (window, 0)
    mask = new.seen(count, (sides[0], 0))
    if mask is None:
        return new, options | {"is_causal": True, "offset": cache.position}
    asked = options["mask"]
    if asked is not None:
        mask = mask & jnp.asarray(asked, bool)
    return new, options | {"mask": mask, "is_causal": False, "window": None}
