"""`filter_shard`, `filter_device_put`, `filter_shard_map`, and shardings of `filter_jit`."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, SingleDeviceSharding
from jax.sharding import PartitionSpec as P

from eqx_filter import (
    filter_device_put,
    filter_grad,
    filter_jit,
    filter_shard,
    filter_shard_map,
    tree_equal,
)
from eqx_pytree import Module, field

set_mesh = jax.set_mesh if hasattr(jax, "set_mesh") else jax.sharding.use_mesh
V = jnp.arange(8.0)
MATRIX = jnp.arange(32.0).reshape(8, 4)

pytestmark = pytest.mark.skipif(jax.device_count() < 4, reason="needs four devices")


class Model(Module):
    weight: Any
    activation: Any = jnp.tanh
    name: str = field(static=True, default="model")

    def __call__(self, x):
        return self.weight * x


@pytest.fixture(params=[AxisType.Auto, AxisType.Explicit], ids=["auto", "explicit"])
def mesh(request):
    return jax.make_mesh((4,), ("d",), axis_types=(request.param,))


@pytest.fixture
def auto_mesh():
    return jax.make_mesh((4,), ("d",), axis_types=(AxisType.Auto,))


def spec_of(array):
    return tuple(axis for axis in array.sharding.spec if axis is not None)


class TestShard:
    def test_lays_out_the_arrays_of_a_model(self, mesh):
        out = filter_shard(Model(V), NamedSharding(mesh, P("d")))
        assert spec_of(out.weight) == ("d",)
        assert tree_equal(out, Model(V))

    def test_in_a_compiled_function(self, mesh):
        sharding = NamedSharding(mesh, P("d"))
        with set_mesh(mesh):
            out = filter_jit(lambda model: filter_shard(model, sharding))(Model(V))
        assert spec_of(out.weight) == ("d",)
        assert tree_equal(out, Model(V))

    def test_a_constant_in_a_compiled_function(self, mesh):
        sharding = NamedSharding(mesh, P("d"))
        out = filter_jit(lambda: filter_shard(np.arange(8.0), sharding))()
        assert spec_of(out) == ("d",)

    def test_by_a_spec_where_a_mesh_is_set(self, mesh):
        with set_mesh(mesh):
            out = filter_jit(lambda x: filter_shard(x, P("d")))(V)
        assert spec_of(out) == ("d",)
        assert tree_equal(out, V)

    def test_on_a_device(self):
        device = jax.devices()[1]
        out = filter_shard({"a": V, "b": "text"}, device)
        assert out["a"].sharding == SingleDeviceSharding(device)
        assert out["b"] == "text"

    def test_by_a_prefix(self, mesh):
        split, whole = NamedSharding(mesh, P("d")), NamedSharding(mesh, P())
        tree = ({"a": V, "n": 3}, V, np.ones(3))
        (inner, other, plain) = filter_shard(tree, (split, whole, None))
        assert spec_of(inner["a"]) == ("d",)
        assert spec_of(other) == ()
        assert (inner["n"], type(plain)) == (3, np.ndarray)

    def test_differentiates(self, mesh):
        sharding = NamedSharding(mesh, P("d"))

        def loss(model):
            return (filter_shard(model, sharding).weight ** 2).sum()

        with set_mesh(mesh):
            gradient = filter_jit(filter_grad(loss))(filter_shard(Model(V), sharding))
        assert tree_equal(gradient.weight, 2 * V)

    @pytest.mark.parametrize(
        ("shardings", "kind", "text"),
        [
            ("a", TypeError, "`device_or_shardings` must be a sharding, .* not `'a'`"),
            ({"w": None}, ValueError, "at `device_or_shardings`: a `dict` with 1 child instead of"),
            (Model("a"), TypeError, r"`device_or_shardings.weight` must be a sharding"),
        ],
    )
    def test_errors(self, shardings, kind, text):
        with pytest.raises(kind, match=text):
            filter_shard(Model(V), shardings)

    def test_an_array_that_cannot_be_divided(self, auto_mesh):
        with pytest.raises(ValueError, match=r"divisible|divide"):
            filter_shard(jnp.arange(3.0), NamedSharding(auto_mesh, P("d")))


class TestDevicePut:
    def test_copies_the_arrays(self, mesh):
        device = jax.devices()[2]
        out = filter_device_put((Model(V), np.ones(2, np.float32), "text", 3), device)
        assert out[0].weight.sharding == SingleDeviceSharding(device)
        assert isinstance(out[1], jax.Array)
        assert out[2:] == ("text", 3)
        out = filter_device_put({"a": V, "b": V}, {"a": NamedSharding(mesh, P("d")), "b": device})
        assert spec_of(out["a"]) == ("d",)
        assert out["b"].sharding == SingleDeviceSharding(device)

    def test_without_a_device(self):
        assert tree_equal(filter_device_put(Model(V)), Model(V))

    def test_other_arguments(self):
        out = filter_device_put({"a": V + 0}, jax.devices()[0], donate=True, may_alias=None)
        assert tree_equal(out, {"a": V})

    def test_errors(self):
        with pytest.raises(TypeError, match=r"`device\['a'\]` must be a sharding"):
            filter_device_put({"a": V}, {"a": 3})


class TestJit:
    def test_inputs_and_outputs_by_prefixes(self, mesh):
        split, whole = NamedSharding(mesh, P("d")), NamedSharding(mesh, P())
        function = filter_jit(
            lambda model, x: (model, {"y": model(x), "n": 3}),
            in_shardings=(split, whole),
            out_shardings=(split, {"y": whole, "n": None}),
        )
        with set_mesh(mesh):
            model, out = function(Model(V), V)
        assert spec_of(model.weight) == ("d",)
        assert spec_of(out["y"]) == ()
        assert tree_equal((model, out), (Model(V), {"y": V * V, "n": 3}))

    def test_one_for_all(self, auto_mesh):
        split = NamedSharding(auto_mesh, P("d"))
        out = filter_jit(lambda tree: tree, in_shardings=split, out_shardings=split)((V, "a", V))
        assert (spec_of(out[0]), out[1], spec_of(out[2])) == (("d",), "a", ("d",))

    def test_agrees_with_jax(self, auto_mesh):
        split = NamedSharding(auto_mesh, P("d"))
        arguments = {"in_shardings": split, "out_shardings": split}
        ours, theirs = (jit(jnp.sin, **arguments)(V) for jit in (filter_jit, jax.jit))
        assert ours.sharding == theirs.sharding
        assert tree_equal(ours, theirs)

    @pytest.mark.parametrize("name", ["in_shardings", "out_shardings"])
    def test_errors(self, name):
        with pytest.raises(TypeError, match=rf"`{name}(\[0\])?` must be a sharding"):
            filter_jit(lambda x: x, **{name: ("a",) if name == "in_shardings" else "a"})(V)
        with pytest.raises(ValueError, match=rf"`{name}` must be a tree prefix"):
            filter_jit(lambda x: x, **{name: (None, None)})(V)

    def test_a_method(self, auto_mesh):
        split = NamedSharding(auto_mesh, P("d"))
        assert spec_of(filter_jit(Model(V).__call__, out_shardings=split)(V)) == ("d",)


class TestShardMap:
    def test_runs_on_each_part(self, auto_mesh):
        seen = []

        def function(model, x, text):
            seen.append(model.weight.shape)
            total = jax.lax.psum((model(x)).sum(), "d")
            return {"part": x * 2, "total": total, "text": text}

        out = filter_shard_map(
            function,
            mesh=auto_mesh,
            in_specs=(P("d"), P("d"), None),
            out_specs={"part": P("d"), "total": P(), "text": None},
        )(Model(V), V, "text")
        assert seen[0] == (2,)
        assert tree_equal(out, {"part": V * 2, "total": (V * V).sum(), "text": "text"})

    def test_agrees_with_jax(self, auto_mesh):
        def function(x, y):
            return x @ y, jax.lax.psum(x, "d")

        arguments = {"mesh": auto_mesh, "in_specs": (P("d"), P()), "out_specs": (P("d"), P())}
        ours = filter_shard_map(function, **arguments)(MATRIX, MATRIX.T)
        assert tree_equal(ours, jax.shard_map(function, **arguments)(MATRIX, MATRIX.T))
        jitted = filter_jit(filter_shard_map(function, **arguments))(MATRIX, MATRIX.T)
        assert tree_equal(jitted, ours)

    def test_a_model_as_the_function_is_whole(self, auto_mesh):
        @filter_jit
        def run(model, x):
            return filter_shard_map(model, mesh=auto_mesh, in_specs=P("d"), out_specs=P("d"))(x)

        assert tree_equal(run(Model(jnp.array(2.0)), V), V * 2)

    def test_where_a_mesh_is_set(self, auto_mesh):
        with set_mesh(auto_mesh):
            out = filter_shard_map(jnp.sin, in_specs=P("d"), out_specs=P("d"))(V)
        assert tree_equal(out, jnp.sin(V), rtol=1e-6)

    def test_differentiates(self, auto_mesh):
        specs = {"mesh": auto_mesh, "in_specs": (P(), P("d")), "out_specs": P("d")}

        def loss(model):
            return filter_shard_map(lambda model, x: model(x), **specs)(model, V).sum()

        assert tree_equal(filter_grad(loss)(Model(jnp.array(2.0))).weight, V.sum())

    def test_errors(self, auto_mesh):
        specs = {"mesh": auto_mesh, "in_specs": P("d"), "out_specs": P("d")}
        with pytest.raises(ValueError, match=r"at `in_specs`: a `tuple` with 2 children instead"):
            filter_shard_map(jnp.sin, **{**specs, "in_specs": (P(), P())})(V)
        with pytest.raises(TypeError, match=r"`out_specs\[0\]` must be a sharding, a `PartitionS"):
            filter_shard_map(lambda x: (x,), **{**specs, "out_specs": ("d",)})(V)
        with pytest.raises(TypeError, match=r"unexpected keyword argument `foo`"):
            filter_shard_map(jnp.sin, **specs, foo=1)
        with pytest.raises(TypeError, match="`filter_shard_map` wraps a function; 3 is not"):
            filter_shard_map(3, **specs)


def test_the_leaves_that_are_no_arrays_are_not_counted():
    assert len(jtu.tree_leaves(filter_shard(Model(V), jax.devices()[0]))) == 2
