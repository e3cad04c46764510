"""`LayerNorm`, `RMSNorm` and `GroupNorm` against their equations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from jax.sharding import NamedSharding, PartitionSpec
from jax.test_util import check_grads

from eqx_filter import filter_jit, tree_at
from eqx_nn import GroupNorm, LayerNorm, RMSNorm

X = (np.cos(np.arange(24.0)) * np.arange(24) + 3).reshape(4, 3, 2).astype(np.float32)


def layer_norm(x, eps, weight=1.0, bias=0.0):
    x = np.asarray(x, np.result_type(x, np.float64))
    return (x - x.mean()) / np.sqrt(x.var() + eps) * weight + bias


def rms_norm(x, eps, weight=1.0, bias=0.0):
    x = np.asarray(x, np.result_type(x, np.float64))
    return x / np.sqrt((abs(x) ** 2).mean() + eps) * weight + bias


def group_norm(x, groups, eps):
    return np.concatenate([layer_norm(group, eps) for group in np.split(x, groups)])


NORMS = {LayerNorm: layer_norm, RMSNorm: rms_norm}


@pytest.fixture(params=[LayerNorm, RMSNorm])
def cls(request):
    return request.param


def with_parameters(layer):
    weight = jnp.cos(jnp.arange(float(layer.weight.size))).reshape(layer.weight.shape)
    return tree_at(lambda it: (it.weight, it.bias), layer, (weight, weight + 1))


@pytest.mark.parametrize("shape", [24, (24,), [4, 6], (4, 3, 2), (1,)])
@pytest.mark.parametrize("eps", [1e-5, 0.5])
def test_layers_follow_their_equations(cls, shape, eps):
    layer = with_parameters(cls(shape, eps))
    x = X.ravel()[: np.prod(shape)].reshape(layer.shape)
    expected = NORMS[cls](x, eps, np.asarray(layer.weight), np.asarray(layer.bias))
    for y in (layer(x), filter_jit(layer)(x)):
        np.testing.assert_allclose(y, expected, rtol=2e-5, atol=2e-5)
    assert layer(x).dtype == jnp.float32


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_group_norm_follows_its_equation(groups, rank):
    x = X[(..., *[0] * (3 - rank))]
    layer = with_parameters(GroupNorm(groups, 4))
    affine = [np.asarray(it).reshape(-1, *[1] * (rank - 1)) for it in (layer.weight, layer.bias)]
    expected = group_norm(x, groups, 1e-5) * affine[0] + affine[1]
    np.testing.assert_allclose(layer(x), expected, rtol=2e-5, atol=2e-5)
    free = GroupNorm(groups, channelwise_affine=False)
    np.testing.assert_allclose(free(x), group_norm(x, groups, 1e-5), rtol=2e-5, atol=2e-5)


@settings(max_examples=50, deadline=None)
@given(
    hnp.arrays(np.float32, (6,), elements=st.floats(-100, 100, width=32)),
    st.floats(0.125, 8, width=32),
    st.floats(-10, 10, width=32),
)
def test_scale_and_shift_are_forgotten(x, scale, shift):
    """All norms forget the scale; those that subtract the mean forget the shift too."""
    x[0] += 300  # so that the variance is far from zero
    rms, layer, group = RMSNorm(6, eps=0), LayerNorm(6, eps=0), GroupNorm(1, 6, eps=0)
    np.testing.assert_allclose(rms(scale * x), rms(x), rtol=1e-4, atol=1e-5)
    for norm in (layer, group):
        np.testing.assert_allclose(norm(scale * x + shift), norm(x), rtol=1e-3, atol=1e-4)


MAKERS = {
    "layer": lambda **kwargs: LayerNorm(6, **kwargs),
    "rms": lambda **kwargs: RMSNorm(6, **kwargs),
    "group": lambda **kwargs: GroupNorm(2, 6, **kwargs),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
class TestAll:
    def test_narrow_floats_are_computed_in_float32(self, make):
        x = jnp.array([1, 600, -600, 300, 2, 500], jnp.float16)
        y = make(dtype=jnp.float16)(x)
        assert y.dtype == jnp.float16
        np.testing.assert_allclose(y, make()(x.astype(jnp.float32)), rtol=2e-3, atol=2e-3)

    def test_the_dtype_of_floats_is_kept_and_integers_become_floats(self, make):
        assert make(dtype=jnp.float16)(jnp.arange(6.0)).dtype == jnp.float32
        assert make()(jnp.arange(6, dtype=jnp.bfloat16)).dtype == jnp.bfloat16
        np.testing.assert_allclose(make()(jnp.arange(6)), make()(jnp.arange(6.0)), rtol=1e-6)

    def test_strict_promotion_and_64_bits(self, make, x64):
        with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
            for dtype in (jnp.float16, jnp.float32, jnp.float64):
                assert make()(jnp.arange(6, dtype=dtype)).dtype == dtype

    def test_a_state_is_passed_on(self, make):
        y, state = make()(jnp.arange(6.0), "state", key=None)
        assert state == "state"
        assert np.array_equal(y, make()(jnp.arange(6.0)))
        assert make()(jnp.arange(6.0), None)[1] is None

    def test_gradients_are_those_of_finite_differences(self, make):
        layer = with_parameters(make())
        x = jnp.asarray(X.ravel()[:6])
        check_grads(layer, (x,), order=2, modes=("fwd", "rev"), rtol=0.05)

    def test_names_stand_in_the_program(self, make, program_text):
        assert f"eqx.nn.{type(make()).__name__}" in program_text(make(), jnp.arange(6.0))

    def test_what_is_no_array_is_refused(self, make):
        with pytest.raises(AttributeError, match=r"no array. Use `jax.numpy.asarray\(x\)`"):
            make()([1.0, 2.0])


def test_complex_values_have_the_square_of_their_absolute_value(cls):
    x = X[:, 0, 0] + 1j * X[:, 1, 0]
    np.testing.assert_allclose(cls(4)(x), NORMS[cls](x, 1e-5), rtol=2e-5)
    with jax.numpy_dtype_promotion("strict"):
        assert cls(4, dtype=jnp.complex64)(x.astype(np.complex64)).dtype == jnp.complex64


def test_no_weight_and_no_bias(cls):
    layer = cls(4, use_weight=False, use_bias=False)
    assert (layer.weight, layer.bias) == (None, None)
    np.testing.assert_allclose(layer(X[:, 0, 0]), NORMS[cls](X[:, 0, 0], 1e-5), rtol=2e-5)


def test_a_scalar_has_a_shape_too(cls):
    assert cls(())(2.0).shape == ()


def test_another_shape_is_refused(cls):
    with pytest.raises(ValueError, match=rf"`{cls.__name__}` expects `x` of shape \(4,\)"):
        cls(4)(jnp.ones(3))
    with pytest.raises(ValueError, match=r"use `jax.vmap\(layer\)`"):
        cls(4)(jnp.ones((3, 4)))


def test_sizes_are_checked(cls):
    with pytest.raises(ValueError, match=r"non-negative integer as `shape`, got -1"):
        cls((3, -1))
    with pytest.raises(TypeError, match=r"non-negative integer as `shape`, got 'ab'"):
        cls("ab")


def test_elementwise_affine_is_deprecated():
    with pytest.warns(UserWarning, match=r"deprecated in favour of"):
        layer = LayerNorm(4, elementwise_affine=False)
    assert layer.weight is None
    assert layer.bias is None


@pytest.mark.parametrize(
    ("args", "match"),
    [
        ((3, 4), r"`groups` to divide `channels`; got `groups=3` and `channels=4`"),
        ((0, 4), r"`groups` to divide `channels`"),
        ((2,), r"needs the number of `channels`"),
        ((-2, 4), r"non-negative integer as `groups`, got -2"),
    ],
)
def test_groups_and_channels_are_checked(args, match):
    with pytest.raises(ValueError, match=match):
        GroupNorm(*args)


def test_another_number_of_channels_is_refused():
    with pytest.raises(ValueError, match=r"`x` of shape \(4, 2\), got shape \(6, 2\)"):
        GroupNorm(2, 4)(jnp.ones((6, 2)))
    with pytest.raises(ValueError, match=r"expects `x` of shape \(2,\), got shape \(3,\)"):
        GroupNorm(2, channelwise_affine=False)(jnp.ones(3))
    with pytest.raises(ValueError, match=r"got shape \(\)"):
        GroupNorm(2, 4)(1.0)


@pytest.mark.skipif(not hasattr(jax, "set_mesh"), reason="this JAX lays out less by itself")
@pytest.mark.skipif(jax.device_count() < 2, reason="needs two devices")
def test_groups_of_a_batch_that_explicit_axes_split():
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Explicit,))
    layer = jax.vmap(GroupNorm(2, 6))
    x = jax.random.normal(jax.random.key(0), (4, 6, 4))
    with jax.set_mesh(mesh):
        split = jax.device_put(x, NamedSharding(mesh, PartitionSpec("data")))
        found = jax.jit(jax.grad(lambda x: jnp.sum(layer(x) ** 3)))(split)
    expected = jax.grad(lambda x: jnp.sum(layer(x) ** 3))(x)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert found.sharding.spec[0] == "data"
