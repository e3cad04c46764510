"""`tree_deserialise_leaves`: what comes back, and what is said of what does not fit."""

import io
import pickle
import re
import tracemalloc
from enum import IntEnum
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from eqx_filter import (
    default_deserialise_filter_spec,
    filter_eval_shape,
    tree_deserialise_leaves,
    tree_equal,
    tree_serialise_leaves,
)
from eqx_pytree import Module, field

A = jnp.arange(3.0)
SMALL = [
    name
    for name in [
        *("bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3b11fnuz", "float8_e4m3fnuz"),
        *("float8_e5m2fnuz", "float8_e3m4", "float8_e4m3", "float8_e8m0fnu", "float4_e2m1fn"),
        *("int2", "int4", "uint2", "uint4"),
    ]
    if hasattr(jnp, name)
]


class Layer(Module):
    weight: Any
    name: str = field(static=True, default="layer")
    activation: Any = jnp.tanh


class Colour(IntEnum):
    RED = 1


def saved(*leaves):
    file = io.BytesIO()
    tree_serialise_leaves(file, leaves)
    return file.getvalue()


def loaded(data, like, *arguments, **options):
    return tree_deserialise_leaves(io.BytesIO(data), like, *arguments, **options)


def refused(message):
    return pytest.raises(RuntimeError, match=re.escape(message))


class TestKinds:
    @pytest.mark.parametrize(
        "leaf",
        [
            A,
            jnp.array(True),
            jnp.zeros((0, 3), jnp.int8),
            np.arange(6.0).reshape(2, 3),
            np.asfortranarray(np.arange(6.0).reshape(2, 3)),
            np.array(2),
            np.arange(2, dtype=">i2"),
            np.ones(2, ml_dtypes.bfloat16),
            np.array(["a", "bc"]),
            np.zeros(2, [("a", "f4"), ("b", "i8", 2)]),
            np.float32(2),
            np.bool_(True),
            np.datetime64("2020-01-01"),
            ml_dtypes.bfloat16(2),
            True,
            2**63,
            -3,
            1.5,
            1 + 2j,
            Colour.RED,
            "text",
            None,
            jnp.tanh,
        ],
        ids=lambda leaf: getattr(leaf, "__name__", repr(leaf)),
    )
    def test_come_back(self, leaf):
        [back] = loaded(saved(leaf), (leaf,))
        assert type(back) is type(leaf)
        assert tree_equal(back, leaf)

    def test_text_of_any_length(self):
        [back] = loaded(saved(np.str_("abc")), (np.str_("a"),))
        assert (type(back), back) == (np.str_, "abc")

    @pytest.mark.parametrize("name", SMALL)
    @pytest.mark.parametrize("shape", [(), (3,)])
    def test_dtypes_that_numpy_has_no_name_for(self, name, shape):
        leaf = jnp.ones(shape, name)
        for like in (leaf, jax.ShapeDtypeStruct(shape, name)):
            [back] = loaded(saved(leaf), (like,))
            assert isinstance(back, jax.Array)
            assert back.dtype == leaf.dtype
            assert (np.asarray(back) == np.asarray(leaf)).all()

    @pytest.mark.parametrize("impl", ["threefry2x32", "rbg"])
    def test_typed_keys(self, impl):
        keys = jax.random.split(jax.random.key(1, impl=impl), 3)
        struct = jax.eval_shape(lambda: keys)
        for like in (keys, struct):
            [back] = loaded(saved(keys), (like,))
            assert back.dtype == keys.dtype
            assert (jax.random.key_data(back) == jax.random.key_data(keys)).all()

    def test_keys_of_another_kind(self):
        with refused("has changed shape from (4,) in `like` to (2,) on disk. `like[0]`"):
            loaded(saved(jax.random.key(0)), (jax.random.key(0, impl="rbg"),))

    def test_structs_stand_for_arrays(self):
        layer = Layer(A)
        back = loaded(saved(layer), (filter_eval_shape(lambda: layer),))
        assert tree_equal(back, (layer,))

    def test_static_fields_and_other_leaves_are_those_of_like(self):
        like = Layer(jnp.zeros(3), "mine", jnp.sin)
        [back] = loaded(saved(Layer(A)), (like,))
        assert (back.name, back.activation) == ("mine", jnp.sin)
        assert (back.weight == A).all()

    def test_values_of_like_do_not_count(self):
        like = A + 1
        like.delete()
        assert (loaded(saved(A), (like,))[0] == A).all()

    def test_of_another_order_in_memory(self):
        array = np.arange(6.0, dtype=np.float32).reshape(2, 3)
        for like in (array, jnp.asarray(array)):
            assert (loaded(saved(np.asfortranarray(array)), (like,))[0] == array).all()

    def test_wide_floats_are_rounded_and_integers_must_fit(self):
        assert loaded(saved(np.array(0.1)), (jnp.array(0.0),))[0] == jnp.float32(0.1)
        assert loaded(saved(np.array(7)), (jnp.array(0),))[0] == 7
        with refused("it holds int64 values that int32 cannot. Switch `jax_enable_x64` on"):
            loaded(saved(np.array(2**40)), (jnp.array(0),))

    def test_with_64_bits(self, x64):
        with x64(True):
            data = saved(jnp.array(0.1), jnp.array(2**40))
            like = (jnp.array(0.0), jnp.array(0))
            assert loaded(data, like) == (0.1, 2**40)
        with refused("from float64 in `like` to float32 on disk. `like[0]` cannot be read"):
            loaded(data, like)

    def test_loaded_arrays_can_be_donated_and_written(self):
        array, jax_array = loaded(saved(np.arange(3.0), A), (np.zeros(3), A))
        array[0] = 5
        step = jax.jit(lambda x: x + 1, donate_argnums=0)
        assert (step(step(jax_array)) == A + 2).all()
        [large] = loaded(saved(jnp.ones(100_000)), (jnp.zeros(100_000),))
        kept = large + 0
        assert (step(step(large)) == kept + 2).all()


