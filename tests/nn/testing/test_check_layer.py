"""`check_layer` passes what is right, our own layers among it, and finds each fault."""

import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import eqx_nn as nn
from eqx_nn.testing import CHECKS, check_layer
from eqx_pytree import Module, field

KEY = jax.random.key(0)


def x(*shape):
    return jnp.asarray(np.random.default_rng(1).standard_normal(shape, np.float32))


def batch_norm():
    """Its state is float32, whatever the layer is."""
    layer, state = nn.make_with_state(nn.BatchNorm)(4, "batch", mode="ema", inference=True)
    settings = {"call": lambda layer, x: layer(x, state)[0], "leave_out": ["dtypes"]}
    return layer, [x(4)], settings


def spectral_norm():
    """Its state is float32, whatever the layer is."""
    make = nn.make_with_state(nn.SpectralNorm)
    layer, state = make(linear(), "weight", inference=True, key=KEY)
    settings = {"call": lambda layer, x: layer(x, state)[0], "leave_out": ["dtypes"]}
    return layer, [x(3)], settings


def linear():
    return nn.Linear(3, 2, key=KEY)


def adapted():
    """An update that is not zero."""
    layer = nn.lora(linear(), "weight", 2, key=KEY)
    return nn.reinit(layer, {"**.b": jax.nn.initializers.normal(1.0)}, KEY), [x(3)]


LAYERS = {
    "Adapted": adapted,
    "AdaptiveAvgPool1d": lambda: (nn.AdaptiveAvgPool1d(3), [x(2, 7)]),
    "AvgPool2d": lambda: (nn.AvgPool2d(2, 2), [x(2, 4, 4)]),
    "BatchNorm": batch_norm,
    "Conv2d": lambda: (nn.Conv2d(2, 3, 3, key=KEY), [x(2, 5, 5)]),
    "ConvTranspose1d": lambda: (nn.ConvTranspose1d(2, 3, 3, key=KEY), [x(2, 5)]),
    "DepthwiseConv": lambda: (nn.DepthwiseConv(2, 2, 3, 2, key=KEY), [x(2, 4, 5)]),
    "Dropout": lambda: (nn.Dropout(0.5), [x(6)], {"key": KEY}),
    "Embedding": lambda: (nn.Embedding(5, 3, key=KEY), [jnp.array(2)]),
    "GRUCell": lambda: (nn.GRUCell(3, 2, key=KEY), [x(3), x(2)]),
    "GatedMLP": lambda: (nn.GatedMLP(3, 4, key=KEY), [x(3)]),
    "GroupNorm": lambda: (nn.GroupNorm(2, 4), [x(4, 3)]),
    "Identity": lambda: (nn.Identity(), [x(3)]),
    "InstanceNorm": lambda: (nn.InstanceNorm(3), [x(3, 2, 4)]),
    "LSTMCell": lambda: (nn.LSTMCell(3, 2, key=KEY), [x(3), (x(2), x(2))]),
    "Lambda": lambda: (nn.Lambda(jnp.tanh), [x(3)]),
    "LayerNorm": lambda: (nn.LayerNorm(4), [x(4)]),
    "LearnedPositions": lambda: (nn.LearnedPositions(4, 3, key=KEY), [x(4, 3)]),
    "Linear": lambda: (linear(), [x(3)]),
    "GRU": lambda: (nn.GRU(3, 2, key=KEY), [x(4, 3)]),
    "LRU": lambda: (nn.LRU(3, 2, key=KEY), [x(4, 3)]),
    "LSTM": lambda: (nn.LSTM(3, 2, 2, bidirectional=True, key=KEY), [x(2, 4, 3)]),
    "RNN": lambda: (nn.RNN(nn.RNNCell(3, 2, key=KEY)), [x(4, 3)]),
    "RNNCell": lambda: (nn.RNNCell(3, 2, key=KEY), [x(3), x(2)]),
    "MLP": lambda: (nn.MLP(3, 2, 4, 1, key=KEY), [x(3)]),
    "MaxPool1d": lambda: (nn.MaxPool1d(2, 2), [x(2, 6)]),
    "MultiheadAttention": lambda: (
        nn.MultiheadAttention(2, 4, key=KEY),
        [x(3, 4), x(5, 4), x(5, 4)],
    ),
    "PReLU": lambda: (nn.PReLU(), [x(6)]),
    "PixelShuffle": lambda: (nn.PixelShuffle(2), [x(8, 2, 3)]),
    "PixelUnshuffle": lambda: (nn.PixelUnshuffle(2), [x(2, 4, 2)]),
    "Quantised": lambda: (nn.quantise(nn.Conv1d(2, 3, 2, key=KEY), "weight"), [x(2, 4)]),
    "RMSNorm": lambda: (nn.RMSNorm(4), [x(4)]),
    "RotaryPositionalEmbedding": lambda: (nn.RotaryPositionalEmbedding(4), [x(5, 4)]),
    "ScaledRotaryEmbedding": lambda: (nn.ScaledRotaryEmbedding(4, factor=2.0), [x(5, 4)]),
    "SeparableConv": lambda: (nn.SeparableConv(1, 2, 3, 2, key=KEY), [x(2, 5)]),
    "Sequential": lambda: (nn.Sequential([linear(), nn.Lambda(jax.nn.relu)]), [x(3)]),
    "SinusoidalPositions": lambda: (nn.SinusoidalPositions(4), [x(5, 4)]),
    "SpectralNorm": spectral_norm,
    "Stacked": lambda: (nn.Stacked(lambda key: nn.Linear(3, 3, key=key), 2, key=KEY), [x(3)]),
    "TransformerBlock": lambda: (nn.TransformerBlock(4, 2, width_size=4, key=KEY), [x(3, 4)]),
    "Upsample": lambda: (nn.Upsample(2, mode="cubic"), [x(2, 3, 2)]),
    "WeightNorm": lambda: (nn.WeightNorm(linear()), [x(3)]),
}


