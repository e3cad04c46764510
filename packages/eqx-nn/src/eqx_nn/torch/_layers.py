"""The entries that PyTorch has for each layer.

`write` gives the entries of a node, and `read` puts them back: by the names of the node's fields
and by rules. Of states, and of nodes that are kept in another form, no rule tells: they are here.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from eqx_filter import is_array, tree_at, tree_equal
from eqx_filter.migrations import migrate, reverse

from .._mlp import MLP
from ..attention import MultiheadAttention
from ..composing import Shared
from ..norms import BatchNorm, SpectralNorm
from ..stacked import Stacked
from ._layer_rules import rules_of
from ._names import Entries, Read, Values, Write, read_children, write_children


def write(node: Any, values: Values) -> Entries:
    """The entries of a node by their names in it."""
    forms = _forms(node)
    return forms[0](node, values) if forms else _write(node, values)


def read(node: Any, entries: Entries, values: Values) -> Any:
    """The node with `entries`, of the names and shapes of `write`; puts states into `values`."""
    forms = _forms(node)
    return forms[1](node, entries, values) if forms else _read(node, entries, values)


def _write(node: Any, values: Values) -> Entries:
    return migrate(write_children(node, values, write), reverse(rules_of(node)))


def _read(node: Any, entries: Entries, values: Values) -> Any:
    return read_children(node, migrate(entries, rules_of(node)), values, read)


def _forms(node: Any) -> tuple[Write, Read] | None:
    return next((_FORMS[cls] for cls in type(node).__mro__ if cls in _FORMS), None)


# Attention: PyTorch has a bias for all projections or for none.


def _without_bias(attention: MultiheadAttention) -> list[str]:
    """Projections that have no bias, if others have one."""
    names = ["query_proj", "key_proj", "value_proj"]
    without = [name for name in names if getattr(attention, name).bias is None]
    return without if len(without) < len(names) else []


def _write_attention(attention: MultiheadAttention, values: Values) -> Entries:
    entries = write_children(attention, values, write)
    for name in _without_bias(attention):
        entries[f"{name}.bias"] = np.zeros_like(entries[f"{name}.weight"][:, 0])
    return migrate(entries, reverse(rules_of(attention)))


def _read_attention(
    attention: MultiheadAttention, entries: Entries, values: Values
) -> MultiheadAttention:
    entries = migrate(entries, rules_of(attention))
    for name in _without_bias(attention):
        if entries.pop(f"{name}.bias").any():
            message = (
                f"The state dict does not fit the model: `in_proj_bias` is not zero for "
                f"`{name}`, which has no bias. Build the layer with `use_{name[:-5]}_bias=True`."
            )
            raise ValueError(message)
    return read_children(attention, entries, values, read)


# Stacked layers are layers like the others. Their entries in a state are not PyTorch's.


def _write_stacked(stacked: Stacked, values: Values) -> Entries:
    _refuse_ensemble(stacked, stacked.block, stacked.depth)
    return write(tuple(stacked), values)


def _refuse_ensemble(node: Any, layers: Any, depth: int) -> None:
    """Refuse layers that are kept as one, and are those of several models."""
    found = (x.shape for x in jax.tree.leaves(layers) if is_array(x) or isinstance(x, np.ndarray))
    shape = next((shape for shape in found if shape[:1] != (depth,)), None)
    if shape is not None:
        message = (
            f"A `{type(node).__name__}` of {depth} layers has an array of shape {shape}: it is of "
            "several models, and a state dict is of one. Take one of them, as "
            "`jax.tree.map(lambda x: x[0] if is_array(x) else x, model)`."
        )
        raise ValueError(message)


def _read_stacked(stacked: Stacked, entries: Entries, values: Values) -> Stacked:
    return stacked.__restacked__(read(tuple(stacked), entries, values))


def _unstacked(mlp: MLP) -> MLP:
    if not (mlp.scan and mlp.depth):
        return mlp
    first, stacked, last = mlp.layers
    _refuse_ensemble(mlp, stacked, mlp.depth - 1)
    between = [jax.tree.map(lambda x, i=i: x[i], stacked) for i in range(mlp.depth - 1)]
    return tree_at(lambda it: it.layers, mlp, (first, *between, last))


def _write_mlp(mlp: MLP, values: Values) -> Entries:
    return _write(_unstacked(mlp), values)


def _read_mlp(mlp: MLP, entries: Entries, values: Values) -> MLP:
    new = _read(_unstacked(mlp), entries, values)
    if not (mlp.scan and mlp.depth):
        return new
    first, *between, last = new.layers
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *between) if between else mlp.layers[1]
    return tree_at(lambda it: it.layers, new, (first, stacked, last))


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


# Batch norm: PyTorch's running statistics begin as those that are kept here, and are not corrected.


def _write_batch_norm(norm: BatchNorm, values: Values) -> Entries:
    entries = {name: np.asarray(x) for name, x in _affine(norm).items()}
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
    news = [jnp.asarray(entries[name]) for name in _affine(norm)]
    return tree_at(lambda it: list(_affine(it).values()), norm, news)


def _affine(norm: BatchNorm) -> dict[str, Any]:
    return {} if norm.weight is None else {"weight": norm.weight, "bias": norm.bias}


def _correction(norm: BatchNorm, count: np.ndarray) -> Any:
    """What the running statistics are divided by at inference, for each member of an ensemble."""
    if norm.mode == "ema":
        return 1.0
    return np.where(count == 0, 1.0, 1 - np.power(float(norm.momentum), count))[..., None]


# Spectral norm: as `torch.nn.utils.parametrizations` has it, with its vectors in a state.


def _vectors(norm: SpectralNorm) -> list[str]:
    return [f"parametrizations.{norm.weight_name}.0.{name}" for name in ("_u", "_v")]


def _write_spectral(norm: SpectralNorm, values: Values) -> Entries:
    entries = migrate(write(norm.layer, values), reverse(rules_of(norm)))
    if norm.uv_index.marker in values:
        vectors = zip(_vectors(norm), values[norm.uv_index.marker], strict=True)
        entries |= {name: np.asarray(vector) for name, vector in vectors}
    return entries


def _read_spectral(norm: SpectralNorm, entries: Entries, values: Values) -> SpectralNorm:
    if norm.uv_index.marker in values:
        vectors = [jnp.asarray(entries.pop(name)) for name in _vectors(norm)]
        values[norm.uv_index.marker] = tuple(vectors)
    layer = read(norm.layer, migrate(entries, rules_of(norm)), values)
    return tree_at(lambda it: it.layer, norm, layer)


_FORMS: dict[type, tuple[Write, Read]] = {
    BatchNorm: (_write_batch_norm, _read_batch_norm),
    MLP: (_write_mlp, _read_mlp),
    MultiheadAttention: (_write_attention, _read_attention),
    Shared: (_write_shared, _read_shared),
    SpectralNorm: (_write_spectral, _read_spectral),
    Stacked: (_write_stacked, _read_stacked),
}
