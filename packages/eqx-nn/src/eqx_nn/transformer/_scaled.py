"""`ScaledRotaryEmbedding`: rotations for sequences longer than those a model was trained on."""

from __future__ import annotations

import math
from typing import Any, Literal

import jax.numpy as jnp
from jaxtyping import Array, Shaped

from eqx_pytree import field

from ..attention import RotaryPositionalEmbedding
from ..attention._rotary import rotated, wrong_shape


class ScaledRotaryEmbedding(RotaryPositionalEmbedding):
    """Rotate as `RotaryPositionalEmbedding` does, by angles that are stretched `factor` times.

    - `"linear"` divides positions: Chen et al. (2023, "Extending Context Window of Large Language
        Models via Positional Interpolation").
    - `"ntk"` raises the base, so that slow rotations are stretched and fast ones are not:
        `theta * factor**(d / (d - 2))`, by bloc97 (2023), as in Peng et al., section 3.1.
    - `"yarn"` divides the frequencies that turn fewer than `slow` times in `original_length`
        positions, leaves those that turn more than `fast` times, and mixes in between; the results
        are multiplied by `0.1 ln(factor) + 1`, once for queries and once for keys: Peng et al.
        (2023, "YaRN: Efficient Context Window Extension of Large Language Models"), section 3.
    """

    method: Literal["linear", "ntk", "yarn"] = field(static=True, default="yarn", kw_only=True)
    factor: float = field(static=True, kw_only=True)
    original_length: int = field(static=True, default=2048, kw_only=True)
    slow: float = field(static=True, default=1.0, kw_only=True)
    fast: float = field(static=True, default=32.0, kw_only=True)

    def __check_init__(self) -> None:
        if self.method not in ("linear", "ntk", "yarn") or not self.factor >= 1:
            message = (
                '`ScaledRotaryEmbedding` takes as `method` "linear", "ntk" or "yarn", and a '
                f"`factor` of at least 1; got {self.method!r} and {self.factor!r}."
            )
            raise ValueError(message)

    def __call__(
        self, x: Shaped[Array, "length embedding_size"], *, key: Any = None, offset: Any = None
    ) -> Shaped[Array, "length embedding_size"]:
        """Rotate each row of `x`, from position `offset` on; `key` is ignored.

        **Raises:** `ValueError` for an `x` of another shape.
        """
        shape = getattr(x, "shape", ())
        if len(shape) != 2 or shape[1] != self.embedding_size:
            raise ValueError(wrong_shape(shape, self.embedding_size, "ScaledRotaryEmbedding"))
        places = (jnp.asarray(0 if offset is None else offset) + jnp.arange(shape[0])).astype(float)
        angles = places[:, None] * self.frequencies()
        scale = 0.1 * math.log(self.factor) + 1 if self.method == "yarn" else 1
        kind = float if self.dtype is None else self.dtype
        cos, sin = (jnp.asarray(it * scale, kind) for it in (jnp.cos(angles), jnp.sin(angles)))
        return rotated(x, cos, sin)

    def frequencies(self) -> Array:
        """Radians by which each pair is turned from one position to the next, `(1, size / 2)`."""
        size = self.embedding_size
        theta = self.theta
        if self.method == "ntk":
            theta = theta * self.factor ** (size / max(size - 2, 1))
        plain = 1.0 / theta ** (jnp.arange(0.0, size, 2.0)[None] / size)
        if self.method == "linear":
            return plain / self.factor
        if self.method == "ntk":
            return plain
        turns = self.original_length * plain / (2 * math.pi)
        kept = jnp.clip((turns - self.slow) / (self.fast - self.slow), 0, 1)
        return plain * (kept + (1 - kept) / self.factor)
