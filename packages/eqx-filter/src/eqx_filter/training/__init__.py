"""What training asks for besides gradients: which leaves, optimizers, averages, dtypes, parts."""

from ._accumulate import accumulate
from ._ema import ema
from ._loss_scale import LossScale, all_finite
from ._optimizer import Optimizer
from ._precision import Precision
from ._trainable import trainable

__all__ = [
    "LossScale",
    "Optimizer",
    "Precision",
    "accumulate",
    "all_finite",
    "ema",
    "trainable",
]