MADE_OF_OTHERS = [
    *["Adapted", "DepthwiseConv", "GRU", "GatedMLP", "LSTM", "MLP", "PixelShuffle", "Quantised"],
    *["RNN", "ScaledRotaryEmbedding", "SeparableConv", "Sequential", "TransformerBlock"],
]


@pytest.mark.parametrize(
    "name",
    [pytest.param(it, marks=pytest.mark.again if it in MADE_OF_OTHERS else ()) for it in LAYERS],
)
def test_our_own_layers_pass(name):
    layer, inputs, *settings = LAYERS[name]()
    check_layer(layer, *inputs, **dict(*settings))


def test_every_kind_of_layer_is_here():
    forms = {re.sub(r"[123]d$", "", name) for name in LAYERS}
    layers = {it for it in map(str, nn.__all__) if isinstance(getattr(nn, it), type)}
    abstract = {"Pool", "AvgPool", "AdaptivePool", "StatefulLayer", "Conv", "ConvTranspose"}
    others = {
        "AdaptiveMaxPool",
        "Cache",
        "Keys",
        "LoRA",
        "Shared",
        "SharedNode",
        "State",
        "StateIndex",
        "TorchReport",
    }
    assert {re.sub(r"[123]d$", "", it) for it in layers} - abstract - others <= forms


class Scaled(Module):
    """Right, for those below to be wrong in one thing."""

    scale: jax.Array = field(converter=jnp.asarray, default=2.0)

    def __call__(self, x):
        return self.scale * x


class Counting(Scaled):
    calls: object = field(static=True, default_factory=itertools.count)

    def __call__(self, x):
        return self.scale * x + next(self.calls)


class KnowsWhetherTraced(Scaled):
    def __call__(self, x):
        return self.scale * x + isinstance(x, jax.core.Tracer)


@jax.custom_jvp
def wrong_derivative(x):
    return x**2


wrong_derivative.defjvp(lambda primals, tangents: (primals[0] ** 2, 3 * primals[0] * tangents[0]))


class WrongDerivative(Scaled):
    def __call__(self, x):
        return wrong_derivative(self.scale * x)


class Widens(Scaled):
    def __call__(self, x):
        return self.scale * x + np.float32(1)


class Promotes(Scaled):
    def __call__(self, x):
        return self.scale * x * jnp.arange(x.size)


class Unpicklable(Scaled):
    function: object = field(static=True, default_factory=lambda: lambda x: x)


FAULTS = [
    (Counting, "repeat", "a second call and the first differ at `out`: by up to 1"),
    (KnowsWhetherTraced, "jit", "`filter_jit` and a call differ at `out`: by up to 1"),
    (
        WrongDerivative,
        "gradient",
        "forward mode and central differences along",
    ),
    (Widens, "dtypes", "of bfloat16, `out` has dtype float32"),
    (Promotes, "promotion", "TypePromotionError"),
    (Unpicklable, "pickle", "(pickle|local object)"),
]


@pytest.mark.parametrize(("kind", "check", "told"), FAULTS, ids=[it[1] for it in FAULTS])
def test_finds(kind, check, told):
    expected = rf"`{kind.__name__}` fails [\s\S]*`{check}`: .*{told}"
    with pytest.raises(AssertionError, match=expected):
        check_layer(kind(), x(3))
    if kind in (WrongDerivative, Unpicklable, Promotes):
        check_layer(kind(), x(3), leave_out=[check])


class Applied(Module):
    """A layer that is a function of its scale and the input."""

    function: object = field(static=True)
    scale: jax.Array = field(converter=jnp.asarray, default=2.0)

    def __call__(self, x):
        return self.function(self.scale, x)


def with_rule(function, rule):
    ruled = jax.custom_jvp(function)
    ruled.defjvp(lambda primals, tangents: (function(*primals), rule(*primals, *tangents)))
    return ruled


def reverse_only(function, pull_back):
    ruled = jax.custom_vjp(function)
    ruled.defvjp(lambda x: (function(x), x), lambda x, cotangent: (pull_back(x, cotangent),))
    return ruled


