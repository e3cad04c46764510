"""Weights from and to PyTorch, as plain mappings from names to arrays: it need not be installed."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from eqx_filter.migrations import Rule, migrate, reverse

from .._state import State
from .._weight import Weight
from ..composing import Shared
from ._layers import read, write

T = TypeVar("T")


class TorchReport(NamedTuple):
    """What `from_torch` found, by PyTorch's names.

    - `missing`: the model has them, and the mapping has not; they are as they were.
    - `unexpected`: the mapping has them, and the model has not; they were left out.
    - `reshaped`: their shapes differed from PyTorch's in axes of size one, which were taken out or
        put in.
    """

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    reshaped: tuple[str, ...]


def from_torch(
    model: T,
    state_dict: Mapping[str, Any],
    *,
    strict: bool = True,
    rules: Rule | Sequence[Rule] = (),
) -> tuple[T, TorchReport]:
    """Put the values of a PyTorch state dict into a model.

        model, report = from_torch(model, torch_model.state_dict())
        model, report = from_torch(model, safetensors.numpy.load_file("model.safetensors"))
        model, report = from_torch(model, state_dict, rules=[rename("transformer.h", "blocks")])

    A name is the path in the model with dots: attributes by name, items by index or key, the
    layers of a `Sequential` by index alone. Each layer has the names, shapes and layouts of its
    namesake in `torch.nn`, or of what `torch.nn.utils.parametrizations` makes of it; a cell also
    takes those of a `torch.nn.GRU` or `LSTM` of one layer. Any other array has its own name.

    **Arguments:**

    - `model`: a model, or the pair `(model, state)` of `make_with_state`, whose state takes
        running statistics. It may be one of `filter_eval_shape`, of which each
        `jax.ShapeDtypeStruct` becomes an array, but for those of typed PRNG keys.
    - `state_dict`: from names to arrays or dense tensors.
    - `strict`: whether missing and unexpected names are errors.
    - `rules`: of `equinox.migrations`, by which names and layouts of another project become those
        that PyTorch has for the layers of the model, in order.

    **Returns:** the model with the values, in the dtypes that it had, and a `TorchReport`.

    **Raises:** `ValueError` if an entry has another shape than PyTorch gives it, or is complex
    where the model is real, for a tensor of which NumPy makes no array, if values that the model
    shares differ, and, if `strict` or where the model has a `jax.ShapeDtypeStruct`, for missing
    names, and if `strict` for unexpected ones; the message has ten of each kind, with names that
    are alike; and for a rule that does not fit. `TypeError` naming a weight that has an update by
    `lora`, or is quantised.
    """
    _refuse_weights("from_torch", model)
    model_alone, values = _taken_apart(jax.tree.map(_stand_in, model))
    expected = write(model_alone, values)
    arrays = {name: _as_numpy(name, x) for name, x in state_dict.items()}
    is_abstract = any(map(_is_abstract, jax.tree.leaves(model)))
    like = jax.eval_shape(dict, expected) if is_abstract else expected
    arrays = migrate(arrays, rules, like) if rules else arrays
    given = {_without_layer(name, expected): x for name, x in arrays.items()}
    missing = tuple(name for name in expected if name not in given)
    unexpected = tuple(name for name in given if name not in expected)
    faults = _named("missing", missing, unexpected) if strict or is_abstract else []
    faults += _named("unexpected", unexpected, missing) if strict else []
    reshaped, entries, misfits = [], dict(expected), []
    for name, now in expected.items():
        if name in given:
            value = given[name]
            problem = _problem(value, now)
            if problem:
                misfits.append(f"`{name}` {problem}")
            else:
                entries[name] = value.reshape(now.shape).astype(now.dtype)
                reshaped += [name] if value.shape != now.shape else []
    if faults or misfits:
        message = _told(faults, misfits, unexpected)
        raise ValueError(message + _way_out(faults, missing, model, is_abstract))
    model_alone = read(model_alone, entries, values)
    report = TorchReport(missing, unexpected, tuple(reshaped))
    return jax.tree.map(_made, model, _put_together(model, model_alone, values)), report


def to_torch(model: Any, *, rules: Rule | Sequence[Rule] = ()) -> dict[str, np.ndarray]:
    """The values of a model as a PyTorch state dict of NumPy arrays.

        tensors = {name: torch.tensor(x) for name, x in to_torch(model).items()}
        torch_model.load_state_dict(tensors)

    **Arguments:**

    - `model`: a model, or the pair `(model, state)` of `make_with_state`.
    - `rules`: those that `from_torch` takes, which are gone through backwards.

    **Returns:** a dict with the names, shapes and layouts that `from_torch` reads. The arrays
    are copies.

    **Raises:** `ValueError` naming a rule that has no way back, or does not fit; `TypeError` naming
    a weight that has an update by `lora`, or is quantised, and for a model without values.
    """
    _refuse_weights("to_torch", model)
    if any(map(_is_abstract, jax.tree.leaves(model))):
        message = (
            "`to_torch` takes a model with values; this one has a `jax.ShapeDtypeStruct` in the "
            "place of an array, as `filter_eval_shape` gives it."
        )
        raise TypeError(message)
    model_alone, values = _taken_apart(model)
    entries = migrate(write(model_alone, values), reverse(rules))
    return {name: np.array(value) for name, value in entries.items()}


def _refuse_weights(function: str, model: Any) -> None:
    """Refuse what PyTorch has no names for: nodes in the place of weights."""
    is_weight = lambda node: isinstance(node, Weight)  # noqa: E731
    for keys, node in jtu.tree_flatten_with_path(model, is_leaf=is_weight)[0]:
        if is_weight(node):
            message = (
                f"`{function}` takes arrays as weights; `model{jtu.keystr(keys)}` is "
                f"`{type(node).__name__}`. Call it before `lora` and `quantise`, or after "
                "`merge_lora` and `dequantise`."
            )
            raise TypeError(message)


def _is_pair(model: Any) -> bool:
    return isinstance(model, tuple) and len(model) == 2 and isinstance(model[1], State)


def _taken_apart(model: Any) -> tuple[Any, dict[Any, Any]]:
    """The model, and the values of its state by marker."""
    if not _is_pair(model):
        return model, {}
    values, markers = model[1].tree_flatten()
    return model[0], dict(zip(markers, values, strict=True))


def _put_together(like: Any, model: Any, values: dict[Any, Any]) -> Any:
    if not _is_pair(like):
        return model
    return model, State.tree_unflatten(tuple(values), tuple(values.values()))


def _without_layer(name: str, expected: Mapping[str, Any]) -> str:
    """`torch.nn.GRU` and `LSTM` number their layers; a cell is the first."""
    if name in expected or not _OF_CELL.search(name):
        return name
    cell = name.removesuffix("_l0")
    return cell if cell in expected else name


_OF_CELL = re.compile(r"(weight|bias)_[ih]h_l0$")


def _as_numpy(name: str, value: Any) -> np.ndarray:
    if hasattr(value, "detach"):
        try:
            value = value.detach().cpu().resolve_conj().resolve_neg()
            if str(value.dtype).startswith(("torch.bfloat16", "torch.float8")):
                value = value.float()  # since NumPy does not have these
            return np.asarray(value)
        except (TypeError, NotImplementedError) as error:  # sparse, quantised, without values
            message = f"`from_torch` cannot make an array of the tensor `{name}`: {error}"
            raise ValueError(message) from error
    array = np.asarray(value)
    if array.dtype == object:
        message = f"`from_torch` needs arrays; `{name}` is a `{type(value).__name__}`."
        raise ValueError(message)
    return array


def _problem(value: np.ndarray, now: np.ndarray) -> str | None:
    sizes, expected = ([n for n in array.shape if n != 1] for array in (value, now))
    if sizes != expected:
        return f"has shape {value.shape} where PyTorch has {now.shape} for this layer"
    if np.iscomplexobj(value) and not np.iscomplexobj(now):
        return "is complex where the model is real"
    if now.dtype.kind in "iub" and not np.array_equal(value.astype(now.dtype), value):
        return f"has numbers that `{now.dtype}`, of the model, does not hold"
    return None


def _is_abstract(leaf: Any) -> bool:
    """Whether a leaf stands for an array that a state dict may have."""
    is_struct = isinstance(leaf, jax.ShapeDtypeStruct)
    return is_struct and not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _stand_in(leaf: Any) -> Any:
    """An array of zeros that takes no memory, for one that is abstract."""
    is_abstract = _is_abstract(leaf)
    return np.broadcast_to(np.zeros((), leaf.dtype), leaf.shape) if is_abstract else leaf


def _made(leaf: Any, new: Any) -> Any:
    """A JAX array for what was abstract."""
    return jnp.asarray(new) if _is_abstract(leaf) else new


_MOST_TOLD = 10


def _named(what: str, names: Sequence[str], others: Sequence[str]) -> list[str]:
    """That names are missing or unexpected, with the one of the others that is most like each."""
    told = []
    for name in names[:_MOST_TOLD]:
        near = difflib.get_close_matches(name, others, 1, 0.5)
        other = "state dict" if what == "missing" else "model"
        told.append(f"`{name}` is {what}" + (f" (the {other} has `{near[0]}`)" if near else ""))
    more = len(names) - _MOST_TOLD
    return [*told, f"{more} more are {what}"] if more > 0 else told


def _told(names: list[str], misfits: list[str], unexpected: Sequence[str]) -> str:
    more = len(misfits) - _MOST_TOLD
    told = [*names, *misfits[:_MOST_TOLD]] + [f"{more} more do not fit"] * (more > 0)
    message = "The state dict does not fit the model: " + "; ".join(told) + "."
    if any(name.endswith("running_mean") for name in unexpected):
        message += " Running statistics are in the state: give the pair `(model, state)`."
    return message


def _way_out(names: list[str], missing: Sequence[str], model: Any, is_abstract: bool) -> str:
    if not names:
        return ""
    told = ""
    is_shared = lambda node: isinstance(node, Shared)  # noqa: E731
    if missing and any(map(is_shared, jax.tree.leaves(model, is_leaf=is_shared))):
        told = (
            " What a `Shared` keeps once has a name at each of its places: `copy(old, new)` in "
            "`rules` gives the second to a state dict that has one."
        )
    if missing and is_abstract:
        return told + (
            " A `jax.ShapeDtypeStruct` of the model has no values to keep: make the model with "
            "arrays and pass `strict=False`, or give a `default` in `rules`."
        )
    return told + " With `strict=False`, names may be missing or unexpected."
