"""`save` and `load`: leaves by their names, in a file that every reader of safetensors opens."""

import json
import struct

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.sharding import NamedSharding, PartitionSpec

from eqx_filter import filter_eval_shape, load, load_config, save, tree_equal, tree_paths
from eqx_pytree import Module, field

KEY = jax.random.key(0)


class Layer(Module):
    weight: jax.Array
    bias: jax.Array | None
    act: object
    size: int = field(static=True)


def layer(seed=0, size=3, act=jnp.tanh):
    return Layer(jax.random.normal(jax.random.key(seed), (size, 2)), jnp.ones(size), act, size)


def header_of(path):
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


LEAVES = {
    "float": lambda: jnp.arange(6.0).reshape(2, 3),
    "half": lambda: jnp.ones((2, 1), jnp.float16),
    "bfloat16": lambda: jnp.arange(3, dtype=jnp.bfloat16),
    "float8": lambda: jnp.array([1.5, -2], jnp.float8_e4m3fn),
    "another float8": lambda: jnp.array([1.5, -2], jnp.float8_e4m3b11fnuz),
    "int4": lambda: jnp.array([1, -2, 7], jnp.int4),
    "uint4": lambda: jnp.array([1, 15], jnp.uint4),
    "bool": lambda: jnp.array([True, False]),
    "complex": lambda: jnp.array([[1 + 2j], [3j]]),
    "empty": lambda: jnp.zeros((0, 3), jnp.complex64),
    "scalar": lambda: jnp.float32(3),
    "key": lambda: jax.random.key(3),
    "keys of rbg": lambda: jax.random.split(jax.random.key(3, impl="rbg"), 2),
    "numpy": lambda: np.arange(4)[::-1],
    "big-endian": lambda: np.arange(4, dtype=">i8"),
    "fortran": lambda: np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "complex128": lambda: np.arange(3) * 1j,
    "numpy scalar": lambda: np.float64(2.5),
    "true": lambda: True,
    "int": lambda: 10**30,
    "python float": lambda: -0.1,
    "python complex": lambda: 1 + 2j,
    "function": lambda: jnp.sin,
    "text": lambda: "text",
    "none": lambda: None,
}


class TestRoundTrip:
    @pytest.mark.parametrize("name", LEAVES)
    def test_each_kind_of_leaf(self, name, tmp_path):
        tree = {"it": LEAVES[name](), "other": [jnp.ones(2)]}
        save(tmp_path / "x", tree)
        found = load(tmp_path / "x", tree)
        assert tree_equal(found, tree, typematch=True)
        dtypes = [[getattr(x, "dtype", None) for x in jax.tree.leaves(it)] for it in (found, tree)]
        assert dtypes[0] == dtypes[1]

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.0])
    def test_odd_floats(self, value, tmp_path):
        save(tmp_path / "x", value)
        assert repr(load(tmp_path / "x", 0.0)) == repr(value)

    def test_structs_stand_for_arrays(self, tmp_path):
        made = layer()
        save(tmp_path / "model", made, config={"size": 3})
        shape = filter_eval_shape(layer, size=load_config(tmp_path / "model")["size"])
        assert tree_equal(load(tmp_path / "model", shape), made)

    def test_a_leaf_alone_and_an_empty_tree(self, tmp_path):
        for tree in (jnp.ones(3), {}, None, [None]):
            save(tmp_path / "x", tree)
            assert tree_equal(load(tmp_path / "x", tree), tree)

    @given(names=st.lists(st.text(min_size=1, max_size=5), unique=True, max_size=4))
    def test_any_names(self, names, tmp_path_factory):
        path = tmp_path_factory.mktemp("named") / "x"
        tree = {name: np.full(2, i) for i, name in enumerate(names)}
        save(path, tree)
        assert tree_equal(load(path, tree), tree)

    def test_what_is_shared_is_there_once_and_shared_again(self, tmp_path):
        array = jnp.ones(100)
        tree = {"a": array, "b": {"c": array}}
        save(tmp_path / "x", tree)
        header, data = header_of(tmp_path / "x.safetensors")
        assert "b.c" not in header
        assert len(data) == 400
        found = load(tmp_path / "x", tree)
        assert found["a"] is found["b"]["c"]

    def test_loaded_arrays_outlive_the_file(self, tmp_path):
        tree = {"a": jnp.arange(1000.0), "b": np.arange(1000)}
        save(tmp_path / "x", tree)
        found = load(tmp_path / "x", tree)
        (tmp_path / "x.safetensors").write_bytes(b"")
        assert tree_equal(found, tree)
        found["b"][0] = 5  # and NumPy's may be written to


