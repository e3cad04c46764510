"""`clear_caches`."""

import jax.numpy as jnp
import pytest

from eqx_filter import cached_filter_eval_shape, clear_caches, filter_jit


@pytest.mark.clears_caches
def test_functions_are_traced_again():
    traced = []

    def function(x):
        traced.append(x)
        return x

    jitted, x = filter_jit(function), jnp.ones(2)
    for _ in range(2):
        jitted(x)
        cached_filter_eval_shape(function, x)
    assert len(traced) == 2
    clear_caches()
    jitted(x)
    cached_filter_eval_shape(function, x)
    assert len(traced) == 4
