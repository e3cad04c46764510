"""`backward_nan`."""

import jax
import jax.numpy as jnp
import pytest

from eqx_filter import EquinoxRuntimeError, filter_grad, filter_jit
from eqx_filter.debug import backward_nan

X, V = jnp.array(1.0), jnp.arange(3.0)


@pytest.mark.parametrize("jit", [filter_jit, lambda fun: fun], ids=["jit", "eager"])
class TestBackwardNan:
    def test_prints_value_and_cotangent(self, jit, capfd):
        assert jit(jax.grad(lambda x: backward_nan(x, name="here") ** 2))(X) == 2
        jax.effects_barrier()
        lines = capfd.readouterr().out.splitlines()
        assert lines[0] == "here:"
        assert lines[1].startswith("   primals=Array(1., dtype=float32")
        assert lines[2].startswith("cotangents=Array(2., dtype=float32")

    def test_stops_at_nan(self, jit):
        with pytest.raises(EquinoxRuntimeError, match="the gradient of `here` holds"):
            jit(jax.grad(lambda x: backward_nan(x, name="here") * jnp.nan))(X)
        with pytest.raises(EquinoxRuntimeError, match="`backward_nan`: the gradient holds NaN"):
            jit(jax.grad(lambda x: backward_nan(x).sum() * jnp.nan))(V)

    def test_the_line_is_that_of_the_call(self, jit):
        told = r"by the check at test_backward_nan.py:\d+ \(<lambda>\)"
        with pytest.raises(EquinoxRuntimeError, match=told):
            jit(jax.grad(lambda x: backward_nan(x) * jnp.nan))(X)

    def test_or_does_not(self, jit):
        run = jit(jax.grad(lambda x: backward_nan(x, terminate=False) * jnp.nan))
        assert jnp.isnan(run(X))

    def test_infinity_is_no_nan(self, jit):
        assert jit(jax.grad(lambda x: backward_nan(x) * jnp.inf))(X) == jnp.inf

    def test_of_a_tree(self, jit, capfd):
        tree = {"a": X, "b": 3, "c": "text"}
        gradient = jit(filter_grad(lambda tree: backward_nan(tree)["a"] ** 2))(tree)
        assert gradient == {"a": 2, "b": None, "c": None}
        jax.effects_barrier()
        assert "'c': 'text'" in capfd.readouterr().out

    def test_in_a_batch(self, jit):
        run = jit(jax.vmap(jax.grad(lambda x: backward_nan(x) * jnp.where(x > 1, jnp.nan, 1.0))))
        with pytest.raises(EquinoxRuntimeError, match=r"^Batch index \(2,\) had error"):
            run(V)

    def test_the_value_is_as_it_was(self, jit):
        assert jnp.isnan(jit(backward_nan)(X * jnp.nan))