class TestFile:
    def test_is_that_of_safetensors(self, tmp_path):
        tree = {"half": jnp.ones(3, jnp.float16), "w": {"x": jnp.arange(4.0)}, "n": np.arange(2)}
        save(tmp_path / "x", tree, metadata={"who": "me"})
        header, data = header_of(tmp_path / "x.safetensors")
        assert header["__metadata__"]["who"] == "me"
        assert header["w.x"]["dtype"] == "F32"
        assert header["w.x"]["shape"] == [4]
        start, stop = header["w.x"]["data_offsets"]
        np.testing.assert_array_equal(np.frombuffer(data[start:stop], "<f4"), np.arange(4))
        offsets = sorted(it["data_offsets"] for name, it in header.items() if name[0] != "_")
        assert [a[1] for a in offsets[:-1]] == [b[0] for b in offsets[1:]]
        assert all(it["data_offsets"][0] % 8 == 0 for name, it in header.items() if name == "n")

    def test_another_writers_file_is_read(self, tmp_path):
        about = {"a": {"dtype": "I32", "shape": [2, 1], "data_offsets": [0, 8]}}
        encoded = json.dumps(about).encode()
        body = np.array([7, 8], "<i4").tobytes()
        path = tmp_path / "x.safetensors"
        path.write_bytes(struct.pack("<Q", len(encoded)) + encoded + body)
        found, report = load(path, {"a": np.zeros(2, np.int32)}, report=True)
        assert found["a"].tolist() == [7, 8]
        assert report.reshaped == ("a",)
        assert load_config(path) is None

    def test_an_earlier_file_stays_if_saving_fails(self, tmp_path):
        save(tmp_path / "x", jnp.ones(2))
        with pytest.raises(RuntimeError, match=r"`tree.a` cannot be saved: .*has no values"):
            save(tmp_path / "x", {"a": jax.ShapeDtypeStruct((2,), jnp.float32)})
        assert tree_equal(load(tmp_path / "x", jnp.zeros(2)), jnp.ones(2))

    @pytest.mark.parametrize(
        "damage",
        [
            lambda data: data[:-1],
            lambda data: data + b"1",
            lambda data: data[:5],
            lambda data: b"\xff" * 8 + data[8:],
            lambda data: data.replace(b'"F32"', b'"F64"'),
            lambda data: data.replace(b'"shape":[4]', b'"shape":[9]'),
            lambda data: data.replace(b'"shape":[4]', b'"shape":"x"'),
            lambda data: data.replace(b"[0,16]", b"[8,24]"),
            lambda data: data.replace(b'{"__meta', b'["__meta'),
            lambda data: b"",
        ],
    )
    def test_a_damaged_file_is_told(self, damage, tmp_path):
        path = tmp_path / "x.safetensors"
        save(path, {"a": jnp.arange(4.0)})
        path.write_bytes(damage(path.read_bytes()))
        with pytest.raises(RuntimeError, match=r"x.safetensors` is no file of named arrays, or is"):
            load(path, {"a": jnp.zeros(4)})


class TestChecksums:
    @pytest.mark.parametrize("name", LEAVES)
    def test_of_each_kind_of_leaf(self, name, tmp_path):
        tree = {"it": LEAVES[name](), "other": [jnp.ones(2)]}
        save(tmp_path / "x", tree, checksum=True)
        assert tree_equal(load(tmp_path / "x", tree), tree, typematch=True)

    def test_a_bit_that_flips_is_seen(self, tmp_path):
        tree, path = {"a": jnp.arange(4.0), "n": 12}, tmp_path / "x.safetensors"
        save(path, tree, config={"b": 1}, checksum=True)
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        told = r"x\.safetensors` is no .* damaged: `a` has the checksum \d+, and had \d+ when it"
        with pytest.raises(RuntimeError, match=told):
            load(path, tree)
        assert load(path, tree, where="n")["n"] == 12
        path.write_bytes(whole.replace(b"12", b"13", 1))
        for reads in (lambda: load(path, tree), lambda: load_config(path)):
            with pytest.raises(RuntimeError, match=r"its metadata have the checksum \d+, and had"):
                reads()

    def test_none_are_taken_of_parts(self, tmp_path):
        there = jax.sharding.SingleDeviceSharding(jax.devices()[1])
        save(tmp_path / "x", {"a": jnp.arange(4.0)}, checksum=True)
        found = load(tmp_path / "x", {"a": jnp.zeros(4)}, sharding=there)
        assert found["a"].tolist() == [0, 1, 2, 3]


