"""Orbax saves and restores PyTrees by the names of their leaves."""

import json
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from eqx_filter import ShardingPlan, filter_eval_shape, fsdp, load, save, tree_paths
from eqx_filter.migrations import rename
from eqx_pytree import Module, field, tree_equal

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    ocp = pytest.importorskip("orbax.checkpoint")

from eqx_filter.orbax import TreeRestore, TreeSave

pytestmark = pytest.mark.filterwarnings("ignore")  # Orbax's own


class Model(Module):
    weight: jax.Array
    parts: tuple[object, ...]
    activation: object = jnp.tanh
    width: int = field(static=True, default=3)


def model(key):
    numbers = (np.arange(3, dtype=np.float16), np.float32(2.5), 3, True, 1.5j, None)
    arrays = (jnp.ones((2, 0)), jnp.bfloat16(2), jnp.ones(2, jnp.complex64), jnp.ones(3, bool))
    return Model(jax.random.normal(key, (8, 4)), (*numbers, *arrays, key, [key]))


MODEL = model(jax.random.key(0))


@pytest.fixture
def saved(tmp_path):
    with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
        checkpointer.save(tmp_path / "it", args=ocp.args.Composite(model=TreeSave(MODEL)))
    return tmp_path / "it"


def restored(path, like, **settings):
    with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
        args = ocp.args.Composite(model=TreeRestore(like, **settings))
        return checkpointer.restore(path, args=args)["model"]


def test_a_manager_saves_and_restores(tmp_path):
    with ocp.CheckpointManager(tmp_path) as manager:
        for step in (1, 2):
            assert manager.save(step, args=TreeSave(model(jax.random.key(step))))
        manager.wait_until_finished()
        like = model(jax.random.key(5))
        assert tree_equal(manager.restore(1, args=TreeRestore(like)), model(jax.random.key(1)))
        assert tree_equal(manager.restore(2, args=TreeRestore(like)), model(jax.random.key(2)))


def test_what_is_saved_is_as_it_was_then(tmp_path):
    tree = {"a": np.ones(4), "b": jnp.ones(4)}
    with ocp.CheckpointManager(tmp_path) as manager:
        manager.save(0, args=TreeSave(tree))
        manager.wait_until_finished()
        tree["a"][:] = 5
        found = manager.restore(0, args=TreeRestore(tree))
    np.testing.assert_array_equal(found["a"], np.ones(4))


def test_every_kind_of_leaf_comes_back(saved):
    found = restored(saved, MODEL)
    assert tree_equal(found, MODEL)
    kinds = [type(leaf) for leaf in jax.tree.leaves(MODEL)]
    assert [type(leaf) for leaf in jax.tree.leaves(found)] == kinds


def test_like_may_be_without_values(saved):
    like = filter_eval_shape(model, jax.random.key(1))
    found = restored(saved, like)
    assert tree_equal(found.weight, MODEL.weight)
    assert tree_equal(found.parts[2:], MODEL.parts[2:])
    assert type(found.parts[0]) is type(MODEL.weight)  # which stands for an array of NumPy there
    np.testing.assert_array_equal(found.parts[0], MODEL.parts[0])


def test_names_are_those_of_files(saved):
    with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
        handler = ocp.PyTreeCheckpointHandler()
        names = set(dict(handler.metadata(saved / "model").tree))
    assert "weight" in names
    assert {name for name in names if "*" not in name} <= set(tree_paths(MODEL))
    assert checkpointer is not None


@pytest.mark.skipif(jax.device_count() < 4, reason="needs four devices")
def test_on_another_mesh(tmp_path):
    devices = np.array(jax.devices()[:4])
    one = NamedSharding(jax.sharding.Mesh(devices, "x"), PartitionSpec("x"))
    other = NamedSharding(
        jax.sharding.Mesh(devices.reshape(2, 2), ("a", "b")), PartitionSpec("a", "b")
    )
    tree = {"w": jax.device_put(MODEL.weight, one), "n": jnp.ones(3)}
    with ocp.CheckpointManager(tmp_path) as manager:
        manager.save(0, args=TreeSave(tree))
        manager.wait_until_finished()
        found = manager.restore(0, args=TreeRestore(tree, sharding={"w": other, "n": None}))
        assert found["w"].sharding == other
        assert tree_equal(jax.device_get(found["w"]), jax.device_get(MODEL.weight))
        same = manager.restore(0, args=TreeRestore(tree))
        assert same["w"].sharding == one
        struct = jax.ShapeDtypeStruct((8, 4), jnp.float32, sharding=other)
        like = {"w": struct, "n": jax.ShapeDtypeStruct((3,), jnp.float32)}
        assert manager.restore(0, args=TreeRestore(like))["w"].sharding == other
        told = "`sharding` of `TreeRestore` must be a tree prefix of `like`"
        with pytest.raises(ValueError, match=told):
            manager.restore(0, args=TreeRestore(like, sharding={"v": other}))


