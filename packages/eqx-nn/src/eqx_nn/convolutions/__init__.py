"""Convolutions, and transposed and separable ones, in one and more dimensions."""

from ._conv import Conv
from ._conv_nd import Conv1d, Conv2d, Conv3d
from ._conv_transpose import ConvTranspose
from ._conv_transpose_nd import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from ._separable import DepthwiseConv, SeparableConv

__all__ = [
    "Conv",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "DepthwiseConv",
    "SeparableConv",
]
