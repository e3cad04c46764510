"""What is refused, and what is warned of, when a class or an instance is made."""

import functools
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import pytest

from eqx_pytree import Module, field


class Scale(Module):
    weight: Any

    def scaled(self, x):
        return self.weight * x

    def __call__(self, x):
        return self.scaled(x)


@pytest.fixture
def static_class():
    """A class with a static field that has warned of nothing yet."""

    class Fresh(Module):
        value: Any = field(static=True)

    return Fresh


@pytest.fixture
def holder_class():
    """A class that stores what its own `__init__` gets, and has warned of nothing yet."""

    class Holder(Module):
        function: Any

        def __init__(self, function):
            self.function = function

    return Holder


class TestUnassigned:
    def test_every_field_is_named(self):
        class Forgetful(Module):
            one: Any
            two: Any
            three: Any

            def __init__(self):
                self.two = 2

        with pytest.raises(
            TypeError,
            match=r"Field 'one' was not initialized\. Field 'three' was not initialized\. .*"
            r"`self\.one = \.\.\.; self\.three = \.\.\.`",
        ):
            Forgetful()

    def test_static_fields_too(self):
        class Forgetful(Module):
            name: str = field(static=True)

            def __init__(self):
                pass

        with pytest.raises(TypeError, match="Field 'name' was not initialized"):
            Forgetful()

    def test_fields_outside_the_constructor(self):
        class Forgetful(Module):
            one: Any = field(init=False)

        with pytest.raises(TypeError, match="Field 'one' was not initialized"):
            Forgetful()

    def test_fields_that_a_subclass_adds_to_an_inherited_own_init(self):
        class Base(Module):
            def __init__(self):
                pass

        class Derived(Base):
            one: Any

        with pytest.raises(TypeError, match=r"'one' was not initialized.*Derived"):
            Derived()

    def test_a_default_is_enough(self):
        class Defaulted(Module):
            one: Any = 1

            def __init__(self):
                pass

        assert Defaulted().one == 1

    def test_a_field_that_post_init_deletes(self):
        class Deletes(Module):
            one: Any

            def __post_init__(self):
                del self.one

        with pytest.raises(TypeError, match="Field 'one' was not initialized"):
            Deletes(1)


class TestMethodsInFields:
    def test_an_own_method_is_refused(self):
        class Cyclic(Module):
            function: Any

            def __init__(self):
                self.function = self.method

            def method(self):
                pass

        with pytest.raises(
            ValueError,
            match=r"Cannot assign methods in __init__: `.*Cyclic\.function` would hold "
            r"`self\.method`.*make `function` a property",
        ):
            Cyclic()

    def test_a_method_of_another_instance_is_a_child(self):
        class Holder(Module):
            function: Any

            def __init__(self):
                self.function = Scale(3).scaled

        assert jtu.tree_leaves(Holder()) == [3]


class TestStaticArrays:
    @pytest.mark.parametrize(
        ("value", "place"),
        [
            (jnp.ones(2), r"value`"),
            (np.ones(2), r"value`"),
            ((1, jnp.ones(2)), r"value\[1\]`"),
            ({"a": [np.ones(2)]}, r"value\['a'\]\[0\]`"),
            (jax.random.key(0), r"value`"),
        ],
        ids=["jax", "numpy", "tuple", "dict", "key"],
    )
    def test_warn_and_name_the_place(self, static_class, value, place):
        with pytest.warns(
            UserWarning, match=rf"A JAX array is being set as static!.*Fresh\.{place}"
        ):
            static_class(value)

    def test_warn_once_for_a_class_and_field(self, static_class):
        with pytest.warns(UserWarning, match="A JAX array is being set as static!") as caught:
            static_class(jnp.ones(2))
        static_class(jnp.ones(2))
        assert len(caught) == 1

    def test_warn_for_each_class_and_each_field(self):
        class One(Module):
            first: Any = field(static=True)
            second: Any = field(static=True)

        class Two(One):
            pass

        with pytest.warns(UserWarning, match="A JAX array is being set as static!") as caught:
            [One(jnp.ones(2), jnp.ones(2)), Two(jnp.ones(2), 1)]
        assert len(caught) == 3

    def test_a_tracer_warns(self, static_class):
        with pytest.warns(UserWarning, match="A JAX array is being set as static!"):
            jax.jit(lambda x: static_class(x).value)(1.0)

    @pytest.mark.parametrize(
        "value",
        [np.float32(1), np.int64(1), np.bool_(True), 1.0, "a", (1, 2), jnp.float32, jnp.sum],
        ids=lambda value: type(value).__name__,
    )
    def test_anything_else_warns_of_nothing(self, static_class, value):
        assert static_class(value).value is value

    @pytest.mark.parametrize("slots", [False, True])
    @pytest.mark.parametrize("inside", [np.ones(2), {"weights": [jnp.ones(2)]}])
    def test_an_object_that_holds_one_warns_once(self, static_class, slots, inside):
        if slots:

            class Table:
                __slots__ = ("rows",)

        else:

            class Table:
                pass

        table = Table()
        table.rows = inside
        told = (
            r"A JAX array is being set as static!.*Fresh.value\[0\]` is a `.*Table` with an array"
        )
        with pytest.warns(UserWarning, match=told) as caught:
            static_class([table])
        static_class([table])
        assert [it.filename for it in caught] == [__file__]

    def test_an_object_that_says_when_it_is_equal_warns_of_nothing(self, static_class):
        class Table:
            def __init__(self):
                self.rows = np.ones(2)

            def __eq__(self, other):
                return isinstance(other, Table) and np.array_equal(self.rows, other.rows)

            __hash__ = None

        static_class(Table())
        static_class(jax.sharding.Mesh(np.array(jax.devices()[:1]), "x"))

    def test_a_shape_and_dtype_warn_of_nothing(self, static_class):
        static_class(jax.ShapeDtypeStruct((2,), jnp.float32))


