"""For each layer, the rules that lead from PyTorch's names and layouts to those of its fields."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from eqx_filter.migrations import Rule, convert, join, rename, split

from .._mlp import MLP
from .._prelu import PReLU
from ..attention import MultiheadAttention
from ..convolutions import Conv, ConvTranspose
from ..norms import SpectralNorm, WeightNorm
from ..recurrent import RNN, GRUCell, LSTMCell, RNNCell
from ..transformer import TransformerBlock


def rules_of(node: Any) -> Sequence[Rule]:
    """The rules for the entries of a node, by their names in it; all of them have a way back."""
    return next((_RULES[cls](node) for cls in type(node).__mro__ if cls in _RULES), ())


def _of_conv(conv: Conv) -> list[Rule]:
    """A bias is a vector, for each member of an ensemble."""
    if conv.bias is None:
        return []
    shape, ones = np.shape(conv.bias), conv.num_spatial_dims
    vectors = shape[: len(shape) - ones]
    return [convert("bias", lambda bias: bias.reshape(shape), lambda it: it.reshape(vectors))]


def _of_conv_transpose(conv: ConvTranspose) -> list[Rule]:
    """The layer is the gradient of a convolution with the kernel, which has the inputs first."""

    def mirrored(kernel: np.ndarray) -> np.ndarray:
        """Exchange inputs and outputs within each group, and turn the kernel around."""
        rows, columns, *size = kernel.shape
        grouped = kernel.reshape(conv.groups, rows // conv.groups, columns, *size).swapaxes(1, 2)
        flat = grouped.reshape(-1, rows // conv.groups, *size)
        return np.flip(flat, tuple(range(2, 2 + len(size))))

    return [convert("weight", mirrored, mirrored), *_of_conv(conv)]


def _of_cell(cell: LSTMCell | RNNCell) -> list[Rule]:
    """There are two biases, which are added."""

    def added(both: np.ndarray) -> np.ndarray:
        return both.reshape(2, -1).sum(0, dtype=both.dtype)

    def apart(bias: np.ndarray) -> np.ndarray:
        return np.concatenate([bias, np.zeros_like(bias)])

    if cell.bias is None:
        return []
    return [join(["bias_ih", "bias_hh"], "bias"), convert("bias", added, apart)]


def _of_gru(cell: GRUCell) -> list[Rule]:
    """The biases are added for the gates, and are two for what is new."""
    size = cell.hidden_size

    def added(both: np.ndarray) -> np.ndarray:
        inputs, gates, new = np.split(both, [3 * size, 5 * size])
        return np.concatenate([inputs[: 2 * size] + gates, inputs[2 * size :], new])

    def apart(bias: np.ndarray) -> np.ndarray:
        inputs, new = np.split(bias, [3 * size])
        return np.concatenate([inputs, np.zeros_like(inputs[: 2 * size]), new])

    if cell.bias is None:
        return []
    return [
        join(["bias_ih", "bias_hh"], "bias"),
        convert("bias", added, apart),
        split("bias", ["bias", "bias_n"], sizes=[3 * size, size]),
    ]


def _of_rnn(rnn: RNN) -> list[Rule]:
    """Names of cells have the number of their layer and the direction behind."""
    rows = {"": ("cells", rnn.cells), "_reverse": ("reverse_cells", rnn.reverse_cells or ())}
    cells = [cell for _, row in rows.values() for cell in row]
    if not all(isinstance(cell, (GRUCell, LSTMCell, RNNCell)) for cell in cells):
        return []
    return [
        rename(f"*_l{i}{end}", f"{name}.{i}.*")
        for end, (name, row) in rows.items()
        for i in range(len(row))
    ]


def _of_attention(attention: MultiheadAttention) -> list[Rule]:
    """The projections are one matrix where all sizes are equal."""
    parts = {short: getattr(attention, f"{name}_proj") for short, name in _PROJECTIONS.items()}
    shapes = {np.shape(part.weight) for part in parts.values()}
    names = [f"{name}_proj" for name in _PROJECTIONS.values()]
    rules = [rename("out_proj", "output_proj")]
    if len(shapes) == 1 and len(set(*shapes)) == 1:
        rules.append(split("in_proj_weight", [f"{name}.weight" for name in names]))
    else:
        pairs = zip(_PROJECTIONS, names, strict=True)
        rules += [rename(f"{short}_proj_weight", f"{name}.weight") for short, name in pairs]
    sizes = [np.shape(part.weight)[0] for part in parts.values()]
    biases = [f"{name}.bias" for name in names]
    return [*rules, split("in_proj_bias", biases, sizes=sizes, optional=True)]


_PROJECTIONS = {"q": "query", "k": "key", "v": "value"}


def _of_block(block: TransformerBlock) -> list[Rule]:
    """As `TransformerEncoderLayer` and `TransformerDecoderLayer`; a norm need not have arrays."""
    norms = ["attention_norm", "mlp_norm"]
    names = {"self_attn": "attention"}
    if block.cross_attention is not None:
        names["multihead_attn"] = "cross_attention"
        norms.insert(1, "cross_norm")
    if isinstance(block.mlp, MLP):
        names |= {"linear1": "mlp.layers.0", "linear2": "mlp.layers.1"}
    names |= {f"norm{i}": norm for i, norm in enumerate(norms, start=1)}
    return [rename(*pair, optional=True) for pair in names.items()]


def _of_prelu(prelu: PReLU) -> list[Rule]:
    """The slopes are called weight, and are a vector."""
    shape = np.shape(prelu.negative_slope)
    slopes = convert("negative_slope", lambda weight: weight.reshape(shape), np.ravel)
    return [rename("weight", "negative_slope"), slopes]


def _of_spectral_norm(norm: SpectralNorm) -> list[Rule]:
    """By the names in the layer that is wrapped."""
    return [rename(f"parametrizations.{norm.weight_name}.original", norm.weight_name)]


def _of_weight_norm(norm: WeightNorm) -> list[Rule]:
    """As `torch.nn.utils.parametrizations` has it."""
    of_weight = f"layer.parametrizations.{norm.weight_name}"
    return [
        rename("", "layer"),
        rename(f"{of_weight}.original0", "g"),
        rename(f"{of_weight}.original1", f"layer.{norm.weight_name}"),
    ]


_RULES: dict[type, Callable[[Any], Sequence[Rule]]] = {
    Conv: _of_conv,
    ConvTranspose: _of_conv_transpose,
    GRUCell: _of_gru,
    LSTMCell: _of_cell,
    MultiheadAttention: _of_attention,
    PReLU: _of_prelu,
    RNN: _of_rnn,
    RNNCell: _of_cell,
    SpectralNorm: _of_spectral_norm,
    TransformerBlock: _of_block,
    WeightNorm: _of_weight_norm,
}