class TestWhatFits:
    def saved(self, tmp_path):
        tree = {"layers": [layer(0), layer(1)], "n": 3}
        save(tmp_path / "x", tree)
        return tmp_path / "x", tree

    def test_names_not_order(self, tmp_path):
        save(tmp_path / "x", {"a": jnp.zeros(2), "b": jnp.ones(2)})
        found = load(tmp_path / "x", {"b": jnp.zeros(2), "a": jnp.ones(2)})
        assert found["b"].tolist() == [1, 1]

    @pytest.mark.parametrize(
        ("change", "told"),
        [
            ({"n": 3.0}, "`n` is a `float` in `like`, and a `int` in the file"),
            ({"n": jnp.ones(())}, "`n` is a `ArrayImpl` in `like`, and a `int` in the file"),
            ({"m": jnp.ones(2)}, "The file lacks `m`"),
            ({"layers": [layer(0)]}, r"The file has also `layers.1.weight`, `layers.1.bias`"),
            (
                {"layers": [layer(0), layer(1, 4)]},
                r"`layers.1.weight` is of shape \(4, 2\) in `like`",
            ),
            ({"layers": [layer(0), layer(1, 4)]}, "`layers.1.size` is 4 in `like`, and was 3"),
            (
                {"layers": [layer(0), layer(1, 3, jnp.sin)]},
                "`layers.1.act` is sin in `like`, and was",
            ),
        ],
    )
    def test_what_does_not_is_named(self, change, told, tmp_path):
        path, tree = self.saved(tmp_path)
        with pytest.raises(RuntimeError, match=rf"x.safetensors` does not fit `like`.*{told}"):
            load(path, {**tree, **change})

    def test_a_name_that_is_alike_is_told(self, tmp_path):
        save(tmp_path / "x", {"encoder": {"weight": jnp.ones(2)}})
        like = {"encodr": {"weight": jnp.ones(2)}}
        with pytest.raises(
            RuntimeError, match=r"lacks `encodr.weight` \(it has `encoder.weight`\)\."
        ):
            load(tmp_path / "x", like)

    def test_so_is_one_for_each_name(self, tmp_path):
        save(tmp_path / "x", {"encoder": {"weight": jnp.ones(2), "bias": jnp.ones(1)}})
        like = {"encodr": {"weight": jnp.ones(2), "bias": jnp.ones(1)}, "zzz": jnp.ones(1)}
        told = (
            r"lacks `encodr.bias` \(it has `encoder.bias`\), `encodr.weight` \(it has "
            r"`encoder.weight`\), `zzz`\. The file has also `encoder.bias` \(`like` has "
            r"`encodr.bias`\), "
        )
        with pytest.raises(RuntimeError, match=told):
            load(tmp_path / "x", like)

    def test_a_name_that_is_taken_is_none_that_is_alike(self, tmp_path):
        save(tmp_path / "x", {"weight0": jnp.ones(2)})
        with pytest.raises(RuntimeError, match=r"The file lacks `weight1`\. `strict"):
            load(tmp_path / "x", {"weight0": jnp.ones(2), "weight1": jnp.ones(2)})

    def test_strict(self, tmp_path):
        path, tree = self.saved(tmp_path)
        more, fewer = {**tree, "m": jnp.full(2, 7.0)}, {"layers": tree["layers"]}
        found, report = load(path, more, strict="unexpected", report=True)
        assert found["m"].tolist() == [7, 7]
        assert report.missing == ("m",)
        found, report = load(path, fewer, strict="missing", report=True)
        assert report.unexpected == ("n",)
        both = load(path, {**more, "layers": [tree["layers"][0]]}, strict=False)
        assert tree_equal(both["layers"][0], tree["layers"][0])
        with pytest.raises(ValueError, match="`strict` of `load` is one of"):
            load(path, tree, strict="none")

    def test_dtypes(self, tmp_path):
        save(tmp_path / "x", {"a": jnp.array([1.5]), "i": jnp.array([2])})
        half = {"a": jnp.zeros(1, jnp.float16), "i": jnp.zeros(1, int)}
        with pytest.raises(
            RuntimeError, match="`a` is of dtype `float16` in `like`, and of `float32`"
        ):
            load(tmp_path / "x", half)
        found, report = load(tmp_path / "x", half, cast=True, report=True)
        assert (found["a"].dtype, report.cast) == (jnp.float16, ("a",))
        found = load(tmp_path / "x", half, dtype=jnp.bfloat16)
        assert (found["a"].dtype, found["i"].dtype) == (jnp.bfloat16, jnp.int32)
        save(tmp_path / "c", {"a": jnp.array([1j])})
        with pytest.raises(
            RuntimeError, match="`a` is of dtype `float32`, and complex in the file"
        ):
            load(tmp_path / "c", {"a": jnp.zeros(1)}, cast=True)

    @pytest.mark.parametrize(
        ("saved", "dtype"),
        [([300, 1], "int8"), ([-1.0, 2.0], "uint8"), ([0.5], "int32"), ([2], "bool")],
    )
    def test_integers_that_would_become_others_are_refused(self, tmp_path, saved, dtype):
        save(tmp_path / "x", {"a": jnp.asarray(saved)})
        with pytest.raises(RuntimeError, match=f"with numbers that `{dtype}` does not hold"):
            load(tmp_path / "x", {"a": jnp.zeros(len(saved), dtype)}, cast=True)
        save(tmp_path / "y", {"a": jnp.ones(3)})
        assert load(tmp_path / "y", {"a": jnp.zeros(3, dtype)}, cast=True)["a"].dtype == dtype

    def test_keys(self, tmp_path):
        save(tmp_path / "x", {"k": jax.random.key(0)})
        other = jax.random.key(0, impl="rbg")
        for like, told in ((other, "keys of `rbg`"), (jnp.zeros(2, jnp.uint32), "dtype `uint32`")):
            with pytest.raises(RuntimeError, match=rf"`k` is .*{told}.*and keys of `threefry2x32`"):
                load(tmp_path / "x", {"k": like})

    def test_static_values_are_ignored_if_asked(self, tmp_path):
        path, tree = self.saved(tmp_path)
        like = {**tree, "layers": [layer(0, act=jnp.sin), layer(1)]}
        found, report = load(path, like, static="ignore", report=True)
        assert found["layers"][0].act is jnp.sin
        assert report.static == (("layers.0.act", "tanh", "sin"),)

    def test_a_part(self, tmp_path):
        path, tree = self.saved(tmp_path)
        like = {"layers": [layer(5), layer(6)], "n": 4, "more": jnp.ones(2)}
        found = load(path, like, where="layers.1.*")
        assert tree_equal(found["layers"][1], tree["layers"][1])
        assert tree_equal(found["layers"][0], like["layers"][0])
        assert found["n"] == 4

    def test_onto_devices(self, tmp_path):
        mesh = jax.make_mesh((4,), ("d",), devices=jax.devices()[:4])
        tree = {"a": jnp.arange(8.0), "b": jnp.ones(3)}
        save(tmp_path / "x", tree)
        split = NamedSharding(mesh, PartitionSpec("d"))
        found = load(tmp_path / "x", tree, sharding={"a": split, "b": None})
        assert found["a"].sharding == split
        assert tree_equal(jax.device_put(found, jax.devices()[0]), tree)
        with pytest.raises(
            ValueError, match="`sharding` of `load` must be a tree prefix of `like`"
        ):
            load(tmp_path / "x", tree, sharding={"a": split})


