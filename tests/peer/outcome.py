"""What came of a case, as plain JSON: its value or its exception, and its warnings.

This file knows nothing of either side's insides: a Module is told by its class and its fields, an
array by kind, dtype, shape and values, and what is neither by its `repr` without addresses.
"""

import dataclasses
import re
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

import equinox as eqx

ADDRESS = re.compile(r"0x[0-9a-f]{6,}")
FIRST_PARTY = re.compile(r"\b(?:equinox|eqx_pytree|eqx_filter|eqx_nn)(?:\._?[a-z]\w*)*\.(?=[\w<])")


def clean(text: str) -> str:
    """Drop addresses, and the names of the modules in which either side keeps its classes."""
    return FIRST_PARTY.sub("equinox.", ADDRESS.sub("0x...", text))


def name_of(thing: Any) -> str:
    """Give the qualified name of a class or a function."""
    return clean(f"{thing.__module__}.{thing.__qualname__}")


def describe_array(array: Any) -> dict[str, Any]:
    if isinstance(array, jax.Array) and jax.dtypes.issubdtype(array.dtype, jax.dtypes.prng_key):
        return {"keys": str(array.dtype), "data": describe_array(jax.random.key_data(array))}
    kind = "jax" if isinstance(array, jax.Array) else type(array).__name__
    values = np.asarray(array)
    if values.dtype.kind == "c":
        values = np.stack([values.real, values.imag], axis=-1)
    elif values.dtype.kind not in "biuSUOM":
        values = values.astype(np.float64)
    return {
        "array": f"{kind} {array.dtype}{list(array.shape)}",
        "weak": bool(getattr(array, "weak_type", False)),
        "values": [
            x if isinstance(x, bool | int | float) else str(x) for x in values.ravel().tolist()
        ],
    }


def describe_instance(value: Any) -> dict[str, Any]:
    names = [field.name for field in dataclasses.fields(value)]
    held = vars(value)
    return {
        "instance": name_of(type(value)),
        "fields": {name: describe(held[name]) for name in names if name in held},
    }


def describe_container(value: Any) -> dict[str, Any] | None:
    if isinstance(value, list | tuple):
        return {type(value).__name__: [describe(item) for item in value]}
    if isinstance(value, Mapping):
        return {type(value).__name__: [[describe(k), describe(v)] for k, v in value.items()]}
    return None


def describe_callable(value: Any) -> dict[str, Any] | None:
    if hasattr(value, "__self__") and hasattr(value, "__func__"):
        return {"method": name_of(value.__func__), "self": describe(value.__self__)}
    if isinstance(value, type):
        return {"class": name_of(value)}
    if callable(value) and hasattr(value, "__qualname__") and not isinstance(value, eqx.Module):
        return {"function": name_of(value)}
    return None


def describe(value: Any) -> Any:
    """Give the value as plain JSON."""
    if value is None or type(value) in (bool, int, float):
        return value
    if type(value) is str:
        return clean(value)
    if isinstance(value, jax.core.Tracer):
        return {"tracer": f"{value.dtype}{list(value.shape)}"}
    if isinstance(value, jax.Array | np.ndarray | np.generic):
        return describe_array(value)
    if isinstance(value, jax.tree_util.PyTreeDef):
        return {"treedef": describe(value.unflatten(f"leaf {i}" for i in range(value.num_leaves)))}
    found = describe_container(value) or describe_callable(value)
    if found is not None:
        return found
    if isinstance(value, eqx.Module):
        return describe_instance(value)
    return {"type": name_of(type(value)), "repr": clean(repr(value))}


def describe_error(error: BaseException) -> dict[str, Any]:
    kinds = [name_of(kind) for kind in type(error).__mro__ if kind is not object]
    return {"kinds": kinds, "message": clean(str(error))}


def outcome(case: Callable[[], Any], *, rounded: bool = False) -> dict[str, Any]:
    """Run the case and describe what came of it."""
    value, error = None, None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            value = describe(case())
        except Exception as raised:  # an exception is an outcome like any other
            error = describe_error(raised)
    told = [{"category": name_of(w.category), "message": clean(str(w.message))} for w in caught]
    return {"rounded": rounded, "value": value, "error": error, "warnings": told}
