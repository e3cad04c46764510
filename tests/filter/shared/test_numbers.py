"""Python's numbers as arrays of a dtype."""

import enum

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter.shared._numbers import as_dtype


class Kind(enum.IntEnum):
    SECOND = 2


@pytest.mark.parametrize(
    ("number", "dtype", "expected"),
    [
        (True, bool, True),
        (True, np.float32, 1),
        (-128, np.int8, -128),
        (3, jnp.bfloat16, 3),
        (2.5, np.complex64, 2.5),
        (np.float64(0.5), np.float16, 0.5),
        (Kind.SECOND, np.uint8, 2),
        (1j, np.complex64, 1j),
    ],
)
def test_what_has_a_place(number, dtype, expected):
    found = as_dtype(number, jnp.dtype(dtype))
    assert found.shape == ()
    assert found.dtype == dtype
    assert found == expected


@pytest.mark.parametrize(
    ("number", "dtype"),
    [
        (1, jnp.dtype(bool)),
        (1.0, jnp.dtype(np.int32)),
        (1j, jnp.dtype(np.float32)),
        (128, jnp.dtype(np.int8)),
        (-1, jnp.dtype(np.uint8)),
        (2**70, jnp.dtype(np.int64)),
        (1.0, jax.random.key(0).dtype),
    ],
)
def test_what_has_none(number, dtype):
    assert as_dtype(number, dtype) is None
