"""`store_dce` and `inspect_dce`."""

import jax
import jax.numpy as jnp
import pytest

from eqx_filter import filter_jit
from eqx_filter.debug import inspect_dce, store_dce

X, V = jnp.array(1.0), jnp.arange(3.0)


def test_what_is_used_is_shown_and_the_rest_is_not(capsys):
    def function(x):
        return store_dce((x, x + 1, 3, V), name="parts")[1]

    assert filter_jit(function)(X) == 2
    inspect_dce("parts")
    found = "Found 1 call to `equinox.debug.store_dce`.\nEntry 0:\n"
    assert capsys.readouterr().out == f"{found}(<DCE'd>, f32[], 3, <DCE'd>)\n"


def test_each_trace_is_an_entry(capsys):
    for size in (1, 2):
        jax.jit(lambda x: store_dce(x, name="sizes"))(V[:size])
    jax.jit(lambda x: (store_dce(x, name="sizes"), x)[1])(V)
    inspect_dce("sizes")
    told = capsys.readouterr().out
    assert told.startswith("Found 3 calls")
    assert "Entry 0:\nf32[1]\nEntry 1:\nf32[2]\nEntry 2:\n<DCE'd>\n" in told


def test_without_calls(capsys):
    inspect_dce("nothing of this name")
    assert capsys.readouterr().out == "Found 0 calls to `equinox.debug.store_dce`.\n"


def test_it_is_the_identity_under_transformations():
    run = jax.jit(jax.grad(lambda x: (store_dce(x, name="gradient") ** 2).sum()))
    assert run(V).tolist() == [0, 2, 4]
    assert jax.jit(jax.vmap(lambda x: store_dce(x, name="batch")))(V).tolist() == [0, 1, 2]


def test_outside_of_a_program_is_refused():
    with pytest.raises(RuntimeError, match=r"should be used inside of JIT: .* `filter_jit`"):
        store_dce(X)
