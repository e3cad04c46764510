"""`LRU` against its equations, step by step in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter import filter_grad, filter_jit
from eqx_nn import LRU
from eqx_pytree import tree_equal

KEY = jax.random.key(0)
XS = jax.random.normal(KEY, (2, 6, 3))


def by_hand(lru, xs, state, length):
    """One sequence of which the first steps are there."""
    field = {
        name: np.asarray(getattr(lru, name), np.float64)
        for name in lru.__dataclass_fields__
        if name[0] in "BCDngt"
    }
    eigenvalues = np.exp(-np.exp(field["nu_log"]) + 1j * np.exp(field["theta_log"]))
    inward = field["B_real"] + 1j * field["B_imag"]
    outward = field["C_real"] + 1j * field["C_imag"]
    ys = np.zeros(xs.shape)
    steps = range(length)
    for t in reversed(steps) if lru.reverse else steps:
        state = eigenvalues * state + np.exp(field["gamma_log"]) * (inward @ xs[t])
        ys[t] = (outward @ state).real + field["D"] * xs[t]
    return ys, state


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
def test_equations(parallel, reverse):
    lru = LRU(3, 4, parallel=parallel, reverse=reverse, key=KEY)
    lengths = np.array([6, 4])
    state = jax.random.normal(KEY, (2, 4)) + 1j
    ys, last = filter_jit(lru)(XS, state, lengths=lengths)
    for i, length in enumerate(lengths):
        expected, end = by_hand(lru, np.asarray(XS[i], np.float64), np.asarray(state[i]), length)
        np.testing.assert_allclose(ys[i], expected, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(last[i], end, rtol=1e-4, atol=1e-4)


def test_padding_has_no_part():
    lru = LRU(3, 4, key=KEY)
    there = np.array([[1, 1, 1, 1, 1, 1], [1, 1, 0, 0, 0, 0]], bool)

    def value_and_gradient(xs):
        def total(both):
            ys, last = both[0](both[1], mask=there)
            return jnp.sum(jnp.sin(ys)) + jnp.sum(jnp.abs(last))

        return total((lru, xs)), filter_grad(total)((lru, xs))

    noise = jnp.where(there[..., None], XS, jnp.nan)
    assert tree_equal(value_and_gradient(noise), value_and_gradient(XS))


def test_first_eigenvalues_are_on_the_ring():
    lru = LRU(2, 1000, r_min=0.9, r_max=0.99, max_phase=0.1, key=KEY)
    found = np.asarray(lru.eigenvalues())
    assert 0.899 < np.abs(found).min() < np.abs(found).max() < 0.991
    assert 0 <= np.angle(found).min() < np.angle(found).max() < 0.1001
    squares = np.sort(np.abs(found) ** 2)  # uniform
    np.testing.assert_allclose(squares, np.linspace(0.81, 0.9801, 1000), atol=0.01)
    np.testing.assert_allclose(np.exp(lru.gamma_log) ** 2, 1 - np.abs(found) ** 2, rtol=1e-3)


def test_always_inside_of_the_unit_circle():
    lru = LRU(2, 1000, r_min=0.0, r_max=1.0, key=KEY)
    assert all(bool(jnp.all(jnp.isfinite(x))) for x in jax.tree.leaves(lru))
    assert np.abs(lru.eigenvalues()).max() < 1
    lru = LRU(2, 1000, r_min=0.999999, key=KEY)
    assert np.abs(lru.eigenvalues()).max() < 1


def test_ranks_are_not_promoted():
    with jax.numpy_rank_promotion("raise"):
        jax.grad(lambda lru: jnp.sum(lru(XS, lengths=[3, 6])[0]))(LRU(3, 4, key=KEY))


def test_a_sequence_in_parts_and_batches():
    lru = LRU(3, 4, key=KEY)
    whole, end = lru(XS)
    first, state = lru(XS[:, :2])
    second, last = lru(XS[:, 2:], state)
    np.testing.assert_allclose(jnp.concatenate([first, second], 1), whole, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(last, end, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(jax.vmap(lru)(XS)[0], whole, rtol=1e-4, atol=1e-5)
    ys, same = lru(XS[:, :0], state)
    assert ys.shape == (2, 0, 3)
    assert tree_equal(same, state)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_short_dtypes_are_read_in_float32(dtype):
    lru = LRU(3, 4, dtype=dtype, key=KEY)
    ys, last = lru(XS.astype(dtype))
    wide = jax.tree.map(lambda x: x.astype(jnp.float32), lru)
    expected, _ = wide(XS.astype(dtype).astype(jnp.float32))
    assert (ys.dtype, last.dtype) == (dtype, jnp.complex64)
    np.testing.assert_allclose(ys.astype(jnp.float32), expected, rtol=0.05, atol=0.05)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: LRU(3, 4, r_min=0.9, r_max=0.5, key=KEY), ValueError, "r_min < r_max"),
        (lambda: LRU(3, 4, max_phase=float("nan"), key=KEY), ValueError, "`max_phase` above 0"),
        (lambda: LRU(3, 4, dtype=jnp.complex64, key=KEY), ValueError, "must be floating"),
        (lambda: LRU(3.5, 4, key=KEY), TypeError, "`size`"),
        (lambda: LRU(3, 4, key=KEY)(XS[..., :2]), ValueError, r"`\(\*batch, length, 3\)`"),
        (lambda: LRU(3, 4, key=KEY)(XS + 1j), TypeError, "maps real sequences; .* complex64"),
        (lambda: LRU(3, 4, key=KEY)(XS, jnp.zeros(4)), ValueError, r"`state` of shape \(2, 4\)"),
        (lambda: LRU(3, 4, key=KEY)(XS, lengths=[7, 1]), ValueError, r"`lengths\[0\]` is 7"),
    ],
)
def test_what_does_not_fit(make, error, message):
    with pytest.raises(error, match=message):
        make()