class TestRefusals:
    def test_config_and_metadata(self, tmp_path):
        with pytest.raises(TypeError, match="`config` of `save` is written as JSON"):
            save(tmp_path / "x", 1, config={"a": jnp.ones(2)})
        with pytest.raises(TypeError, match="`metadata` of `save` has texts by names"):
            save(tmp_path / "x", 1, metadata={"a": 1})
        with pytest.raises(ValueError, match=r"names that begin with `eqx.` are taken"):
            save(tmp_path / "x", 1, metadata={"eqx.version": "2"})

    def test_leaves(self, tmp_path):
        with pytest.raises(RuntimeError, match=r"`tree.a` cannot be saved: .*dtype is `<U1`"):
            save(tmp_path / "x", {"a": np.array(["a"])})
        with pytest.raises(RuntimeError, match=r"`tree.a` cannot be saved: .*it is traced"):
            jax.jit(lambda x: save(tmp_path / "x", {"a": x}))(1.0)


def test_stacked_layers_have_the_names_of_a_tuple(tmp_path):
    class Stack(Module):
        rows: jax.Array

        def __unstacked__(self):
            return tuple({"weight": row} for row in self.rows)

        def __restacked__(self, layers):
            return Stack(jnp.stack([layer["weight"] for layer in layers]))

    stack = {"layers": Stack(jnp.arange(6.0).reshape(3, 2))}
    layers = {"layers": [{"weight": row} for row in stack["layers"].rows]}
    save(tmp_path / "x", stack)
    assert list(tree_paths(layers)) == [
        name for name in header_of(tmp_path / "x.safetensors")[0] if name[0] != "_"
    ]
    assert tree_equal(load(tmp_path / "x", layers), layers)
    save(tmp_path / "x", layers)
    assert tree_equal(load(tmp_path / "x", stack), stack)


