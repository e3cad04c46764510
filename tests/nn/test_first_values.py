"""First values of every layer, to the bit: those of `jax.random` with the layer's formula.

Both sides are drawn in this process, so no processor's rounding decides. That the peer draws the
same bits is for `nox -s peer`, where it runs on the same machine.
"""

import math

import jax
import jax.numpy as jnp
import jax.random as jr
import pytest

import eqx_nn as nn
from eqx_filter import filter, is_array

KEY = jr.PRNGKey(7)
AGAIN = [("bfloat16", False), ("complex64", False), ("complex128", True)]
DTYPES = [
    *[(None, False), ("float16", False), (None, True)],
    *[pytest.param(it, marks=pytest.mark.again) for it in AGAIN],
]
"""Each with whether JAX is in its 64-bit mode; `None` is that mode's default."""


@pytest.fixture(params=DTYPES, ids=lambda it: f"{it[0]}{', x64' * it[1]}")
def dtype(request):
    name, is_wide = request.param
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", is_wide)
    yield name
    jax.config.update("jax_enable_x64", before)


def uniform(key, shape, limit, dtype):
    """U(-limit, limit); of a complex number both parts, from a split key."""
    dtype = jnp.dtype(dtype) if dtype else jnp.result_type(float)
    if dtype.kind != "c":
        return jr.uniform(key, shape, dtype, -limit, limit)
    part = jnp.finfo(dtype).dtype
    real, imag = (jr.uniform(k, shape, part, -limit, limit) for k in jr.split(key))
    return jax.lax.complex(real, imag)


def linear(key, fan_in, fan_out, dtype, bias=True):
    limit = 1 / math.sqrt(fan_in) if fan_in else 1.0
    weight_key, bias_key = jr.split(key)
    weight = uniform(weight_key, (fan_out, fan_in), limit, dtype)
    return [weight, uniform(bias_key, (fan_out,), limit, dtype)] if bias else [weight]


def convolution(key, shape, dtype, bias=True):
    """Of kernels of shape `(out, in, *kernel)`."""
    limit = 1 / math.sqrt(math.prod(shape[1:]))
    weight_key, bias_key = jr.split(key)
    weight = uniform(weight_key, shape, limit, dtype)
    ones = (1,) * (len(shape) - 2)
    return [weight, uniform(bias_key, (shape[0], *ones), limit, dtype)] if bias else [weight]


def cell(key, gates, inputs, hidden, biases, dtype):
    """Of weights for input and hidden state, then of biases of these sizes."""
    shapes = [(gates * hidden, inputs), (gates * hidden, hidden), *[(size,) for size in biases]]
    keys = jr.split(key, 4 if gates == 3 else 3)
    limit = math.sqrt(1 / hidden)
    return [uniform(k, shape, limit, dtype) for k, shape in zip(keys, shapes, strict=False)]


def perceptron(key, sizes, dtype, bias=True):
    keys = jr.split(key, len(sizes) - 1)
    sides = zip(keys, sizes[:-1], sizes[1:], strict=True)
    return [x for k, fan_in, fan_out in sides for x in linear(k, fan_in, fan_out, dtype, bias)]


def scanned_perceptron(key, dtype):
    """Three hidden layers: the second and the third stacked, drawn in one batch."""
    keys = jr.split(key, 4)
    stacked = jax.vmap(lambda k: linear(k, 4, 4, dtype))(keys[1:-1])
    return [*linear(keys[0], 3, 4, dtype), *stacked, *linear(keys[-1], 4, 2, dtype)]


def attention(key, projections, dtype):
    """Of the input size, the output size and the bias of each of four projections."""
    keys = jr.split(key, 4)
    return [
        x
        for k, (*sizes, b) in zip(keys, projections, strict=True)
        for x in linear(k, *sizes, dtype, b)
    ]


def table(key, shape, dtype):
    return [jr.normal(key, shape, jnp.dtype(dtype) if dtype else float)]


