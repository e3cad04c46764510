"""Errors of `jax.shard_map` name the function and the array as the user does."""

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

from eqx_filter import filter_jit, filter_shard_map
from eqx_pytree import Module

pytestmark = pytest.mark.skipif(jax.device_count() < 4, reason="needs four devices")


class Scale(Module):
    name: str
    weights: list

    def __call__(self, x):
        return self.weights[0] * x


MODEL, X = Scale("scale", [jnp.ones(6), jnp.ones((8, 3))]), jnp.ones((8, 2))


def apply(model, x):
    return {"n": 1, "y": [x, x.sum()]}


def mapped(fun, in_specs, out_specs=None):
    mesh = jax.make_mesh((4,), ("d",), axis_types=(AxisType.Auto,))
    return filter_shard_map(fun, mesh=mesh, in_specs=in_specs, out_specs=out_specs)


@pytest.mark.parametrize("outer", [lambda f: f, filter_jit], ids=["plain", "filter_jit"])
def test_an_input_that_does_not_divide_is_named(outer):
    told = r"'apply' was given .*\bmodel.weights\[0\] of shape float32\[6\],? corresponds to"
    with pytest.raises(ValueError, match=f"(?s){told}") as caught:
        outer(mapped(apply, P("d")))(MODEL, X)
    assert "in_specs for model.weights[0] of value" in str(caught.value)
    assert "args[0]" not in str(caught.value)
    assert "of_arrays" not in str(caught.value)


def test_an_unknown_axis_is_told_with_the_place_of_the_spec():
    with pytest.raises(ValueError, match=r"in_specs for model.weights\[1\] refers to 'e'"):
        mapped(apply, P("e"))(MODEL, X)


def test_an_output_is_named_by_its_path():
    told = r"out_specs for \['y'\]\[1\] is .* but apply\(...\)\['y'\]\[1\] has shape"
    with pytest.raises(ValueError, match=told):
        mapped(apply, (None, P("d")), P("d"))(MODEL, X)


def test_a_callable_pytree_is_named_by_its_class():
    with pytest.raises(
        ValueError, match=r"(?s)'Scale' .*out_specs for all of it is .* Scale\(...\)"
    ):
        mapped(MODEL, P("d"), P(None, "d"))(jnp.ones(4))


def test_an_error_of_the_function_is_left_as_it_is():
    def fails(x):
        message = "shard_map has args[0][0]"  # so may one say that is called inside
        raise ValueError(message)

    with pytest.raises(ValueError, match=r"^shard_map has args\[0\]\[0\]"):
        mapped(fails, P("d"))(X)
