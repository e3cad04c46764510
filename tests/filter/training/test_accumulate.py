"""`accumulate`: against the gradient of the whole batch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter import accumulate, filter_grad, filter_jit, filter_value_and_grad, tree_equal

W = {"w": jnp.linspace(-1.0, 1.0, 12).reshape(3, 4), "f": jnp.tanh}
X = jnp.linspace(-2.0, 2.0, 24).reshape(8, 3)
Y = jnp.ones((8, 4))


def loss(model, x, y):
    return jnp.mean((model["f"](x @ model["w"]) - y) ** 2)


@pytest.mark.parametrize("steps", [1, 2, 4, 8])
def test_is_that_of_the_batch(steps):
    whole = filter_value_and_grad(loss)(W, X, Y)
    parts = accumulate(filter_value_and_grad(loss), steps)(W, X, Y)
    assert parts[1]["f"] is None
    assert tree_equal(parts, whole, rtol=1e-5, atol=1e-6)


def test_under_jit_of_vmap_and_with_keywords():
    grad = accumulate(filter_grad(lambda m, x, *, scale: scale * loss(m, x, 1.0)), 2)
    whole = filter_grad(lambda m, x, *, scale: scale * loss(m, x, 1.0))
    assert tree_equal(
        filter_jit(grad)(W, X, scale=2.0), whole(W, X, scale=2.0), rtol=1e-5, atol=1e-6
    )
    of_batch = lambda f: jax.vmap(lambda x: f({**W}, x, scale=1.0)["w"])(jnp.stack([X, 2 * X]))  # noqa: E731
    np.testing.assert_allclose(of_batch(grad), of_batch(whole), rtol=1e-5, atol=1e-6)


def test_what_is_not_cut():
    grad = accumulate(filter_grad(lambda m, x, y: loss(m, x, y[0])), 4, in_axes=(None, 0, None))
    assert tree_equal(grad(W, X, Y[:1]), filter_grad(loss)(W, X, Y), rtol=1e-5, atol=1e-6)
    keys = jax.random.split(jax.random.key(0), 8)

    def noisy(model, x, key):
        return loss(model, x + jax.vmap(lambda k: jax.random.normal(k, (3,)))(key), 1.0)

    args = W, X, keys
    parts = accumulate(filter_grad(noisy), 2)(*args)
    assert tree_equal(parts, filter_grad(noisy)(*args), rtol=1e-5, atol=1e-6)


def test_memory_is_that_of_one_part():
    def deep(model, x):
        for _ in range(4):
            x = jnp.tanh(x @ model)
        return jnp.mean(x)

    model, x = jnp.eye(8), jnp.ones((4096, 8))

    def temporary(f, x):
        return jax.jit(f).lower(model, x).compile().memory_analysis().temp_size_in_bytes

    whole, part = temporary(filter_grad(deep), x), temporary(filter_grad(deep), x[:256])
    assert temporary(accumulate(filter_grad(deep), 16), x) < part + whole / 8


def test_sums_are_kept_in_float32():
    grad = filter_grad(lambda w, x: jnp.mean(w * x))
    x = jnp.concatenate([jnp.full(1, 256.0), jnp.ones(255)]).astype(jnp.bfloat16)
    got = accumulate(grad, 256)(jnp.ones((), jnp.bfloat16), x)
    assert got.dtype == jnp.bfloat16
    assert got == jnp.asarray((256 + 255) / 256, jnp.bfloat16)


class TestRefusals:
    def test_steps(self):
        with pytest.raises(ValueError, match="from 1 on as `steps`; got 0"):
            accumulate(loss, 0)
        with pytest.raises(
            TypeError, match=r"`steps` of `accumulate` must be an integer; got 2\.0"
        ):
            accumulate(loss, 2.0)

    def test_a_batch_that_cannot_be_cut(self):
        grad = accumulate(filter_grad(loss), 3)
        with pytest.raises(
            ValueError, match=r"axis of `x` into 3 equal parts; its shape is \(8, 3\)"
        ):
            grad(W, X, Y)
        with pytest.raises(ValueError, match=r"axis of `y` into 4 equal parts; its shape is \(\)"):
            accumulate(filter_grad(loss), 4)(W, X, jnp.asarray(1.0))

    def test_batches_of_two_sizes(self):
        with pytest.raises(ValueError, match=r"`x` has 8 rows and `y` 4\. Pass None in `in_axes`"):
            accumulate(filter_grad(loss), 2)(W, X, Y[:4])

    def test_outputs_without_a_mean(self):
        def count(model, x):
            return {"n": jnp.sum(x > 0)}

        with pytest.raises(
            TypeError, match=r"`out\['n'\]` of .* of shape \(\) and dtype int32.*has none"
        ):
            accumulate(count, 2)(W, X)

    def test_calls_without_a_batch(self):
        with pytest.raises(ValueError, match="cuts no array of this call into 2 parts"):
            accumulate(filter_grad(lambda m, *, x: loss(m, x, 1.0)), 2)(W, x=X)
        with pytest.raises(TypeError, match="takes at least one argument by position"):
            accumulate(filter_grad(loss), 2)()
