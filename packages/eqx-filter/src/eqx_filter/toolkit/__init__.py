"""The small things that solvers use."""

from ._conveniences import GetKey, str2jax
from ._enumeration import Enumeration, EnumerationItem
from ._numerics import eval_empty, eval_zero, left_broadcast_to, nextafter, prevbefore
from ._onnx import to_onnx
from ._progress import AbstractProgressMeter, NoProgressMeter, TextProgressMeter, TqdmProgressMeter

__all__ = [
    "AbstractProgressMeter",
    "Enumeration",
    "EnumerationItem",
    "GetKey",
    "NoProgressMeter",
    "TextProgressMeter",
    "TqdmProgressMeter",
    "eval_empty",
    "eval_zero",
    "left_broadcast_to",
    "nextafter",
    "prevbefore",
    "str2jax",
    "to_onnx",
]
