"""`static_key`: equal exactly when type and value are equal."""

import enum
import math
import struct
from collections import OrderedDict, namedtuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eqx_pytree import is_own_key, static_key

Point = namedtuple("Point", "x y")
Other = namedtuple("Other", "x y")


class Level(enum.IntEnum):
    LOW = 1


class Celsius(float):
    pass


def _has_hash(value):
    try:
        hash(value)
    except TypeError:
        return False
    return True


ATOMS = st.one_of(
    st.integers(-2, 2),
    st.booleans(),
    st.none(),
    st.sampled_from([0.0, -0.0, 1.0, -1.0, math.nan, math.inf, 0j, -0j, 1 + 0j, complex(0, -0.0)]),
    st.sampled_from(["", "a", b"", b"a", Level.LOW, np.int64(1), np.float32(0), np.float32(-0.0)]),
)
VALUES = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner, inner),
        st.frozensets(inner.filter(_has_hash), max_size=3),
        st.dictionaries(st.sampled_from(["a", "b"]), inner),
    ),
    max_leaves=5,
)


def _same(one, other):
    """Equal in type and value, told in another way than by keys."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        both_nan = math.isnan(one) and math.isnan(other)
        return both_nan or struct.pack("d", one) == struct.pack("d", other)
    if isinstance(one, complex):
        return _same(one.real, other.real) and _same(one.imag, other.imag)
    if isinstance(one, np.generic):
        return one.tobytes() == other.tobytes()
    if isinstance(one, (tuple, list)):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, frozenset):
        return len(one) == len(other) and all(any(_same(x, y) for y in other) for x in one)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[k], other[k]) for k in one)
    return one == other


@settings(deadline=None, max_examples=50)
@given(VALUES, VALUES)
def test_equal_exactly_when_type_and_value_are(one, other):
    assert (static_key(one) == static_key(other)) is _same(one, other)


@settings(deadline=None, max_examples=50)
@given(VALUES)
def test_equal_keys_have_equal_hashes(value):
    assert static_key(value) == static_key(value)
    assert hash(static_key(value)) == hash(static_key(value))


@pytest.mark.parametrize(
    "values",
    [
        (1, 1.0, True, 1 + 0j, np.int32(1), np.float32(1), Level.LOW),
        (0, 0.0, -0.0, False, 0j, complex(0.0, -0.0), complex(-0.0, 0.0)),
        ("a", b"a"),
        ((1, 2), [1, 2], Point(1, 2), Other(1, 2)),
        ((1,), (1.0,), (True,)),
        ({1}, frozenset({1}), {True}, {1.0}),
        ({"a": 1}, {"a": True}, {"a": 1.0}),
        ([0.0], [-0.0]),
        (slice(1), slice(True), slice(1.0), slice(0, 1)),
        (range(3), range(0, 6, 2)),
        (np.zeros(2), np.zeros(2, np.float32), np.zeros((2, 1)), -np.zeros(2)),
        (None, ..., int, bool, len),
        (jnp.float32, np.float32, np.dtype("float32")),
        (np.array([1], dtype=object), np.array([True], dtype=object)),
    ],
    ids=lambda values: type(values[0]).__name__,
)
def test_all_differ(values):
    for i, one in enumerate(values):
        for j, other in enumerate(values):
            assert (static_key(one) == static_key(other)) is (i == j)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({1: "a"}, {True: "a"}),
        ({1: "a"}, {1.0: "a"}),
        (OrderedDict(a=1), OrderedDict(a=True)),
        (Celsius(0.0), Celsius(-0.0)),
    ],
    ids=repr,
)
def test_differ_though_python_holds_them_equal(one, other):
    assert one == other
    assert static_key(one) != static_key(other)


def test_dicts_are_equal_in_any_order():
    assert static_key({"a": 1, "b": 2}) == static_key({"b": 2, "a": 1})


def test_every_nan_has_one_key():
    negative = struct.unpack("d", struct.pack("Q", 0xFFF8000000000001))[0]
    keys = {static_key(value) for value in (math.nan, float("nan"), negative)}
    assert len(keys) == 1
    assert static_key(complex(math.nan, 0)) == static_key(complex(float("nan"), 0))


def test_a_function_is_its_own_value():
    def one():
        pass

    def other():
        pass

    assert static_key(one) == static_key(one)
    assert static_key(one) != static_key(other)


def test_jax_arrays_compare_by_identity():
    array = jnp.ones(2)
    assert static_key(array) == static_key(array)
    assert static_key(array) != static_key(jnp.ones(2))
    assert static_key((array,)) == static_key((array,))


def test_tracers_compare_by_identity():
    @jax.jit
    def inner(x, y):
        assert static_key(x) == static_key(x)
        assert static_key(x) != static_key(y)
        return x

    inner(1.0, 2.0)


def test_a_value_without_hash_fails_in_hash_alone():
    class Unhashable:
        __hash__ = None

    key = static_key([Unhashable()])
    with pytest.raises(TypeError, match="unhashable type: 'Unhashable'"):
        hash(key)


def test_lists_and_sets_and_arrays_get_a_hash():
    for value in ([1, [2]], {1}, {"a": [1]}, np.arange(3)):
        assert hash(static_key(value)) == hash(static_key(value))


def test_a_key_stays_when_the_value_is_changed_in_place():
    for value in (np.zeros(2), [0, 0], {0: 0}):
        key = static_key(value)
        value[0] = 1
        assert static_key(value) != key


def test_is_own_key_depends_on_the_type_alone():
    class Plain:
        pass

    for _ in range(2):  # a type is remembered
        assert is_own_key(Plain())
        assert not is_own_key([])
        assert not is_own_key(jax.tree_util.Partial(abs))
