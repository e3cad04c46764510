"""A `key` that is no PRNG key is named, by every layer that draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import eqx_nn as nn

KEY = jax.random.key(0)
LINEAR = nn.Linear(2, 3, key=KEY)
TOKENS = jnp.ones((3, 4))

DRAWS = {
    "Linear": lambda key: nn.Linear(2, 3, key=key),
    "Conv2d": lambda key: nn.Conv2d(2, 3, 1, key=key),
    "ConvTranspose1d": lambda key: nn.ConvTranspose1d(2, 3, 1, key=key),
    "Embedding": lambda key: nn.Embedding(2, 3, key=key),
    "GRUCell": lambda key: nn.GRUCell(2, 3, key=key),
    "LSTMCell": lambda key: nn.LSTMCell(2, 3, key=key),
    "MLP": lambda key: nn.MLP(2, 3, 4, 1, key=key),
    "MultiheadAttention": lambda key: nn.MultiheadAttention(2, 4, key=key),
    "SpectralNorm": lambda key: nn.SpectralNorm(LINEAR, "weight", key=key),
    "Dropout": lambda key: nn.Dropout()(jnp.ones(3), key=key),
    "Sequential": lambda key: nn.Sequential([nn.Dropout()])(jnp.ones(3), key=key),
}
KEYS = {
    "number": (0, TypeError, "got 0 of type `int`"),
    "text": ("key", TypeError, "got 'key' of type `str`"),
    "array": (jnp.zeros(3), TypeError, r"got an array of dtype `float32` and shape \(3,\)"),
    "several": (jax.random.split(KEY, 5), ValueError, r"got several, of shape \(5,\).*`jax.vmap`"),
}


@pytest.mark.parametrize("layer", DRAWS)
@pytest.mark.parametrize("given", KEYS)
def test_layer_and_key_are_named(layer, given):
    key, error, told = KEYS[given]
    rule = rf"`{layer}` needs a PRNG key as `key`, such as `jax.random.key\(0\)`; {told}"
    with pytest.raises(error, match=rule):
        DRAWS[layer](key)


def test_dropout_of_attention_names_the_layer():
    layer = nn.MultiheadAttention(2, 4, dropout_p=0.5, key=KEY)
    with pytest.raises(TypeError, match="`MultiheadAttention` needs a PRNG key"):
        layer(TOKENS, TOKENS, TOKENS, key=0)


@pytest.mark.parametrize("layer", DRAWS)
def test_keys_of_every_kind_are_taken(layer):
    for key in (KEY, jax.random.PRNGKey(0), np.zeros(2, np.uint32)):
        DRAWS[layer](key)
    jax.eval_shape(lambda key: (DRAWS[layer](key), 0)[1], KEY)


def test_another_error_is_left_alone():
    with pytest.raises(ValueError, match="uniform distribution"):
        nn.Linear(2, 3, dtype=int, key=KEY)
    with pytest.raises(TypeError, match="`out_features`"):
        nn.Linear(2, None, key=KEY)
