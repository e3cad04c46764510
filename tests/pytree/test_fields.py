"""`field`, converters, defaults and static fields."""

import dataclasses
import inspect
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_pytree import Module, field, static_field


def takes_float(value: float) -> int:
    return int(value)


class TestField:
    def test_passes_keywords_on_to_dataclasses(self):
        spec = field(default=3, repr=False, metadata={"unit": "m"})
        assert (spec.default, spec.repr, spec.metadata["unit"]) == (3, False, "m")

    def test_converter_and_static_go_into_the_metadata(self):
        assert dict(field(converter=int).metadata) == {"converter": int}
        assert dict(field(static=True, metadata={"a": 1}).metadata) == {"a": 1, "static": True}

    def test_the_metadata_that_was_passed_stays_as_it_was(self):
        given = {"a": 1}
        field(static=True, metadata=given)
        assert given == {"a": 1}

    def test_metadata_alone_may_set_them(self):
        class Config(Module):
            name: str = field(metadata={"static": True, "converter": str})

        assert jax.tree_util.tree_leaves(Config(3)) == []
        assert Config(3).name == "3"

    @pytest.mark.parametrize(("name", "value"), [("converter", int), ("static", True)])
    def test_metadata_with_the_same_name_is_refused(self, name, value):
        with pytest.raises(ValueError, match=f"Cannot use metadata with `{name}` already set"):
            field(metadata={name: value}, **{name: value})

    def test_unknown_keyword_is_refused(self):
        with pytest.raises(TypeError, match="unexpected keyword argument 'statc'"):
            field(statc=True)

    def test_default_beside_default_factory_is_refused(self):
        with pytest.raises(ValueError, match="cannot specify both default and default_factory"):
            field(default=1, default_factory=int)

    def test_static_field_is_deprecated_and_works(self):
        with pytest.warns(UserWarning, match="`static_field` is deprecated in favour of"):
            spec = static_field(default=3)
        assert spec.metadata["static"] is True
        assert spec.default == 3


class TestConverters:
    def test_run_after_a_generated_init(self):
        class Weights(Module):
            weight: Any = field(converter=jnp.asarray)

        assert isinstance(Weights([1.0, 2.0]).weight, jax.Array)

    def test_run_after_an_own_init_that_sees_the_raw_value(self):
        seen = []

        class Weights(Module):
            weight: Any = field(converter=str)

            def __init__(self):
                self.weight = 1
                seen.append(self.weight)

        assert Weights().weight == "1"
        assert seen == [1]

    def test_order_is_post_init_then_converter_then_check_init(self):
        order = []

        class Weights(Module):
            weight: Any = field(converter=lambda value: order.append("converter") or value)

            def __post_init__(self):
                order.append("post_init")

            def __check_init__(self):
                order.append("check_init")

        Weights(1)
        assert order == ["post_init", "converter", "check_init"]

    def test_a_default_is_converted(self):
        class Weights(Module):
            weight: Any = field(converter=str, default=1)

            def __init__(self, weight=None):
                if weight is not None:
                    self.weight = weight

        assert Weights().weight == "1"
        assert Weights(2).weight == "2"

    def test_a_default_of_a_generated_init_is_converted(self):
        class Weights(Module):
            weight: Any = field(converter=str, default=1)

        assert Weights().weight == "1"

    def test_a_field_outside_the_constructor_is_converted(self):
        class Weights(Module):
            weight: Any = field(converter=str, init=False)

            def __post_init__(self):
                self.weight = 3

        assert Weights().weight == "3"

    def test_are_inherited_and_may_be_overridden(self):
        class Weights(Module):
            weight: Any = field(converter=str)

        class Own(Weights):
            def __init__(self):
                self.weight = 5

        class Plain(Weights):
            weight: Any

        assert Own().weight == "5"
        assert Plain(5).weight == 5

    def test_run_once_in_field_order(self):
        order = []

        class Pair(Module):
            one: Any = field(converter=lambda value: order.append("one") or value)
            two: Any = field(converter=lambda value: order.append("two") or value)

        Pair(two=1, one=2)
        assert order == ["one", "two"]

    def test_do_not_run_when_a_tree_is_rebuilt(self):
        class Weights(Module):
            weight: Any = field(converter=str)

        rebuilt = jax.tree_util.tree_map(lambda _: 3, Weights("a"))
        assert rebuilt.weight == 3

    def test_an_error_in_one_is_the_error(self):
        class Weights(Module):
            weight: Any = field(converter=int)

        with pytest.raises(ValueError, match="invalid literal for int"):
            Weights("seven")

    def test_the_constructor_is_annotated_with_what_they_accept(self):
        class Weights(Module):
            given: int = field(converter=takes_float)
            unknown: int = field(converter=lambda value: value)
            builtin: int = field(converter=int)
            plain: int = 3

        assert Weights.__init__.__annotations__["given"] is float
        assert Weights.__init__.__annotations__["unknown"] is Any
        assert Weights.__init__.__annotations__["builtin"] is Any
        assert Weights.__init__.__annotations__["plain"] is int
        assert Weights.__annotations__["given"] is int
        assert inspect.signature(Weights).parameters["given"].annotation is float