@pytest.mark.skipif(jax.device_count() < 4, reason="needs four devices")
def test_with_a_plan(tmp_path):
    """Saved on two devices and restored on a mesh of four, by a plan for each."""
    make = lambda key: {"a": jax.random.normal(key, (8, 4)), "b": jnp.ones(3)}  # noqa: E731
    devices = np.array(jax.devices())
    one, other = (
        ShardingPlan([fsdp("x", min_size=8)], jax.sharding.Mesh(devices[:size], "x"))
        for size in (2, 4)
    )
    tree, like = one.init(make, jax.random.key(0)), filter_eval_shape(make, jax.random.key(0))
    with ocp.CheckpointManager(tmp_path) as manager:
        manager.save(0, args=TreeSave(tree))
        manager.wait_until_finished()
        found = manager.restore(0, args=TreeRestore(like, sharding=other.shardings(like)))
    assert tree_equal(jax.device_get(found), jax.device_get(tree))
    assert jax.tree.map(lambda it: it.sharding, found) == other.shardings(like)
    assert found["a"].sharding.spec == PartitionSpec("x", None)


class TestWhatDoesNotFit:
    @pytest.mark.parametrize(
        ("change", "told"),
        [
            (
                {"weight": jnp.ones((8, 5))},
                r"`weight` is of shape \(8, 5\) in `like`, and of \(8, 4\) in the file",
            ),
            (
                {"weight": jnp.ones((8, 4), jnp.int32)},
                "`weight` is of dtype `int32` in `like`, and of `float32` in the file",
            ),
            (
                {"weight": jax.random.split(jax.random.key(0), 8)},
                r"`weight` is keys of `threefry2x32`, of shape \(8,\), in `like`, and of dtype",
            ),
            ({"weight": 1.0}, "`weight` is a `float` in `like`, and an array in the file"),
            (
                {"weight": jax.ShapeDtypeStruct((8, 4), np.float64)},
                "`weight` is of dtype `float64` in `like`",
            ),
            ({"activation": jnp.sin}, "`activation` is sin in `like`, and was tanh"),
            ({"width": 4}, "`width` is 4 in `like`, and was 3"),
        ],
    )
    def test_is_told_by_name(self, saved, change, told):
        fields = {name: getattr(MODEL, name) for name in ("weight", "parts", "activation", "width")}
        with pytest.raises(RuntimeError, match=f"(?s)does not fit `like`.*{told}"):
            restored(saved, Model(**{**fields, **change}))

    def test_missing_and_unexpected(self, tmp_path):
        with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
            args = ocp.args.Composite(model=TreeSave({"weight": jnp.ones(2), "b": 1}))
            checkpointer.save(tmp_path / "it", args=args)
        like = {"weights": jnp.zeros(2), "b": 2}
        told = "lacks `weights` .it has `weight`.*has also `weight` .`like` has `weights`"
        with pytest.raises(RuntimeError, match=f"(?s){told}"):
            restored(tmp_path / "it", like)
        found = restored(tmp_path / "it", like, strict=False)
        assert tree_equal(found, {"weights": jnp.zeros(2), "b": 1})

    def test_other_dtypes_are_cast_if_asked(self, saved):
        like = Model(MODEL.weight.astype(jnp.float16), MODEL.parts)
        found = restored(saved, like, cast=True)
        assert tree_equal(found.weight, like.weight)
        other = Model(MODEL.weight, MODEL.parts, jnp.sin)
        assert restored(saved, other, static="ignore").activation is jnp.sin

    def test_a_struct_is_not_saved(self, tmp_path):
        tree = {"a": jax.ShapeDtypeStruct((2,), jnp.float32)}
        args = ocp.args.Composite(model=TreeSave(tree))
        checkpointer = ocp.Checkpointer(ocp.CompositeCheckpointHandler())
        with checkpointer, pytest.raises(RuntimeError, match=r"`tree\.a` cannot be saved: it is a"):
            checkpointer.save(tmp_path / "it", args=args)

    @pytest.mark.parametrize(
        ("leaf", "told"),
        [
            (np.ma.masked_array([1.0, 2.0], [True, False]), "it is a masked array, and its mask"),
            (np.array(["text"]), "its dtype is `<U4`, which has no place"),
            (np.array([None]), "an array of dtype object is saved by pickle alone"),
        ],
    )
    def test_what_has_no_place_in_a_file_is_not_saved(self, tmp_path, leaf, told):
        args = ocp.args.Composite(model=TreeSave({"a": [leaf]}))
        checkpointer = ocp.Checkpointer(ocp.CompositeCheckpointHandler())
        with checkpointer, pytest.raises(RuntimeError, match=rf"`tree\.a\.0` cannot be .*: {told}"):
            checkpointer.save(tmp_path / "it", args=args)

    def test_a_tracer_is_not_saved(self, tmp_path):
        def save(x):
            with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
                checkpointer.save(tmp_path / "it", args=ocp.args.Composite(m=TreeSave({"a": x})))
            return x

        with pytest.raises(RuntimeError, match=r"`tree\.a` cannot be saved: it is traced"):
            jax.jit(save)(jnp.ones(2))

    @pytest.mark.parametrize(
        ("saved", "like", "settings", "told"),
        [
            (1, 1.0, {}, "a `float` in `like`, and a `int` in the file"),
            (1, jnp.ones(()), {}, "a `ArrayImpl` in `like`, and a `int` in the file"),
            (jnp.ones(2, "c8"), jnp.ones(2), {"cast": True}, "of dtype `float32`, and complex"),
            (
                jnp.ones(2),
                jax.ShapeDtypeStruct((2,), np.float64),
                {"cast": True},
                "of dtype `float64`, for which `jax_enable_x64` must be",
            ),
            (
                jax.random.key(0),
                jax.random.key(0, impl="rbg"),
                {},
                r"keys of `rbg`, of shape \(\), in `like`, and keys of `threefry2x32`",
            ),
        ],
    )
    def test_of_kinds_as_load_does(self, tmp_path, saved, like, settings, told):
        with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
            args = ocp.args.Composite(model=TreeSave({"a": saved}))
            checkpointer.save(tmp_path / "it", args=args)
        with pytest.raises(RuntimeError, match=f"`a` is {told}"):
            restored(tmp_path / "it", {"a": like}, **settings)
        save(tmp_path / "other", {"a": saved})
        with pytest.raises(RuntimeError, match=f"`a` is {told}"):
            load(tmp_path / "other", {"a": like}, **settings)

    @pytest.mark.parametrize("settings", [{"strict": "mising"}, {"static": "x"}])
    def test_choices(self, saved, settings):
        [(name, value)] = settings.items()
        with pytest.raises(ValueError, match=f"`{name}` of `TreeRestore` is one of .*'{value}'"):
            restored(saved, MODEL, **settings)


