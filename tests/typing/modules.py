"""What type checkers see of `Module`: pyright reads this file, nothing runs it."""

from typing import ClassVar, assert_type

import jax

from eqx_pytree import (
    AbstractClassVar,
    AbstractVar,
    Module,
    Partial,
    Static,
    doc_repr,
    field,
    tree_pformat,
)


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
    Affine()  # type: ignore[call-arg]
    Affine(array, width=3)  # type: ignore[call-arg]
    Sized(array)  # type: ignore[arg-type]


class Shape(Module):
    """Attributes that a subclass gives."""

    sides: AbstractVar[int]
    name: AbstractClassVar[str]


class Square(Shape):
    """Gives both."""

    sides: int = 4
    name: ClassVar[str] = "square"  # pyright: ignore[reportIncompatibleVariableOverride]


def abstract_attributes_have_their_types(shape: Shape) -> None:
    assert_type(shape.sides, int)
    assert_type(shape.name, str)
    assert_type(Square().sides, int)
    assert_type(Square.name, str)


def other_data(model: Affine) -> None:
    assert_type(Static("a").value, str)
    assert_type(Partial(model, model.weight)(), jax.Array)
    assert_type(tree_pformat(model), str)
    assert_type(doc_repr(model, "model"), Affine)