MATRIX = np.arange(9.0, dtype=np.float32).reshape(3, 3)
TRANSPOSED = with_rule(lambda x: MATRIX @ x, lambda x, t: MATRIX.T @ t)
TOO_STEEP = with_rule(jnp.sin, lambda x, t: 1.1 * jnp.cos(x) * t)
ONLY_BACKWARD = reverse_only(jnp.sin, lambda x, ct: jnp.cos(x) * ct)
WRONG_BACKWARD = reverse_only(jnp.sin, lambda x, ct: 2 * jnp.cos(x) * ct)


@jax.custom_batching.custom_vmap
def of_first(x):
    return 2 * x


@of_first.def_vmap
def of_first_for_all(axis_size, in_batched, x):
    return jnp.broadcast_to(2 * x[:1], x.shape), True


def is_traced(x):
    return isinstance(x, jax.core.Tracer)


WRONG = {
    "a transposed Jacobian": (lambda w, x: TRANSPOSED(x), x(3), "gradient"),
    "a gradient a little too steep": (lambda w, x: w * TOO_STEEP(x), x(64, 64), "gradient"),
    "one of a small part": (
        lambda w, x: jnp.concatenate([1e3 * x, TOO_STEEP(w)[None]]),
        x(3),
        "gradient",
    ),
    "one backwards": (lambda w, x: w * WRONG_BACKWARD(x), x(3), "gradient"),
    "beside infinity": (
        lambda w, x: jnp.append((7 if is_traced(x) else 2) * w * x, -jnp.inf),
        x(3),
        "jit",
    ),
    "an integer": (lambda w, x: jnp.int32(100_000) + 50 * is_traced(x), x(3), "jit"),
    "a rule for batches": (lambda w, x: of_first(x), jnp.array([1, 2]), "vmap"),
}


@pytest.mark.parametrize("name", WRONG)
def test_finds_what_is_wrong_in_a_corner(name):
    function, given, check = WRONG[name]
    with pytest.raises(AssertionError, match=f"`{check}`: "):
        check_layer(Applied(function), given, leave_out=CHECKS.keys() - {check})


def test_finds_a_tracer_that_is_kept():
    kept = []

    def keep(w, x):
        kept.append(w * x)
        return kept[-1]

    with pytest.raises(AssertionError, match=r"`repeat`: .*Leaked"):
        check_layer(Applied(keep), x(3), leave_out=CHECKS.keys() - {"repeat"})


RIGHT = {
    "a kink": (lambda w, x: jax.nn.relu(w * x), jnp.arange(3.0)),
    "ties": (lambda w, x: w * x.max(), jnp.ones(4)),
    "no forward mode": (lambda w, x: w * ONLY_BACKWARD(x), x(3)),
    "no reverse mode": (
        lambda w, x: jax.lax.while_loop(lambda c: c.sum() < 10, lambda c: 2 * c + w, x),
        jnp.ones(3),
    ),
    "a mask": (lambda w, x: jnp.where(x > 0, w * x, -jnp.inf), x(3)),
    "complex numbers": (lambda w, x: abs(w * x) + (jnp.conj(x) * w).real, x(3) + 1j * x(3)),
    "no arrays": (lambda w, i: w[i] if w.ndim else w * i, 3),
    "integers alone": (lambda w, x: x + 1, jnp.arange(3)),
    "nothing": (lambda w, x: w * x, jnp.zeros((0, 3))),
}


@pytest.mark.parametrize("name", RIGHT)
def test_right_layers_pass(name):
    function, given = RIGHT[name]
    asked = {"jit", "vmap", "scan", "gradient", "sharding"}
    check_layer(Applied(function), given, leave_out=CHECKS.keys() - asked)


def test_finds_what_vmap_and_scan_cannot_do():
    def call(layer, x):
        return jnp.asarray(np.asarray(x)) * layer.scale

    with pytest.raises(AssertionError) as failed:
        check_layer(Scaled(), x(3), call=call)
    lines = str(failed.value).splitlines()
    assert {"`vmap`", "`scan`", "`sharding`"} <= {line.partition(":")[0] for line in lines}


def test_right_layer_passes_with_integers_keys_and_trees():
    def call(layer, inputs, key):
        values, counts = inputs
        noise = jax.random.normal(key["key"], (3,), values.dtype)
        return {
            "out": layer.scale * values * counts.astype(values.dtype) + noise,
            "count": counts + 1,
        }

    check_layer(Scaled(), (x(3), jnp.array([1, 2, 3])), {"key": KEY}, call=call)


def test_what_the_layer_raises_is_raised():
    with pytest.raises(ValueError, match=r"`Linear` expects `x` of shape \(3,\)"):
        check_layer(nn.Linear(3, 2, key=KEY), x(3, 3, 3))


def test_unknown_check():
    with pytest.raises(ValueError, match=r"`leave_out` names \['speed'\], and the checks are"):
        check_layer(Scaled(), x(3), leave_out=["speed"])


def twice(x):
    return 2 * x


def test_any_callable_pytree():
    check_layer(jax.tree_util.Partial(twice), x(3))
