"""`pipeline`: a `Stacked` over devices gives what it gives on one, values and gradients."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from eqx_filter import (
    ShardingPlan,
    filter_eval_shape,
    filter_grad,
    filter_jit,
    fsdp,
    is_array,
    pipeline_parallel,
)
from eqx_nn import (
    MLP,
    BatchNorm,
    Dropout,
    Keys,
    Linear,
    Stacked,
    State,
    TransformerBlock,
    make_with_state,
    pipeline,
    tensor_parallel,
)
from eqx_pytree import Module

pytestmark = pytest.mark.skipif(jax.device_count() < 4, reason="needs four devices")

explicit = pytest.mark.skipif(
    not hasattr(jax, "set_mesh"), reason="this JAX lays out less by itself"
)

KEY = jax.random.key(0)
X = jax.random.normal(jax.random.key(1), (8, 3, 4))


def mesh(kind="Auto", **sizes):
    shape, names = tuple(sizes.values()), tuple(sizes)
    return jax.make_mesh(shape, names, axis_types=(getattr(AxisType, kind),) * len(names))


class Perceptron(Module):
    """A block with dropout, of which `tensor_parallel` knows the layers."""

    mlp: MLP
    dropout: Dropout

    def __init__(self, key):
        self.mlp = MLP(4, 4, 8, 1, key=key)
        self.dropout = Dropout(0.3)

    def __call__(self, x, *, key=None, inference=None):
        return x + self.dropout(jax.vmap(self.mlp)(x), key=key, inference=inference)


def perceptrons(depth=4, **options):
    return Stacked(Perceptron, depth, key=KEY, **options)


def placed(tree, mesh, spec):
    def put(it):
        return jax.device_put(it, NamedSharding(mesh, spec)) if is_array(it) else it

    return jax.tree.map(put, tree)


def unsplit(blocks, x, key):
    keys = jax.random.split(key, x.shape[0])
    return jax.vmap(lambda x, key: blocks(x, key=key))(x, keys)


def close(found, expected):
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        if is_array(other):
            np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-5)


def value_and_gradient(function, blocks, x):
    def loss(both):
        y = function(*both)
        return jnp.sum(y**2), y

    gradient, y = filter_jit(filter_grad(loss, has_aux=True))((blocks, x))
    return y, gradient


class Scaled(Module):
    """What a block is told besides, by place, by layer and by example."""

    weight: jax.Array

    def __init__(self, key):
        self.weight = jax.random.normal(key, (4, 4)) / 4

    def __call__(self, x, shift=0.0, *, rate=1.0, of_example=0.0, key=None):
        return x + rate * jnp.tanh(self.weight @ x + shift + of_example)


class Inverse(Module):
    """Has no gradient where `x` is zero."""

    weight: jax.Array

    def __init__(self, key):
        self.weight = jax.random.normal(key, (4,))

    def __call__(self, x, *, key=None):
        return self.weight * x / jnp.sqrt(jnp.sum(x**2))


class TestValuesAndGradients:
    @pytest.mark.parametrize("kind", ["Auto", pytest.param("Explicit", marks=explicit)])
    @pytest.mark.parametrize("batch_axes", [(), "data"])
    def test_beside_an_axis_of_batches(self, kind, batch_axes):
        blocks, devices = perceptrons(), mesh(kind, stage=2, data=2)
        expected = value_and_gradient(lambda blocks, x: unsplit(blocks, x, KEY), blocks, X)
        split = placed(blocks, devices, P("stage")), placed(X, devices, P("data"))

        def piped(blocks, x):
            return pipeline(blocks, devices, micro_batches=2, batch_axes=batch_axes)(x, key=KEY)

        found = value_and_gradient(piped, *split)
        close(found, expected)
        assert found[0].sharding.spec[0] == "data"
        weights = found[1][0].block.mlp.layers[0].weight
        assert weights.sharding.spec[0] == "stage"
        assert weights.addressable_shards[0].data.shape[0] == 2

    @pytest.mark.parametrize("other", [tensor_parallel("other"), fsdp("other", min_size=8)])
    def test_beside_an_axis_that_splits_layers(self, other):
        blocks, devices = perceptrons(), mesh(stage=2, other=2)
        plan = ShardingPlan([pipeline_parallel("stage"), other], devices)
        expected = value_and_gradient(lambda blocks, x: unsplit(blocks, x, KEY), blocks, X)

        def piped(blocks, x):
            return pipeline(blocks, devices, micro_batches=2)(x, key=KEY)

        found = value_and_gradient(piped, plan.shard(blocks), X)
        close(found, expected)

    @pytest.mark.parametrize("micro_batches", [1, 3, 6])
    @pytest.mark.parametrize("stages", [1, 2, 4])
    def test_any_number_of_stages_and_micro_batches(self, stages, micro_batches):
        blocks = Stacked(Scaled, 4, key=KEY)
        devices, x = Mesh(np.array(jax.devices()[:stages]), ("stage",)), X[:6, 0]
        expected = value_and_gradient(lambda blocks, x: jax.vmap(blocks)(x), blocks, x)

        def piped(blocks, x):
            return pipeline(blocks, devices, micro_batches=micro_batches)(x)

        close(value_and_gradient(piped, blocks, x), expected)

    @pytest.mark.parametrize("remat", ["none", "full", 2])
    def test_what_is_computed_again_changes_nothing(self, remat):
        blocks, devices = perceptrons(remat=remat), mesh(stage=2)
        expected = value_and_gradient(lambda blocks, x: unsplit(blocks, x, KEY), blocks, X)

        def piped(blocks, x):
            return pipeline(blocks, devices, micro_batches=4)(x, key=KEY)

        close(value_and_gradient(piped, blocks, X), expected)

    def test_a_transformer(self):
        def block(key):
            return TransformerBlock(4, 2, is_causal=True, dropout_p=0.3, key=key)

        blocks, devices = Stacked(block, 4, key=KEY), mesh(stage=4)
        expected = value_and_gradient(lambda blocks, x: unsplit(blocks, x, KEY), blocks, X)

        def piped(blocks, x):
            return pipeline(blocks, devices, micro_batches=4)(x, key=KEY)

        close(value_and_gradient(piped, blocks, X), expected)

    def test_outside_of_a_compiled_function(self):
        blocks = perceptrons()
        found = pipeline(blocks, mesh(stage=4), micro_batches=2)(X, key=KEY)
        close(found, unsplit(blocks, X, KEY))

    def test_it_is_a_callable_tree_whose_gradient_is_one(self):
        blocks, x = Stacked(Scaled, 4, key=KEY), X[:, 0]
        piped = pipeline(blocks, mesh(stage=2), micro_batches=2)
        gradient = filter_jit(filter_grad(lambda piped: jnp.sum(piped(x) ** 2)))(piped)
        expected = filter_grad(lambda blocks: jnp.sum(jax.vmap(blocks)(x) ** 2))(blocks)
        close(gradient.blocks, expected)

    def test_keys_by_place(self):
        blocks, keys = perceptrons(), Keys(KEY)["dropout"]
        found = filter_jit(pipeline(blocks, mesh(stage=2), micro_batches=4))(X, key=keys)
        one = jax.jit(lambda x, i: blocks(x, key=keys[i]))
        close(found, jnp.stack([one(x, i) for i, x in enumerate(X)]))

    def test_arguments_of_all_of_layers_and_of_examples(self):
        blocks, x, rates = Stacked(Scaled, 4, key=KEY), X[:, 0], jnp.linspace(0.1, 1, 4)
        found = pipeline(blocks, mesh(stage=2), micro_batches=2)(
            x, 0.5, each={"rate": rates}, per_example={"of_example": X[:, 1]}
        )

        def one(x, more):
            return blocks(x, 0.5, each={"rate": rates}, of_example=more)

        close(found, jax.vmap(one)(x, X[:, 1]))

    def test_several_arrays_go_through(self):
        class Both(Module):
            weight: jax.Array

            def __call__(self, pair, *, key=None):
                x, context = pair
                return x + self.weight * context, context

        blocks = Stacked(lambda key: Both(jax.random.normal(key, (4,))), 4, key=KEY)
        pair = X[:, 0], X[:, 1]
        found = filter_jit(pipeline(blocks, mesh(stage=2), micro_batches=2))(pair)
        close(found, jax.vmap(blocks)(pair))

    def test_typed_keys_go_through(self):
        class Noise(Module):
            rate: jax.Array

            def __call__(self, pair, *, key=None):
                x, own = pair
                return x + self.rate * jax.random.normal(own, x.shape), own

        blocks = Stacked(lambda key: Noise(jax.random.normal(key, ())), 4, key=KEY)
        pair = X[:, 0], jax.random.split(KEY, 8)
        found = filter_jit(pipeline(blocks, mesh(stage=2), micro_batches=2))(pair)
        close(found[0], jax.vmap(blocks)(pair)[0])
        assert jnp.array_equal(found[1], pair[1])

    @explicit
    def test_explicit_axes_need_no_layout_before(self):
        blocks, x = Stacked(Scaled, 4, key=KEY), X[:, 0]
        piped = pipeline(blocks, mesh("Explicit", stage=2), micro_batches=2)
        rates = jnp.linspace(0.1, 1, 4)
        found = piped(x, each={"rate": rates}, per_example={"of_example": X[:, 1]})

        def one(x, more):
            return blocks(x, each={"rate": rates}, of_example=more)

        close(found, jax.vmap(one)(x, X[:, 1]))

    def test_a_device_that_waits_computes_with_an_example(self):
        blocks, x = Stacked(Inverse, 4, key=KEY), X[:, 0]

        def piped(blocks, x):
            return pipeline(blocks, mesh(stage=4), micro_batches=2)(x)

        expected = value_and_gradient(lambda blocks, x: jax.vmap(blocks)(x), blocks, x)
        close(value_and_gradient(piped, blocks, x), expected)

    def test_bfloat16(self):
        blocks = Stacked(lambda key: Linear(4, 4, dtype=jnp.bfloat16, key=key), 4, key=KEY)
        x = X[:, 0].astype(jnp.bfloat16)
        found = filter_jit(pipeline(blocks, mesh(stage=4), micro_batches=2))(x)
        assert found.dtype == jnp.bfloat16
        np.testing.assert_allclose(
            found.astype(float), jax.vmap(blocks)(x).astype(float), rtol=0.1, atol=0.05
        )

    def test_what_a_device_computes_while_it_waits_leaves_no_trace_in_gradients(self):
        """Later layers overflow for what the first one is given, and not for what they are."""

        class Grows(Module):
            rate: jax.Array

            def __call__(self, x):
                return jnp.exp(self.rate * x)

        blocks = Stacked.of([Grows(jnp.asarray(it)) for it in (0.001, 0.5, 0.5, 0.5)])
        x, stages = jnp.full((4, 1), 300.0), mesh(stage=4)

        def through(blocks, x):
            return pipeline(blocks, stages, micro_batches=2)(x)

        found = value_and_gradient(through, blocks, x)
        close(found, value_and_gradient(lambda blocks, x: jax.vmap(blocks)(x), blocks, x))

    @pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
    def test_few_bits_beside_another_axis(self, dtype):
        blocks = Stacked(lambda key: Linear(4, 4, dtype=dtype, key=key), 2, key=KEY)
        split = mesh(data=2, stage=2)

        def through(blocks, x):
            return pipeline(blocks, split, micro_batches=2)(x)

        y, gradient = value_and_gradient(through, blocks, X[:, 0].astype(dtype))
        assert {it.dtype for it in jax.tree.leaves((y, gradient)) if is_array(it)} == {
            jnp.dtype(dtype)
        }

    def test_bools_stay_bools(self):
        class Masked(Module):
            weight: jax.Array

            def __call__(self, both):
                return both[0] * self.weight, both[1]

        blocks = Stacked.of([Masked(jnp.ones(()))] * 2)
        mask = jnp.arange(8) > 3
        found = pipeline(blocks, mesh(stage=2), micro_batches=2)((jnp.ones(8), mask))[1]
        assert found.dtype == bool
        assert found.tolist() == mask.tolist()

    def test_without_elements(self):
        blocks = Stacked(lambda key: Linear(0, 0, key=key), 2, key=KEY)
        assert pipeline(blocks, mesh(stage=2), micro_batches=2)(jnp.ones((8, 0))).shape == (8, 0)


class TestProgram:
    def text(self, batch_axes=()):
        devices = mesh(stage=2, data=2)
        blocks = placed(perceptrons(), devices, P("stage"))

        def loss(blocks, x):
            return jnp.sum(
                pipeline(blocks, devices, micro_batches=4, batch_axes=batch_axes)(x, inference=True)
                ** 2
            )

        step = filter_jit(filter_grad(loss))
        return step.lower(blocks, placed(X, devices, P("data"))).compile().as_text()

    def test_micro_batches_go_to_the_next_device(self):
        """One example a device and micro-batch of (3, 4); no device gets all of the blocks."""
        text = self.text("data")
        assert re.search(r"f32\[1,3,4\]\S* collective-permute\(", text)
        assert "all-gather" not in text

    def test_gradients_are_summed_once_where_axes_of_batches_are_named(self):
        """Else within the loop over ticks: XLA puts what is within a loop apart."""

        def in_loops(text):
            bodies = set(re.findall(r"body=%?([\w.\-]+)", text))
            parts = re.split(r"(?m)^(?=(?:ENTRY )?%?[\w.\-]+ \()", text)
            names = [re.match(r"%?([\w.\-]+)", part) for part in parts]
            pairs = zip(names, parts, strict=True)
            return sum(
                part.count(" all-reduce(") for name, part in pairs if name and name[1] in bodies
            )

        assert in_loops(self.text("data")) == 0
        assert in_loops(self.text()) > 0


class TestRule:
    def test_each_stage_has_its_layers(self):
        devices = mesh(stage=4)
        plan = ShardingPlan([pipeline_parallel()], devices)

        def make(key):
            return {"blocks": perceptrons(8), "head": Linear(4, 2, key=key)}

        model = plan.init(make, KEY)
        weight = model["blocks"].block.mlp.layers[0].weight
        assert tuple(weight.sharding.spec)[:1] == ("stage",)
        for shard in weight.addressable_shards:
            assert shard.data.shape[0] == 2
        assert model["head"].weight.sharding.is_fully_replicated
        y = filter_jit(pipeline(model["blocks"], devices, micro_batches=4))(X, inference=True)
        close(y, jax.vmap(lambda x: make(KEY)["blocks"](x, inference=True))(X))

    def test_it_goes_together_with_others(self):
        devices = AbstractMesh((2, 4), ("stage", "data"))
        like = filter_eval_shape(lambda: Stacked(lambda key: Linear(8, 4, key=key), 2, key=KEY))
        for rules in (
            [pipeline_parallel(), fsdp(min_size=1)],
            [fsdp(min_size=1), pipeline_parallel()],
        ):
            specs = ShardingPlan(rules, devices).specs(like)
            assert specs.block.weight == P("stage", None, "data")
        assert ShardingPlan([pipeline_parallel()], devices).batch_axes == ()

    def test_layers_that_cannot_be_divided(self):
        like = filter_eval_shape(perceptrons, 6)
        plan = ShardingPlan([pipeline_parallel()], AbstractMesh((4,), ("stage",)))
        with pytest.raises(
            ValueError, match=r"axis 0 of size 6 is split 4 times, by `stage`.*4 or 8"
        ):
            plan.specs(like)


class TestRefusals:
    def test_a_call_of_its_own(self):
        class Doubled(Stacked):
            def __call__(self, x):
                return 2 * super().__call__(x)

        told = "not the `__call__` that `Doubled` has of its own. Call that around `pipeline`"
        with pytest.raises(TypeError, match=told):
            pipeline(Doubled(Perceptron, 4, key=KEY), mesh(stage=2), micro_batches=1)

    def refused(self, told, error=ValueError, *, call=lambda piped: piped(X[:, 0]), **options):
        arguments = {"blocks": Stacked(Scaled, 4, key=KEY), "mesh": mesh(stage=2, data=2)}
        arguments |= {"micro_batches": 2, **options}
        with pytest.raises(error, match=told):
            call(pipeline(**arguments))

    def test_depth(self):
        told = r"the 3 blocks of the `Stacked` over `stage` of size 2.*Depths of 2 or 4"
        self.refused(told, blocks=Stacked(Scaled, 3, key=KEY))

    def test_what_is_no_stack_and_no_mesh(self):
        self.refused(r"layers of a `Stacked`; got a `tuple`.*`Stacked\.of`", TypeError, blocks=())
        self.refused("`mesh` of `pipeline` is a", TypeError, mesh="stage")

    def test_axes(self):
        self.refused(r"the axis `rows`; the mesh has the axes \('stage', 'data'\)", axis="rows")
        self.refused("the axis `stage` twice", batch_axes=("data", "stage"))

    def test_micro_batches(self):
        self.refused("at least one micro-batch; got `micro_batches=0`", micro_batches=0)
        self.refused("a non-negative integer as `micro_batches`", TypeError, micro_batches=2.0)

    def test_batches(self):
        self.refused("a batch of 8 examples.* by 3 micro-batches; multiples of 3", micro_batches=3)
        told = "by 8 micro-batches and `data` of size 2; multiples of 16"
        self.refused(told, micro_batches=8, batch_axes="data")
        self.refused("takes a batch as `x`", call=lambda f: f(3.0))
        told = r"`x\[0\]` has 8 examples, and `x\[1\]` is {}"
        self.refused(told.format(r"3\.0\. What"), call=lambda f: f((X, 3.0)))
        self.refused(told.format(r"of shape \(\)"), call=lambda f: f((X, jnp.ones(()))))

        def call(f):
            return f(X[:, 0], per_example={"of_example": jnp.ones(7)})

        told = r"`x` has 8 examples, and `per_example\['of_example'\]` is of shape \(7,\)"
        self.refused(told, call=call)

    def test_rows_of_layers(self):
        def call(f):
            return f(X[:, 0], each={"rate": jnp.ones(2)})

        self.refused(r"a row for each in `each\['rate'\]`: an axis of size 4", call=call)

    def test_what_is_given_twice(self):
        rows = {"rate": jnp.ones(8)}

        def call(piped):
            return piped(X[:, 0], each={"rate": jnp.ones(4)}, per_example=rows)

        self.refused("`rate` twice, in `each` and in `per_example`", TypeError, call=call)
        told = "`rate` twice, as it is and in `per_example`"
        self.refused(told, TypeError, call=lambda piped: piped(X[:, 0], rate=1.0, per_example=rows))

    def test_states(self):
        blocks, state = make_with_state(Stacked)(
            lambda key: BatchNorm(4, "batch", mode="batch"), 4, key=KEY
        )
        self.refused(r"blocks that have a `State`.*such as `LayerNorm`", blocks=blocks)
        assert isinstance(state, State)
        self.refused(r"no `args\[0\]`: a state", TypeError, call=lambda f: f(X[:, 0], state))
        self.refused("no `state`: a state", TypeError, call=lambda f: f(X[:, 0], state=state))

    @pytest.mark.parametrize("name", ["cache", "until", "collect"])
    def test_what_the_stack_itself_takes(self, name):
        def call(f):
            return f(X[:, 0], **{name: True})

        self.refused(f"takes no `{name}`: .*Call the `Stacked` itself", TypeError, call=call)
