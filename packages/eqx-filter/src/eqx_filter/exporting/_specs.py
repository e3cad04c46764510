"""What a program is exported for: shapes and dtypes, some of whose sizes have names."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jax import export as jax_export

_SPEC = re.compile(r"\s*(\w+)\s*\[(.*)\]\s*", re.DOTALL)
_SHORT = {"f": "float", "i": "int", "u": "uint", "c": "complex"}


def is_spec(leaf: Any) -> bool:
    """Whether the leaf is an input of the program; anything else is a part of it."""
    return isinstance(leaf, (jax.Array, np.ndarray, np.generic, jax.ShapeDtypeStruct))


def structs(specs: Any) -> Any:
    """Give specs with a `jax.ShapeDtypeStruct` for each array and each text that tells of one.

    A name stands for the same size in all of them.

    **Raises:** `ValueError` for a text that begins as a dtype and shape and is none, or is of 64
    bits where JAX has none.
    """
    scope = jax_export.SymbolicScope()

    def struct(leaf: Any) -> Any:
        if isinstance(leaf, str):
            return _parsed(leaf, scope)
        if isinstance(leaf, jax.ShapeDtypeStruct) or not is_spec(leaf):
            return leaf
        return jax.ShapeDtypeStruct(jnp.shape(leaf), leaf.dtype)

    return jtu.tree_map(struct, specs)


def _parsed(text: str, scope: Any) -> Any:
    """A text such as `float32[batch, 3]` or `f32[batch, 3]`; any other is left as it is."""
    match = _SPEC.fullmatch(text)
    if match is None:
        return text
    name, sizes = match.groups()
    try:
        dtype = _dtype(name)
        shape = jax_export.symbolic_shape(sizes, scope=scope) if sizes.strip() else ()
    except (TypeError, ValueError, AttributeError) as error:
        message = (
            f"`{text}` tells of no array: {error}. Write a dtype and a shape, whose sizes are "
            "numbers, names or sums and products of them: `float32[batch, 2*width]`."
        )
        raise ValueError(message) from None
    if jax.dtypes.canonicalize_dtype(dtype) != dtype:
        message = (
            f"`{text}` is of {dtype}, for which `jax_enable_x64` must be switched on: the program "
            f"would be of {jax.dtypes.canonicalize_dtype(dtype)}. Switch it on, or write that."
        )
        raise ValueError(message)
    return jax.ShapeDtypeStruct(shape, dtype)


def _dtype(name: str) -> Any:
    if name == "bf16":
        return jnp.dtype("bfloat16")
    short = re.fullmatch(r"([fiuc])(\d+)", name)
    return jnp.dtype(_SHORT[short[1]] + short[2] if short else name)
