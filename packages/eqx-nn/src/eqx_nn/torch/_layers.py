"""The entries that PyTorch has for each layer.

`write` gives the entries of a node, and `read` puts them back. Each kind of layer that PyTorch
keeps in another way has a rule for it: a pair of functions that undo each other.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from eqx_filter import tree_at, tree_equal
from eqx_filter.migrations import Rule, migrate, rename, reverse

from .._linear import Linear
from .._mlp import MLP
from .._prelu import PReLU
from ..attention import MultiheadAttention
from ..composing import Shared
from ..convolutions import Conv, ConvTranspose
from ..norms import BatchNorm, SpectralNorm, WeightNorm
from ..recurrent import RNN, GRUCell, LSTMCell, RNNCell
from ..stacked import Stacked
from ..transformer import TransformerBlock
from ._names import Entries, Read, Values, Write, read_children, write_children


def write(node: Any, values: Values) -> Entries:
    """The entries of a node by their names in it."""
    rule = _rule(node)
    return rule[0](node, values) if rule else write_children(node, values, write)


def read(node: Any, entries: Entries, values: Values) -> Any:
    """The node with `entries`, of the names and shapes of `write`; puts states into `values`."""
    rule = _rule(node)
    return rule[1](node, entries, values) if rule else read_children(node, entries, values, read)


def _rule(node: Any) -> tuple[Write, Read] | None:
    return next((_RULES[cls] for cls in type(node).__mro__ if cls in _RULES), None)


def _with(node: Any, **fields: Any) -> Any:
    """The node with arrays for those of the fields that are arrays, in their dtypes and shapes."""
    now = {name: getattr(node, name) for name in fields if getattr(node, name) is not None}
    news = [jnp.asarray(fields[name], x.dtype).reshape(x.shape) for name, x in now.items()]
    return tree_at(lambda it: [getattr(it, name) for name in now], node, news)


def _present(**entries: Any) -> Entries:
    return {name: np.asarray(value) for name, value in entries.items() if value is not None}


# Convolutions: a bias is a vector. The kernels of transposed ones have the inputs first, and are
# the mirror images: PyTorch's layer is the gradient of a convolution with that kernel.


def _write_conv(conv: Conv | ConvTranspose, _: Values) -> Entries:
    entries = _present(weight=conv.weight, bias=conv.bias)
    return {name: x.reshape(-1) if name == "bias" else x for name, x in entries.items()}


def _read_conv(conv: Conv | ConvTranspose, entries: Entries, _: Values) -> Any:
    return _with(conv, **entries)


def _mirrored(kernel: Any, groups: int) -> np.ndarray:
    """Exchange inputs and outputs within each group, and turn the kernel around; undoes itself."""
    rows, columns, *size = kernel.shape
    grouped = np.reshape(kernel, (groups, rows // groups, columns, *size)).swapaxes(1, 2)
    return np.flip(grouped.reshape(-1, rows // groups, *size), tuple(range(2, 2 + len(size))))


def _write_conv_transpose(conv: ConvTranspose, values: Values) -> Entries:
    entries = _write_conv(conv, values)
    return entries | {"weight": _mirrored(entries["weight"], conv.groups)}


def _read_conv_transpose(conv: ConvTranspose, entries: Entries, values: Values) -> Any:
    news = entries | {"weight": _mirrored(entries["weight"], conv.groups)}
    return _read_conv(conv, news, values)


# Cells: two biases for what is one here, but for that of the new gate of a GRU.


def _write_gru(cell: GRUCell, _: Values) -> Entries:
    entries = _present(weight_ih=cell.weight_ih, weight_hh=cell.weight_hh, bias_ih=cell.bias)
    if cell.bias is not None:
        gates = np.zeros_like(entries["bias_ih"][: 2 * cell.hidden_size])
        entries["bias_hh"] = np.concatenate([gates, np.asarray(cell.bias_n)])
    return entries


def _read_gru(cell: GRUCell, entries: Entries, _: Values) -> GRUCell:
    weights = {"weight_ih": entries["weight_ih"], "weight_hh": entries["weight_hh"]}
    if cell.bias is None:
        return _with(cell, **weights)
    gates, new = np.split(entries["bias_hh"], [2 * cell.hidden_size])
    bias = entries["bias_ih"] + np.concatenate([gates, np.zeros_like(new)])
    return _with(cell, **weights, bias=bias, bias_n=new)


def _write_cell(cell: LSTMCell | RNNCell, _: Values) -> Entries:
    entries = _present(weight_ih=cell.weight_ih, weight_hh=cell.weight_hh, bias_ih=cell.bias)
    if cell.bias is not None:
        entries["bias_hh"] = np.zeros_like(entries["bias_ih"])
    return entries


def _read_cell(cell: LSTMCell | RNNCell, entries: Entries, _: Values) -> Any:
    weights = {"weight_ih": entries["weight_ih"], "weight_hh": entries["weight_hh"]}
    if cell.bias is None:
        return _with(cell, **weights)
    return _with(cell, **weights, bias=entries["bias_ih"] + entries["bias_hh"])


# Cells along sequences: what a cell has, with the number of its layer behind, and its direction.


def _cells(rnn: RNN) -> dict[str, Any]:
    """The cells by what stands behind their names; none where they are no cells of PyTorch's."""
    rows = {"": rnn.cells, "_reverse": rnn.reverse_cells or ()}
    cells = {f"_l{i}{end}": cell for end, row in rows.items() for i, cell in enumerate(row)}
    known = all(isinstance(cell, (GRUCell, LSTMCell, RNNCell)) for cell in cells.values())
    return cells if known else {}


