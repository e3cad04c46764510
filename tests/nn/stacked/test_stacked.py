"""Equal blocks as one: the results of a tuple of them, in the time of one to compile."""

import dataclasses
import pickle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

import eqx_filter as eqxf
import eqx_nn as nn
from eqx_pytree import Module

DEPTH, SIZE = 5, 6
KEY = jax.random.key(0)
X = jax.random.normal(jax.random.key(1), (3, SIZE))


class Block(Module):
    """A residual layer with dropout, whose rate may be given from outside."""

    linear: nn.Linear
    dropout: nn.Dropout

    def __init__(self, key, dtype=None):
        self.linear = nn.Linear(SIZE, SIZE, dtype=dtype, key=key)
        self.dropout = nn.Dropout(0.5)

    def __call__(self, x, shift=0.0, *, key=None):
        y = jnp.tanh(jax.vmap(self.linear)(x)) + shift
        return x + self.dropout(y, key=key, inference=key is None)


class Counting(nn.StatefulLayer):
    norm: nn.BatchNorm

    def __init__(self, key):
        self.norm = nn.BatchNorm(SIZE, "batch", mode="batch")

    def __call__(self, x, state, *, key=None):
        return self.norm(2 * x, state)


class Net(Module):
    """Blocks that stand below a field, in a tuple or stacked, applied by their call or in turn."""

    layers: Any

    def __call__(self, x, by_call=False):
        if by_call:
            return self.layers(x)
        for layer in self.layers:
            x = layer(x)
        return x


def blocks():
    return tuple(map(Block, jax.random.split(KEY, DEPTH)))


def in_turn(layers, x, key=None):
    found = []
    for i, layer in enumerate(layers):
        x = layer(x, key=None if key is None else jax.random.fold_in(key, i))
        found.append(x)
    return found


def close(one, other, rtol=1e-5):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol), one, other)


