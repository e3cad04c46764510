"""Layers whose flag `inference` is traced."""

import jax
import jax.numpy as jnp
import pytest

from eqx_filter import filter_jit, tree_at
from eqx_nn import BatchNorm, Dropout, Linear, MultiheadAttention, SpectralNorm, make_with_state

X = jnp.ones((2, 2))
KEY = jax.random.key(0)
NORM, NORM_STATE = make_with_state(BatchNorm)(2, "batch", mode="batch")
SPECTRAL, SPECTRAL_STATE = make_with_state(SpectralNorm)(Linear(2, 2, key=KEY), "weight", key=KEY)


def batched(layer):
    return jax.vmap(layer, (0, None), (0, None), axis_name="batch")(X, NORM_STATE)


LAYERS = {
    "Dropout": (Dropout(), lambda layer: layer(X, key=KEY), lambda d: d.inference),
    "MultiheadAttention": (
        MultiheadAttention(1, 2, dropout_p=0.5, key=KEY),
        lambda layer: layer(X, X, X, key=KEY),
        lambda layer: layer.dropout.inference,
    ),
    "BatchNorm": (NORM, batched, lambda layer: layer.inference),
    "SpectralNorm": (SPECTRAL, lambda it: it(X[0], SPECTRAL_STATE), lambda it: it.inference),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_traced_flag_is_refused_with_the_way_out(name):
    layer, call, flag = LAYERS[name]
    layer_with_flag = "Dropout" if name == "MultiheadAttention" else name
    told = rf"`inference` of `{layer_with_flag}` decides what is computed.*write `filter_jit`"
    with pytest.raises(jax.errors.TracerBoolConversionError, match=told):
        jax.jit(lambda inference: call(tree_at(flag, layer, inference)))(True)
    filter_jit(call)(layer)