class Renamed(Module):
    new: jax.Array

    __migrations__ = (rename("old", "new"),)


class TestMigrations:
    """Those of classes are for files of `save`."""

    @pytest.fixture
    def old(self, tmp_path):
        with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
            args = ocp.args.Composite(model=TreeSave({"a": {"old": jnp.ones(2)}}))
            checkpointer.save(tmp_path / "it", args=args)
        return tmp_path / "it"

    def test_are_told_where_it_does_not_fit(self, old):
        told = "`__migrations__` of `Renamed` are not applied .*: restore into dicts of the old"
        with pytest.raises(RuntimeError, match=f"(?s)lacks `a.new`.*{told}"):
            restored(old, {"a": Renamed(jnp.zeros(2))})

    def test_nothing_is_told_of_others(self, old):
        with pytest.raises(RuntimeError, match="lacks `b`") as caught:
            restored(old, {"b": jnp.zeros(2)})
        assert "__migrations__" not in str(caught.value)

    def test_go_by_way_of_a_file(self, old, tmp_path):
        save(tmp_path / "x", restored(old, {"a": {"old": jnp.zeros(2)}}))
        found = load(tmp_path / "x", {"a": Renamed(jnp.zeros(2))})
        assert tree_equal(found, {"a": Renamed(jnp.ones(2))})

    def test_of_a_shape_no_setting_is_told(self, old):
        with pytest.raises(RuntimeError, match=r"of \(2,\) in the file\.$"):
            restored(old, {"a": {"old": jnp.zeros(3)}})


def test_texts_are_json(saved):
    handler = ocp.PyTreeCheckpointHandler()
    ways = {"*eqx*": ocp.RestoreArgs(restore_type=str)}
    asked = ocp.args.PyTreeRestore({"*eqx*": 0}, ways, partial_restore=True)
    texts = json.loads(handler.restore(saved / "model", args=asked)["*eqx*"])
    assert texts["static"]["activation"] == "tanh"