class TestAsATuple:
    def test_is_made_of_the_blocks_of_each_key(self):
        stacked = nn.Stacked(Block, DEPTH, key=KEY)
        assert len(stacked) == DEPTH
        assert eqxf.tree_equal(tuple(stacked), blocks())
        assert eqxf.tree_equal(nn.Stacked.of(blocks()), stacked)
        assert eqxf.tree_equal(stacked[-1], blocks()[-1])
        assert eqxf.tree_equal(tuple(stacked[1:4]), blocks()[1:4])
        assert eqxf.tree_equal(tuple(stacked[::-2]), blocks()[::-2])

    @pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.complex64])
    def test_of_each_dtype(self, dtype):
        stacked = nn.Stacked(lambda key: Block(key, dtype), 2, key=KEY)
        x = X.astype(dtype)
        out = stacked(x)
        assert out.dtype == dtype
        expected = np.asarray(in_turn(stacked, x)[-1], complex)
        bound = 16 * float(jnp.finfo(dtype).eps) * np.abs(expected).max()
        np.testing.assert_allclose(np.asarray(out, complex), expected, rtol=0, atol=bound)

    def test_without_arrays(self):
        stacked = nn.Stacked.of([nn.Lambda(jnp.sin)] * 3)
        close(stacked(X), jnp.sin(jnp.sin(jnp.sin(X))))

    def test_arrays_of_numpy_and_keys_are_stacked_too(self):
        layers = [{"number": np.arange(2.0) + i, "key": jax.random.key(i)} for i in range(3)]
        stacked = nn.Stacked.of(layers)
        assert eqxf.tree_equal(stacked[2]["key"], layers[2]["key"])
        np.testing.assert_array_equal(stacked[1]["number"], layers[1]["number"])

    def test_structs_have_rows(self):
        shape = eqxf.filter_eval_shape(lambda key: nn.Stacked(Block, DEPTH, key=key), KEY)
        assert shape[0].linear.weight.shape == (SIZE, SIZE)

    def test_is_pickled(self):
        stacked = nn.Stacked.of(blocks(), remat=2)
        again = pickle.loads(pickle.dumps(stacked))
        assert eqxf.tree_equal(again, stacked)

    def test_a_part_of_one_is_replaced(self):
        stacked = nn.Stacked(Block, DEPTH, key=KEY)
        news = eqxf.tree_at(lambda it: it[2].linear.bias, stacked, jnp.zeros(SIZE))
        assert not jnp.any(news[2].linear.bias)
        assert eqxf.tree_equal(tuple(news)[3:], tuple(stacked)[3:])
        assert eqxf.tree_equal(eqxf.tree_at(lambda it: it[0], stacked, stacked[1])[0], stacked[1])

    def test_is_shown_by_layer(self):
        stacked = nn.Stacked(Block, DEPTH, remat="full", key=KEY)
        shown = repr(stacked)
        assert shown.startswith("Stacked(\n  5 x Block(")
        assert "weight=f32[6,6]" in shown
        assert "p=0.5" in shown
        assert "remat='full'" in shown
        assert "Stacked, 5 layers" in str(eqxf.summary(stacked, X))

    @pytest.mark.parametrize("by_call", [False, True])
    def test_the_summary_is_that_of_a_tuple(self, by_call):
        one = eqxf.summary(Net(blocks()), X, cost=True)
        other = eqxf.summary(Net(nn.Stacked.of(blocks())), X, by_call, cost=True)
        rows, others = one.as_dict()["rows"], other.as_dict()["rows"]
        own = others.pop("layers")
        assert own["type"] == "Stacked, 5 layers"
        assert (own["parameters"], own["calls"]) == (0, int(by_call))
        below = [path for path in rows if path]
        assert [path for path in others if path] == below
        assert "layers.4.linear" in below
        for path in below:  # one level lower, for the tuple has no row
            assert others[path] == rows[path] | {"depth": rows[path]["depth"] + 1}
        assert other.parameters == one.parameters

    def test_the_summary_of_stacks_within_stacks(self):
        class Pair(nn.Stacked):
            """Two equal blocks."""

        stacked = nn.Stacked(lambda key: Pair(Block, 2, key=key), 3, key=KEY)
        rows = eqxf.summary(stacked, X).rows
        assert [row.path for row in rows if row.path.endswith("linear")] == [
            f"{i}.{j}.linear" for i in range(3) for j in range(2)
        ]
        assert {row.parameters for row in rows if row.path.endswith("linear")} == {
            SIZE * SIZE + SIZE
        }
        assert [row.path for row in eqxf.summary(stacked, depth=1).rows] == ["", "0", "1", "2"]
        total = sum(leaf.size for leaf in jax.tree.leaves(eqxf.filter(stacked, eqxf.is_array)))
        assert eqxf.summary(stacked, depth=0).parameters == total
        assert eqxf.summary(stacked, depth=1).parameters == total

    def test_the_summary_tells_what_is_shared_by_its_layer(self):
        stacked = nn.Stacked(lambda key: nn.Sequential([Block(key), Block(key)]), 3, key=KEY)
        stacked = eqxf.tree_at(lambda it: it.block[1].linear, stacked, stacked.block[0].linear)
        told = str(eqxf.summary(Net(stacked)))
        assert "layers.2.layers.1.linear.bias is layers.2.layers.0.linear.bias" in told