class Wrapper(Module):
    function: Any

    @property
    def __wrapped__(self):
        return self.function

    def __call__(self, x):
        return self.function(x)


class TestTransformedCallables:
    @pytest.mark.parametrize(
        "transform",
        [jax.jit, jax.vmap, jax.checkpoint, lambda f: jax.jit(jax.vmap(f))],
        ids=["jit", "vmap", "checkpoint", "jit of vmap"],
    )
    def test_warn_where_they_hide_a_pytree(self, holder_class, transform):
        expected = "Possibly assigning a JAX-transformed callable as an attribute on .*Holder"
        with pytest.warns(UserWarning, match=expected):
            holder_class(transform(Scale(3).scaled))

    def test_warn_once_for_a_class_and_field(self, holder_class):
        with pytest.warns(UserWarning, match="Possibly assigning a JAX-transformed") as caught:
            holder_class(jax.jit(Scale(3).scaled))
        holder_class(jax.jit(Scale(3).scaled))
        assert len(caught) == 1

    def test_an_own_method_that_is_transformed_warns(self):
        class Own(Module):
            weight: Any
            function: Any

            def __init__(self):
                self.weight = 1
                self.function = jax.jit(self.method)

            def method(self):
                pass

        with pytest.warns(UserWarning, match="Possibly assigning a JAX-transformed"):
            Own()

    @pytest.mark.parametrize(
        "function",
        [
            jax.jit(lambda x: x),
            jax.vmap(lambda x: x),
            jax.nn.relu,
            jnp.add,
            len,
            functools.partial(len),
            Scale(3),
            Scale(3).scaled,
            functools.wraps(len)(lambda x: x),
        ],
        ids=["jit", "vmap", "relu", "add", "len", "partial", "module", "method", "wraps"],
    )
    def test_what_hides_no_pytree_warns_of_nothing(self, holder_class, function):
        assert holder_class(function).function == function

    def test_what_a_caller_passes_to_a_generated_init_warns_too(self):
        class Generated(Module):
            function: Any

        with pytest.warns(UserWarning, match="Possibly assigning a JAX-transformed") as caught:
            Generated(jax.jit(Scale(3).scaled))
        assert [it.filename for it in caught] == [__file__]  # not the file of the dataclass

    def test_a_module_that_stands_for_what_it_wraps_warns_where_it_is_held(self, holder_class):
        wrapper = Wrapper(jax.jit(Scale(3).scaled))
        holder_class(Wrapper(Scale(3)))
        with pytest.warns(UserWarning, match="Possibly assigning a .* attribute on .*Holder"):
            holder_class(wrapper)

    @pytest.mark.parametrize("held", [None, "a", len], ids=["none", "string", "function"])
    def test_a_tree_without_arrays_and_numbers_warns_of_nothing(self, holder_class, held):
        function = jax.jit(Scale(held).scaled)
        assert holder_class(function).function is function


class TestInitBesidePostInit:
    MATCH = r"Class `{}.*` has both an `__init__` method and a `__post_init__` method"

    def test_in_one_class_warns_and_only_init_runs(self):
        with pytest.warns(UserWarning, match=self.MATCH.format(__name__)):

            class Both(Module):
                weight: Any

                def __init__(self):
                    self.weight = 1

                def __post_init__(self):
                    pytest.fail("ran")

        assert Both().weight == 1

    def test_post_init_added_to_an_inherited_own_init_warns(self):
        class Base(Module):
            def __init__(self):
                pass

        with pytest.warns(UserWarning, match=self.MATCH.format(__name__)):

            class Derived(Base):
                def __post_init__(self):
                    pass

    def test_own_init_added_to_an_inherited_post_init_warns(self):
        class Base(Module):
            def __post_init__(self):
                pass

        with pytest.warns(UserWarning, match=self.MATCH.format(__name__)):

            class Derived(Base):
                def __init__(self):
                    pass

    def test_a_further_subclass_does_not_warn_again(self):
        with pytest.warns(UserWarning, match="has both an"):

            class Both(Module):
                def __init__(self):
                    pass

                def __post_init__(self):
                    pass

        with warnings.catch_warnings():
            warnings.simplefilter("error")

            class Derived(Both):
                weight: Any = 1

        assert Derived().weight == 1
