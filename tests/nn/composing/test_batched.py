"""`batched` beside `jax.vmap`, and what is in the programs."""

import pickle
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import eqx_nn as nn
from eqx_filter import filter_grad, tree_equal
from eqx_nn import batched

KEY = jax.random.key(0)
LINEAR = nn.Linear(3, 2, key=KEY)
CASES = {
    "Linear": (LINEAR, (3,)),
    "Linear without a bias": (nn.Linear(3, 2, use_bias=False, key=KEY), (3,)),
    "Linear of scalars": (nn.Linear("scalar", 2, key=KEY), ()),
    "Conv2d": (nn.Conv2d(2, 3, 3, key=KEY), (2, 4, 5)),
    "LayerNorm": (nn.LayerNorm((2, 3)), (2, 3)),
    "GroupNorm": (nn.GroupNorm(2, 4), (4, 3)),
    "InstanceNorm": (nn.InstanceNorm(2), (2, 3)),
    "a function": (jnp.cumsum, (3,)),
}


def x(*shape):
    return np.sin(1.7 * np.arange(np.prod(shape))).reshape(shape).astype(np.float32)


def count(text, name):
    return len(re.findall(rf"\b{name}\b", text))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("batch", [(), (4,), (2, 0), (2, 3)])
def test_it_is_vmap(name, batch):
    layer, shape = CASES[name]
    function = layer
    for _ in batch:
        function = jax.vmap(function)
    xs = x(*batch, *shape)
    y, expected = batched(layer, len(batch))(xs), function(xs)
    assert y.dtype == expected.dtype
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.int32, jnp.complex64])
def test_dtypes_are_those_of_vmap(dtype):
    xs = jnp.asarray(x(4, 3)).astype(dtype)
    with jax.numpy_dtype_promotion("standard"):
        assert batched(LINEAR)(xs).dtype == jax.vmap(LINEAR)(xs).dtype


@pytest.mark.parametrize("axes", [1, 2])
def test_linear_is_one_product_and_nothing_is_transposed(axes):
    xs = x(*(4, 5)[:axes], 3)
    jaxpr = str(jax.make_jaxpr(batched(LINEAR, axes))(xs))
    assert (count(jaxpr, "dot_general"), count(jaxpr, "transpose")) == (1, 0)
    lowered = jax.jit(batched(LINEAR, axes).__call__).lower(xs)
    assert lowered.as_text().count("stablehlo.dot_general") == 1
    assert len(re.findall(r" dot\(| custom-call\(", lowered.compile().as_text())) == 1


@pytest.mark.parametrize("axes", [1, 2])
def test_the_others_are_one_convolution_and_one_reduction_a_statistic(axes):
    conv, shape = CASES["Conv2d"]
    jaxpr = str(jax.make_jaxpr(batched(conv, axes))(x(*(4, 5)[:axes], *shape)))
    assert count(jaxpr, "conv_general_dilated") == 1
    norms = {"LayerNorm": 2, "GroupNorm": 2, "InstanceNorm": 2}
    for name, reductions in norms.items():
        norm, shape = CASES[name]
        jaxpr = str(jax.make_jaxpr(batched(norm, axes))(x(*(4, 5)[:axes], *shape)))
        assert count(jaxpr, "reduce_sum") == reductions


def test_gradients_are_those_of_vmap():
    xs = x(4, 3)
    by_batch = filter_grad(lambda layer: (layer(xs) ** 2).sum())(batched(LINEAR))
    by_vmap = filter_grad(lambda layer: (jax.vmap(layer)(xs) ** 2).sum())(LINEAR)
    assert tree_equal(by_batch.layer, by_vmap, rtol=1e-5, atol=1e-6)


def test_each_example_draws_for_itself():
    dropout = nn.Dropout(0.5)
    ones = jnp.ones((2, 3, 20))
    y = batched(dropout, 2)(ones, key=KEY).reshape(6, 20)
    assert len({row.tobytes() for row in np.asarray(y)}) == 6
    keys = jax.random.split(KEY, 6)
    expected = jax.vmap(lambda x, key: dropout(x, key=key))(ones.reshape(6, 20), keys)
    np.testing.assert_array_equal(y, expected)
    by_place = batched(dropout)(ones[0], key=nn.Keys(KEY)["here"])
    assert by_place.shape == (3, 20)


def test_several_inputs_and_trees():
    cell = nn.LSTMCell(3, 2, key=KEY)
    state = (x(4, 2), x(4, 2))
    h, c = batched(cell)(x(4, 3), state)
    expected = jax.vmap(cell)(x(4, 3), state)
    np.testing.assert_allclose((h, c), expected, rtol=1e-5, atol=1e-6)


def test_an_ensemble_and_a_subclass_are_called_as_they_are():
    class Doubled(nn.Linear):
        def __call__(self, x, *, key=None):
            return 2 * super().__call__(x, key=key)

    doubled = Doubled(3, 2, key=KEY)
    xs = x(4, 3)
    np.testing.assert_allclose(batched(doubled)(xs), 2 * jax.vmap(LINEAR)(xs), rtol=1e-5)


def test_it_stands_in_others_and_is_pickled():
    model = nn.Sequential([batched(LINEAR), nn.Lambda(jnp.tanh)])
    assert model(x(4, 3)).shape == (4, 2)
    assert tree_equal(pickle.loads(pickle.dumps(batched(LINEAR))), batched(LINEAR))


def test_wrong_inputs_are_told():
    with pytest.raises(ValueError, match=r"`batched\(Linear\)` expects `x` of shape \(4, 3\), got"):
        batched(LINEAR)(x(4, 2))
    with pytest.raises(ValueError, match=r"`LayerNorm` expects arrays with 2 leading axes of"):
        batched(nn.LayerNorm(3), 2)(x(3))
    with pytest.raises(ValueError, match="of a batch, got a `str`"):
        batched(nn.LayerNorm(3))("x")


def test_wrong_layers_are_told():
    with pytest.raises(TypeError, match="needs a layer, got a `int`, which is not callable"):
        batched(3)
    norm, _ = nn.make_with_state(nn.BatchNorm)(3, "batch", mode="batch")
    with pytest.raises(TypeError, match="without a state, and `BatchNorm` has one"):
        batched(norm)
    with pytest.raises(ValueError, match="non-negative integer as `axes`, got -1"):
        batched(LINEAR, -1)
