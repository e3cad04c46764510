"""`ShardingPlan`: where arrays lie by rules, told before and held after."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AbstractMesh, Mesh, NamedSharding, SingleDeviceSharding
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
    load,
    save,
    tree_paths,
)
from eqx_pytree import Module, field, tree_equal

KEY = jax.random.key(0)
many = pytest.mark.skipif(jax.device_count() < 4, reason="needs four devices")


def mesh(**sizes):
    devices = np.array(jax.devices()[: int(np.prod(list(sizes.values())))])
    return Mesh(devices.reshape(tuple(sizes.values())), tuple(sizes))


class Linear(Module):
    weight: jax.Array
    bias: jax.Array
    activation: object = jnp.tanh
    missing: object = None
    size: int = field(static=True, default=8)

    def __call__(self, x):
        return self.activation(x @ self.weight + self.bias)


class Net(Module):
    first: Linear
    second: Linear
    scale: float = 1.0

    def __call__(self, x):
        return self.scale * self.second(self.first(x))


def make(key, width=16):
    one, two = jax.random.split(key)
    first = Linear(jax.random.normal(one, (8, width)), jnp.zeros(width))
    return Net(first, Linear(jax.random.normal(two, (width, 4)), jnp.zeros(4)))


def close(one, other):
    return tree_equal(jax.device_get(one), jax.device_get(other), rtol=1e-4, atol=1e-5)


ABSTRACT = AbstractMesh((2, 4), ("data", "model"))


class TestRules:
    def test_the_first_pair_that_selects_decides(self):
        rules = {"first.weight": P(None, "model"), Linear: P("data"), "**": P("model")}
        specs = ShardingPlan(rules, ABSTRACT).specs(make(KEY))
        assert tree_paths_of_specs(specs) == {
            "first.weight": P(None, "model"),
            "first.bias": P("data"),
            "second.weight": P("data"),
            "second.bias": P("data"),
        }

    def test_a_function_of_path_and_shape(self):
        def spec(path, shape):
            return P("model") if path.endswith("weight") and shape[0] % 4 == 0 else None

        plan = ShardingPlan([("**", spec)], ABSTRACT, default=P())
        found = tree_paths_of_specs(plan.specs(make(KEY)))
        assert found["first.weight"] == P("model")
        assert found["first.bias"] == P()

    def test_fsdp_splits_the_largest_axis_that_is_free(self):
        rules = [("first.weight", P(None, "model")), fsdp("data", min_size=8)]
        found = tree_paths_of_specs(ShardingPlan(rules, ABSTRACT).specs(make(KEY)))
        assert found == {
            "first.weight": P("data", "model"),
            "first.bias": P("data"),
            "second.weight": P("data", None),
            "second.bias": P(),
        }

    def test_fsdp_leaves_what_is_small_or_cannot_be_divided(self):
        tree = {"odd": jnp.ones((3, 5)), "small": jnp.ones(2), "even": jnp.ones((3, 4))}
        found = ShardingPlan([fsdp("data", min_size=4)], ABSTRACT).specs(tree)
        assert found == {"odd": P(), "small": P(), "even": P(None, "data")}

    def test_the_axis_of_layers_is_kept_whole(self):
        class Stack(Module):
            block: jax.Array

            def __unstacked__(self):
                return tuple(self.block)

        tree = {"stack": Stack(jnp.ones((8, 4, 2)))}
        rules = [fsdp("data", min_size=1)]
        assert ShardingPlan(rules, ABSTRACT).specs(tree)["stack"].block == P(None, "data", None)
        rules = [fsdp("data", min_size=1, layers=True)]
        assert ShardingPlan(rules, ABSTRACT).specs(tree)["stack"].block == P("data", None, None)

    @pytest.mark.parametrize(
        ("spec", "told"),
        [
            (
                P("model", "data"),
                r"axis 0 of size 6 is split 4 times, by `model`.*Sizes of 4 or 8",
            ),
            (
                P(("data", "model")),
                r"split 8 times, by `data` of size 2 and `model` of size 4. Sizes of 8",
            ),
            (P("batch"), r"the mesh has the axes \('data', 'model'\), no `batch`"),
            (P("data", "data"), "`data` splits two axes"),
            (P(None, None, None), "it has 2 axes, and the spec 3"),
        ],
    )
    def test_what_an_array_cannot_have(self, spec, told):
        plan = ShardingPlan({"a.w": spec}, ABSTRACT)
        with pytest.raises(ValueError, match=rf"`a\.w` of shape \(6, 4\) cannot have `P.*{told}"):
            plan.specs({"a": {"w": jnp.ones((6, 4))}})

    @pytest.mark.parametrize("rules", [["fsdp"], [("a", "model")], [3], {"a": None}])
    def test_what_is_no_rule(self, rules):
        with pytest.raises(TypeError, match="A rule of `ShardingPlan` is"):
            ShardingPlan(rules, ABSTRACT)

    @pytest.mark.parametrize("rule", [fsdp("rows"), data_parallel("rows")])
    def test_an_axis_that_the_mesh_has_not(self, rule):
        with pytest.raises(ValueError, match=r"is for `rows`; .* axes \('data', 'model'\)"):
            ShardingPlan([rule], ABSTRACT)

    def test_what_is_no_mesh(self):
        with pytest.raises(TypeError, match=r"`mesh` of `ShardingPlan` is a"):
            ShardingPlan([], ("data",))

    def test_a_rule_that_selects_nothing_tells_the_nearest(self):
        with pytest.raises(ValueError, match=r"first\.weight"):
            ShardingPlan({"first.weights": P()}, ABSTRACT).specs(make(KEY))

    def test_a_function_that_gives_no_spec(self):
        plan = ShardingPlan([("first.weight", lambda path, shape: "model")], ABSTRACT)
        with pytest.raises(TypeError, match="gave 'model' for `first"):
            plan.specs(make(KEY))


def tree_paths_of_specs(specs):
    """The specs by path, without what is no spec."""
    pairs = jax.tree_util.tree_flatten_with_path(specs, is_leaf=lambda it: isinstance(it, P))[0]
    return {jax.tree_util.keystr(path, simple=True, separator="."): it for path, it in pairs}


class TestTable:
    def test_tells_what_lies_on_one_device(self):
        plan = ShardingPlan([("first.weight", P("data", "model"))], ABSTRACT)
        table = plan.table(filter_eval_shape(make, KEY))
        assert table.devices == 8
        assert table.total == 4 * (8 * 16 + 16 + 16 * 4 + 4)
        assert table.per_device == 4 * (8 * 16 // 8 + 16 + 16 * 4 + 4)
        [row] = [row for row in table.rows if row.path == "first.weight"]
        assert row.local_shape == (4, 4)
        assert str(table).splitlines()[2].split() == [
            *("first.weight", "8x16", "P('data',", "'model')", "4x4", "64", "B"),
        ]
        assert str(table).splitlines()[-1] == "400 B on each of 8 devices, 848 B in all arrays"

    def test_names_what_is_large_and_copied(self):
        tree = {"a": jax.ShapeDtypeStruct((1024, 1024), jnp.float32), "b": jnp.ones(3)}
        table = ShardingPlan([], ABSTRACT).table(tree)
        assert table.replicated == ("a",)
        assert "a copy on each" in str(table)
        assert ShardingPlan([fsdp("data")], ABSTRACT).table(tree).replicated == ()

    def test_ten_billion_parameters_on_a_mesh_of_thousands(self):
        struct = jax.ShapeDtypeStruct((40, 4096, 65536), jnp.bfloat16)
        plan = ShardingPlan([fsdp("x")], AbstractMesh((4096,), ("x",)))
        table = plan.table({"w": struct})
        assert table.per_device * 4096 == table.total == 2 * 40 * 4096 * 65536


def test_check_needs_devices():
    struct = jax.ShapeDtypeStruct((8,), jnp.float32)
    with pytest.raises(ValueError, match=r"an `AbstractMesh` of 8.*jax_num_cpu_devices.*make_mesh"):
        ShardingPlan([], ABSTRACT).check(jnp.sum, struct)


class TestOfAMeshWithoutDevices:
    plan = ShardingPlan(fsdp("data", min_size=8), ABSTRACT)  # a rule alone

    @pytest.mark.parametrize(
        ("name", "use"),
        [
            ("init", lambda plan: plan.init(make, KEY)),
            ("shard", lambda plan: plan.shard(make(KEY))),
            ("batch", lambda plan: plan.batch(jnp.ones(8))),
        ],
    )
    def test_nothing_is_made(self, name, use):
        with pytest.raises(ValueError, match=f"`{name}` of a plan .* is an `AbstractMesh`"):
            use(self.plan)

    def test_a_table_says_if_nothing_is_split(self):
        assert "Nothing is split" not in str(self.plan.table(make(KEY)))
        table = ShardingPlan([fsdp("data")], ABSTRACT).table(make(KEY))
        assert str(table).endswith(
            "Nothing is split: no rule splits an array of these sizes (`fsdp` has a `min_size`)."
        )


@many
class TestUse:
    @property
    def plan(self):
        rules = [("first.weight", P(None, "model")), ("second.weight", P("model"))]
        return ShardingPlan([*rules, fsdp("data", min_size=8)], mesh(data=2, model=2))

    def check(self, tree, specs):
        for (_, leaf), spec in zip(
            tree_paths_of_arrays(tree), tree_paths_of_specs(specs).values(), strict=True
        ):
            assert leaf.sharding.is_equivalent_to(NamedSharding(self.plan.mesh, spec), leaf.ndim)

    def test_init_makes_what_make_makes_where_it_lies(self):
        model = self.plan.init(make, KEY, width=32)
        assert close(model, make(KEY, width=32))
        self.check(model, self.plan.specs(model))

    def test_shard_in_a_compiled_function_and_outside(self):
        model = make(KEY)
        self.check(self.plan.shard(model), self.plan.specs(model))
        self.check(filter_jit(self.plan.shard)(model), self.plan.specs(model))

    def test_training_is_that_of_one_device(self, tmp_path):
        plan = self.plan
        x, y = np.ones((8, 8), np.float32), np.zeros((8, 4), np.float32)

        def loss(model, x, y):
            return jnp.mean((model(x) - y) ** 2)

        @filter_jit
        def step(model, opt, x, y):
            return opt.update(filter_grad(loss)(model, x, y), model)

        model = plan.init(make, KEY)
        one = filter_shard(model, SingleDeviceSharding(jax.devices()[0]))
        # `eps` as large as gradients: else a gradient that is nought but for rounding takes a step.
        adam = optax.adam(1e-2, eps=1e-2)
        opt = Optimizer(adam, one)
        spread = plan.shard(Optimizer(adam, model), of=model)
        mus = [
            it for name, it in tree_paths(spread).items() if "mu" in name and "first.weight" in name
        ]
        assert mus[0].sharding == model.first.weight.sharding
        for _ in range(3):
            one, opt = step(one, opt, x, y)
            model, spread = step(model, spread, *plan.batch((x, y)))
        assert close(one, model)
        self.check(model, plan.specs(model))
        save(tmp_path / "model", model)
        like = filter_eval_shape(make, KEY)
        found = load(tmp_path / "model", like, sharding=plan.shardings(like))
        assert tree_equal(jax.device_get(found), jax.device_get(model))
        self.check(found, plan.specs(like))

    def test_check_tells_what_a_step_needs_on_a_device(self):
        def step(model, opt, x):
            grads = filter_grad(lambda model: jnp.mean(model(x) ** 2))(model)
            return opt.update(grads, model)

        like = filter_eval_shape(make, KEY)
        plan = ShardingPlan([data_parallel("data")], mesh(data=4))
        opt = filter_eval_shape(lambda model: Optimizer(optax.sgd(0.1), model), like)
        x = jax.ShapeDtypeStruct((8, 8), jnp.float32)
        told = plan.check(step, plan.structs(like), plan.structs(opt, of=like), plan.batch(x))
        parameters = 4 * (8 * 16 + 16 + 16 * 4 + 4)
        assert told.arguments == parameters + 4 * 8 * 8 // 4
        assert set(told.collectives) == {"all-reduce"}
        assert told.collectives["all-reduce"][1] == parameters
        assert "all-reduce" in str(told)
        one = ShardingPlan([], mesh(data=1))
        assert one.check(step, one.structs(like), one.structs(opt, of=like), x).collectives == {}

    def test_shardings_go_to_filter_jit(self):
        model = make(KEY)
        shardings = self.plan.shardings(model)
        same = filter_jit(lambda it: it, in_shardings=(shardings,), out_shardings=shardings)
        self.check(same(model), self.plan.specs(model))

    def test_structs_have_shardings(self):
        like = self.plan.structs(filter_eval_shape(make, KEY))
        assert like.first.weight.sharding == NamedSharding(self.plan.mesh, P("data", "model"))
        assert like.scale == 1.0

    def test_one_process_has_all_rows(self):
        plan = ShardingPlan([data_parallel("data")], mesh(data=2, model=2))
        assert plan.rows(6).tolist() == [0, 1, 2, 3, 4, 5]
        batch = plan.batch(np.ones((6, 3)))
        assert tree_equal(plan.batch(batch), batch)
        with pytest.raises(
            ValueError, match=r"`batch` of shape \(5,\) cannot have .* axis 0 of size"
        ):
            plan.rows(5)
        with pytest.raises(ValueError, match="no axis for batches"):
            ShardingPlan([], mesh(data=2)).rows(2)
        with pytest.raises(ValueError, match="an `AbstractMesh`, which has none"):
            ShardingPlan([data_parallel("data")], AbstractMesh((2,), ("data",))).rows(4)

    def test_a_batch_is_split_over_the_axes_of_batches(self):
        plan = ShardingPlan([data_parallel("data"), fsdp("model")], mesh(data=2, model=2))
        x, n, text = plan.batch((np.ones((8, 3)), jnp.arange(4), "text"))
        spec = P(("data", "model"))
        assert (x.sharding.spec, n.sharding.spec, text) == (spec, spec, "text")
        assert plan.batch(np.ones((3, 8)), axis=1).sharding.spec == P(None, ("data", "model"))
        with pytest.raises(ValueError, match=r"`x` .* axis 0 of size 6 is split 4 times"):
            plan.batch({"x": np.ones((6, 3))})
        with pytest.raises(ValueError, match="`the batch` of shape"):
            plan.batch(np.ones((6, 3)))
        assert plan.batch(np.array(3.0)) == 3
        with pytest.raises(ValueError, match="no axis for batches"):
            ShardingPlan([], mesh(data=2)).batch(np.ones(2))


def tree_paths_of_arrays(tree):
    return [(name, it) for name, it in tree_paths(tree).items() if isinstance(it, jax.Array)]