LAYERS = {
    "Linear(3, 4)": (
        lambda **kw: nn.Linear(3, 4, **kw),
        lambda dtype: linear(KEY, 3, 4, dtype),
    ),
    "Linear(3, 4, False)": (
        lambda **kw: nn.Linear(3, 4, False, **kw),
        lambda dtype: linear(KEY, 3, 4, dtype, bias=False),
    ),
    "Linear(0, 4)": (
        lambda **kw: nn.Linear(0, 4, **kw),
        lambda dtype: linear(KEY, 0, 4, dtype),
    ),
    "Linear(3, 0)": (
        lambda **kw: nn.Linear(3, 0, **kw),
        lambda dtype: linear(KEY, 3, 0, dtype),
    ),
    "Linear(scalar, scalar)": (
        lambda **kw: nn.Linear("scalar", "scalar", **kw),
        lambda dtype: linear(KEY, 1, 1, dtype),
    ),
    "GRUCell(4, 3)": (
        lambda **kw: nn.GRUCell(4, 3, **kw),
        lambda dtype: cell(KEY, 3, 4, 3, [9, 3], dtype),
    ),
    "GRUCell(4, 3, False)": (
        lambda **kw: nn.GRUCell(4, 3, False, **kw),
        lambda dtype: cell(KEY, 3, 4, 3, [], dtype),
    ),
    "LSTMCell(4, 3)": (
        lambda **kw: nn.LSTMCell(4, 3, **kw),
        lambda dtype: cell(KEY, 4, 4, 3, [12], dtype),
    ),
    "LSTMCell(4, 3, False)": (
        lambda **kw: nn.LSTMCell(4, 3, False, **kw),
        lambda dtype: cell(KEY, 4, 4, 3, [], dtype),
    ),
    "MLP of depth 0": (
        lambda **kw: nn.MLP(3, 2, 4, 0, **kw),
        lambda dtype: perceptron(KEY, [3, 2], dtype),
    ),
    "MLP of depth 3": (
        lambda **kw: nn.MLP(3, 2, 4, 3, **kw),
        lambda dtype: perceptron(KEY, [3, 4, 4, 4, 2], dtype),
    ),
    "MLP of depth 3, scanned": (
        lambda **kw: nn.MLP(3, 2, 4, 3, scan=True, **kw),
        lambda dtype: scanned_perceptron(KEY, dtype),
    ),
    "MLP of scalars": (
        lambda **kw: nn.MLP("scalar", "scalar", 4, 2, **kw),
        lambda dtype: perceptron(KEY, [1, 4, 4, 1], dtype),
    ),
    "MLP without biases": (
        lambda **kw: nn.MLP(3, 2, 4, 2, use_bias=False, use_final_bias=False, **kw),
        lambda dtype: perceptron(KEY, [3, 4, 4, 2], dtype, bias=False),
    ),
    "Conv1d": (
        lambda **kw: nn.Conv1d(2, 3, 2, **kw),
        lambda dtype: convolution(KEY, (3, 2, 2), dtype),
    ),
    "Conv2d of groups": (
        lambda **kw: nn.Conv2d(4, 6, (2, 3), groups=2, use_bias=False, **kw),
        lambda dtype: convolution(KEY, (6, 2, 2, 3), dtype, bias=False),
    ),
    "Conv3d": (
        lambda **kw: nn.Conv3d(2, 3, 2, **kw),
        lambda dtype: convolution(KEY, (3, 2, 2, 2, 2), dtype),
    ),
    "ConvTranspose1d": (
        lambda **kw: nn.ConvTranspose1d(2, 3, 2, **kw),
        lambda dtype: convolution(KEY, (3, 2, 2), dtype),
    ),
    "ConvTranspose2d of groups": (
        lambda **kw: nn.ConvTranspose2d(4, 6, (2, 3), groups=2, **kw),
        lambda dtype: convolution(KEY, (6, 2, 2, 3), dtype),
    ),
    "MultiheadAttention": (
        lambda **kw: nn.MultiheadAttention(2, 4, 5, 6, 3, use_key_bias=True, **kw),
        lambda dtype: attention(
            KEY, [(4, 4, False), (5, 4, True), (6, 4, False), (4, 3, False)], dtype
        ),
    ),
    "Embedding": (
        lambda **kw: nn.Embedding(3, 4, **kw),
        lambda dtype: table(KEY, (3, 4), dtype),
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_drawn(name, dtype):
    build, formula = LAYERS[name]
    found = jax.tree.leaves(filter(build(dtype=dtype, key=KEY), is_array))
    expected = formula(dtype)
    assert [(x.dtype, x.shape) for x in found] == [(x.dtype, x.shape) for x in expected]
    for mine, plain in zip(found, expected, strict=True):
        assert mine.tobytes() == plain.tobytes()
