"""`scan` of each kind against `jax.lax.scan`, and `scan_trick`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter.loops import Buffer, scan, scan_trick

KINDS = {
    "lax": {"kind": "lax"},
    "bounded": {"kind": "bounded"},
    "checkpointed": {"kind": "checkpointed"},
    "few": {"kind": "checkpointed", "checkpoints": 2},
    "all": {"kind": "checkpointed", "checkpoints": "all"},
}
XS = {"a": jnp.arange(5.0), "b": jnp.ones((5, 2), int)}


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def kind(request):
    return request.param


def step(w):
    def f(carry, x):
        carry = jnp.sin(carry * w) + x["a"]
        return carry, {"y": carry * x["b"].sum(), "n": x["b"]}

    return f


def close(found, expected):
    for mine, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert mine.dtype == other.dtype
        np.testing.assert_allclose(mine, other, rtol=1e-5)


def test_it_is_a_scan(kind):
    close(scan(step(1.3), jnp.ones(3), XS, **kind), jax.lax.scan(step(1.3), jnp.ones(3), XS))


def test_gradients_of_all_that_goes_in(kind):
    def loss(scan):
        def of(w, init, a):
            carry, ys = scan(step(w), init, {**XS, "a": a})
            return carry.sum() + (ys["y"] ** 2).sum()

        return jax.jit(jax.grad(of, (0, 1, 2)))

    args = 1.3, jnp.ones(3), XS["a"]
    close(loss(lambda *xs: scan(*xs, **kind))(*args), loss(jax.lax.scan)(*args))


def test_without_elements(kind):
    carry, ys = scan(lambda c, x: (c + 1, c), 0, None, 3, **kind)
    assert (int(carry), ys.tolist()) == (3, [0, 1, 2])
    carry, ys = scan(lambda c, x: (c + x, x), 0.0, jnp.zeros(0), **kind)
    assert (float(carry), ys.shape) == (0, (0,))


def test_a_buffer_in_the_state(kind):
    def f(carry, x):
        i, buffer = carry
        assert isinstance(buffer, Buffer)
        return (i + 1, buffer.at[i].set(2 * x)), None

    start = (jnp.array(0), jnp.zeros(4))
    (_, out), _ = scan(f, start, jnp.arange(4.0), buffers=lambda c: c[1], **kind)
    assert out.tolist() == [0, 2, 4, 6]


def test_lengths_and_kinds_are_checked(kind):
    with pytest.raises(ValueError, match=r"length"):
        scan(lambda c, x: (c, x), 0, jnp.arange(4), 3, **kind)
    if kind["kind"] != "lax" and kind.get("checkpoints") != "all":
        with pytest.raises(ValueError, match=r"that of `xs` or `length`; got none"):
            scan(lambda c, x: (c, x), 0, None, **kind)
    with pytest.raises(ValueError, match=r"Unrecognised kind of scan 'foo'"):
        scan(lambda c, x: (c, x), 0, jnp.arange(4), kind="foo")


@pytest.mark.parametrize(
    ("xs", "where"), [(jnp.zeros(()), "xs"), ((jnp.zeros(3), [1.0]), r"xs\[1\]\[0\]")]
)
def test_what_has_no_axis_is_refused(kind, xs, where):
    with pytest.raises(ValueError, match=rf"`{where}` has shape \(\)\. Close over it"):
        scan(lambda c, x: (c, x), 0, xs, **kind)


@pytest.mark.parametrize(
    ("length", "error"), [("a", TypeError), (2.5, TypeError), (-1, ValueError)]
)
@pytest.mark.parametrize("kind", ["bounded", "checkpointed"])
def test_a_length_is_an_integer(kind, length, error):
    with pytest.raises(error, match=rf"`length` must be .* at least 0; it is {length!r}"):
        scan(lambda c, x: (c, x), 0, None, length, kind=kind)


def test_a_length_may_be_an_integer_of_numpy(kind):
    assert scan(lambda c, x: (c + 1, x), 0, None, np.int64(3), **kind)[0] == 3


def test_scan_trick_calls_in_turn_and_traces_once():
    traces = []

    def square(x):
        traces.append(x)
        return x * x

    def chain(x):
        return square(square(square(x) * 2) - 3)

    found = scan_trick(square, [lambda x: x * 2, lambda x: x - 3], 1.5)
    assert len(traces) == 1
    assert float(found) == pytest.approx(chain(1.5))
    gradient = jax.grad(lambda x: scan_trick(square, [lambda x: x * 2, lambda x: x - 3], x))(1.5)
    assert float(gradient) == pytest.approx(float(jax.grad(chain)(1.5)), rel=1e-5)