class TestCall:
    def test_gives_what_they_give_in_turn(self):
        stacked = nn.Stacked.of(blocks())

        @jax.jit
        def both(key):
            return (
                stacked(X),
                in_turn(blocks(), X)[-1],
                stacked(X, key=key),
                in_turn(blocks(), X, key)[-1],
            )

        plain, plain_in_turn, dropped, dropped_in_turn = both(KEY)
        close(plain, plain_in_turn)
        close(dropped, dropped_in_turn)
        assert jnp.any(plain != dropped)

    def test_each_layer_has_inputs_of_its_own(self):
        stacked, shifts = nn.Stacked.of(blocks()), jnp.arange(5.0)
        expected = X
        for layer, shift in zip(blocks(), shifts, strict=True):
            expected = layer(expected, shift)
        close(stacked(X, each={"shift": shifts}), expected)
        close(stacked(X, 1.0), stacked(X, each={"shift": jnp.ones(5)}))

    def test_collects_and_leaves_out(self):
        stacked = nn.Stacked.of(blocks())
        every = jnp.stack(in_turn(blocks(), X))
        y, ys = stacked(X, collect=True)
        close((y, ys), (every[-1], every))

        def until(y):
            return jnp.sum(y) > jnp.sum(every[1])

        first = next((i for i in range(5) if until(every[i])), 4)
        for remat in ("none", "full", 2):
            layers = nn.Stacked.of(blocks(), remat=remat)
            y, ys = layers(X, until=until, collect=True)
            close(y, every[first])
            close(
                ys,
                jnp.concatenate(
                    [every[: first + 1], every[first : first + 1].repeat(4 - first, 0)]
                ),
            )

    def test_a_state_goes_through(self):
        def make():
            return nn.Stacked(Counting, 3, key=KEY)

        model, state = nn.make_with_state(make)()
        batched = {"axis_name": "batch", "in_axes": (0, None), "out_axes": (0, None)}
        y, news = jax.vmap(model, **batched)(X, state)
        expected = X
        for i in range(3):
            own = nn.make_with_state(Counting)(KEY)
            expected, last = jax.vmap(own[0], **batched)(expected, own[1])
            mine = jax.tree.map(lambda leaf, i=i: leaf[i], jax.tree.leaves(news))
            close(mine, jax.tree.leaves(last))
        close(y, expected)
        inference = nn.inference_mode(model)
        assert jnp.shape(jax.vmap(inference, **batched)(X, news)[0]) == X.shape

    def test_caches_are_handed_on(self):
        def make(key):
            return nn.TransformerBlock(SIZE, 2, is_causal=True, key=key)

        stacked, tokens = nn.Stacked(make, 3, key=KEY), jax.random.normal(KEY, (6, SIZE))

        @eqxf.filter_jit
        def in_parts(stacked, tokens):
            cache = stacked.init_cache(8)
            first, cache = stacked(tokens[:4], cache=cache)
            last, cache = stacked(tokens[4:], cache=cache)
            return jnp.concatenate([first, last]), cache.position

        parts, position = in_parts(stacked, tokens)
        close(parts, stacked(tokens))
        assert position.tolist() == [6, 6, 6]


POLICIES = {
    "full": "full",
    "dots": "dots",
    "every second": 2,
    "more than there are": 9,
    "of JAX": jax.checkpoint_policies.nothing_saveable,
}


class TestGradient:
    @pytest.mark.parametrize("name", POLICIES)
    def test_is_the_same_whatever_is_kept(self, name):
        def loss(layers, x):
            return jnp.sum(layers(x, key=KEY) ** 2)

        def grads(remat):
            return eqxf.filter_jit(eqxf.filter_value_and_grad(loss))(
                nn.Stacked.of(blocks(), remat=remat), X
            )

        ours, plain = grads(POLICIES[name]), grads("none")
        close(jax.tree.leaves(ours), jax.tree.leaves(plain), rtol=1e-4)

    def test_is_that_of_the_blocks_in_turn(self):
        @jax.jit
        def both(x):
            ours = jax.grad(lambda x: jnp.sum(nn.Stacked.of(blocks())(x) ** 2))(x)
            return ours, jax.grad(lambda x: jnp.sum(in_turn(blocks(), x)[-1] ** 2))(x)

        close(*both(X), rtol=1e-4)

    def test_memory_with_full_is_that_of_the_inputs(self):
        def temporary(remat, depth):
            def make(key):
                return nn.MLP(16, 16, 256, 1, key=key)

            layers = eqxf.filter_eval_shape(
                lambda key: nn.Stacked(make, depth, remat=remat, key=key), KEY
            )
            x = jax.ShapeDtypeStruct((64, 16), jnp.float32)
            grad = eqxf.filter_grad(lambda layers, x: jnp.sum(jax.vmap(layers)(x) ** 2))
            program = eqxf.filter_jit(grad).lower(layers, x).compile()
            return program.compiled.memory_analysis().temp_size_in_bytes

        inputs = 64 * 16 * 4
        more = temporary("full", 12) - temporary("full", 4)
        assert more <= 8 * (inputs + 3 * 16 * 256 * 4)  # the inputs, and gradients of 8 blocks
        assert temporary("none", 12) > temporary("full", 12) + 8 * 64 * 256 * 4


