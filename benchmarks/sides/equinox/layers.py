"""An `equinox`: each layer called, traced and compiled, forward and its gradient."""

import jax
import jax.numpy as jnp

import equinox as eqx
from sides.equinox import side
from sides.equinox.models import mlp
from sides.settings import LAYERS, X, fresh, key

nn = eqx.nn
IMAGE, TOKENS = jnp.ones((8, 16, 16)), jnp.ones((64, 64))


def call(layer, *xs):
    return layer(*xs)


def stateful(layer, state, x):
    """The output alone, and a gradient is taken of the layer."""
    return layer(x, state)[0]


def batched(layer, state, xs):
    mapped = jax.vmap(layer, axis_name="batch", in_axes=(0, None), out_axes=(0, None))
    return mapped(xs, state)[0]


def attend(layer, tokens):
    return layer(tokens, tokens, tokens)


def drop(layer, x, dropout_key):
    return layer(x, key=dropout_key)


def batch_norm():
    return nn.BatchNorm(8, "batch", mode="batch")


def spectral_norm():
    return nn.SpectralNorm(nn.Linear(64, 64, key=key()), "weight", key=key())


def with_state(function, make, x):
    layer, state = nn.make_with_state(make)()
    return function, layer, state, x


# What each row needs: a function, the layer and its other arguments.
MAKERS = {
    "linear": lambda: (call, nn.Linear(64, 64, key=key()), TOKENS[0]),
    "mlp": lambda: (call, mlp(LAYERS), X),
    "conv": lambda: (call, nn.Conv2d(8, 16, 3, key=key()), IMAGE),
    "grouped_conv": lambda: (call, nn.Conv2d(8, 16, 3, groups=4, key=key()), IMAGE),
    "conv_transpose": lambda: (call, nn.ConvTranspose2d(8, 16, 3, 2, key=key()), IMAGE),
    "conv_transpose_3d": lambda: (
        call,
        nn.ConvTranspose3d(4, 8, 3, 2, key=key()),
        jnp.ones((4, 6, 6, 6)),
    ),
    "max_pool": lambda: (call, nn.MaxPool2d(3, 2), IMAGE),
    "avg_pool": lambda: (call, nn.AvgPool2d(3, 2), IMAGE),
    "adaptive_pool": lambda: (call, nn.AdaptiveAvgPool2d((5, 5)), IMAGE),
    "layer_norm": lambda: (call, nn.LayerNorm(256), jnp.ones(256)),
    "rms_norm": lambda: (call, nn.RMSNorm(256), jnp.ones(256)),
    "group_norm": lambda: (call, nn.GroupNorm(4, 8), IMAGE),
    "batch_norm": lambda: with_state(batched, batch_norm, jnp.ones((16, 8, 16, 16))),
    "spectral_norm": lambda: with_state(stateful, spectral_norm, TOKENS[0]),
    "weight_norm": lambda: (call, nn.WeightNorm(nn.Linear(64, 64, key=key())), TOKENS[0]),
    "attention": lambda: (attend, nn.MultiheadAttention(4, 64, key=key()), TOKENS),
    "rotary": lambda: (call, nn.RotaryPositionalEmbedding(64), TOKENS),
    "embedding": lambda: (call, nn.Embedding(100, 64, key=key()), jnp.array(3)),
    "prelu": lambda: (call, nn.PReLU(), TOKENS[0]),
    "gru": lambda: (call, nn.GRUCell(64, 64, key=key()), TOKENS[0], TOKENS[1]),
    "lstm": lambda: (call, nn.LSTMCell(64, 64, key=key()), TOKENS[0], (TOKENS[1], TOKENS[2])),
    "dropout": lambda: (drop, nn.Dropout(0.5), TOKENS[0], key()),
}


def prepared(make):
    """The forward function and its gradient, of arrays alone, and the arrays."""
    function, layer, *args = make()
    arrays, static = eqx.partition((layer, *args), eqx.is_array)

    def forward(arrays):
        return function(*eqx.combine(arrays, static))

    def loss(wanted, rest):
        out = forward(eqx.combine(wanted, rest))
        return sum(jnp.sum(leaf) for leaf in jax.tree.leaves(out))

    def gradient(arrays):
        wanted, rest = eqx.partition(arrays, eqx.is_inexact_array)
        return jax.grad(loss)(wanted, rest)

    return {"forward": forward, "gradient": gradient}, arrays


def enter(name, make, kind, way):
    def prepare():
        functions, arrays = prepared(make)
        function = functions[kind]
        if way == "eager":
            return lambda: function(arrays)
        if way == "traced":
            return lambda: jax.make_jaxpr(fresh(function))(arrays)
        compiled = jax.jit(function)
        return lambda: jax.block_until_ready(compiled(arrays))

    prepare.__name__ = f"{name}_{kind}_{way}"
    prepare.__module__ = __name__
    side.row(prepare)


for name, make in MAKERS.items():
    for kind in ("forward", "gradient"):
        for way in ("eager", "traced", "compiled"):
            enter(name, make, kind, way)
