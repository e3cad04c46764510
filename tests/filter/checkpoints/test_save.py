"""`tree_serialise_leaves`: what is written of each kind of leaf, and what is refused."""

import io
import re
import socket
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from eqx_filter import (
    default_serialise_filter_spec,
    filter_jit,
    tree_deserialise_leaves,
    tree_serialise_leaves,
)
from eqx_filter.checkpoints._errors import TreePathError

A = jnp.arange(3.0)
PROCESS = Path(__file__).with_name("one_of_two_processes.py")


def saved(tree, *arguments, **options):
    file = io.BytesIO()
    tree_serialise_leaves(file, tree, *arguments, **options)
    return file.getvalue()


def npy(array):
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def note(f, x):
    f.write(repr(x).encode() + b";")


def sharded(*names, kind=None):
    mesh = jax.make_mesh((4,), ("d",)) if kind is None else jax.make_mesh((2, 2), ("a", "b"))
    return NamedSharding(mesh, P(*names))


class TestBytes:
    @pytest.mark.parametrize(
        "leaf",
        [
            np.arange(6.0).reshape(2, 3),
            np.asfortranarray(np.arange(6.0).reshape(2, 3)),
            np.arange(12).reshape(3, 4)[::2, ::-1],
            np.zeros((0, 2)),
            np.array(1.5),
            np.arange(2, dtype=">i2"),
            np.array(["a", "bc"]),
            np.zeros(2, [("a", "f4"), ("b", "i8", 2)]),
            np.zeros(2, [("\u03bb", "f4")]),
            np.ones(3, ml_dtypes.bfloat16),
            np.ones(3, ml_dtypes.float8_e5m2),
            np.float32(2),
            True,
            3,
            2**63,
            1.5,
            1j,
        ],
        ids=repr,
    )
    @pytest.mark.filterwarnings("ignore:Stored array in format 3.0:UserWarning")
    def test_are_numpys(self, leaf, tmp_path):
        assert saved([leaf]) == npy(np.asarray(leaf))
        tree_serialise_leaves(tmp_path / "a", [leaf, leaf])
        assert (tmp_path / "a.eqx").read_bytes() == 2 * npy(np.asarray(leaf))

    def test_jax_arrays_are_saved_as_numpys(self):
        assert saved({"a": A, "b": jnp.arange(2)}) == npy(np.asarray(A)) + npy(
            np.arange(2, dtype=np.int32)
        )

    def test_other_leaves_are_left_out(self):
        assert saved(["a", b"a", None, jnp.tanh, object()]) == b""

    def test_typed_keys_are_saved_as_their_data(self):
        keys = jax.random.split(jax.random.key(0), 2)
        assert saved(keys) == npy(np.asarray(jax.random.key_data(keys)))

    def test_objects_that_hold_an_array(self):
        class Holder:
            def __jax_array__(self):
                return A

        assert saved(Holder()) == npy(np.asarray(A))

    def test_a_large_array_in_a_path(self, tmp_path):
        array = np.arange(3_000_000).reshape(1000, 3000)
        tree_serialise_leaves(tmp_path / "a", (array, array.T, array[::2]))
        assert (tmp_path / "a.eqx").read_bytes() == npy(array) + npy(array.T) + npy(array[::2])


