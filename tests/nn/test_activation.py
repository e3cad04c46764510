"""Which functions are known to be elementwise, and that they are."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_nn import _activation
from eqx_nn._activation import activate, is_elementwise, of_layer, per_neuron

KNOWN = {f"{module}.{name}": f for f, module, name in _activation._KNOWN.values()}


@pytest.mark.parametrize("name", KNOWN)
def test_known_functions_are_elementwise(name):
    """Mapped over the elements and applied to all at once, they do the same."""
    x = jnp.array([0.9, 0.1, 0.5, 0.3])
    np.testing.assert_allclose(jax.vmap(KNOWN[name])(x), KNOWN[name](x), rtol=1e-6)


@pytest.mark.parametrize(
    "function",
    [
        *[jax.nn.relu, jax.nn.gelu, jax.nn.silu, jax.nn.swish, jax.nn.elu, jax.nn.softplus],
        *[jax.nn.sigmoid, jax.nn.tanh, jnp.tanh, jnp.sin, jax.lax.tanh, _activation.identity],
        functools.partial(jax.nn.gelu, approximate=False),
        functools.partial(jax.nn.leaky_relu, negative_slope=0.2),
    ],
)
def test_known(function):
    assert is_elementwise(function)


@pytest.mark.parametrize(
    "function",
    [
        *[jax.nn.softmax, jax.nn.log_softmax, jax.nn.glu, jax.nn.standardize, jnp.cumsum, jnp.sum],
        *[None, "relu", lambda x: x, len, jax.jit(jnp.tanh), jnp.identity],
        functools.partial(jax.nn.leaky_relu, 0.2),
        functools.partial(jax.nn.leaky_relu, negative_slope=jnp.ones(3)),
        functools.partial(jnp.sum, axis=0),
    ],
)
def test_not_known(function):
    assert not is_elementwise(function)


def test_unknown_functions_are_mapped():
    shapes = []
    activate(lambda x: shapes.append(x.shape), jnp.ones(3))
    assert shapes == [()]
    with pytest.raises(ValueError, match="one neuron at a time"):
        activate(jax.nn.softmax, jnp.ones(3))


def test_copies_for_each_neuron():
    tree = {"a": jnp.arange(2.0), "b": np.float32(3), "c": 1.0, "d": None, "e": abs}
    copies = per_neuron(tree, 5, 4)
    assert copies["a"].shape == (5, 4, 2)
    assert copies["b"].shape == (5, 4)
    assert (copies["c"], copies["d"], copies["e"]) == (1.0, None, abs)
    np.testing.assert_array_equal(of_layer(copies, 3)["a"], np.tile([0.0, 1.0], (4, 1)))
    assert of_layer(copies, slice(1, None))["a"].shape == (4, 4, 2)


def test_typed_keys_are_copied():
    assert per_neuron(jax.random.key(0), 3).shape == (3,)
