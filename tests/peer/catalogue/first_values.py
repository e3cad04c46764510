"""First values to the bit, in every dtype, of the layers that `layers_dtypes` does not have."""

import jax
import jax.numpy as jnp
from marks import over, rounded

import equinox as eqx
from catalogue.layers_dtypes import DTYPES

nn = eqx.nn
BUILDS = {
    "MLP of depth 1, scanned": lambda **kw: nn.MLP(3, 2, 4, 1, scan=True, **kw),
    "MLP of final bias": lambda **kw: nn.MLP(3, 2, 4, 2, use_bias=False, **kw),
    "Conv1d": lambda **kw: nn.Conv1d(2, 4, 3, **kw),
    "Conv2d of groups": lambda **kw: nn.Conv2d(4, 6, (2, 3), groups=2, **kw),
    "Conv3d without bias": lambda **kw: nn.Conv3d(2, 3, 2, use_bias=False, **kw),
    "ConvTranspose1d": lambda **kw: nn.ConvTranspose1d(2, 4, 3, **kw),
    "ConvTranspose2d of groups": lambda **kw: nn.ConvTranspose2d(4, 6, (2, 3), groups=2, **kw),
    "ConvTranspose3d": lambda **kw: nn.ConvTranspose3d(2, 3, 2, use_bias=False, **kw),
    "MultiheadAttention": lambda **kw: nn.MultiheadAttention(2, 4, **kw),
    "MultiheadAttention of biases": lambda **kw: nn.MultiheadAttention(2, 4, 5, 6, 3, use_query_bias=True, use_value_bias=True, use_output_bias=True, **kw),
    "Embedding": lambda **kw: nn.Embedding(3, 4, **kw),
    "LayerNorm": lambda *, key, **kw: nn.LayerNorm((2, 3), **kw),
    "RMSNorm": lambda *, key, **kw: nn.RMSNorm(4, **kw),
    "GroupNorm": lambda *, key, **kw: nn.GroupNorm(2, 4, **kw),
    "BatchNorm, ema": lambda *, key, **kw: nn.make_with_state(nn.BatchNorm)(3, "b", mode="ema", **kw),
    "BatchNorm, batch": lambda *, key, **kw: nn.make_with_state(nn.BatchNorm)(3, "b", mode="batch", **kw),
    "WeightNorm": lambda *, key, **kw: nn.WeightNorm(nn.Linear(3, 4, key=key, **kw)),
    "WeightNorm of a convolution": lambda *, key, **kw: nn.WeightNorm(nn.Conv2d(2, 3, 2, key=key, **kw)),
}  # fmt: skip
ITERATED = {
    "SpectralNorm": lambda *, key, **kw: nn.make_with_state(nn.SpectralNorm)(nn.Linear(3, 4, key=key, **kw), "weight", key=key),
    "SpectralNorm of a convolution": lambda *, key, **kw: nn.make_with_state(nn.SpectralNorm)(nn.Conv2d(2, 3, 2, key=key, **kw), "weight", key=key),
}  # fmt: skip
"""Drawn, then improved by sums; `stateful` has what differs of complex ones."""


def in_each(builds, *, has_complex=True):
    return {
        f"{name}, {dtype}, x64={x64}": (build, dtype, x64)
        for name, build in builds.items()
        for x64, dtypes in DTYPES.items()
        for dtype in dtypes
        if has_complex or "complex" not in str(dtype)
    }


def arrays_of(build, dtype, x64):
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", x64)
    try:
        dtype = None if dtype is None else jnp.dtype(dtype)
        layer = build(dtype=dtype, key=jax.random.PRNGKey(7))
        return jax.tree.leaves(eqx.filter(layer, eqx.is_array))
    finally:
        jax.config.update("jax_enable_x64", before)


@over(in_each(BUILDS))
def case_drawn(entry):
    return arrays_of(*entry)


@rounded
@over(in_each(ITERATED, has_complex=False))
def case_iterated(entry):
    return arrays_of(*entry)
