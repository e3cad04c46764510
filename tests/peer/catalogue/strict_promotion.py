"""Layers in JAX's mode of strict promotion: the dtype of what they make, or that they refuse."""

import itertools

import jax
import jax.numpy as jnp
from marks import over

import equinox as eqx

nn = eqx.nn
KEY = jax.random.PRNGKey(7)


def stateful(make, *args, **kwargs):
    layer, state = nn.make_with_state(make)(*args, **kwargs)
    return lambda x: layer(x, state)[0]


def batch_norm(mode, dtype):
    layer, state = nn.make_with_state(nn.BatchNorm)(4, "batch", mode=mode, dtype=dtype)
    mapped = jax.vmap(layer, axis_name="batch", in_axes=(0, None), out_axes=(0, None))
    return lambda x: mapped(x, state)[0]


def attention(dtype):
    layer = nn.MultiheadAttention(2, 4, dtype=dtype, key=KEY)
    return lambda x: layer(x, x, x)


BUILDS = {
    "Linear": (lambda dtype: nn.Linear(4, 3, dtype=dtype, key=KEY), (4,)),
    "MLP": (lambda dtype: nn.MLP(4, 2, 3, 2, dtype=dtype, key=KEY), (4,)),
    "Conv1d": (lambda dtype: nn.Conv1d(4, 2, 3, padding=1, dtype=dtype, key=KEY), (4, 6)),
    "ConvTranspose1d": (lambda dtype: nn.ConvTranspose1d(4, 2, 3, 2, dtype=dtype, key=KEY), (4, 6)),
    "AvgPool1d": (lambda _: nn.AvgPool1d(2), (4, 6)),
    "AdaptiveAvgPool1d": (lambda _: nn.AdaptiveAvgPool1d(4), (4, 6)),
    "LayerNorm": (lambda dtype: nn.LayerNorm(4, dtype=dtype), (4,)),
    "RMSNorm": (lambda dtype: nn.RMSNorm(4, dtype=dtype), (4,)),
    "GroupNorm": (lambda dtype: nn.GroupNorm(2, 4, dtype=dtype), (4, 6)),
    "BatchNorm, ema": (lambda dtype: batch_norm("ema", dtype), (5, 4)),
    "BatchNorm, batch": (lambda dtype: batch_norm("batch", dtype), (5, 4)),
    "SpectralNorm": (
        lambda dtype: stateful(
            nn.SpectralNorm, nn.Linear(4, 3, dtype=dtype, key=KEY), "weight", key=KEY
        ),
        (4,),
    ),
    "WeightNorm": (lambda dtype: nn.WeightNorm(nn.Linear(4, 3, dtype=dtype, key=KEY)), (4,)),
    "MultiheadAttention": (attention, (5, 4)),
    "RotaryPositionalEmbedding": (lambda _: nn.RotaryPositionalEmbedding(4), (5, 4)),
    "Dropout": (lambda _: lambda x: nn.Dropout(0.5)(x, key=KEY), (4,)),
    "PReLU": (lambda _: nn.PReLU(), (4,)),
    "PReLU of an array": (lambda dtype: nn.PReLU(jnp.ones(4, dtype)), (4,)),
}
DTYPES = [
    ("bfloat16", "bfloat16"),
    ("float16", "float16"),
    ("float32", "bfloat16"),
    ("float32", "int32"),
    ("complex64", "complex64"),
]
"""Of the parameters, and of the input."""


@over(
    {
        f"{name}, {' of '.join(dtypes)}": (*BUILDS[name], *dtypes)
        for name, dtypes in itertools.product(BUILDS, DTYPES)
    }
)
def case_dtype(entry):
    build, shape, dtype, of_input = entry
    with jax.numpy_dtype_promotion("strict"):
        return build(jnp.dtype(dtype))(jnp.ones(shape, of_input)).dtype.name
