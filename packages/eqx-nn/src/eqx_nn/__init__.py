"""Neural network layers as callable PyTrees, written on the public face of eqx-pytree alone."""

from typing import Any

from ._composed import Lambda, Sequential
from ._dropout import Dropout
from ._linear import Identity, Linear
from ._mlp import MLP
from ._mode import inference_mode
from ._rnn import GRUCell, LSTMCell
from ._state import StatefulLayer

__all__ = [
    "MLP",
    "Dropout",
    "GRUCell",
    "Identity",
    "LSTMCell",
    "Lambda",
    "Linear",
    "Sequential",
    "StatefulLayer",
    "inference_mode",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("eqx-nn")
    message = f"module `{__name__}` has no attribute `{name}`"
    raise AttributeError(message)
