"""Layers, looked into: `summary` and `capture` on models with state, keys and shared parts."""

import jax
import jax.numpy as jnp
import numpy as np

import eqx_filter as eqf
import eqx_nn
from eqx_filter import capture, summary
from eqx_pytree import Module

KEY = jax.random.key(0)
XS = jnp.arange(6.0).reshape(2, 3)


def by_path(table, name):
    return {row.path: getattr(row, name) for row in table.rows}


def test_batch_norm_and_dropout():
    norm, state = eqx_nn.make_with_state(eqx_nn.BatchNorm)(3, "batch", mode="batch")
    model = eqx_nn.Sequential([norm, eqx_nn.Dropout(0.5)])

    def batched(model, xs, state):
        def one(x):
            return model(x, state, key=KEY)

        return jax.vmap(one, out_axes=(0, None), axis_name="batch")(xs)

    (out, after), inside = eqf.filter_jit(capture(batched, "layers.*"))(model, XS, state)
    normed, after_norm = inside["layers.0"]
    assert isinstance(after_norm, eqx_nn.State)
    np.testing.assert_allclose(normed.mean(0), jnp.zeros(3), atol=1e-6)
    np.testing.assert_allclose(inside["layers.1"], out)
    assert jax.tree.structure(after_norm) == jax.tree.structure(after)


def test_attention():
    attention = eqx_nn.MultiheadAttention(2, 4, key=KEY)
    x = jnp.ones((3, 4))
    table = summary(attention, x, x, x, cost=True)
    flops = jax.jit(lambda x: attention(x, x, x)).lower(x).cost_analysis()["flops"]
    assert table.flops == flops
    assert by_path(table, "parameters")["query_proj"] == 16
    run = capture(lambda attention, x: attention(x, x, x), eqx_nn.Linear)
    inside = eqf.filter_eval_shape(run, attention, x)[1]
    assert {path: value.shape for path, value in inside.items()} == {
        f"{name}_proj": (3, 4) for name in ("query", "key", "value", "output")
    }


class Tied(Module):
    """An embedding, and a layer with its weights."""

    shared: eqx_nn.Shared

    def __call__(self, token):
        embedding, linear = self.shared()
        return linear(embedding(token))


def test_shared_parts():
    pair = eqx_nn.Embedding(5, 3, key=KEY), eqx_nn.Linear(3, 5, key=KEY)
    model = Tied(eqx_nn.Shared(pair, lambda pair: pair[1].weight, lambda pair: pair[0].weight))
    token = jnp.array(2)
    out, inside = capture(model, eqx_nn.Shared | eqx_nn.Embedding | eqx_nn.Linear)(token)
    assert list(inside) == ["shared", "shared.pytree.0", "shared.pytree.1"]
    np.testing.assert_allclose(out, inside["shared.pytree.1"])
    assert type(inside["shared"][1]) is eqx_nn.Linear
    table = summary(model, token)
    assert table.parameters == 15 + 5
    assert by_path(table, "outputs")["shared.pytree.0"][0].shape == (3,)


def test_functions_as_layers():
    mlp = eqx_nn.MLP(3, 1, 4, 1, key=KEY)
    out, inside = capture(mlp, "activation")(XS[0])
    assert inside["activation"].shape == (4,)
    np.testing.assert_allclose(mlp.layers[1](inside["activation"]), out, rtol=1e-6)


def test_a_summary_of_attention_that_is_asked_for_more():
    layer = eqx_nn.MultiheadAttention(2, 4, key=jax.random.key(0))
    x = jax.ShapeDtypeStruct((3, 4), jnp.float32)
    found = summary(layer, x, x, x, is_causal=True)
    assert found.parameters == summary(layer).parameters == 64
    block = eqx_nn.TransformerBlock(4, 2, is_causal=True, dropout_p=0.1, key=jax.random.key(0))
    assert "attention" in str(summary(block, x, key=jax.random.key(0)))
    assert summary(block.__call__, x, inference=True).parameters == summary(block).parameters
