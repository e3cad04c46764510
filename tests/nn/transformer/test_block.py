"""`TransformerBlock` and `GatedMLP`: against their parts written out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter import filter_jit, tree_equal
from eqx_nn import (
    GatedMLP,
    LayerNorm,
    RMSNorm,
    RotaryPositionalEmbedding,
    TransformerBlock,
)

KEY = jax.random.key(0)
X, CONTEXT = (jax.random.normal(jax.random.key(i), (5, n)) for i, n in ((1, 8), (2, 6)))


def close(one, other, tolerance=1e-5):
    np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


def test_gated_mlp_is_the_equation():
    layer = GatedMLP(8, 12, key=KEY)
    x = X[0]
    gate, up, down = (it.weight for it in (layer.gate, layer.up, layer.down))
    close(layer(x), down @ (jax.nn.silu(gate @ x) * (up @ x)))
    assert GatedMLP(8, 12, use_bias=True, key=KEY).gate.bias.shape == (12,)


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("has_context", [False, True])
def test_is_its_parts_one_after_another(norm_first, has_context):
    options = {"context_size": 6} if has_context else {}
    block = TransformerBlock(
        8, 2, width_size=16, norm_first=norm_first, is_causal=True, key=KEY, **options
    )
    context = CONTEXT if has_context else None
    layers = [(block.attention_norm, lambda y: block.attention(y, y, y, is_causal=True))]
    if has_context:
        look = lambda y: block.cross_attention(y, CONTEXT, CONTEXT)  # noqa: E731
        layers.append((block.cross_norm, look))
    layers.append((block.mlp_norm, jax.vmap(block.mlp)))
    expected = X
    for norm, layer in layers:
        if norm_first:
            expected = expected + layer(jax.vmap(norm)(expected))
        else:
            expected = jax.vmap(norm)(expected + layer(expected))
    close(filter_jit(block)(X, context), expected)


def test_what_it_is_made_of():
    block = TransformerBlock(
        8,
        4,
        num_kv_heads=2,
        norm=RMSNorm,
        is_gated=True,
        use_bias=False,
        dtype=jnp.bfloat16,
        key=KEY,
    )
    assert isinstance(block.attention_norm, RMSNorm)
    assert isinstance(block.mlp, GatedMLP)
    assert block.mlp.up.weight.shape == (32, 8)
    assert block.attention.key_proj.weight.shape == (4, 8)
    assert block.attention.query_proj.bias is None
    assert block.mlp.up.weight.dtype == jnp.bfloat16
    assert isinstance(TransformerBlock(8, 2, key=KEY).mlp_norm, LayerNorm)


@pytest.mark.parametrize("rotary", [None, RotaryPositionalEmbedding(4)], ids=["plain", "rotary"])
@pytest.mark.parametrize("window", [None, (2, 0)])
def test_token_by_token(rotary, window):
    block = TransformerBlock(8, 2, is_causal=True, rotary=rotary, window=window, key=KEY)
    whole = block(X)
    step = filter_jit(lambda x, cache: block(x, cache=cache))
    cache = block.init_cache(8)
    first, cache = step(X[:3], cache)
    found = [first]
    for i in (3, 4):
        y, cache = step(X[i : i + 1], cache)
        found.append(y)
    close(jnp.concatenate(found), whole)


def test_dropout():
    block = TransformerBlock(8, 2, dropout_p=0.5, key=KEY)
    one, other = (block(X, key=jax.random.key(i)) for i in range(2))
    assert not tree_equal(one, other)
    close(block(X, inference=True), block(X, inference=True))
    with pytest.raises(RuntimeError, match="key"):
        block(X)


def test_options_are_those_of_its_attention():
    block = TransformerBlock(8, 2, key=KEY)
    ids = jnp.asarray([0, 0, 0, 1, 1])
    apart = jnp.concatenate([block(X[:3]), block(X[3:])])
    close(block(X, segment_ids=ids), apart)
    close(block(X, mask=ids[:, None] == ids[None]), apart)


@pytest.mark.parametrize("shape", [(8,), (2, 5, 8), (5, 6)])
def test_another_shape(shape):
    with pytest.raises(ValueError, match=r"`TransformerBlock` expects `x` of shape \(.*, 8\), got"):
        TransformerBlock(8, 2, key=KEY)(jnp.ones(shape))


def test_a_context_that_is_missing_or_of_no_use():
    with pytest.raises(ValueError, match=r"needs a `context`, as it was made with `c.*=\.\."):
        TransformerBlock(8, 2, context_size=6, key=KEY)(X)
    with pytest.raises(ValueError, match="was given a `context`, as it was made with `c"):
        TransformerBlock(8, 2, key=KEY)(X, CONTEXT)