def test_the_program_does_not_grow_with_the_depth():
    def equations(depth):
        layers = nn.Stacked(Block, depth, key=KEY)
        return len(str(jax.make_jaxpr(lambda x: layers(x, key=KEY))(X)).splitlines())

    assert equations(40) == equations(2)


def test_keys_that_no_block_uses_are_not_made():
    layers = nn.Stacked(lambda key: nn.Linear(SIZE, SIZE, key=key), 4, key=KEY)
    program = jax.jit(lambda x, key: layers(x, key=key)).lower(X[0], KEY).compile().as_text()
    assert "xor" not in program


class TestErrors:
    def test_a_path_of_one_layer(self):
        told = "selects nothing .* The layers of a `Stacked` are one node, .* `tree_at` takes"
        tree = {"blocks": nn.Stacked(Block, DEPTH, key=KEY)}
        with pytest.raises(ValueError, match=told):
            eqxf.tree_at("blocks.3.linear", tree, None)
        with pytest.raises(ValueError, match=told):
            eqxf.tree_mask(tree["blocks"], "3.linear.weight")

    def test_fields_that_a_slice_would_not_have(self):
        class Deep(nn.Stacked):
            norm: nn.LayerNorm

            def __init__(self, key):
                self.norm = nn.LayerNorm(SIZE)
                super().__init__(Block, DEPTH, key=key)

        told = "`Deep` is a `Stacked` with fields of its own, `norm`, .* in a `Module` that holds"
        with pytest.raises(TypeError, match=told):
            Deep(KEY)
        with pytest.raises(TypeError, match=told):
            Deep.of(blocks())

    def test_depth(self):
        with pytest.raises(ValueError, match="keeps at least one block; got `depth=0`"):
            nn.Stacked(Block, 0, key=KEY)
        with pytest.raises(ValueError, match=r"`Stacked.of` keeps at least one block"):
            nn.Stacked.of([])
        with pytest.raises(TypeError, match="depth"):
            nn.Stacked(Block, 2.5, key=KEY)

    def test_remat(self):
        for remat in ("some", 0, True, 1.5):
            with pytest.raises(ValueError, match='`remat` of `Stacked` is "none", "full", "dots"'):
                nn.Stacked(Block, 2, remat=remat, key=KEY)

    @pytest.mark.parametrize(
        ("others", "told"),
        [
            (
                lambda key: nn.Linear(3, 3, use_bias=False, key=key),
                r"layers\[1\].bias.* a `NoneType`",
            ),
            (
                lambda key: nn.Linear(3, 4, key=key),
                r"layers\[1\].weight.* float32\[4, 3\] instead of",
            ),
            (lambda key: nn.Linear(3, 3, dtype=jnp.float16, key=key), r"weight.* float16\[3, 3\]"),
            (
                lambda key: nn.Identity(),
                r"layers\[1\]` differs .* a `Identity` instead of a `Linear`",
            ),
        ],
    )
    def test_blocks_that_differ_are_told_where(self, others, told):
        with pytest.raises(ValueError, match=told):
            nn.Stacked.of([nn.Linear(3, 3, key=KEY), others(KEY)])

    def test_static_values_and_leaves_that_differ_are_told(self):
        one, other = nn.MLP(2, 2, 2, 1, key=KEY), nn.MLP(2, 2, 2, 1, jnp.tanh, key=KEY)
        with pytest.raises(ValueError, match=r"layers\[2\].activation.*tanh"):
            nn.Stacked.of([one, one, other])
        with pytest.raises(ValueError, match=r"layers\[1\].p` .*: 0.5 instead of 0.25"):
            nn.Stacked.of([nn.Dropout(0.25), nn.Dropout(0.5)])
        with pytest.raises(ValueError, match=r"layers\[1\]\['a'\]`.*: 2 instead of 1"):
            nn.Stacked.of([{"a": 1}, {"a": 2}])
        with pytest.raises(ValueError, match=r"holding \['b'\] instead of \['a'\]"):
            nn.Stacked.of([{"a": 1}, {"b": 1}])

    def test_index(self):
        stacked = nn.Stacked.of(blocks())
        with pytest.raises(IndexError, match="`Stacked` index out of range: 5, with 5 blocks"):
            stacked[5]
        with pytest.raises(IndexError, match="keeps at least one block"):
            stacked[5:]
        with pytest.raises(TypeError, match="Indexing with type <class 'str'>"):
            stacked["a"]

    def test_rows(self):
        with pytest.raises(
            ValueError, match=r"`each\['shift'\]`.* size 5 in front; got shape \(4,\)"
        ):
            nn.Stacked.of(blocks())(X, each={"shift": jnp.ones(4)})

    def test_a_block_that_changes_the_shape_is_told(self):
        layers = nn.Stacked.of([nn.Linear(3, 4, key=KEY)] * 2)
        with pytest.raises(
            TypeError, match=r"`Linear` was given float32\[3\] and gave float32\[4\]"
        ):
            layers(jnp.ones(3))
        with pytest.raises(TypeError, match=r"was given int32\[3, 6\] and gave float32\[3, 6\]"):
            nn.Stacked.of(blocks())(X.astype(int))

    def test_make_and_until(self):
        with pytest.raises(TypeError, match="`make` of `Stacked` is a function of a key"):
            nn.Stacked([nn.Identity()], 2, key=KEY)
        with pytest.raises(TypeError, match=r"by a bool of shape \(\); it gave one of shape"):
            nn.Stacked.of(blocks())(X, until=lambda y: y > 0)

    def test_a_block_that_loses_the_state(self):
        class Forgetful(nn.StatefulLayer):
            index: nn.StateIndex

            def __init__(self, key):
                self.index = nn.StateIndex(jnp.zeros(()))

            def __call__(self, x, state, *, key=None):
                return x

        model, state = nn.make_with_state(lambda: nn.Stacked(Forgetful, 2, key=KEY))()
        with pytest.raises(TypeError, match=r"a `Forgetful`, must return `\(y, state\)`"):
            model(X, state)


