"""`tensor_parallel`: Megatron's rows and columns, and the numbers of one device."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AbstractMesh, Mesh
from jax.sharding import PartitionSpec as P

import eqx_nn as nn
from eqx_filter import ShardingPlan, filter_grad, filter_jit, fsdp

KEY = jax.random.key(0)
MESH = AbstractMesh((2, 2), ("data", "model"))
ROWS, COLUMNS = P(None, "model"), P("model", None)


def specs(model, *more):
    return ShardingPlan([nn.tensor_parallel("model"), *more], MESH).specs(model)


def test_attention():
    found = specs(nn.MultiheadAttention(2, 4, use_query_bias=True, use_output_bias=True, key=KEY))
    for part in (found.query_proj, found.key_proj, found.value_proj):
        assert part.weight == COLUMNS
    assert found.query_proj.bias == P("model")
    assert found.output_proj.weight == ROWS
    assert found.output_proj.bias == P()


def test_heads_that_cannot_be_divided_stay_together():
    found = specs(nn.MultiheadAttention(3, 6, key=KEY))
    assert found.query_proj.weight == found.output_proj.weight == P()


def test_mlp_and_gated_mlp():
    found = specs(nn.MLP(4, 2, 8, 2, key=KEY))
    assert [it.weight for it in found.layers] == [COLUMNS, ROWS, COLUMNS]
    assert [it.bias for it in found.layers] == [P("model"), P(), P("model")]
    assert {it.weight for it in specs(nn.MLP(4, 2, 8, 2, scan=True, key=KEY)).layers} == {P()}
    found = specs(nn.GatedMLP(4, 8, key=KEY))
    assert (found.gate.weight, found.up.weight, found.down.weight) == (COLUMNS, COLUMNS, ROWS)


def test_weights_that_are_adapted_or_quantised():
    pair = {"a": nn.MLP(4, 2, 8, 1, key=KEY), "b": nn.Embedding(6, 4, key=KEY)}
    where = "**.weight"
    adapted = specs(nn.lora(pair, where, 2, key=KEY))
    first, second = (it.weight for it in adapted["a"].layers)
    assert (first.base, first.lora.a, first.lora.b) == (COLUMNS, P(), COLUMNS)
    assert (second.base, second.lora.a, second.lora.b) == (ROWS, ROWS, P())
    assert adapted["b"].weight.base == COLUMNS
    quantised = specs(nn.quantise(pair, where))
    first, second = (it.weight for it in quantised["a"].layers)
    assert (first.values, first.scale, first.error) == (COLUMNS, P("model"), P())
    assert (second.values, second.scale) == (ROWS, P())
    both = specs(nn.lora(nn.quantise(pair, where), where, 2, key=KEY))
    assert both["a"].layers[0].weight.base.values == COLUMNS


def test_other_layers():
    found = specs(
        {"a": nn.Linear(4, 2, key=KEY), "e": nn.Embedding(6, 3, key=KEY), "n": nn.LayerNorm(4)}
    )
    assert (found["a"].weight, found["e"].weight, found["n"].weight) == (COLUMNS, COLUMNS, P())
    found = specs({"a": nn.Linear(4, 3, key=KEY), "e": nn.Embedding(5, 3, key=KEY)})
    assert (found["a"].weight, found["e"].weight) == (P(), P())


def test_stacked_layers_and_fsdp():
    blocks = nn.Stacked(lambda key: nn.TransformerBlock(4, 2, key=key), 4, key=KEY)
    found = specs(blocks, fsdp("data", min_size=1)).block
    assert found.attention.query_proj.weight == P(None, "model", "data")
    assert found.attention.output_proj.weight == P(None, "data", "model")
    assert found.mlp.layers[0].weight == P(None, "model", "data")
    assert found.mlp.layers[1].weight == P(None, "data", "model")
    assert found.attention_norm.weight == P(None, "data")


@pytest.mark.skipif(jax.device_count() < 4, reason="needs four devices")
def test_numbers_are_those_of_one_device_and_a_block_sums_twice():
    mesh = Mesh(np.array(jax.devices()[:4]).reshape(2, 2), ("data", "model"))
    plan = ShardingPlan([nn.tensor_parallel("model"), fsdp("data", min_size=2**20)], mesh)
    block = nn.TransformerBlock(8, 2, key=KEY)
    x = jax.random.normal(KEY, (4, 3, 8))

    @filter_jit
    def gradient(block, x):
        return filter_grad(lambda block: jnp.sum(jnp.sin(jax.vmap(block)(x))))(block)

    spread = plan.shard(block)
    expected, found = gradient(block, x), gradient(spread, plan.batch(x))
    for one, other in zip(jax.tree.leaves(expected), jax.tree.leaves(found), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
    forward = filter_jit(lambda block, x: jax.vmap(block)(x))
    text = forward.lower(spread, plan.batch(x)).compile().as_text()
    assert text.count(" all-reduce(") == 2
    assert " all-gather(" not in text