class TestShards:
    @pytest.mark.parametrize(
        "sharding",
        [
            sharded("d"),
            sharded(),
            sharded(None, "d"),
            sharded("a", "b", kind="2x2"),
            sharded("b", kind="2x2"),
        ],
        ids=str,
    )
    def test_are_saved_whole(self, sharding):
        whole = np.arange(32, dtype=np.float32).reshape(4, 8)
        assert saved(jax.device_put(whole, sharding)) == npy(whole)

    def test_keys(self):
        keys = jax.random.split(jax.random.key(0), 8)
        assert saved(jax.device_put(keys, sharded("d"))) == saved(keys)

    @pytest.mark.parametrize("dtype", ["float32", "int4"])
    def test_leave_no_copy_in_memory(self, dtype):
        array = jax.device_put(jnp.arange(4).astype(dtype), sharded("d"))
        whole = jnp.arange(4).astype(dtype)
        saved([array, whole])
        parts = [array, whole, *(shard.data for shard in array.addressable_shards)]
        kept = [getattr(it, "_npy_value", None) for it in parts]
        assert all(copy is None or not copy.flags.owndata for copy in kept)

    def test_over_several_processes(self):
        """What is whole on each is saved; what is not is refused with the way out."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [sys.executable, PROCESS, str(port)]
        processes = [
            subprocess.Popen(
                [*command, str(i)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            for i in range(2)
        ]
        told = [process.communicate(timeout=120) for process in processes]
        for out, err in told:
            assert "saved 144 bytes" in out, err
            assert "Error at leaf with path (DictKey(key='w'),): `pytree['w']`" in out, err
            assert "lie on the devices of several processes" in out
            assert "process_allgather(x, tiled=True)" in out


class TestStructs:
    def test_warn_by_path_since_nothing_of_them_is_saved(self):
        struct = jax.ShapeDtypeStruct((2,), jnp.float32)
        told = r"`pytree\['a'\]\[1\]` is a `jax.ShapeDtypeStruct`, as are 1 others: .*nothing of it"
        with pytest.warns(UserWarning, match=told) as caught:
            assert saved({"a": [A, struct], "b": struct}) == npy(A)
        assert [it.filename for it in caught] == [__file__]
        assert saved(struct, lambda file, leaf: file.write(b"x")) == b"x"  # a spec of one's own


class TestRefused:
    @pytest.mark.parametrize(
        ("leaf", "told"),
        [
            (np.array([None]), "an array of dtype object is saved by pickle alone"),
            (np.zeros(1, [("a", object)]), "is saved by pickle alone"),
            (2**70, "a `int` that fits no dtype is saved by pickle alone, and no pickle is ever"),
            (np.ma.masked_array([1.0]), "it is a masked array, and its mask would be lost"),
        ],
        ids=["objects", "objects in a field", "huge int", "masked"],
    )
    def test_what_could_not_be_read(self, leaf, told, tmp_path):
        start = "Error at leaf with path (SequenceKey(idx=1), DictKey(key='a')): `pytree[1]['a']` "
        with pytest.raises(RuntimeError, match=re.escape(start) + "cannot be saved: .*" + told):
            tree_serialise_leaves(tmp_path / "a", [A, {"a": leaf}])
        assert list(tmp_path.iterdir()) == []

    def test_tracers(self):
        @filter_jit
        def save(x):
            saved({"a": x})

        with pytest.raises(RuntimeError, match=r"`pytree\['a'\]` cannot be saved: it is traced"):
            save(A)

    def test_deleted_arrays(self):
        array = A + 1
        array.delete()
        with pytest.raises(RuntimeError, match=r"`pytree\[0\]` cannot be saved: .*deleted"):
            saved([array])

    def test_by_the_spec_alone(self):
        with pytest.raises(RuntimeError, match="saved by pickle alone"):
            default_serialise_filter_spec(io.BytesIO(), np.array([None]))


class TestSpecs:
    def test_are_called_in_order_with_the_file(self):
        assert saved([1, {"b": 2, "a": "x"}, None], note) == b"1;'x';2;"

    def test_may_be_a_prefix(self):
        assert saved([1, [2, 3], 4], [note, [note, lambda f, x: None], note]) == b"1;2;4;"

    def test_leaves_may_be_nodes(self):
        assert saved([[1, 2], 3], note, lambda x: x == [1, 2]) == b"[1, 2];3;"
        assert saved([None, 3], note, is_leaf=lambda x: x is None) == b"None;3;"

    @pytest.mark.parametrize(
        ("spec", "place", "told"),
        [
            ([note], "`filter_spec`", "holding `[0]` instead of `[0]`, `[1]`"),
            ([note, [note]], "`filter_spec[1]`", "a `list` with 1 child instead of a leaf (`int`)"),
            ((note, note), "`filter_spec`", "a `tuple` with 2 children instead of a `list`"),
            (None, "`filter_spec`", "None instead of"),
        ],
        ids=["short", "deep", "kind", "none"],
    )
    def test_of_another_structure(self, spec, place, told, tmp_path):
        start = f"`filter_spec` must be a tree prefix of `pytree`; at {place}: "
        with pytest.raises(ValueError, match=re.escape(start) + ".*" + re.escape(told)):
            tree_serialise_leaves(tmp_path / "a", [1, 2], spec)
        assert list(tmp_path.iterdir()) == []

    def test_that_cannot_be_called(self):
        with pytest.raises(TypeError, match=r"`filter_spec\[1\]` must be a function .* not `3`"):
            saved([1, 2], [note, 3])

    def test_that_raise(self):
        def fail(f, x):
            raise KeyError("mine")

        told = r"path \(SequenceKey\(idx=0\),\): `pytree\[0\]` cannot be saved: KeyError: 'mine'"
        with pytest.raises(TreePathError, match=told) as caught:
            saved([1], fail)
        assert isinstance(caught.value.__cause__, KeyError)


class TestProgress:
    def test_is_told_after_each_leaf(self):
        told = []
        saved([A, "a", {"b": 1}], progress=lambda done, total: told.append((done, total)))
        assert told == [(1, 3), (2, 3), (3, 3)]

    def test_may_stop_it(self, tmp_path):
        def stop(done, total):
            raise KeyboardInterrupt

        tree_serialise_leaves(tmp_path / "a", [A])
        with pytest.raises(KeyboardInterrupt):
            tree_serialise_leaves(tmp_path / "a", [A + 1], progress=stop)
        assert [path.name for path in tmp_path.iterdir()] == ["a.eqx"]
        assert (tree_deserialise_leaves(tmp_path / "a", [A])[0] == A).all()

    def test_must_be_a_function(self):
        with pytest.raises(TypeError, match=r"`progress` must be a function .* not `True`"):
            saved([A], progress=True)
