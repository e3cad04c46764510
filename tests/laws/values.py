"""Random leaves and static values, chosen for what is easily confused."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st

from ..processor import compiles_float16
from .nodes import Colour, double, first

SHAPES = [(), (1,), (0,), (2,), (2, 3), (3, 0)]
HALF = ["float16"] if compiles_float16() else []
INEXACT = ["float32", "bfloat16", *HALF, "complex64"]
EXACT = ["bool", "int8", "uint8", "int32", "uint32"]
ODD = [float("nan"), -0.0, float("inf"), 0.0, 1.0]

HASHABLE = [
    *(0, False, 0.0, -0.0, 0j, 1, True, 1.0, 1 + 0j, complex(-0.0, 0.0), complex(0.0, -0.0)),
    *(float("nan"), float("nan"), float("inf"), 2**70, "", "1", b"", b"1", None, ..., Colour.RED),
    *((), (1,), (True,), (1.0,), ((0.0,), 1), ((-0.0,), 1), (None,), ("a", (2, False))),
    *(frozenset({1}), frozenset({True}), frozenset(), range(2), Colour.BLUE),
    *(np.float32(1), np.float64(1), np.int32(1), np.bool_(True), np.float32(-0.0), np.float32(0)),
    *(int, bool, len, double, first, jax.nn.relu, np.dtype("int32")),
]
UNHASHABLE = [
    *([], [1], [True], [0.0], [-0.0], {}, {"a": 1}, {"a": True}, {1: "a"}, {True: "a"}),
    *({1}, {True}, set(), [[1], (1.0,)], {"b": 1, "a": 0.0}, {"a": 0.0, "b": 1}, {"a": -0.0}),
]
PLAIN_LEAVES = [
    value
    for value in HASHABLE
    if value is not None and not isinstance(value, tuple | np.generic | np.dtype)
]
"""Static values that are also leaves, and no arrays."""


def _fill(shape: tuple[int, ...], dtype: Any, start: float) -> np.ndarray:
    count = int(np.prod(shape))
    with np.errstate(invalid="ignore"):
        return (np.arange(count, dtype=np.float32) + np.float32(start)).reshape(shape).astype(dtype)


@st.composite
def jax_arrays(draw: Any, dtypes: list[str] | None = None, odd: bool = True) -> jax.Array:
    """Arrays of many dtypes and few elements, NaN, infinities, -0.0 and weak types among them."""
    dtype = draw(st.sampled_from(dtypes or [*INEXACT, *EXACT]))
    start = draw(st.sampled_from(ODD if odd and dtype in INEXACT else [0.0, 1.0, 5.0]))
    shape = draw(st.sampled_from(SHAPES))
    if dtype == "float32" and shape == () and draw(st.booleans()):
        return jnp.asarray(start)
    return jnp.asarray(_fill(shape, jnp.dtype(dtype), start))


@st.composite
def numpy_arrays(draw: Any, odd: bool = True) -> np.ndarray | np.generic:
    """Arrays that JAX accepts, and scalars of NumPy."""
    dtype = draw(st.sampled_from(["float64", "float32", *HALF, "int64", "int8", "bool"]))
    start = draw(st.sampled_from(ODD if odd and dtype.startswith("float") else [0.0, 1.0, 5.0]))
    array = _fill(draw(st.sampled_from(SHAPES)), dtype, start)
    return array[()] if array.shape == () and draw(st.booleans()) else array


def plain_leaves() -> st.SearchStrategy[Any]:
    """Leaves that have a hash and are no arrays."""
    return st.sampled_from(PLAIN_LEAVES) | st.integers() | st.floats() | st.text(max_size=3)


def jit_leaves() -> st.SearchStrategy[Any]:
    """Leaves that `filter_jit` takes."""
    return st.one_of(jax_arrays(), jax_arrays(), numpy_arrays(), plain_leaves())


def leaves() -> st.SearchStrategy[Any]:
    """Leaves of any kind."""
    return st.one_of(
        jit_leaves(),
        jit_leaves(),
        st.builds(jax.random.key, st.integers(0, 3)),
        st.builds(set),
        st.builds(object),
        st.sampled_from([np.array(["a", None], dtype=object), np.array(["a", "b"])]),
        st.just(jax.ShapeDtypeStruct((2,), jnp.float32)),
    )


def hashable_statics() -> st.SearchStrategy[Any]:
    return st.sampled_from(HASHABLE)


def statics() -> st.SearchStrategy[Any]:
    """Values of static fields, with or without a hash."""
    return st.sampled_from([*HASHABLE, *UNHASHABLE])
