"""What transformers are made of, besides attention."""

from ._block import TransformerBlock
from ._gated import GatedMLP
from ._positions import LearnedPositions, SinusoidalPositions, alibi_bias
from ._scaled import ScaledRotaryEmbedding

__all__ = [
    "GatedMLP",
    "LearnedPositions",
    "ScaledRotaryEmbedding",
    "SinusoidalPositions",
    "TransformerBlock",
    "alibi_bias",
]