class TestNumbers:
    @pytest.mark.parametrize(
        ("number", "like", "back"),
        [
            (1, True, True),
            (2.0, 1, 2),
            (3, 1.5, 3.0),
            (True, 2, 1),
            (1.5, 1j, 1.5 + 0j),
            (jnp.ones(1), 0.0, 1.0),
            (0.1, np.float32(0), np.float32(0.1)),
            (float("inf"), np.float32(0), np.float32("inf")),
            (2, ml_dtypes.bfloat16(0), ml_dtypes.bfloat16(2)),
        ],
    )
    def test_may_be_of_another_kind(self, number, like, back):
        [found] = loaded(saved(number), (like,))
        assert (found, type(found)) == (back, type(back))

    @pytest.mark.parametrize(
        ("number", "like", "told"),
        [
            (1.5, 1, "what was saved is 1.5, which is no `int`."),
            (3, True, "what was saved is 3, which is no `bool`."),
            (1j, 1.5, "what was saved is 1j, which is no `float`."),
            (1j, True, "what was saved is 1j, which is no `bool`."),
            (1e300, np.float32(0), "what was saved is 1e+300, which is no `float32`."),
            (A, 1.5, "what was saved is an array of shape (3,), which is no `float`."),
            (np.str_("a"), 1.5, "what was saved is a value of dtype <U1, which is no `float`."),
            (1.5, np.str_("a"), "what was saved is a value of dtype float64, which is no `str_`."),
            (np.array(1, ">i4"), 1, "what was saved is a value of dtype >i4, which is no `int`."),
            (2, Colour.RED, "ValueError: 2 is not a valid Colour"),
        ],
    )
    def test_must_keep_their_value(self, number, like, told):
        start = "Error at leaf with path (SequenceKey(idx=0),): `like[0]` cannot be read from"
        with refused(f"{start} the file: {told}"):
            loaded(saved(number), (like,))