def _write_rnn(rnn: RNN, values: Values) -> Entries:
    cells = _cells(rnn)
    if not cells:
        return write_children(rnn, values, write)
    return {
        f"{name}{end}": value
        for end, cell in cells.items()
        for name, value in write(cell, values).items()
    }


def _read_rnn(rnn: RNN, entries: Entries, values: Values) -> RNN:
    cells = _cells(rnn)
    if not cells:
        return read_children(rnn, entries, values, read)
    news = []
    for end, cell in cells.items():
        own = {
            name.removesuffix(end): value for name, value in entries.items() if name.endswith(end)
        }
        news.append(read(cell, own, values))
    return tree_at(lambda it: [*it.cells, *(it.reverse_cells or ())], rnn, news)


# Attention: the projections are in one matrix where all sizes are equal.

_PARTS = {"q": "query_proj", "k": "key_proj", "v": "value_proj"}


def _is_even(attention: MultiheadAttention) -> bool:
    sizes = {getattr(attention, part).weight.shape for part in _PARTS.values()}
    return len(sizes) == 1 and len(set(*sizes)) == 1


def _write_attention(attention: MultiheadAttention, _: Values) -> Entries:
    parts = {short: getattr(attention, name) for short, name in _PARTS.items()}
    weights = {short: np.asarray(part.weight) for short, part in parts.items()}
    if _is_even(attention):
        entries = {"in_proj_weight": np.concatenate(list(weights.values()))}
    else:
        entries = {f"{short}_proj_weight": weight for short, weight in weights.items()}
    if any(part.bias is not None for part in parts.values()):
        biases = [
            np.zeros_like(weights[short][:, 0]) if part.bias is None else np.asarray(part.bias)
            for short, part in parts.items()
        ]
        entries["in_proj_bias"] = np.concatenate(biases)
    out = attention.output_proj
    return entries | _present(**{"out_proj.weight": out.weight, "out_proj.bias": out.bias})


def _read_attention(
    attention: MultiheadAttention, entries: Entries, _: Values
) -> MultiheadAttention:
    news: dict[str, Linear] = {}
    start = 0
    for short, name in _PARTS.items():
        part = getattr(attention, name)
        rows = slice(start, start + part.weight.shape[0])
        start = rows.stop
        weight = entries["in_proj_weight"][rows] if _is_even(attention) else None
        weight = entries[f"{short}_proj_weight"] if weight is None else weight
        bias = entries.get("in_proj_bias", np.zeros(start))[rows]
        if part.bias is None and bias.any():
            message = (
                f"The state dict does not fit the model: `in_proj_bias` is not zero for "
                f"`{name}`, which has no bias. Build the layer with `use_{name[:-5]}_bias=True`."
            )
            raise ValueError(message)
        news[name] = _with(part, weight=weight, bias=bias)
    out = attention.output_proj
    news["output_proj"] = _with(
        out, weight=entries["out_proj.weight"], bias=entries.get("out_proj.bias")
    )
    return tree_at(lambda it: [getattr(it, name) for name in news], attention, list(news.values()))


