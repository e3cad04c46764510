"""`ShardingPlan` on a mesh whose axes are explicit: how an array is split is a part of its type."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from eqx_filter import (
    Optimizer,
    ShardingPlan,
    data_parallel,
    filter_eval_shape,
    filter_grad,
    filter_jit,
    filter_shard,
    fsdp,
    is_array,
    load,
    save,
)
from eqx_filter.shared._jax import set_mesh
from eqx_pytree import tree_equal

from .net import make

pytestmark = pytest.mark.skipif(jax.device_count() < 4, reason="needs four devices")

KEY = jax.random.key(0)
X, Y = np.ones((8, 8), np.float32), np.zeros((8, 4), np.float32)


def mesh(*kinds):
    kinds = tuple(getattr(AxisType, kind) for kind in kinds)
    return jax.make_mesh((2, 2), ("data", "model"), axis_types=kinds)


def loss(model, x, y):
    return jnp.mean((model(x) - y) ** 2)


def gathered(plan):
    """The loss of a model that each device has whole while it computes with it."""
    whole = NamedSharding(plan.mesh, P())
    return lambda model, x, y: loss(filter_shard(model, whole), x, y)


def step_of(loss):
    def step(model, opt, x, y):
        return opt.update(filter_grad(loss)(model, x, y), model)

    return step


def optimizer(model):
    return Optimizer(optax.adam(1e-2, eps=1e-2), model)


def specs(tree):
    return [it.sharding.spec for it in jax.tree.leaves(tree) if is_array(it)]


def close(one, other):
    return tree_equal(jax.device_get(one), jax.device_get(other), rtol=1e-4, atol=1e-5)


def trained(step, model, opt, *batch):
    step = filter_jit(step)
    for _ in range(3):
        model, opt = step(model, opt, *batch)
    return model


def split(explicit=("Explicit", "Explicit")):
    return ShardingPlan([("first", P(None, "model")), fsdp("data", min_size=8)], mesh(*explicit))


class TestPlaces:
    @pytest.mark.parametrize("kinds", [("Explicit", "Explicit"), ("Explicit", "Auto")])
    def test_init_makes_each_part_where_it_lies(self, kinds):
        plan = split(kinds)
        model = plan.init(make, KEY)
        assert close(model, make(KEY))
        assert model.first.sharding == NamedSharding(plan.mesh, P("data", "model"))
        assert model.second.sharding == NamedSharding(plan.mesh, P("data", None))
        assert {it.data.shape for it in model.first.addressable_shards} == {(4, 8)}

    def test_init_where_the_mesh_is_set(self):
        plan = split()
        with set_mesh(plan.mesh):
            model = plan.init(make, jax.jit(lambda: jax.random.key(0))())
            traced = filter_jit(lambda key: plan.init(make, key))(KEY)
        assert close(model, make(KEY))
        assert close(traced, make(KEY))
        assert specs(model) == specs(traced) == [P("data", "model"), P("data", None)]
        again = plan.init(lambda model: model, filter_shard(model, NamedSharding(plan.mesh, P())))
        assert close(again, model)
        assert specs(again) == specs(model)

    def test_shard_outside_and_in_a_compiled_function(self):
        plan, model = split(), make(KEY)
        found = plan.shard(model)
        assert specs(found) == [P("data", "model"), P("data", None)]
        again = filter_jit(plan.shard)(filter_shard(found, NamedSharding(plan.mesh, P())))
        assert specs(again) == [P("data", "model"), P("data", None)]
        with set_mesh(plan.mesh):
            assert specs(filter_jit(plan.shard)(model)) == [P("data", "model"), P("data", None)]

    def test_batches_structs_and_files(self, tmp_path):
        plan = split()
        assert plan.batch(X).sharding == NamedSharding(plan.mesh, P(("data",)))
        like = filter_eval_shape(make, KEY)
        assert plan.structs(like).first.sharding.spec == P("data", "model")
        model = plan.init(make, KEY)
        save(tmp_path / "model", model)
        found = load(tmp_path / "model", like, sharding=plan.shardings(like))
        assert tree_equal(jax.device_get(found), jax.device_get(model))
        assert specs(found) == specs(model)


class TestTraining:
    def of_one_device(self):
        model = make(KEY)
        return trained(step_of(loss), model, optimizer(model), X, Y)

    @pytest.mark.parametrize("kinds", [("Explicit", "Explicit"), ("Explicit", "Auto")])
    def test_copies_of_the_model(self, kinds):
        plan = ShardingPlan([data_parallel("data")], mesh(*kinds))
        model = plan.init(make, KEY)
        opt = plan.shard(optimizer(model), of=model)
        found = trained(step_of(loss), model, opt, *plan.batch((X, Y)))
        assert close(found, self.of_one_device())

    def test_parts_that_are_gathered_by_the_loss(self):
        """JAX refuses products of which it is not told how the result is split."""
        plan = ShardingPlan([fsdp("data", min_size=8)], mesh("Explicit", "Explicit"))
        model, batch = plan.init(make, KEY), plan.batch((X, Y))
        with pytest.raises(Exception, match=r"illegally sharded|ambiguous"):
            filter_jit(loss)(model, *batch)
        opt = plan.shard(optimizer(model), of=model)
        found = trained(step_of(gathered(plan)), model, opt, *batch)
        assert close(found, self.of_one_device())
        assert specs(found) == specs(model) == [P(None, "data"), P("data", None)]

    def test_the_compiler_splits_what_is_along_an_axis_of_its_own(self):
        rules = [("first", P(None, "model")), ("second", P("model")), data_parallel("data")]
        plan = ShardingPlan(rules, mesh("Explicit", "Auto"))
        model = plan.init(make, KEY)
        opt = plan.shard(optimizer(model), of=model)
        found = trained(step_of(loss), model, opt, *plan.batch((X, Y)))
        assert close(found, self.of_one_device())

    def test_check_of_a_step(self):
        plan = ShardingPlan([fsdp("data", min_size=8)], mesh("Explicit", "Explicit"))
        like = filter_eval_shape(make, KEY)
        opt = filter_eval_shape(optimizer, like)
        batch = plan.batch((jax.ShapeDtypeStruct(X.shape, X.dtype),) * 2)
        batch = batch[0], plan.batch(jax.ShapeDtypeStruct(Y.shape, Y.dtype))
        told = plan.check(
            step_of(gathered(plan)), plan.structs(like), plan.structs(opt, of=like), *batch
        )
        parameters = 4 * (8 * 16 + 16 * 4)
        count = 4  # the number of steps of the optimizer
        assert told.arguments == 3 * parameters // 2 + count + 4 * (8 * 8 + 8 * 4) // 2
        assert "all-gather" in told.collectives
