"""`breakpoint_if`."""

import os
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import pytest

from eqx_filter import filter_jit
from eqx_filter.debug import breakpoint_if

X = jnp.array(1.0)


@pytest.mark.parametrize("pred", [False, jnp.array(False), jnp.zeros(3, bool)])
def test_goes_on_where_it_does_not_hold(pred):
    def function(x):
        assert breakpoint_if(pred) is None
        return x + breakpoint_if(pred, token=x)

    assert function(X) == 2
    assert filter_jit(function)(X) == 2
    assert jax.vmap(lambda x: (breakpoint_if(x > 5), x)[1])(X[None]) == 1


def test_opens_the_debugger_where_it_does():
    code = """
        import jax, jax.numpy as jnp
        from eqx_filter.debug import breakpoint_if

        @jax.jit
        def function(x):
            breakpoint_if(x > 1)
            return x

        print(function(jnp.array(1.0)))
        print(function(jnp.array(2.0)))
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        input="p pred\nc\n",
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert ran.stdout.startswith("1.0\n")
    assert ran.stdout.count("Entering jdb") == 1
    assert ran.stdout.rstrip().endswith("2.0")


def test_anything_else_is_refused():
    with pytest.raises(TypeError, match=r"`pred` must be a bool .* it is a `str`"):
        breakpoint_if("a")
