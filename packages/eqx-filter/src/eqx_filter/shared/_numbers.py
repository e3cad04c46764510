"""Python's numbers as arrays of a dtype, if no more than digits are lost."""

from typing import Any

import jax.numpy as jnp
import numpy as np

_TYPES = (bool, int, float, complex)
_KINDS = (jnp.bool_, jnp.integer, jnp.floating, jnp.complexfloating)


def as_dtype(number: complex, dtype: Any) -> np.ndarray | None:
    """An array of shape `()`; None if the number is of a wider kind, or an integer out of range."""
    rank = next((i for i, kind in enumerate(_KINDS) if jnp.issubdtype(dtype, kind)), -1)
    if next(i for i, kind in enumerate(_TYPES) if isinstance(number, kind)) > rank:
        return None
    try:
        array = np.asarray(number).astype(dtype)
    except OverflowError:
        return None
    return None if rank == 1 and int(array) != number else array
