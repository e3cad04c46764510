"""A `ShardingPlan` in the place of shardings."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import Mesh, NamedSharding, SingleDeviceSharding
from jax.sharding import PartitionSpec as P

from eqx_filter import (
    Checkpoints,
    Optimizer,
    ShardingPlan,
    filter_device_put,
    filter_eval_shape,
    filter_grad,
    filter_jit,
    filter_shard,
    fsdp,
    is_array,
    load,
    save,
    tree_paths,
)
from eqx_pytree import tree_equal

from .net import make

pytestmark = pytest.mark.skipif(jax.device_count() < 4, reason="needs four devices")

KEY = jax.random.key(0)


@pytest.fixture
def plan():
    mesh = Mesh(np.array(jax.devices()[:4]).reshape(2, 2), ("data", "model"))
    return ShardingPlan([("first", P(None, "model")), fsdp("data", min_size=8)], mesh)


def specs(tree):
    """The specs of all arrays by their paths, an axis for each of the array."""
    return {
        path: tuple(it.sharding.spec) + (None,) * (it.ndim - len(it.sharding.spec))
        for path, it in tree_paths(tree).items()
        if is_array(it)
    }


SPECS = {"first": ("data", "model"), "second": ("data", None)}


def step(model, opt, x):
    grads = filter_grad(lambda model: jnp.mean(model(x) ** 2))(model)
    model, opt = opt.update(grads, model)
    return model, opt, jnp.sum(x)


class TestFilterJit:
    @pytest.mark.parametrize("donate", ["none", "all"])
    @pytest.mark.parametrize("place", ["in_shardings", "out_shardings", "both"])
    def test_a_step_keeps_the_plan(self, plan, place, donate):
        places = ["in_shardings", "out_shardings"] if place == "both" else [place]
        compiled = filter_jit(step, donate=donate, **dict.fromkeys(places, plan))
        model = make(KEY)
        opt = Optimizer(optax.adam(1e-2, eps=1e-2), model)
        expected = filter_jit(step)(model, opt, jnp.ones((2, 8)))
        found = compiled(model, opt, jnp.ones((2, 8)))
        if place != "in_shardings":
            assert specs(found[0]) == SPECS
            of_mean = {path: spec for path, spec in specs(found[1]).items() if ".mu." in path}
            assert [*of_mean.values()] == [*SPECS.values()]
        assert tree_equal(*jax.device_get((found, expected)), rtol=1e-4, atol=1e-5)

    def test_the_first_argument_is_laid_out_and_what_belongs_to_it(self, plan):
        both = filter_jit(lambda *args: args, in_shardings=plan)
        model, mean, x = both(make(KEY), {"mean": make(KEY)}, jnp.ones((8, 16)))
        assert specs(model) == SPECS
        assert [*specs(mean).values()] == [*SPECS.values()]
        assert x.sharding.is_fully_replicated

    def test_a_tree_of_plans_and_others(self, plan):
        whole = NamedSharding(plan.mesh, P())
        model = make(KEY)
        doubled = filter_jit(
            lambda both: jax.tree.map(lambda it: 2 * it if is_array(it) else it, both),
            in_shardings=({"a": plan, "b": None},),
            out_shardings={"a": plan, "b": whole},
        )
        found = doubled({"a": model, "b": jnp.ones(3)})
        assert specs(found["a"]) == SPECS
        assert found["b"].sharding == whole

    def test_the_result_alone_is_the_model(self, plan):
        assert specs(filter_jit(make, out_shardings=plan)(KEY)) == SPECS

    def test_a_model_that_does_not_fit_is_told_of(self, plan):
        with pytest.raises(
            ValueError, match=r"`'first'` selects nothing .* Its leaves are `other`"
        ):
            filter_jit(lambda: {"other": jnp.ones(3)}, out_shardings=plan)()

    def test_a_loss_in_the_place_of_the_model_is_told_of(self, plan):
        told = r"is for the first .* shape \(\) .* here, .* `out_shardings=\(None, plan, None\)`"
        plan = ShardingPlan(plan.rules[1:], plan.mesh)
        with pytest.raises(ValueError, match=told):
            filter_jit(lambda: (jnp.float32(1), make(KEY)), out_shardings=plan)()


class TestElsewhere:
    def test_laying_out(self, plan):
        assert specs(filter_device_put(make(KEY), plan)) == SPECS
        assert specs(filter_shard(make(KEY), plan)) == SPECS
        pair = filter_shard((make(KEY), jnp.ones(3)), (plan, None))
        assert specs(pair[0]) == SPECS

    def test_loading(self, plan, tmp_path):
        model, like = make(KEY), filter_eval_shape(make, KEY)
        save(tmp_path / "model", model)
        found = load(tmp_path / "model", like, sharding=plan)
        assert specs(found) == SPECS
        assert tree_equal(jax.device_get(found), jax.device_get(model))
        save(tmp_path / "both", {"model": model, "step": 3})
        both = {"model": like, "step": 0}
        found = load(tmp_path / "both", both, sharding={"model": plan, "step": None})
        assert specs(found["model"]) == SPECS
        assert found["step"] == 3

    def test_loading_to_where_like_lies(self, plan, tmp_path):
        model, like = plan.init(make, KEY), filter_eval_shape(make, KEY)
        save(tmp_path / "model", model)
        for known in (model, plan.structs(like)):
            assert specs(load(tmp_path / "model", known)) == SPECS
        assert isinstance(load(tmp_path / "model", like).first.sharding, SingleDeviceSharding)
        whole = NamedSharding(plan.mesh, P())
        assert load(tmp_path / "model", model, sharding=whole).first.sharding == whole

    def test_going_on_from_no_step_and_from_one(self, plan, tmp_path):
        ckpts = Checkpoints(tmp_path)
        model, step = ckpts.restore(make(KEY), sharding=plan)
        assert (specs(model), step) == (SPECS, 0)
        ckpts.save(1, model)
        for settings in ({}, {"sharding": plan}):
            found, step = ckpts.restore(model, **settings)
            assert (specs(found), step) == (SPECS, 1)

    def test_what_is_no_sharding_is_told_of(self):
        with pytest.raises(TypeError, match=r"a device, a `ShardingPlan` or None, not `3`"):
            filter_shard(make(KEY), 3)