class TestMisfits:
    def test_shape(self):
        told = (
            "Deserialised leaf at path (SequenceKey(idx=1), DictKey(key='a')) has changed shape "
            "from (2,) in `like` to (3,) on disk. `like[1]['a']` cannot be read from the file. "
            "`like` must have the leaves that were saved"
        )
        with refused(told):
            loaded(saved(A, A), [A, {"a": jnp.zeros(2)}])

    @pytest.mark.parametrize(
        ("leaf", "like", "told"),
        [
            (jnp.arange(3), A, "from float32 in `like` to int32 on disk"),
            (A, jnp.ones(3, jnp.bfloat16), "from bfloat16 in `like` to float32 on disk"),
            (jnp.ones(3, jnp.bfloat16), A, "from float32 in `like` to |V2 on disk"),
            (np.arange(3.0), np.arange(3, dtype=">f8"), "from >f8 in `like` to float64 on disk"),
            (np.arange(3, dtype=">f4"), A, "from float32 in `like` to >f4 on disk"),
            (np.array(["a"]), np.array(["bc"]), "from <U2 in `like` to <U1 on disk"),
        ],
    )
    def test_dtype(self, leaf, like, told):
        with refused(f"has changed dtype {told}. `like.weight` cannot be read from the file."):
            loaded(saved(leaf), Layer(like))

    @pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
    def test_subclasses_of_numpys_arrays(self):
        with refused("has changed type from <class 'numpy.matrix'> in `like` to"):
            loaded(saved(np.ones((1, 2))), (np.matrix([[1.0, 2.0]]),))

    def test_what_no_array_can_be_turned_into(self):
        class Holder:
            def __jax_array__(self):
                return A

        with refused("a `Holder` cannot be made again from the array that was saved of it"):
            loaded(saved(A), (Holder(),))

    def test_a_path_is_named(self, tmp_path):
        tree_serialise_leaves(tmp_path / "a", [A])
        with refused(f"`like[0]` cannot be read from `{tmp_path / 'a.eqx'}`"):
            tree_deserialise_leaves(tmp_path / "a", [jnp.zeros(2)])
        with (tmp_path / "a.eqx").open("rb") as file, refused(f"from `{tmp_path / 'a.eqx'}`"):
            tree_deserialise_leaves(file, [jnp.zeros(2)])

    def test_a_path_that_goes_on(self, tmp_path):
        (tmp_path / "a.eqx").write_bytes(saved(A, A) + b"x")
        told = f"`{tmp_path / 'a.eqx'}` goes on after the last leaf of `like`, `like[1]`. "
        with refused(told):
            tree_deserialise_leaves(tmp_path / "a", [A, A])
        with refused(f"`{tmp_path / 'a.eqx'}` is not empty, and `like` has no leaves. "):
            tree_deserialise_leaves(tmp_path / "a", [])


