"""Layers in every dtype: their first values to the bit, and what they make of an input."""

import functools

import jax
import jax.numpy as jnp
from marks import over, rounded

import equinox as eqx
from catalogue.layers import vector

nn = eqx.nn
BUILDS = {
    "Linear(3, 4)": (lambda **kw: nn.Linear(3, 4, **kw), [vector(3)]),
    "Linear(7, 2)": (lambda **kw: nn.Linear(7, 2, **kw), [vector(7)]),
    "Linear(3, 4) without bias": (lambda **kw: nn.Linear(3, 4, use_bias=False, **kw), [vector(3)]),
    "Linear(0, 4)": (lambda **kw: nn.Linear(0, 4, **kw), [vector(0)]),
    "Linear(3, 0)": (lambda **kw: nn.Linear(3, 0, **kw), [vector(3)]),
    "Linear(scalar, 4)": (lambda **kw: nn.Linear("scalar", 4, **kw), [vector(1)[0]]),
    "Linear(3, scalar)": (lambda **kw: nn.Linear(3, "scalar", **kw), [vector(3)]),
    "GRUCell": (lambda **kw: nn.GRUCell(4, 3, **kw), [vector(4), vector(3)]),
    "GRUCell without bias": (lambda **kw: nn.GRUCell(4, 3, False, **kw), [vector(4), vector(3)]),
    "LSTMCell": (lambda **kw: nn.LSTMCell(4, 3, **kw), [vector(4), (vector(3), vector(3, 2.0))]),
    "LSTMCell without bias": (
        lambda **kw: nn.LSTMCell(4, 3, use_bias=False, **kw),
        [vector(4), (vector(3), vector(3, 2.0))],
    ),
    "MLP of depth 0": (lambda **kw: nn.MLP(3, 2, 4, 0, **kw), [vector(3)]),
    "MLP of depth 2": (lambda **kw: nn.MLP(3, 2, 4, 2, **kw), [vector(3)]),
    "MLP of depth 3, scanned": (lambda **kw: nn.MLP(3, 2, 4, 3, scan=True, **kw), [vector(3)]),
    "MLP of scalars": (lambda **kw: nn.MLP("scalar", "scalar", 4, 1, **kw), [vector(1)[0]]),
    "MLP without biases": (
        lambda **kw: nn.MLP(3, 2, 4, 2, use_bias=False, use_final_bias=False, **kw),
        [vector(3)],
    ),
    "MLP of a layer": (
        lambda **kw: nn.MLP(3, 2, 4, 2, nn.Linear("scalar", "scalar", **kw), **kw),
        [vector(3)],
    ),
}
DTYPES = {
    False: [None, "float16", "bfloat16", "float32", "float64", "complex64"],
    True: [None, "float32", "float64", "complex128"],
}
"""By whether JAX is in its 64-bit mode; `None` is the default of that mode."""

TABLE = {
    f"{name}, {dtype}, x64={x64}": (*build, dtype, x64)
    for name, build in BUILDS.items()
    for x64, dtypes in DTYPES.items()
    for dtype in dtypes
}


@functools.cache
def made(name):
    """Build the layer in the entry's dtype and mode, and call it there."""
    build, inputs, dtype, x64 = TABLE[name]
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", x64)
    try:
        dtype = None if dtype is None else jnp.dtype(dtype)
        layer = build(dtype=dtype, key=jax.random.PRNGKey(7))
        return jax.tree.map(lambda x: x if eqx.is_array(x) else repr(x), layer), layer(*inputs)
    finally:
        jax.config.update("jax_enable_x64", before)


@over({name: name for name in TABLE})
def case_first_values(name):
    return jax.tree.leaves(eqx.filter(made(name)[0], eqx.is_array))


@rounded
@over({name: name for name in TABLE})
def case_result(name):
    return made(name)[1]
