"""First values by `weight_init` and `bias_init`: the initializer called by hand, moved by NumPy."""

import functools
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import eqx_nn as nn
from eqx_filter import filter, is_array, tree_equal
from eqx_nn._initial import Layout, drawn_as

INIT = jax.nn.initializers
KEY = jax.random.key(0)
NORMAL, ZEROS = INIT.normal(1.0), INIT.zeros


def by_hand(init, key, shape, blocks=1, dtype="float32"):
    """What `init` draws for each block in the layout `(*kernel, in, out)`, as `(out, in, *kernel)`.

    Of one block the key is taken as it is.
    """
    rows, within, *kernel = shape
    keys = [key] if blocks == 1 else jax.random.split(key, blocks)
    drawn = [np.asarray(init(k, (*kernel, within, rows // blocks), dtype)) for k in keys]
    return np.concatenate([np.moveaxis(it, (-1, -2), (0, 1)) for it in drawn])


WEIGHTS = {
    "Linear": (functools.partial(nn.Linear, 3, 4), (4, 3), 1),
    "Linear of scalars": (functools.partial(nn.Linear, "scalar", "scalar"), (1, 1), 1),
    "Conv1d": (functools.partial(nn.Conv1d, 4, 6, 3), (6, 4, 3), 1),
    "Conv2d of groups": (functools.partial(nn.Conv2d, 4, 6, (2, 3), groups=2), (6, 2, 2, 3), 2),
    "Conv2d by channel": (functools.partial(nn.Conv2d, 3, 6, 2, groups=3), (6, 1, 2, 2), 3),
    "Conv3d": (functools.partial(nn.Conv3d, 1, 2, 2), (2, 1, 2, 2, 2), 1),
    "ConvTranspose2d of groups": (
        functools.partial(nn.ConvTranspose2d, 4, 6, (2, 3), 2, groups=2),
        (6, 2, 2, 3),
        2,
    ),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_weight_and_bias_are_those_of_the_initializer(name):
    make, shape, blocks = WEIGHTS[name]
    layer = make(weight_init=INIT.glorot_uniform(), bias_init=NORMAL, key=KEY)
    weight_key, bias_key = jax.random.split(KEY)
    expected = by_hand(INIT.glorot_uniform(), weight_key, shape, blocks)
    np.testing.assert_allclose(layer.weight, expected, rtol=1e-6)
    bias = np.asarray(NORMAL(bias_key, shape[:1], "float32"))
    np.testing.assert_allclose(np.ravel(layer.bias), bias, rtol=1e-6)
    plain = make(key=KEY)
    assert [jnp.shape(x) for x in jax.tree.leaves(layer)] == [
        jnp.shape(x) for x in jax.tree.leaves(plain)
    ]


@pytest.mark.parametrize(("cell", "gates"), [(nn.GRUCell, 3), (nn.LSTMCell, 4)])
def test_each_gate_is_drawn_for_itself(cell, gates):
    made = cell(5, 5, weight_init=INIT.orthogonal(), bias_init=ZEROS, key=KEY)
    for block in np.split(np.asarray(made.weight_hh, np.float64), gates):
        np.testing.assert_allclose(block.T @ block, np.eye(5), atol=1e-5)
    assert not any(np.any(it) for it in jax.tree.leaves((made.bias, getattr(made, "bias_n", 0))))
    keys = jax.random.split(KEY, 4 if gates == 3 else 3)
    drawn = cell(5, 5, weight_init=INIT.glorot_normal(), key=KEY).weight_ih
    expected = by_hand(INIT.glorot_normal(), keys[0], (gates * 5, 5), gates)
    np.testing.assert_allclose(drawn, expected, rtol=1e-6)


SPREAD = {
    "Linear": (functools.partial(nn.Linear, 200, 400, use_bias=False), 200, 400),
    "Conv2d of groups": (functools.partial(nn.Conv2d, 64, 128, 5, groups=2), 32 * 25, 64 * 25),
    "ConvTranspose1d": (functools.partial(nn.ConvTranspose1d, 64, 128, 9), 64 * 9, 128 * 9),
    "LSTMCell": (functools.partial(nn.LSTMCell, 100, 300), 100, 300),
}


@pytest.mark.parametrize("name", SPREAD)
def test_variance_is_that_of_the_fans(name):
    """Within five standard errors: those of the variance of `n` normal numbers are sqrt(2/n)."""
    make, fan_in, fan_out = SPREAD[name]
    for mode, fan in {"fan_in": fan_in, "fan_out": fan_out}.items():
        weight = jax.tree.leaves(
            make(weight_init=INIT.variance_scaling(2, mode, "normal"), key=KEY)
        )
        values = np.asarray(weight[0], np.float64)
        assert abs(values.var() * fan / 2 - 1) < 5 * math.sqrt(2 / values.size)


def drawn(layer):
    return filter(layer, is_array)


LAYERS = {
    "MLP": functools.partial(nn.MLP, 3, 2, 4, 2),
    "MLP, scanned": functools.partial(nn.MLP, 3, 2, 4, 3, scan=True),
    "GatedMLP": functools.partial(nn.GatedMLP, 3, 4, use_bias=True),
    "MultiheadAttention": functools.partial(nn.MultiheadAttention, 2, 4, use_key_bias=True),
    "TransformerBlock": functools.partial(nn.TransformerBlock, 4, 2, context_size=3),
    "TransformerBlock, gated": functools.partial(nn.TransformerBlock, 4, 2, is_gated=True),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_hand_them_on(name):
    layer = LAYERS[name](weight_init=INIT.constant(2.0), bias_init=INIT.constant(3.0), key=KEY)
    linears = jax.tree.leaves(layer, is_leaf=lambda it: isinstance(it, nn.Linear))
    linears = [it for it in linears if isinstance(it, nn.Linear)]
    assert linears
    for linear in linears:
        assert np.all(np.asarray(linear.weight) == 2)
        assert linear.bias is None or np.all(np.asarray(linear.bias) == 3)


def test_a_scanned_perceptron_begins_as_one_of_a_tuple():
    make = functools.partial(nn.MLP, 3, 2, 4, 3, weight_init=INIT.he_normal(), key=KEY)
    apart, scanned = make().layers, make(scan=True).layers
    middle = np.stack([it.weight for it in apart[1:-1]])
    np.testing.assert_allclose(scanned[1].weight, middle, rtol=1e-6)


NORMS = {
    "LayerNorm": (functools.partial(nn.LayerNorm, (2, 3)), (2, 3)),
    "RMSNorm": (functools.partial(nn.RMSNorm, 4), (4,)),
    "GroupNorm": (functools.partial(nn.GroupNorm, 2, 4), (4,)),
    "InstanceNorm": (functools.partial(nn.InstanceNorm, 4), (4,)),
    "BatchNorm": (functools.partial(nn.BatchNorm, 4, "batch", mode="batch"), (4,)),
}


@pytest.mark.parametrize("name", NORMS)
class TestNorms:
    def test_weight_and_bias_are_drawn_in_their_own_shape(self, name):
        make, shape = NORMS[name]
        layer = make(weight_init=NORMAL, bias_init=INIT.uniform(), key=KEY)
        one, two = jax.random.split(KEY)
        np.testing.assert_array_equal(layer.weight, NORMAL(one, shape, "float32"))
        np.testing.assert_array_equal(layer.bias, INIT.uniform()(two, shape, "float32"))

    def test_constants_need_no_key(self, name):
        make, shape = NORMS[name]
        layer = make(weight_init=ZEROS, dtype="float16")
        assert layer.weight.shape == shape
        assert layer.weight.dtype == layer.bias.dtype == jnp.float16
        assert not jnp.any(layer.weight)
        with_key, without = make(key=KEY), make()
        assert tree_equal((with_key.weight, with_key.bias), (without.weight, without.bias))

    def test_other_numbers_do(self, name):
        make, shape = NORMS[name]
        with pytest.raises((TypeError, AttributeError)) as caught:
            make(bias_init=NORMAL)
        told = f"`bias_init` of `{name}` was called with None, the shape {re.escape(str(shape))}"
        assert re.match(told, caught.value.__notes__[0])
        assert "Give the layer a PRNG key" in caught.value.__notes__[0]
        with pytest.raises(TypeError, match=f"`{name}` needs a PRNG key as `key`"):
            make(weight_init=ZEROS, key=0)

    def test_reinit_draws_alike(self, name):
        make, shape = NORMS[name]
        layer = nn.reinit(make(), {"weight": NORMAL}, KEY)
        expected = NORMAL(nn.Keys(KEY)["weight"](), shape, "float32")
        np.testing.assert_array_equal(layer.weight, expected)


def test_a_norm_without_parameters_draws_none():
    layer = nn.LayerNorm(3, use_weight=False, use_bias=False, weight_init=NORMAL, bias_init=NORMAL)
    assert layer.weight is layer.bias is None


def test_a_linear_recurrent_unit_draws_what_is_no_eigenvalue():
    plain = nn.LRU(3, 4, key=KEY)
    layer = nn.LRU(3, 4, weight_init=INIT.orthogonal(), key=KEY)
    keys = jax.random.split(KEY, 7)[2:6]
    names = {"B_real": (4, 3), "B_imag": (4, 3), "C_real": (3, 4), "C_imag": (3, 4)}
    for key, (name, shape) in zip(keys, names.items(), strict=True):
        expected = by_hand(INIT.orthogonal(), key, shape)
        np.testing.assert_allclose(getattr(layer, name), expected, atol=1e-6)
    for name in ("nu_log", "theta_log", "gamma_log", "D"):
        np.testing.assert_array_equal(getattr(layer, name), getattr(plain, name))
    fans = nn.reinit(
        plain, {"B_real": lambda key, shape, dtype: jnp.full(shape, shape[0], dtype)}, KEY
    )
    assert jnp.all(fans.B_real == 3)


@pytest.mark.parametrize("make", [nn.Embedding, nn.LearnedPositions])
def test_tables_are_drawn_as_they_are(make):
    table = make(5, 3, weight_init=NORMAL, key=KEY).weight
    np.testing.assert_array_equal(table, NORMAL(KEY, (5, 3), "float32"))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float8_e5m2"])
def test_short_dtypes_are_those_of_float32_rounded(dtype):
    make = functools.partial(nn.Linear, 4, 4, weight_init=INIT.orthogonal(), key=KEY)
    short = make(dtype=dtype).weight
    assert short.dtype == dtype
    assert short.tobytes() == make().weight.astype(dtype).tobytes()


def test_complex():
    layer = nn.Conv1d(
        4, 4, 1, weight_init=INIT.orthogonal(), bias_init=NORMAL, dtype="complex64", key=KEY
    )
    assert layer.weight.dtype == layer.bias.dtype == "complex64"
    weight = np.asarray(layer.weight[..., 0], np.complex128)
    np.testing.assert_allclose(weight.conj().T @ weight, np.eye(4), atol=1e-5)
    assert np.any(weight.imag)


@pytest.mark.usefixtures("x64")
def test_64_bit_mode():
    layer = nn.Linear(2, 2, weight_init=INIT.orthogonal(), bias_init=ZEROS, key=KEY)
    assert layer.weight.dtype == layer.bias.dtype == "float64"
    weight = np.asarray(layer.weight)
    np.testing.assert_allclose(weight.T @ weight, np.eye(2), atol=1e-14)


def test_keys_by_place_and_under_transformations():
    make = functools.partial(nn.LSTMCell, 2, 3, weight_init=INIT.he_uniform(), bias_init=ZEROS)
    keys = nn.Keys(KEY)["cell"]
    one = jax.jit(lambda key: make(key=key))(keys)
    np.testing.assert_allclose(one.weight_ih, make(key=keys).weight_ih, rtol=1e-6)
    several = jax.vmap(lambda key: make(key=key))(jax.random.split(KEY, 2))
    second = make(key=jax.random.split(KEY, 2)[1])
    np.testing.assert_allclose(several.weight_hh[1], second.weight_hh, rtol=1e-6)


def test_without_elements_there_is_nothing_to_draw():
    make = functools.partial(nn.Linear, weight_init=INIT.he_normal(), key=KEY)
    assert make(0, 4).weight.shape == (4, 0)
    assert make(3, 0).weight.shape == (0, 3)
    assert nn.LSTMCell(0, 2, weight_init=INIT.orthogonal(), key=KEY).weight_ih.shape == (8, 0)


def test_weak_types_and_numpy_arrays_become_plain():
    weak = lambda key, shape, dtype: jax.lax.full_like(jnp.asarray(1.0), 1.0, shape=shape)  # noqa: E731
    plain = lambda key, shape, dtype: np.ones(shape, dtype)  # noqa: E731
    layer = nn.Linear(2, 3, weight_init=weak, bias_init=plain, key=KEY)
    assert not layer.weight.weak_type
    assert isinstance(layer.bias, jax.Array)


def test_no_initializer_is_kept():
    given = nn.Linear(2, 3, weight_init=ZEROS, bias_init=ZEROS, key=KEY)
    zeros = jax.tree.map(jnp.zeros_like, nn.Linear(2, 3, key=KEY))
    assert tree_equal(given, zeros)
    assert nn.Linear(2, 3, use_bias=False, bias_init=ZEROS, key=KEY).bias is None


WRONG = [
    (
        {"weight_init": "he"},
        TypeError,
        r"`weight_init` of `Linear` must be .*got 'he' of type `str`",
    ),
    ({"weight_init": INIT.he_normal}, TypeError, r"gave a `\w+`\. Call it once .* `he_normal\(\)`"),
    ({"weight_init": lambda *_: None}, TypeError, "it gave a `NoneType`.$"),
    (
        {"bias_init": lambda k, s, d: jnp.zeros((2, 3))},
        ValueError,
        r"`bias_init` of `Linear` .*asked for shape \(3,\) .*, it gave shape \(2, 3\) and dtype",
    ),
    ({"weight_init": lambda k, s, d: jnp.zeros(s, "int32")}, ValueError, "and dtype int32"),
    (
        {"weight_init": ZEROS, "dtype": "int32"},
        ValueError,
        "floating or a complex dtype.* got `int32`",
    ),
    ({"weight_init": ZEROS, "key": 3}, TypeError, "`Linear` needs a PRNG key as `key`"),
]


@pytest.mark.parametrize(("given", "kind", "match"), WRONG)
def test_wrong_initializers(given, kind, match):
    with pytest.raises(kind, match=match):
        nn.Linear(2, 3, **{"key": KEY} | given)


def test_what_an_initializer_raises_is_told_with_its_layer():
    with pytest.raises(ValueError, match="at least 2D") as caught:
        nn.Conv2d(2, 3, 1, bias_init=INIT.he_normal(), key=KEY)
    (note,) = caught.value.__notes__
    assert note.startswith("`bias_init` of `Conv2d` was called with a key, the shape (3,)")
    assert "It is a vector, which has no fans" in note
    with pytest.raises(TypeError, match="argument") as caught:
        nn.LSTMCell(2, 3, weight_init=lambda key: key, key=KEY)
    assert "`weight_init` of `LSTMCell`" in caught.value.__notes__[0]


def test_of_a_table_that_is_given():
    with pytest.raises(ValueError, match="both `weight` and `weight_init`"):
        nn.Embedding(weight=jnp.ones((2, 3)), weight_init=ZEROS)
    with pytest.raises(TypeError, match="`Embedding` needs a PRNG key"):
        nn.Embedding(2, 3, weight_init=NORMAL, key="key")


def test_blocks_that_do_not_divide():
    with pytest.raises(ValueError, match=r"It cannot draw 3 blocks of an array of shape \(4, 2\)"):
        drawn_as(Layout(2, 3), "It", ZEROS, KEY, (4, 2), None)
