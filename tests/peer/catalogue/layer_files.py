"""Every layer saved: the same bytes, so that each library reads the files of the other."""

import hashlib
import io

import jax
import jax.numpy as jnp
from marks import over

import equinox as eqx

nn = eqx.nn
KEY, OTHER = jax.random.PRNGKey(7), jax.random.PRNGKey(8)


def linear(key):
    return nn.Linear(3, 4, key=key)


MAKERS = {
    "Linear": linear,
    "MLP": lambda key: nn.MLP(2, 3, 4, 2, key=key),
    "scanned MLP": lambda key: nn.MLP(2, 3, 4, 3, scan=True, key=key),
    "GRUCell": lambda key: nn.GRUCell(2, 3, key=key),
    "LSTMCell": lambda key: nn.LSTMCell(2, 3, key=key),
    "Dropout": lambda key: nn.Dropout(0.3),
    "Identity": lambda key: nn.Identity(),
    "Lambda": lambda key: nn.Lambda(jnp.tanh),
    "Sequential": lambda key: nn.Sequential([linear(key), nn.Lambda(jnp.tanh), nn.Dropout()]),
    "Conv1d": lambda key: nn.Conv1d(2, 4, 3, key=key),
    "Conv2d": lambda key: nn.Conv2d(2, 4, 3, groups=2, use_bias=False, key=key),
    "Conv3d": lambda key: nn.Conv3d(2, 4, 3, dtype=jnp.float16, key=key),
    "ConvTranspose1d": lambda key: nn.ConvTranspose1d(2, 4, 3, key=key),
    "ConvTranspose2d": lambda key: nn.ConvTranspose2d(2, 4, 3, key=key),
    "ConvTranspose3d": lambda key: nn.ConvTranspose3d(2, 4, 3, key=key),
    "MaxPool1d": lambda key: nn.MaxPool1d(2),
    "MaxPool2d": lambda key: nn.MaxPool2d(2),
    "MaxPool3d": lambda key: nn.MaxPool3d(2),
    "AvgPool1d": lambda key: nn.AvgPool1d(2),
    "AvgPool2d": lambda key: nn.AvgPool2d(2),
    "AvgPool3d": lambda key: nn.AvgPool3d(2),
    "AdaptiveAvgPool2d": lambda key: nn.AdaptiveAvgPool2d(2),
    "AdaptiveMaxPool2d": lambda key: nn.AdaptiveMaxPool2d(2),
    "LayerNorm": lambda key: nn.LayerNorm((2, 3)),
    "RMSNorm": lambda key: nn.RMSNorm(4, use_bias=False),
    "GroupNorm": lambda key: nn.GroupNorm(2, 4),
    "BatchNorm, ema": lambda key: nn.make_with_state(nn.BatchNorm)(3, "b", mode="ema"),
    "BatchNorm, batch": lambda key: nn.make_with_state(nn.BatchNorm)(3, "b", mode="batch"),
    "SpectralNorm": lambda key: nn.make_with_state(nn.SpectralNorm)(linear(key), "weight", key=key),
    "WeightNorm": lambda key: nn.WeightNorm(linear(key)),
    "MultiheadAttention": lambda key: nn.MultiheadAttention(
        2, 4, use_query_bias=True, dropout_p=0.5, key=key
    ),
    "RotaryPositionalEmbedding": lambda key: nn.RotaryPositionalEmbedding(4),
    "Embedding": lambda key: nn.Embedding(3, 4, key=key),
    "PReLU": lambda key: nn.PReLU(),
    "Shared": lambda key: nn.Shared([linear(key), linear(key)], lambda p: p[1], lambda p: p[0]),
}


def saved(tree):
    file = io.BytesIO()
    eqx.tree_serialise_leaves(file, tree)
    return file.getvalue()


@over(MAKERS)
def case_bytes(make):
    data = saved(make(KEY))
    return len(data), hashlib.sha256(data).hexdigest()


@over(MAKERS)
def case_round_trip(make):
    model, other = make(KEY), make(OTHER)
    loaded = eqx.tree_deserialise_leaves(io.BytesIO(saved(model)), other)
    alike = jax.tree.map(
        lambda a, b: bool((a == b).all()) if eqx.is_array(a) else True, model, loaded
    )
    return all(jax.tree.leaves(alike))
