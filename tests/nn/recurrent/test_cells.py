"""`GRUCell` and `LSTMCell` against their equations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter import filter_grad, filter_jit, tree_at
from eqx_nn import GRUCell, LSTMCell
from eqx_pytree import tree_equal

X = np.array([0.5, -1.0, 2.0], np.float32)
H = np.array([0.1, -0.7, 0.3, 0.9], np.float32)
C = np.array([1.0, -2.0, 0.0, 0.5], np.float32)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gru(cell, x, h, *, sigmoid=sigmoid, tanh=np.tanh):
    """The equations as they stand in the docstring, gate by gate."""
    W_r, W_z, W_n = (cell.weight_ih[4 * i : 4 * i + 4] for i in range(3))
    U_r, U_z, U_n = (cell.weight_hh[4 * i : 4 * i + 4] for i in range(3))
    b_r, b_z, b_n, c_n = 0, 0, 0, 0
    if cell.bias is not None:
        b_r, b_z, b_n = (cell.bias[4 * i : 4 * i + 4] for i in range(3))
        c_n = cell.bias_n
    r = sigmoid(W_r @ x + b_r + U_r @ h)
    z = sigmoid(W_z @ x + b_z + U_z @ h)
    n = tanh(W_n @ x + b_n + r * (U_n @ h + c_n))
    return (1 - z) * n + z * h


def lstm(cell, x, state, *, sigmoid=sigmoid, tanh=np.tanh):
    """The equations as they stand in the docstring, gate by gate."""
    h, c = state
    W = [cell.weight_ih[4 * i : 4 * i + 4] for i in range(4)]
    U = [cell.weight_hh[4 * i : 4 * i + 4] for i in range(4)]
    b = [0 if cell.bias is None else cell.bias[4 * i : 4 * i + 4] for i in range(4)]
    i, f, g, o = (W[k] @ x + U[k] @ h + b[k] for k in range(4))
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(c), c


CELLS = {GRUCell: (gru, H), LSTMCell: (lstm, (H, C))}


@pytest.fixture(params=[GRUCell, LSTMCell])
def cls(request):
    return request.param


@pytest.fixture
def state(cls):
    return CELLS[cls][1]


def as_numpy(tree):
    return jax.tree_util.tree_map(np.asarray, tree)


def assert_close(one, other, rtol=1e-5):
    assert jax.tree_util.tree_structure(one) == jax.tree_util.tree_structure(other)
    for a, b in zip(*map(jax.tree_util.tree_leaves, (one, other)), strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-6)


class TestForward:
    @pytest.mark.parametrize("use_bias", [True, False])
    def test_equations(self, cls, state, key, use_bias):
        cell = cls(3, 4, use_bias, key=key)
        equations, _ = CELLS[cls]
        assert_close(as_numpy(cell(X, state)), equations(as_numpy(cell), X, state))

    @pytest.mark.parametrize("use_bias", [True, False])
    def test_gradients(self, cls, state, key, use_bias):
        cell = cls(3, 4, use_bias, key=key)
        equations, _ = CELLS[cls]

        def total(call, cell, x, state):
            return sum(jnp.sum(leaf**2) for leaf in jax.tree_util.tree_leaves(call(cell, x, state)))

        def plain(cell, x, state):
            return equations(cell, x, state, sigmoid=jax.nn.sigmoid, tanh=jnp.tanh)

        ours = jax.grad(lambda *a: total(cls.__call__, *a), argnums=(0, 1, 2))(cell, X, state)
        theirs = jax.grad(lambda *a: total(plain, *a), argnums=(0, 1, 2))(cell, X, state)
        assert_close(ours, theirs)

    def test_scan_is_the_loop(self, cls, state, key):
        cell = cls(3, 4, key=key)
        xs = jnp.stack([X, -X, 2 * X])

        @filter_jit
        def last(cell, xs, state):
            return jax.lax.scan(lambda state, x: (cell(x, state), None), state, xs)[0]

        looped = state
        for x in xs:
            looped = cell(x, looped)
        assert_close(last(cell, xs, state), looped)

    def test_vmap(self, cls, state, key):
        cell = cls(3, 4, key=key)
        states = jax.tree_util.tree_map(lambda h: jnp.stack([h, -h]), state)
        second = jax.tree_util.tree_map(
            lambda h: h[1], jax.vmap(cell)(jnp.stack([X, 2 * X]), states)
        )
        assert_close(second, cell(2 * X, jax.tree_util.tree_map(lambda h: -h, state)))

    def test_numpy_parameters(self, cls, state, key):
        cell = cls(3, 4, key=key)
        assert_close(as_numpy(as_numpy(cell)(X, state)), as_numpy(cell(X, state)))

    def test_pair_may_be_a_list_or_an_array(self, key):
        cell = LSTMCell(3, 4, key=key)
        for state in ([H, C], np.stack([H, C]), jnp.stack([H, C])):
            assert_close(cell(X, state), cell(X, (H, C)))

    def test_columns_without_biases(self, cls, state, key):
        cell = cls(3, 4, use_bias=False, key=key)
        states = jax.tree_util.tree_map(lambda h: np.stack([h, -h], axis=1), state)
        columns = cell(np.stack([X, 2 * X], axis=1), states)
        first = jax.tree_util.tree_map(lambda h: h[:, 0], columns)
        assert_close(first, cell(X, state))

    def test_operations_carry_the_name_of_the_layer(self, cls, state, key, program_text):
        cell = cls(3, 4, key=key)
        assert f"eqx.nn.{cls.__name__}/dot_general" in program_text(cell, X, state)


class TestParameters:
    @pytest.mark.parametrize("use_bias", [True, False])
    def test_either_spelling_of_bias(self, cls, key, use_bias):
        cell = cls(3, 4, bias=use_bias, key=key)
        assert cell.use_bias is use_bias
        assert tree_equal(cell, cls(3, 4, use_bias, key=key))
        message = f"`{cls.__name__}` was given both `use_bias={use_bias}`"
        with pytest.raises(ValueError, match=message):
            cls(3, 4, use_bias, bias=not use_bias, key=key)

    @pytest.mark.parametrize("dtype", ["float16", "bfloat16", "complex64"])
    def test_dtype(self, cls, state, key, dtype):
        cell = cls(3, 4, dtype=dtype, key=key)
        assert {leaf.dtype.name for leaf in jax.tree_util.tree_leaves(cell)} == {dtype}
        state = jax.tree_util.tree_map(lambda h: jnp.asarray(h, dtype), state)
        with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
            new = cell(jnp.asarray(X, dtype), state)
        assert {leaf.dtype.name for leaf in jax.tree_util.tree_leaves(new)} == {dtype}

    def test_sizes_of_zero(self, cls, key):
        empty = cls(3, 0, key=key)
        nothing = jnp.zeros(0) if cls is GRUCell else (jnp.zeros(0), jnp.zeros(0))
        assert jax.tree_util.tree_leaves(empty(X, nothing))[0].shape == (0,)
        assert cls(0, 4, key=key).weight_ih.size == 0

    @pytest.mark.parametrize("name", ["input_size", "hidden_size"])
    def test_wrong_sizes(self, cls, key, name):
        rule = f"`{cls.__name__}` needs a non-negative integer as `{name}`"
        with pytest.raises(ValueError, match=f"{rule}, got -1"):
            cls(**{"input_size": 3, "hidden_size": 4, name: -1}, key=key)
        for size in (2.5, "scalar", None):
            with pytest.raises(TypeError, match=f"{rule}, got"):
                cls(**{"input_size": 3, "hidden_size": 4, name: size}, key=key)

    def test_bias_taken_away_later(self, key):
        cell = tree_at(lambda c: (c.bias, c.bias_n), GRUCell(3, 4, key=key), (None, None))
        assert_close(cell(X, H), GRUCell(3, 4, use_bias=False, key=key)(X, H))


class TestWrongInput:
    def test_input(self, cls, state, key):
        cell = cls(3, 4, key=key)
        rule = rf"`{cls.__name__}` expects `input` of shape \(3,\), got"
        with pytest.raises(TypeError, match=rf"{rule} shape \(2,\)"):
            cell(jnp.ones(2), state)
        with pytest.raises(TypeError, match=rf"{rule} shape \(7, 3\).*use `jax.vmap\(layer\)`"):
            cell(jnp.ones((7, 3)), state)
        with pytest.raises(TypeError) as caught:
            cell(jnp.ones((7, 3)), state)
        assert "`jax.lax.scan(step, hidden, xs)`" in caught.value.__notes__[0]
        with pytest.raises(ValueError, match=rf"{rule} shape \(3, 7\).*in_axes=1"):
            cell(jnp.ones((3, 7)), state)
        with pytest.raises(TypeError, match=f"{rule} a `list`"):
            cell([1.0, 2.0, 3.0], state)

    def test_state(self, cls, key):
        cell = cls(3, 4, key=key)
        name = "hidden" if cls is GRUCell else r"hidden\[0\]"
        for shape, error in (((5,), TypeError), ((7, 4), TypeError), ((4, 4), ValueError)):
            h = jnp.ones(shape)
            state = h if cls is GRUCell else (h, C)
            told = ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "")
            with pytest.raises(
                error, match=rf"expects `{name}` of shape \(4,\), got shape \({told}\)"
            ):
                cell(X, state)

    def test_cell_state(self, key):
        cell = LSTMCell(3, 4, key=key)
        for c in (jnp.ones(5), jnp.ones((7, 4)), [1.0] * 4):
            with pytest.raises(
                TypeError, match=r"`LSTMCell` expects `hidden\[1\]` of shape \(4,\)"
            ):
                cell(X, (H, c))

    def test_no_pair(self, key):
        cell = LSTMCell(3, 4, key=key)
        rule = r"`LSTMCell` expects `hidden` to be the pair `\(h, c\)`"
        for hidden, error in ((H, ValueError), ((H,), ValueError), (None, TypeError)):
            with pytest.raises(error, match=rule):
                cell(X, hidden)

    def test_pair_for_a_gru(self, key):
        with pytest.raises(
            TypeError, match=r"`GRUCell` expects `hidden` of shape \(4,\), got a `tuple`"
        ):
            GRUCell(3, 4, key=key)(X, (H, C))


def test_filter_grad_reaches_every_parameter(cls, state, key):
    grads = filter_grad(lambda cell: jax.tree_util.tree_leaves(cell(X, state))[0].sum())(
        cls(3, 4, key=key)
    )
    assert all(np.any(np.asarray(leaf) != 0) for leaf in jax.tree_util.tree_leaves(grads))