# Blocks of transformers: by the names of `TransformerEncoderLayer` and `TransformerDecoderLayer`.


def _names(block: TransformerBlock) -> list[Rule]:
    """From PyTorch's names to ours; a norm need not have arrays."""
    norms = ["attention_norm", "mlp_norm"]
    names = {"self_attn": "attention"}
    if block.cross_attention is not None:
        names["multihead_attn"] = "cross_attention"
        norms.insert(1, "cross_norm")
    if isinstance(block.mlp, MLP):
        names |= {"linear1": "mlp.layers.0", "linear2": "mlp.layers.1"}
    names |= {f"norm{i}": norm for i, norm in enumerate(norms, start=1)}
    return [rename(*pair, optional=True) for pair in names.items()]


def _write_block(block: TransformerBlock, values: Values) -> Entries:
    return migrate(write_children(block, values, write), reverse(_names(block)))


def _read_block(block: TransformerBlock, entries: Entries, values: Values) -> TransformerBlock:
    return read_children(block, migrate(entries, _names(block)), values, read)


# Stacked blocks: by the names of a list of blocks. Their entries in a state are not PyTorch's.


def _write_stacked(stacked: Stacked, values: Values) -> Entries:
    return {
        f"{i}.{name}": value
        for i, block in enumerate(stacked)
        for name, value in write(block, values).items()
    }


def _read_stacked(stacked: Stacked, entries: Entries, values: Values) -> Stacked:
    blocks = []
    for i, block in enumerate(stacked):
        start = f"{i}."
        own = {name.removeprefix(start): x for name, x in entries.items() if name.startswith(start)}
        blocks.append(read(block, own, values))
    return stacked.__restacked__(tuple(blocks))


# PReLU: the slopes are called weight, and are a vector.


def _write_prelu(prelu: PReLU, _: Values) -> Entries:
    return {"weight": np.asarray(prelu.negative_slope).reshape(-1)}


def _read_prelu(prelu: PReLU, entries: Entries, _: Values) -> PReLU:
    return _with(prelu, negative_slope=entries["weight"])


# Batch norm: PyTorch's running statistics begin as those that are kept here, and are not corrected.


def _write_batch_norm(norm: BatchNorm, values: Values) -> Entries:
    entries = _present(weight=norm.weight, bias=norm.bias)
    count_index, running_index = norm._indices()
    if running_index.marker in values:
        count = np.asarray(values[count_index.marker])
        mean, var = map(np.asarray, values[running_index.marker])
        factor = _correction(norm, count)
        entries["running_mean"] = (mean / factor).astype(mean.dtype)
        entries["running_var"] = (var / factor).astype(var.dtype)
        entries["num_batches_tracked"] = np.asarray(~count if norm.mode == "ema" else count, int)
    return entries


def _read_batch_norm(norm: BatchNorm, entries: Entries, values: Values) -> BatchNorm:
    count_index, running_index = norm._indices()
    if running_index.marker in values:
        count = entries["num_batches_tracked"]
        count = count == 0 if norm.mode == "ema" else count
        factor = _correction(norm, count)
        old_count, old = values[count_index.marker], values[running_index.marker]
        news = (entries["running_mean"] * factor, entries["running_var"] * factor)
        values[running_index.marker] = tuple(
            jnp.asarray(new, before.dtype) for new, before in zip(news, old, strict=True)
        )
        values[count_index.marker] = jnp.asarray(count, old_count.dtype)
    return _with(norm, **{name: x for name, x in entries.items() if name in ("weight", "bias")})


def _correction(norm: BatchNorm, count: np.ndarray) -> Any:
    """What the running statistics are divided by at inference, for each member of an ensemble."""
    if norm.mode == "ema":
        return 1.0
    return np.where(count == 0, 1.0, 1 - np.power(float(norm.momentum), count))[..., None]


# Wrapped layers: as `torch.nn.utils.parametrizations` has them.


