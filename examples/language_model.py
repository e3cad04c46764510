"""A causal transformer from parts: what `train_text.py` and `import_gpt.py` share."""

from typing import Any

import jax
import jax.random as jr

import equinox as eqx
from equinox import nn


def of_head(pair: Any) -> Any:
    return pair[1].weight


def of_embedding(pair: Any) -> Any:
    return pair[0].weight


class LanguageModel(eqx.Module):
    """Embedding, positions, blocks, norm and head; embedding and head have one weight."""

    tied: nn.Shared
    positions: nn.LearnedPositions | None
    blocks: list[nn.TransformerBlock]
    norm: nn.LayerNorm | nn.RMSNorm

    def __init__(
        self,
        vocabulary: int,
        blocks: list[nn.TransformerBlock],
        norm: nn.LayerNorm | nn.RMSNorm,
        positions: nn.LearnedPositions | None = None,
        *,
        key: jax.Array,
    ):
        """Take the blocks and the norm after them; `positions` are added, if blocks know of none.

        The weight of embedding and head begins with small numbers, so that the first chances are
        nearly equal: Radford et al. (2018, "Improving Language Understanding by Generative
        Pre-Training"), section 4.1.
        """
        weight_key, head_key = jr.split(key)
        size = blocks[0].attention.query_size
        embedding = nn.Embedding(weight=0.02 * jr.normal(weight_key, (vocabulary, size)))
        head = nn.Linear(size, vocabulary, use_bias=False, key=head_key)
        self.tied = nn.Shared((embedding, head), of_head, of_embedding)
        self.positions = positions
        self.blocks = blocks
        self.norm = norm

    def __call__(self, tokens: jax.Array) -> jax.Array:
        """Take tokens of shape (n,), give logits of those that follow each, (n, vocabulary)."""
        embedding, head = self.tied()
        x = jax.vmap(embedding)(tokens)  # (n, size)
        if self.positions is not None:
            x = self.positions(x)
        for block in self.blocks:
            x = block(x)
        return jax.vmap(head)(jax.vmap(self.norm)(x))

    def init_cache(self, length: int, **options: Any) -> list[nn.Cache]:
        """Make a cache for each block, as `TransformerBlock.init_cache` does."""
        return [block.init_cache(length, **options) for block in self.blocks]

    def step(self, caches: list[nn.Cache], tokens: jax.Array) -> tuple[jax.Array, list[nn.Cache]]:
        """Take new tokens of shape (n,), give the logits of the next, (vocabulary,), and caches.

        This is the `step` of `generate`.
        """
        embedding, head = self.tied()
        x, after = jax.vmap(embedding)(tokens), []
        if self.positions is not None:
            x = self.positions(x, offset=caches[0].position)
        for block, cache in zip(self.blocks, caches, strict=True):
            x, new = block(x, cache=cache)
            after.append(new)
        return head(self.norm(x[-1])), after
