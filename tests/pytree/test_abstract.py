"""`AbstractVar`, `AbstractClassVar` and `StrictConfig`."""

import abc
import dataclasses
import inspect
from typing import ClassVar, Generic, TypeVar

import cloudpickle
import pytest

from eqx_pytree import AbstractClassVar, AbstractVar, Module, StrictConfig, field

T = TypeVar("T")


class Shape(Module):
    sides: AbstractVar[int]
    name: AbstractClassVar[str]


def names(cls):
    return [spec.name for spec in dataclasses.fields(cls)]


class TestDeclaration:
    def test_is_no_field(self):
        assert names(Shape) == []
        assert list(inspect.signature(Shape).parameters) == []
        assert set(Shape.__annotations__) == {"sides", "name"}

    def test_is_listed(self):
        assert Shape.__abstractvars__ == {"sides"}
        assert Shape.__abstractclassvars__ == {"name"}
        assert Module.__abstractvars__ == Module.__abstractclassvars__ == frozenset()

    def test_stands_among_fields(self):
        class Mixed(Module):
            a: int
            b: AbstractVar[int]
            c: int = 3

        assert names(Mixed) == ["a", "c"]

    @pytest.mark.parametrize("kind", [AbstractVar, AbstractClassVar])
    def test_without_brackets_is_refused(self, kind):
        with pytest.raises(TypeError, match=rf"unsubscripted .*\.A\.x` .* `x: {kind.__name__}"):

            class A(Module):
                x: kind

    @pytest.mark.parametrize("value", [3, None, field(static=True)], ids=["3", "None", "field"])
    def test_with_a_value_is_refused(self, value):
        with pytest.raises(TypeError, match=r"Abstract attribute x cannot have value: `.*\.A\.x`"):

            class A(Module):
                x: AbstractVar[int] = value

        with pytest.raises(TypeError, match="Abstract class attribute x cannot have value"):

            class B(Module):
                x: AbstractClassVar[int] = value

    def test_may_be_text_as_under_the_future_import(self):
        class A(Module):
            x: "AbstractVar[int]"
            y: "eqx_pytree.AbstractClassVar[int]"  # noqa: F821
            z: "AbstractVariable[int]"  # noqa: F821

        assert A.__abstractvars__ == {"x"}
        assert A.__abstractclassvars__ == {"y"}
        assert names(A) == ["z"]

    def test_as_text_is_checked_too(self):
        with pytest.raises(TypeError, match="unsubscripted"):

            class A(Module):
                x: "AbstractVar"

        with pytest.raises(TypeError, match="cannot have value"):

            class B(Module):
                x: "AbstractVar[int]" = 1


class TestInstances:
    def test_of_a_class_that_leaves_any_open_are_refused(self):
        with pytest.raises(TypeError, match=r"class attributes {'name'} and abstract attr"):
            Shape()

    def test_are_refused_before_anything_of_the_user_runs(self):
        class A(Module):
            x: AbstractVar[int]

            def __init__(self):
                pytest.fail("called")

        with pytest.raises(TypeError, match=r"class .*A with abstract attributes {'x'}"):
            A()

    def test_the_error_lists_all_in_order(self):
        class A(Module):
            b: AbstractVar[int]
            a: AbstractVar[int]

            @abc.abstractmethod
            def g(self): ...

            @abc.abstractmethod
            def f(self): ...

        with pytest.raises(TypeError, match=r"methods f, g and abstract attributes {'a', 'b'}"):
            A()

    def test_of_a_class_with_abstract_methods_alone(self):
        class A(Module):
            @abc.abstractmethod
            def f(self): ...

        with pytest.raises(TypeError, match="abstract method"):
            A()


class TestGiven:
    """What a subclass may give an abstract attribute by."""

    def test_field(self):
        class Square(Shape):
            sides: int
            name: ClassVar[str] = "square"

        assert Square(4).sides == 4
        assert Square.__abstractvars__ == Square.__abstractclassvars__ == frozenset()

    def test_field_comes_where_it_is_annotated(self):
        class A(Module):
            x: AbstractVar[int]
            y: int

        class B(A):
            z: int
            x: int

        assert names(B) == ["y", "z", "x"]

    def test_property_and_class_attribute(self):
        class Square(Shape):
            name = "square"

            @property
            def sides(self):
                return 4

        assert Square().sides == 4

    def test_class_attribute_for_both(self):
        class Square(Shape):
            name = "square"
            sides = 4

        assert Square().sides == 4

    def test_class_variable_without_value_is_no_attribute(self):
        class A(Shape):
            sides: ClassVar[int]
            name: ClassVar[str]

        assert A.__abstractvars__ == {"sides"}
        assert A.__abstractclassvars__ == frozenset()

    def test_mixin_in_front(self):
        class Sides(Module):
            sides: int
            name = "any"

        class Front(Sides, Shape):
            pass

        class Behind(Shape, Sides):
            pass

        assert Front(3).sides == 3
        assert Behind.__abstractvars__ == {"sides"}

    def test_plain_mixin_in_front(self):
        class Sides:
            sides = 3
            name = "any"

        class Front(Sides, Shape):
            pass

        assert Front().sides == 3

    def test_generic(self):
        class A(Module, Generic[T]):
            x: AbstractVar[T]

        class B(A[int]):
            x: int

        assert B(1).x == 1

    def test_later_by_no_assignment_to_the_class(self):
        class A(Shape):
            pass

        A.sides, A.name = 1, "a"
        with pytest.raises(TypeError, match="abstract attributes"):
            A()


class TestDeclaredAgain:
    def test_over_a_field(self):
        class A(Module):
            x: int

        class B(A):
            x: AbstractVar[int]

        assert B.__abstractvars__ == {"x"}
        with pytest.raises(TypeError, match=r"abstract attributes {'x'}"):
            B(1)

    def test_as_the_other_kind(self):
        class A(Shape):
            sides: AbstractClassVar[int]

        assert A.__abstractvars__ == frozenset()
        assert A.__abstractclassvars__ == {"sides", "name"}

    def test_by_a_plain_class(self):
        class Plain:
            x: AbstractVar[int]

        class A(Plain, Module):
            pass

        assert A.__abstractvars__ == {"x"}


class TestStrict:
    @pytest.mark.parametrize("strict", [True, False, StrictConfig(), StrictConfig(other=1)])
    def test_is_accepted(self, strict):
        class A(Module, strict=strict):
            x: int

        assert A(1).x == 1

    def test_a_class_that_is_forced_to_be_abstract_has_subclasses_only(self):
        class A(Module, strict=StrictConfig(force_abstact=True)):
            x: int

        class B(A):
            pass

        with pytest.raises(TypeError, match=r"Cannot instantiate abstract `equinox.Module`: `.*A`"):
            A(1)
        assert B(1).x == 1


def test_cloudpickled_classes_stay_abstract():
    class A(Module):
        x: AbstractVar[int]

    class B(A):
        x: int

    restored, concrete = cloudpickle.loads(cloudpickle.dumps((A, B)))
    assert restored.__abstractvars__ == {"x"}
    with pytest.raises(TypeError, match=r"abstract attributes {'x'}"):
        restored()
    assert concrete(1).x == 1