def _inner(norm: SpectralNorm | WeightNorm, entries: Entries, weight: np.ndarray) -> Entries:
    """The entries of the wrapped layer."""
    start = f"parametrizations.{norm.weight_name}."
    others = {name: value for name, value in entries.items() if not name.startswith(start)}
    return others | {norm.weight_name: weight}


def _write_spectral(norm: SpectralNorm, values: Values) -> Entries:
    entries = write(norm.layer, values)
    start = f"parametrizations.{norm.weight_name}"
    entries[f"{start}.original"] = entries.pop(norm.weight_name)
    if norm.uv_index.marker in values:
        u, v = values[norm.uv_index.marker]
        entries |= {f"{start}.0._u": np.asarray(u), f"{start}.0._v": np.asarray(v)}
    return entries


def _read_spectral(norm: SpectralNorm, entries: Entries, values: Values) -> SpectralNorm:
    start = f"parametrizations.{norm.weight_name}"
    if norm.uv_index.marker in values:
        u, v = (entries[f"{start}.0.{name}"] for name in ("_u", "_v"))
        values[norm.uv_index.marker] = jnp.asarray(u), jnp.asarray(v)
    inner = _inner(norm, entries, entries[f"{start}.original"])
    return tree_at(lambda it: it.layer, norm, read(norm.layer, inner, values))


def _write_weight_norm(norm: WeightNorm, values: Values) -> Entries:
    entries = write(norm.layer, values)
    start = f"parametrizations.{norm.weight_name}"
    entries[f"{start}.original0"] = np.asarray(norm.g)
    entries[f"{start}.original1"] = entries.pop(norm.weight_name)
    return entries


def _read_weight_norm(norm: WeightNorm, entries: Entries, values: Values) -> WeightNorm:
    start = f"parametrizations.{norm.weight_name}"
    inner = _inner(norm, entries, entries[f"{start}.original1"])
    layer = read(norm.layer, inner, values)
    return _with(tree_at(lambda it: it.layer, norm, layer), g=entries[f"{start}.original0"])


# Shared nodes stand in each of their places, with equal values.


def _write_shared(shared: Shared[Any], values: Values) -> Entries:
    return write(shared(), values)


def _read_shared(shared: Shared[Any], entries: Entries, values: Values) -> Shared[Any]:
    whole = read(shared(), entries, values)
    again = Shared(whole, shared.where, shared.get)
    if not tree_equal(again(), whole):
        message = (
            "The state dict does not fit the model: it has different values for what a `Shared` "
            "keeps once."
        )
        raise ValueError(message)
    return again


# The stacked layers of a scanned MLP are layers like the others.


def _unstacked(mlp: MLP) -> MLP:
    if not (mlp.scan and mlp.depth):
        return mlp
    first, stacked, last = mlp.layers
    between = [jax.tree.map(lambda x, i=i: x[i], stacked) for i in range(mlp.depth - 1)]
    return tree_at(lambda it: it.layers, mlp, (first, *between, last))


def _write_mlp(mlp: MLP, values: Values) -> Entries:
    return write_children(_unstacked(mlp), values, write)


def _read_mlp(mlp: MLP, entries: Entries, values: Values) -> MLP:
    new = read_children(_unstacked(mlp), entries, values, read)
    if not (mlp.scan and mlp.depth):
        return new
    first, *between, last = new.layers
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *between) if between else mlp.layers[1]
    return tree_at(lambda it: it.layers, new, (first, stacked, last))


_RULES: dict[type, tuple[Write, Read]] = {
    Conv: (_write_conv, _read_conv),
    ConvTranspose: (_write_conv_transpose, _read_conv_transpose),
    GRUCell: (_write_gru, _read_gru),
    LSTMCell: (_write_cell, _read_cell),
    RNN: (_write_rnn, _read_rnn),
    RNNCell: (_write_cell, _read_cell),
    MultiheadAttention: (_write_attention, _read_attention),
    Stacked: (_write_stacked, _read_stacked),
    TransformerBlock: (_write_block, _read_block),
    PReLU: (_write_prelu, _read_prelu),
    BatchNorm: (_write_batch_norm, _read_batch_norm),
    SpectralNorm: (_write_spectral, _read_spectral),
    WeightNorm: (_write_weight_norm, _read_weight_norm),
    Shared: (_write_shared, _read_shared),
    MLP: (_write_mlp, _read_mlp),
}
