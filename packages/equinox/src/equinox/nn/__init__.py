"""Neural network layers: the names of `eqx_nn`."""

from eqx_nn import (
    MLP,
    Dropout,
    GRUCell,
    Identity,
    Lambda,
    Linear,
    LSTMCell,
    Sequential,
    inference_mode,
)

__all__ = [
    "MLP",
    "Dropout",
    "GRUCell",
    "Identity",
    "LSTMCell",
    "Lambda",
    "Linear",
    "Sequential",
    "inference_mode",
]
