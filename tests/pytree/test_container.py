"""`ContainerMeta`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_pytree import ContainerMeta


class Colour(metaclass=ContainerMeta):
    """Some colours."""

    red = "#f00"
    green = "#0f0"
    _hidden = None


def test_attributes_are_the_numbers_of_the_values():
    assert (Colour.red, Colour.green, Colour._hidden) == (0, 1, 2)
    assert Colour.__doc__ == "Some colours."


@pytest.mark.parametrize("index", [1, -2, np.int32(1), jnp.array(1)], ids=repr)
def test_a_number_gives_its_value(index):
    assert Colour[index] == "#0f0"


def test_is_a_sequence_of_the_values():
    assert list(Colour) == Colour[:] == ["#f00", "#0f0", None]
    assert len(Colour) == 3
    assert "#f00" in Colour
    assert "#00f" not in Colour


def test_other_indices_are_refused():
    with pytest.raises(IndexError):
        Colour[3]
    with pytest.raises(TypeError):
        Colour["red"]


@pytest.mark.parametrize("number", [0, True, np.int8(1), np.array(1), jnp.array(1), jnp.uint8(7)])
def test_integers_are_instances(number):
    assert isinstance(number, Colour)


@pytest.mark.parametrize("other", [1.0, "a", None, np.arange(2), jnp.array(1.0), jnp.array(True)])
def test_other_values_are_none(other):
    assert not isinstance(other, Colour)


def test_traced_integers_are_instances():
    assert jax.jit(lambda x: jnp.array(isinstance(x, Colour)))(1)
    assert not jax.jit(lambda x: jnp.array(isinstance(x, Colour)))(1.0)


def test_a_subclass_lists_its_own():
    class Grey(Colour):
        light = "#ccc"

    assert list(Grey) == ["#ccc"]
    assert (Grey.light, Grey.green) == (0, 1)
    assert isinstance(Grey(), Colour)


def test_empty():
    class Nothing(metaclass=ContainerMeta):
        pass

    assert list(Nothing) == []