class TestDamage:
    @pytest.mark.parametrize(
        ("size", "told"),
        [
            (140, "the data ends before it. What was saved has fewer leaves than `like`"),
            (143, "the data ends in it: 3 bytes of the 8 of its header are there."),
            (149, "the data ends in it: 1 bytes of the 2 of its header are there."),
            (200, "the data ends in it: 50 bytes of the 118 of its header are there."),
            (279, "the data ends in it: 11 bytes of the 12 of its data are there."),
        ],
    )
    def test_cut(self, size, told):
        with refused(f"path (DictKey(key='b'),): `like['b']` cannot be read from the file: {told}"):
            loaded(saved(A, A)[:size], {"a": A, "b": A})

    @pytest.mark.parametrize("data", [b"hello world", b"hi", pickle.dumps([1]), b"\x93NUMPX    "])
    def test_another_format(self, data):
        with refused(f"cannot be read from the file: no array begins here, but {data[:8]!r}. It"):
            loaded(data, [A])

    def test_no_code_runs(self):
        class Bomb:
            def __reduce__(self):
                return pytest.fail, ("code of a file ran",)

        file = io.BytesIO()
        np.save(file, np.array([Bomb()], dtype=object), allow_pickle=True)
        for like in (np.zeros(1), A[:1], 1.5, np.float32(1), np.array([None])):
            with refused("it was saved by pickle, which could run code: no pickle is ever loaded."):
                loaded(file.getvalue(), [like])

    @pytest.mark.parametrize(
        ("like", "descr", "shape"),
        [
            (1.5, "<f8", (10**12,)),
            (np.str_("a"), "<U500000000", ()),
            (jax.ShapeDtypeStruct((10**9,), jnp.float32), "<f4", (10**9,)),
            (A, "<f4", (10**12,)),
        ],
        ids=["number", "text", "struct", "array"],
    )
    @pytest.mark.parametrize("is_path", [True, False])
    def test_absurd_sizes_take_no_memory(self, like, descr, shape, is_path, tmp_path):
        file = io.BytesIO()
        header = {"descr": descr, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        (tmp_path / "a.eqx").write_bytes(file.getvalue() + b"some")
        file.seek(0)
        tracemalloc.start()
        try:
            with refused("at path (SequenceKey(idx=0),)" if like is A else "`like[0]`"):
                tree_deserialise_leaves(tmp_path / "a" if is_path else file, [like])
            assert tracemalloc.get_traced_memory()[1] < 1_000_000
        finally:
            tracemalloc.stop()


class TestSpecs:
    def test_are_given_the_file_and_the_leaf(self):
        calls = []

        def read(f, x):
            calls.append((f.read(1), x))
            return x

        tree = [1, {"a": "x", "b": None}]
        assert loaded(b"abc", tree, read) == tree
        assert calls == [(b"a", 1), (b"b", "x")]

    def test_may_be_a_prefix(self):
        specs = [default_deserialise_filter_spec, lambda f, x: x]
        assert loaded(saved(5), [1, [2, 3]], specs) == [5, [2, 3]]
        with pytest.raises(ValueError, match="`filter_spec` must be a tree prefix of `like`; at"):
            loaded(saved(5), [1], specs)

    def test_leaves_may_be_nodes(self):
        back = loaded(b"", [None, (1, 2)], lambda f, x: x, lambda x: x is None or type(x) is tuple)
        assert back == [None, (1, 2)]

    @pytest.mark.parametrize(
        ("value", "like", "told"),
        [
            (np.zeros(3), A, "type from .*ArrayImpl'> in `like` to <class 'numpy.ndarray'>"),
            (A, np.zeros(3), "type from <class 'numpy.ndarray'> in `like` to .*ArrayImpl'>"),
            (None, A, "type from .* in `like` to <class 'NoneType'>"),
            (1.0, 1, "type from <class 'int'> in `like` to <class 'float'>"),
            (jnp.zeros(2), A, r"shape from \(3,\) in `like` to \(2,\)"),
            (jnp.arange(3), A, "dtype from float32 in `like` to int32"),
            (np.arange(3), np.zeros(3), "dtype from float64 in `like` to int64"),
        ],
    )
    def test_must_return_leaves_like_those_they_are_given(self, value, like, told):
        told = rf"leaf at path \(SequenceKey\(idx=0\),\) has changed {told} on disk.* must return"
        with pytest.raises(RuntimeError, match=told):
            loaded(b"", [like], lambda f, x: value)

    def test_alone(self):
        assert default_deserialise_filter_spec(io.BytesIO(saved(5)), 0) == 5
        with pytest.raises(RuntimeError, match=r"Deserialised leaf has changed shape from \(2,\)"):
            default_deserialise_filter_spec(io.BytesIO(saved(A)), jnp.zeros(2))


class TestSeveral:
    def test_share_a_file(self, tmp_path):
        with (tmp_path / "a").open("wb") as file:
            file.write(b'{"width": 3}\n')
            tree_serialise_leaves(file, [A, 1])
            tree_serialise_leaves(file, Layer(A))
        with (tmp_path / "a").open("rb") as file:
            assert file.readline() == b'{"width": 3}\n'
            assert tree_equal(tree_deserialise_leaves(file, [A, 1]), [A, 1])
            assert tree_equal(tree_deserialise_leaves(file, Layer(A)), Layer(A))
            assert file.read() == b""

    def test_progress_is_told_after_each_leaf(self):
        told = []
        loaded(saved(A, 1), [A, "a", 1], progress=lambda done, total: told.append((done, total)))
        assert told == [(1, 3), (2, 3), (3, 3)]
        with pytest.raises(TypeError, match="`progress` must be a function"):
            loaded(b"", [], progress="yes")
