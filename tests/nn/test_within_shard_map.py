"""Layers inside of `jax.shard_map`, with its checks, and under `jax.checking_leaks()`."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec

from eqx_filter import combine, is_array, partition
from eqx_nn import (
    GRU,
    LRU,
    LSTM,
    MLP,
    RNN,
    BatchNorm,
    Conv1d,
    GroupNorm,
    LayerNorm,
    Linear,
    MultiheadAttention,
    RMSNorm,
    make_with_state,
)
from eqx_pytree import Module

pytestmark = [
    pytest.mark.skipif(jax.device_count() < 4, reason="needs four devices"),
    pytest.mark.skipif(not hasattr(jax, "shard_map"), reason="this JAX does not check it"),
]

KEY = jax.random.key(0)
X = jax.random.normal(KEY, (4, 3, 4))


class Sum(Module):
    """A cell that is not known."""

    def __call__(self, x, state):
        return state + x

    def initial_state(self):
        return jnp.zeros(4)


MODELS = {
    "LayerNorm": (LayerNorm((3, 4)), lambda layer, x: layer(x)),
    "RMSNorm": (RMSNorm((3, 4)), lambda layer, x: layer(x)),
    "GroupNorm": (GroupNorm(1, 3), lambda layer, x: layer(x)),
    "Linear": (Linear(4, 2, key=KEY), lambda layer, x: jax.vmap(layer)(x)),
    "Conv1d": (Conv1d(3, 2, 2, key=KEY), lambda layer, x: layer(x)),
    "LSTM": (
        LSTM(4, 2, 2, bidirectional=True, key=KEY),
        lambda layer, x: layer(x, lengths=2, return_sequences=False)[0],
    ),
    "GRU": (GRU(4, 2, key=KEY), lambda layer, x: layer(x)[0]),
    "RNN": (RNN(Sum()), lambda layer, x: layer(x)[0]),
    "LRU": (LRU(4, 2, key=KEY), lambda layer, x: layer(x)[0]),
    "MLP": (MLP(4, 2, 3, 1, key=KEY), lambda layer, x: jax.vmap(layer)(x)),
    "MultiheadAttention": (
        MultiheadAttention(2, 4, key=KEY),
        lambda layer, x: layer(x, x, x, jnp.tril(jnp.ones((3, 3), bool))),
    ),
}


def value_and_gradients(name, transform):
    """Of all examples; `transform` is of a function of arrays and examples."""
    layer, call = MODELS[name]
    arrays, rest = partition(layer, is_array)
    batched = transform(lambda arrays, xs: jax.vmap(lambda x: call(combine(arrays, rest), x))(xs))

    def loss(arrays, xs):
        out = batched(arrays, xs)
        return jnp.sum(out**2), out

    with jax.checking_leaks():
        return jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))(arrays, X)


@pytest.mark.parametrize("name", MODELS)
def test_values_and_gradients_are_those_of_one_device(name):
    mesh = Mesh(np.array(jax.devices()[:4]), ("d",))
    spec = PartitionSpec("d")
    specs = {"in_specs": (PartitionSpec(), spec), "out_specs": spec}
    parted = value_and_gradients(name, lambda f: jax.shard_map(f, mesh=mesh, **specs))
    whole = value_and_gradients(name, lambda f: f)
    for one, other in zip(jax.tree.leaves(parted), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_batch_norm_of_all_parts():
    def normalised(x, axes):
        norm, state = make_with_state(BatchNorm)(4, axes, mode="batch")
        axes = {"in_axes": (0, None), "out_axes": (0, None)}
        return jax.vmap(norm, axis_name="batch", **axes)(x, state)[0]

    def found(**options):
        mesh, spec = Mesh(np.array(jax.devices()[:4]), ("d",)), PartitionSpec("d")
        of_part = functools.partial(normalised, axes=("batch", "d"))
        split = jax.shard_map(of_part, mesh=mesh, in_specs=spec, out_specs=spec, **options)
        return jax.jit(split)(x)

    x = jnp.reshape(jnp.arange(32.0) ** 2, (8, 4))
    np.testing.assert_allclose(found(check_vma=False), normalised(x, "batch"), rtol=1e-5, atol=1e-5)
    told = "none over one of `jax.vmap` inside of a `jax.shard_map`.* Pass `check_vma=False`"
    with pytest.raises(ValueError, match=told):
        found()
