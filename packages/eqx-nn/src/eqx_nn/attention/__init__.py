"""Attention, and what it is told of places."""

from ._attention import MultiheadAttention, dot_product_attention, dot_product_attention_weights
from ._cache import Cache
from ._ring import ring_attention
from ._rotary import RotaryPositionalEmbedding

__all__ = [
    "Cache",
    "MultiheadAttention",
    "RotaryPositionalEmbedding",
    "dot_product_attention",
    "dot_product_attention_weights",
    "ring_attention",
]