@pytest.mark.skipif(jax.device_count() < 4, reason="needs four devices")
@pytest.mark.parametrize("spec", [P(None, "x"), P("x"), P(None, None, "x"), P()])
def test_is_loaded_to_where_its_arrays_are_to_be(tmp_path, spec):
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:4]), "x")
    sharding = NamedSharding(mesh, spec)
    linears = nn.Stacked(lambda key: nn.Linear(8, 8, use_bias=False, key=key), 4, key=KEY)
    eqxf.save(tmp_path / "x", linears)
    for given in (sharding, jax.tree.map(lambda _: sharding, linears)):
        found = eqxf.load(tmp_path / "x", linears, sharding=given)
        assert found.block.weight.sharding == sharding
        assert eqxf.tree_equal(jax.device_get(found), jax.device_get(linears))


@pytest.mark.skipif(jax.device_count() < 4, reason="needs four devices")
@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (P("x"), "`block.weight` of `like` does not fit its `sharding`: "),
        (P(None, "x"), r"`0.weight` is of shape \(6, 8\), which its `sharding` does not fit"),
    ],
)
def test_a_sharding_that_does_not_divide_its_arrays_is_refused_by_path(tmp_path, spec, told):
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:4]), "x")
    linears = nn.Stacked(lambda key: nn.Linear(8, 6, use_bias=False, key=key), 3, key=KEY)
    eqxf.save(tmp_path / "x", linears)
    with pytest.raises(RuntimeError, match=told.replace(".", r"\.")):
        eqxf.load(tmp_path / "x", linears, sharding=NamedSharding(mesh, spec))