class TestDefaults:
    @pytest.mark.parametrize("make", [list, dict, set, lambda: np.ones(2), lambda: jnp.ones(2)])
    def test_a_mutable_default_is_refused(self, make):
        with pytest.raises(
            ValueError, match=r"mutable default .* for field x is not allowed"
        ) as it:

            class Bad(Module):
                x: Any = make()

        told = str(it.value)
        assert "Bad.x` would be one object for all instances" in told
        assert "`x: ... = field(default_factory=lambda: ...)`" in told
        assert "`self.x` in `__init__`" in told

    def test_a_field_without_a_default_comes_first(self):
        told = (
            r"non-default argument 'y'.*Bad.y` has no default: .*`y: ... = field\(kw_only=True\)`"
        )
        with pytest.raises(TypeError, match=told):

            class Bad(Module):
                x: int = 1
                y: int

    def test_a_default_factory_is_called_for_each_instance(self):
        class Config(Module):
            items: list = field(default_factory=list)

        assert Config().items == []
        assert Config().items is not Config().items

    def test_a_default_is_a_leaf(self):
        class Config(Module):
            rate: float = 0.5

        assert jax.tree_util.tree_leaves(Config()) == [0.5]

    def test_a_module_without_arrays_may_be_a_default(self):
        class Inner(Module):
            rate: float = 0.5

        class Outer(Module):
            inner: Inner = Inner()

        assert jax.tree_util.tree_leaves(Outer()) == [0.5]

    def test_a_function_as_default_of_a_field_is_no_method(self):
        class Config(Module):
            activation: Any = lambda x: x + 1

        assert Config().activation(1) == 2

    def test_class_variables_are_no_fields(self):
        class Config(Module):
            size: ClassVar[int] = 4
            rate: float = 0.5

        assert [spec.name for spec in dataclasses.fields(Config)] == ["rate"]
        assert Config.size == 4

    def test_an_init_variable_reaches_post_init_and_is_no_leaf(self):
        class Config(Module):
            rate: float
            scale: dataclasses.InitVar[float] = 2.0

            def __post_init__(self, scale):
                self.rate = self.rate * scale

        assert jax.tree_util.tree_leaves(Config(3.0)) == [6.0]

    def test_keyword_only_fields(self):
        class Config(Module):
            rate: float = field(kw_only=True, default=1.0)
            size: int

        assert Config(3).rate == 1.0
        with pytest.raises(TypeError, match="takes 2 positional arguments but 3 were given"):
            Config(3, 2.0)


class TestStaticFields:
    def test_are_structure_and_no_leaves(self):
        class Config(Module):
            rate: float
            name: str = field(static=True)

        leaves, one = jax.tree_util.tree_flatten(Config(1.0, "one"))
        assert leaves == [1.0]
        assert one != jax.tree_util.tree_structure(Config(1.0, "two"))
        assert one.unflatten([2.0]).name == "one"

    def test_a_subclass_may_make_a_field_static(self):
        class Config(Module):
            name: str

        class Frozen(Config):
            name: str = field(static=True)

        assert jax.tree_util.tree_leaves(Config("a")) == ["a"]
        assert jax.tree_util.tree_leaves(Frozen("a")) == []

    @pytest.mark.parametrize("value", [[1, 2], {"a": [1]}, {1, 2}])
    def test_may_hold_what_has_no_hash(self, value):
        class Config(Module):
            rate: float
            options: Any = field(static=True)

        structure = jax.tree_util.tree_structure(Config(1.0, value))
        assert structure == jax.tree_util.tree_structure(Config(2.0, type(value)(value)))
        assert structure.unflatten([3.0]).options == value
