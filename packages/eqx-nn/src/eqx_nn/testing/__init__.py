"""For who writes layers: what holds for every layer, checked for one. Nothing else loads this."""

from ._check_layer import CHECKS, check_layer

__all__ = [
    "CHECKS",
    "check_layer",
]