class TestNamesAndDtypesWithoutAPlace:
    @pytest.mark.parametrize(
        ("tree", "told"),
        [
            ({"__metadata__": jnp.ones(2)}, "`tree.__metadata__` cannot be saved: the texts of a"),
            (
                {"a": {"b\ud800": jnp.ones(2)}},
                r"`tree\.a\.b\\ud800` cannot be saved: its name has no",
            ),
            pytest.param(
                {"a": np.ones(2, np.clongdouble)},
                "^`tree.a` cannot be saved: its dtype is `complex",
                marks=pytest.mark.skipif(
                    np.dtype(np.clongdouble) == np.complex128, reason="it is no longer here"
                ),
            ),
            ([jax.ShapeDtypeStruct((), "f4")], r"^`tree.0` cannot be saved: it is a `jax.ShapeD"),
            (np.array("text"), "^`tree` cannot be saved: its dtype is `<U4`"),
        ],
    )
    def test_are_told_by_path_and_nothing_is_written(self, tmp_path, tree, told):
        with pytest.raises(RuntimeError, match=told):
            save(tmp_path / "it", tree)
        assert not [*tmp_path.iterdir()]

    def test_the_name_may_be_that_of_a_number_or_deeper(self, tmp_path):
        tree = {"__metadata__": 3, "a": {"__metadata__": np.ones(2)}}
        save(tmp_path / "it", tree)
        assert tree_equal(load(tmp_path / "it", tree), tree)

    def test_metadata_are_utf8(self, tmp_path):
        with pytest.raises(ValueError, match=r"`metadata` of `save` has 'a': .*, of no UTF-8"):
            save(tmp_path / "it", {}, metadata={"a": "\ud800"})


class TestShapesOfKeys:
    @pytest.mark.parametrize(("saved", "like"), [((3,), ()), ((2, 3), (2,)), ((), (2,))])
    def test_must_be_equal(self, tmp_path, saved, like):
        save(tmp_path / "it", {"k": jax.random.split(KEY, saved)})
        in_like = {"k": jax.random.split(KEY, like)}
        told = f"`k` is keys .*, of shape {like}, in `like`, and keys .*, of {saved},"
        told = told.replace("(", "[(]").replace(")", "[)]")
        with pytest.raises(RuntimeError, match=told):
            load(tmp_path / "it", in_like)


@pytest.mark.skipif(jax.device_count() < 4, reason="needs four devices")
def test_an_array_that_its_sharding_does_not_divide_is_named(tmp_path):
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:4]), "x")
    tree = {"a": jnp.ones(8), "b": jnp.ones(6), "k": jax.random.split(KEY, 3)}
    save(tmp_path / "it", tree)
    told = r"`b` is of shape \(6,\), which its `sharding` does not fit.*`k` is of shape \(3,\)"
    with pytest.raises(RuntimeError, match=told):
        load(tmp_path / "it", tree, sharding=NamedSharding(mesh, PartitionSpec("x")))
