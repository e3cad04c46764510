"""`TransformerBlock`: attention and a perceptron, each added to what came in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax.typing import DTypeLike
from jaxtyping import Array, PRNGKeyArray, Shaped

from eqx_pytree import Module, field

from .._activation import GELU
from .._dropout import Dropout
from .._initial import Initializer
from .._mlp import MLP
from .._random import Key, key_of_each, split_key
from .._shapes import describe
from ..attention import Cache, MultiheadAttention, RotaryPositionalEmbedding
from ..attention._checks import axis_index
from ..norms import LayerNorm
from ._gated import GatedMLP


class TransformerBlock(Module):
    """A block of a transformer: an encoder's, a decoder's, or one with cross-attention.

    With the norm first (Xiong et al. 2020, "On Layer Normalization in the Transformer
    Architecture"):

        x = x + attention(norm(x))
        x = x + cross_attention(norm(x), context)   # where there is a `context_size`
        x = x + mlp(norm(x))

    and with the norm last, `x = norm(x + ...)`, as Vaswani et al. (2017, "Attention Is All You
    Need"), section 3.1.
    """

    attention: MultiheadAttention
    cross_attention: MultiheadAttention | None
    mlp: MLP | GatedMLP
    attention_norm: Callable[..., Any]
    cross_norm: Callable[..., Any] | None
    mlp_norm: Callable[..., Any]
    rotary: RotaryPositionalEmbedding | None
    dropout: Dropout
    norm_first: bool = field(static=True)
    is_causal: bool = field(static=True)
    window: int | tuple[int | None, int | None] | None = field(static=True)

    def __init__(
        self,
        size: int,
        num_heads: int,
        *,
        width_size: int | None = None,
        num_kv_heads: int | None = None,
        context_size: int | None = None,
        norm: Callable[[int], Any] = LayerNorm,
        activation: Callable[..., Any] = GELU,
        is_gated: bool = False,
        norm_first: bool = True,
        is_causal: bool = False,
        window: int | tuple[int | None, int | None] | None = None,
        rotary: RotaryPositionalEmbedding | None = None,
        use_bias: bool = True,
        dropout_p: float = 0.0,
        dtype: DTypeLike | None = None,
        weight_init: Initializer | None = None,
        bias_init: Initializer | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Build the layers.

        **Arguments:**

        - `size`: of a vector of the sequence.
        - `num_heads`, `num_kv_heads`: of the attention, as in `MultiheadAttention`.
        - `width_size`: of the perceptron's hidden layer; four times the `size` unless given.
        - `context_size`: the size of the vectors of another sequence to attend to, if there is one.
        - `norm`: makes a norm of a size, such as `LayerNorm` and `RMSNorm`.
        - `activation`, `is_gated`: of the perceptron, an `MLP` or a `GatedMLP`.
        - `norm_first`: whether norms stand before what is added, or after it.
        - `is_causal`, `window`: of the attention to the sequence itself.
        - `rotary`: turns its queries and keys by their positions.
        - `use_bias`: whether projections and perceptron have biases.
        - `dropout_p`: of attention weights, and of what is added.
        - `dtype`: of the weights; float32 unless given (float64 in JAX's 64-bit mode).
        - `weight_init`, `bias_init`: of each `Linear`.
        - `key`: a PRNG key for the first weights.

        **Raises:** as the layers.
        """
        own_key, cross_key, mlp_key = split_key("TransformerBlock", key, 3)
        options: dict[str, Any] = {
            f"use_{name}_bias": use_bias for name in ("query", "key", "value", "output")
        }
        drawn: dict[str, Any] = {
            "dtype": dtype, "weight_init": weight_init, "bias_init": bias_init,
        }  # fmt: skip
        options |= {"num_kv_heads": num_kv_heads, "dropout_p": dropout_p, **drawn}
        self.attention = MultiheadAttention(num_heads, size, **options, key=own_key)
        self.cross_attention = self.cross_norm = None
        if context_size is not None:
            sizes = (num_heads, size, context_size, context_size, size)
            self.cross_attention = MultiheadAttention(*sizes, **options, key=cross_key)
            self.cross_norm = norm(size)
        width = 4 * size if width_size is None else width_size
        if is_gated:
            self.mlp = GatedMLP(size, width, activation, use_bias, **drawn, key=mlp_key)
        else:
            biases = {"use_bias": use_bias, "use_final_bias": use_bias}
            self.mlp = MLP(size, size, width, 1, activation, **biases, **drawn, key=mlp_key)
        self.attention_norm, self.mlp_norm = norm(size), norm(size)
        self.rotary = rotary
        self.dropout = Dropout(dropout_p)
        self.norm_first = norm_first
        self.is_causal = is_causal
        self.window = window

    def init_cache(self, length: int, dtype: DTypeLike | None = None, **options: Any) -> Cache:
        """Make an empty cache for its attention, as `MultiheadAttention.init_cache` does."""
        return self.attention.init_cache(length, dtype, **options)

    @jax.named_scope("eqx.nn.TransformerBlock")
    def __call__(
        self,
        x: Shaped[Array, "length size"],
        context: Shaped[Array, "context_length context_size"] | None = None,
        *,
        mask: Any = None,
        context_mask: Any = None,
        cache: Cache | None = None,
        key: Key | None = None,
        inference: bool | None = None,
        **options: Any,
    ) -> Any:
        """Take and give a sequence of shape `(length, size)`.

        **Arguments:**

        - `x`: the sequence; with a `cache`, its new tokens.
        - `context`: the other sequence, where the block has cross-attention.
        - `mask`, `context_mask`: of the two attentions, as in `MultiheadAttention`.
        - `cache`: the keys and values of the tokens before. The attention to the sequence itself is
            causal then, and the result a pair, of that and the new cache. The other sequence is
            projected anew at each call.
        - `key`: a PRNG key for the dropout.
        - `inference`: takes the place of the flags of the dropouts.
        - `options`: of the attention to the sequence itself: `bias`, `segment_ids`, `length`,
            `softcap`, `implementation`, and `axis`, over which a sequence is split.

        **Raises:** `ValueError` for an `x` of another shape, for a `context` that is missing, or
        that there is no attention for; and as `MultiheadAttention`.
        """
        size, shape = self.attention.query_size, getattr(x, "shape", None)
        if shape is None or len(shape) != 2 or shape[1] != size:
            length = shape[0] if shape is not None and len(shape) == 2 else "length"
            raise ValueError(describe("TransformerBlock", "x", x, (length, size)))
        if (context is None) != (self.cross_attention is None):
            lacks = "needs a `context`" if context is None else "was given a `context`"
            message = (
                f"`TransformerBlock` {lacks}, as it was made with "
                f"`context_size={'...' if context is None else None}`."
            )
            raise ValueError(message)
        keys = key_of_each("TransformerBlock", key, 5)
        own = {"inference": inference, "window": self.window, **options}

        def attend(y: Array) -> tuple[Array, Cache | None]:
            turn = None if self.rotary is None else self._turned(_first_place(x, cache, options))
            out = self.attention(
                y, y, y, mask, key=keys[0], process_heads=turn, cache=cache,
                is_causal=self.is_causal and cache is None, **own,
            )  # fmt: skip
            return out if cache is not None else (out, None)

        def added(
            x: Array, norm: Any, layer: Callable[[Array], Any], key: Any
        ) -> tuple[Array, Any]:
            """The sequence after one layer, and what the layer returned besides."""
            y, rest = layer(jax.vmap(norm)(x) if self.norm_first else x)
            x = x + self.dropout(y, key=key, inference=inference)
            return x if self.norm_first else jax.vmap(norm)(x), rest

        x, new = added(x, self.attention_norm, attend, keys[1])
        if self.cross_attention is not None:
            other = self.cross_attention
            look = lambda y: (  # noqa: E731
                other(y, context, context, context_mask, key=keys[2], inference=inference),
                None,
            )
            x, _ = added(x, self.cross_norm, look, keys[3])
        x, _ = added(x, self.mlp_norm, lambda y: (jax.vmap(self.mlp)(y), None), keys[4])
        return x if cache is None else (x, new)

    def _turned(self, offset: Any) -> Callable[..., Any]:
        """Queries and keys turned by their positions, over the heads."""
        turn = jax.vmap(lambda x: self.rotary(x, offset=offset), in_axes=1, out_axes=1)  # type: ignore[misc]
        return lambda q, k, v: (turn(q), turn(k), v)


def _first_place(x: Array, cache: Cache | None, options: dict[str, Any]) -> Any:
    """The position of the first of some tokens: after those of a cache, or of other devices."""
    if cache is not None:
        return cache.position
    axis = options.get("axis")
    return None if axis is None else axis_index("TransformerBlock", axis) * x.shape[0]