class TestFiles:
    def test_an_ensemble_is_saved_as_it_is(self, tmp_path):
        """The first axis of its arrays is not that of layers."""
        make = eqxf.filter_vmap(lambda key: nn.Stacked(Block, 2, key=key))
        for members in (2, 3):
            several = make(jax.random.split(KEY, members))
            eqxf.save(tmp_path / "it", several)
            assert eqxf.tree_equal(eqxf.load(tmp_path / "it", several), several)

    def test_a_state_of_an_optimizer_with_axes_of_its_own(self, tmp_path):
        stacked = nn.Stacked(lambda key: nn.Linear(2, 2, key=key), 3, key=KEY)
        for tx in (optax.lbfgs(memory_size=5), optax.sm3(1e-2), optax.adafactor(1e-2)):
            state = tx.init(eqxf.filter(stacked, eqxf.is_array))
            eqxf.save(tmp_path / "it", state)
            assert eqxf.tree_equal(eqxf.load(tmp_path / "it", state), state)

    def test_a_number_for_each_array(self, tmp_path):
        stacked = nn.Stacked(lambda key: nn.Linear(2, 2, key=key), 3, key=KEY)
        norms = jax.tree.map(jnp.linalg.norm, eqxf.filter(stacked, eqxf.is_array))
        eqxf.save(tmp_path / "it", norms)
        assert eqxf.tree_equal(eqxf.load(tmp_path / "it", norms), norms)
        assert eqxf.summary(norms).parameters == 2

    @pytest.mark.skipif(jax.device_count() < 4, reason="needs four devices")
    @pytest.mark.skipif(not hasattr(jax, "set_mesh"), reason="this JAX lays out less by itself")
    def test_layers_that_explicit_axes_split(self, tmp_path):
        mesh = jax.make_mesh((4,), ("stage",), axis_types=(jax.sharding.AxisType.Explicit,))
        plan = eqxf.ShardingPlan([eqxf.pipeline_parallel("stage")], mesh)
        stacked = nn.Stacked(lambda key: nn.Linear(2, 2, key=key), 4, key=KEY)
        split = plan.shard(stacked)
        eqxf.save(tmp_path / "it", split)
        found = eqxf.load(tmp_path / "it", split)
        assert found.block.weight.sharding == split.block.weight.sharding
        assert eqxf.tree_equal(jax.device_get(found), jax.device_get(stacked))
        for index in (2, slice(1, 3)):
            assert eqxf.tree_equal(jax.device_get(split[index]), jax.device_get(stacked[index]))


def test_complex_numbers_have_gradients():
    stacked = nn.Stacked(lambda key: nn.Linear(2, 2, dtype="complex64", key=key), 3, key=KEY)
    x = jnp.ones(2, jnp.complex64)
    loss = eqxf.filter_grad(lambda blocks: jnp.sum(jnp.abs(call(blocks))))

    def call(blocks):
        return blocks(x) if isinstance(blocks, nn.Stacked) else in_turn(blocks, x)[-1]

    close(tuple(loss(stacked)), loss(tuple(stacked)))


@pytest.mark.parametrize("remat", [2, "dots"])
def test_without_elements(remat):
    stacked = nn.Stacked(lambda key: nn.Linear(0, 0, key=key), 5, remat=remat, key=KEY)
    assert stacked(jnp.ones(0), collect=True)[1].shape == (5, 0)


def test_nan_is_equal_to_nan():
    @jax.tree_util.register_dataclass
    @dataclasses.dataclass
    class Limited:
        limit: float

    nn.Stacked.of([Limited(float("nan"))] * 2)
