"""What type checkers see of `Module`: pyright reads this file, nothing runs it."""

from typing import assert_type

import jax

from eqx_pytree import Module, field


class Affine(Module):
    """Fields without `__init__`: the constructor is generated."""

    weight: jax.Array
    bias: jax.Array | None = None
    name: str = field(static=True, default="affine")

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.weight @ x


class Sized(Module):
    """An own `__init__`: the constructor is what it says."""

    weight: jax.Array

    def __init__(self, size: int) -> None:
        self.weight = jax.numpy.ones(size)


def fields_have_their_types(model: Affine) -> None:
    assert_type(model.weight, jax.Array)
    assert_type(model.bias, jax.Array | None)
    assert_type(model.name, str)
    assert_type(model(model.weight), jax.Array)


def constructors_take_the_fields(array: jax.Array) -> None:
    assert_type(Affine(array), Affine)
    assert_type(Affine(weight=array, bias=array, name="first"), Affine)
    assert_type(Sized(3), Sized)
    Affine()  # pyright: ignore[reportCallIssue]
    Affine(array, width=3)  # pyright: ignore[reportCallIssue]
    Sized(array)  # pyright: ignore[reportArgumentType]
