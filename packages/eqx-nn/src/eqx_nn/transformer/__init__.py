"""What transformers are made of, besides attention, and how they are split over devices."""

from ._block import TransformerBlock
from ._gated import GatedMLP
from ._positions import LearnedPositions, SinusoidalPositions, alibi_bias
from ._scaled import ScaledRotaryEmbedding
from ._tensor_parallel import tensor_parallel

__all__ = [
    "GatedMLP",
    "LearnedPositions",
    "ScaledRotaryEmbedding",
    "SinusoidalPositions",
    "TransformerBlock",
    "alibi_bias",
    "tensor_parallel",
]
