"""Layers under what training asks for: which arrays are parameters, and what is kept in float32."""

import jax
import jax.numpy as jnp
import jax.random as jr
import pytest

from eqx_filter import Precision, filter_grad, filter_jit, trainable, tree_paths
from eqx_nn import (
    BatchNorm,
    Dropout,
    GroupNorm,
    LayerNorm,
    Linear,
    MultiheadAttention,
    RMSNorm,
    RotaryPositionalEmbedding,
    SpectralNorm,
    make_with_state,
)
from eqx_pytree import Module

KEY = jr.key(0)


def parameters(model):
    return [path for path, it in tree_paths(trainable(model)).items() if it]


class TestTrainable:
    def test_first_values_of_a_state_are_no_parameters(self):
        norm = SpectralNorm(Linear(2, 3, key=KEY), "weight", key=KEY)
        assert parameters(norm) == ["layer.weight", "layer.bias"]
        assert parameters(BatchNorm(3, "batch", mode="ema")) == ["weight", "bias"]

    @pytest.mark.parametrize("mode", ["ema", "batch"])
    def test_nor_are_states(self, mode):
        norm, state = make_with_state(BatchNorm)(3, "batch", mode=mode)
        assert parameters((norm, state)) == ["0.weight", "0.bias"]

    def test_layers_without_parameters(self):
        assert parameters((Dropout(0.5), RotaryPositionalEmbedding(4))) == []


class Model(Module):
    """Each layer that computes in a precision of its own, between layers that do not."""

    linear: Linear
    norms: tuple
    attention: MultiheadAttention
    last: Linear

    def __init__(self, norm):
        self.linear = Linear(4, 4, key=KEY)
        self.norms = (norm, RMSNorm(4))
        self.attention = MultiheadAttention(2, 4, key=KEY)
        self.last = Linear(4, 4, key=KEY)

    def __call__(self, x):
        """Take and give an array of shape (length, 4)."""
        x = jax.vmap(self.linear)(x)
        for norm in self.norms:
            x = jax.vmap(norm)(x)
        x = self.attention(x, x, x)
        return jax.vmap(self.last)(x)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize("norm", [LayerNorm(4), GroupNorm(2, 4)], ids=["layer", "group"])
def test_norms_keep_their_precision_under_strict_promotion(norm, dtype):
    model, x = Model(norm), jr.normal(KEY, (3, 4))
    seen = []

    def loss(model, x):
        y = model(x)
        seen.extend([y.dtype, model.last.weight.dtype, model.norms[0].weight.dtype])
        return jnp.sum(y.astype(jnp.float32) ** 2)

    with jax.numpy_dtype_promotion("strict"):
        grads = filter_jit(filter_grad(Precision(compute=dtype)(loss)))(model, x)
    assert seen == [dtype, dtype, jnp.float32]
    assert {leaf.dtype for leaf in jax.tree.leaves(grads)} == {jnp.dtype("float32")}
    exact = filter_grad(loss)(model, x)
    for half, full in zip(jax.tree.leaves(grads), jax.tree.leaves(exact), strict=True):
        scale = jnp.max(jnp.abs(full)) + jnp.max(jnp.abs(jax.tree.leaves(exact)[0]))
        assert jnp.max(jnp.abs(half - full)) < 64 * float(jnp.finfo(dtype).eps) * scale


def test_a_state_keeps_its_precision():
    norm, state = make_with_state(BatchNorm)(3, "batch", mode="ema")

    def of_batch(norm, x, state):
        return jax.vmap(norm, axis_name="batch", in_axes=(0, None), out_axes=(0, None))(x, state)

    _, new = Precision(compute=jnp.bfloat16)(of_batch)(norm, jr.normal(KEY, (4, 3)), state)
    assert [leaf.dtype for leaf in jax.tree.leaves(new)] == [
        leaf.dtype for leaf in jax.tree.leaves(state)
    ]


@pytest.mark.parametrize("mode", ["ema", "batch"])
def test_a_new_layer_and_its_state_can_be_donated_together(mode):
    pair = make_with_state(BatchNorm)(3, "batch", mode=mode)
    filter_jit(lambda *pair: pair, donate="all")(*pair)
