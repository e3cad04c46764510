"""`Partial` and `module_update_wrapper`."""

import functools
import inspect
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eqx_pytree import Module, Partial, module_update_wrapper, tree_equal


def collect(*args, **kwargs):
    return args, kwargs


def documented(x: int) -> float:
    """What it does."""
    return float(x)


class Wrapper(Module):
    function: Any

    @property
    def __wrapped__(self):
        return self.function

    def __call__(self, *args):
        return self.function(*args)


class TestPartial:
    @settings(deadline=None, max_examples=30)
    @given(
        st.lists(st.integers()),
        st.lists(st.integers()),
        st.dictionaries(st.sampled_from("abc"), st.integers()),
        st.dictionaries(st.sampled_from("xyz"), st.integers()),
    )
    def test_calls_as_functools_partial_does(self, first, more, kept, keywords):
        ours = Partial(collect, *first, **kept)(*more, **keywords)
        assert ours == functools.partial(collect, *first, **kept)(*more, **keywords)

    def test_function_arguments_and_keywords_are_children(self):
        partial = Partial(collect, 1, key=2)
        assert (partial.func, partial.args, partial.keywords) == (collect, (1,), {"key": 2})
        paths = [jtu.keystr(path) for path, _ in jtu.tree_flatten_with_path(partial)[0]]
        assert paths == [".func", ".args[0]", ".keywords['key']"]

    def test_a_function_that_is_a_tree_is_seen_into(self):
        assert tree_equal(jtu.tree_leaves(Partial(Wrapper(jnp.ones(2)), 1)), [jnp.ones(2), 1])

    def test_a_keyword_named_func_is_passed_on(self):
        assert Partial(collect, func=1)() == ((), {"func": 1})

    def test_the_same_keyword_twice_is_refused(self):
        with pytest.raises(TypeError, match="got multiple values for keyword argument 'key'"):
            Partial(collect, key=1)(key=2)

    def test_its_arrays_are_inputs_of_a_jitted_function(self):
        run = jax.jit(lambda scale, x: scale * x)
        partials = [Partial(run, jnp.array(weight)) for weight in (1.0, 2.0)]
        np.testing.assert_array_equal([partial(3.0) for partial in partials], [3, 6])


class TestModuleUpdateWrapper:
    def test_copies_what_functools_update_wrapper_does(self):
        wrapper = module_update_wrapper(Wrapper(documented))
        expected = functools.update_wrapper(lambda x: x, documented)
        for name in ("__module__", "__name__", "__qualname__", "__doc__", "__annotations__"):
            assert getattr(wrapper, name) == getattr(expected, name)
        assert inspect.signature(wrapper) == inspect.signature(documented)
        assert wrapper(3) == 3.0

    def test_the_wrapper_that_was_passed_stays_as_it_was(self):
        wrapper = Wrapper(documented)
        assert module_update_wrapper(wrapper) is not wrapper
        assert vars(wrapper) == {"function": documented}

    def test_the_attributes_are_structure_and_stay(self):
        wrapper = module_update_wrapper(Wrapper(documented))
        assert jtu.tree_leaves(wrapper) == [documented]
        rebuilt = jtu.tree_map(lambda leaf: leaf, wrapper)
        assert (rebuilt.__name__, rebuilt.__doc__) == ("documented", "What it does.")
        assert jtu.tree_structure(rebuilt) == jtu.tree_structure(wrapper)
        assert jtu.tree_structure(Wrapper(documented)) != jtu.tree_structure(wrapper)

    def test_another_callable_may_be_given(self):
        wrapper = module_update_wrapper(Wrapper(3), documented)
        assert (wrapper.__name__, wrapper.function) == ("documented", 3)

    def test_a_callable_that_lacks_some_attributes(self):
        wrapper = module_update_wrapper(Wrapper(functools.partial(documented)))
        assert not hasattr(wrapper, "__name__")
        assert jtu.tree_map(lambda leaf: leaf, wrapper)(3) == 3.0

    def test_a_method_gives_its_own_name_and_module(self):
        class Scale(Module):
            weight: Any

            def scaled(self, x):
                """Scale."""
                return self.weight * x

        wrapper = module_update_wrapper(Wrapper(Scale(3).scaled))
        assert (wrapper.__name__, wrapper.__doc__) == ("scaled", "Scale.")
        assert wrapper.__module__ == __name__

    def test_without_the_property_it_is_refused(self):
        class Bare(Module):
            function: Any

        expected = r"Wrapper module must supply `__wrapped__` as a property, and `.*Bare` does not"
        with pytest.raises(ValueError, match=expected):
            module_update_wrapper(Bare(documented))

    def test_a_method_in_place_of_the_property_is_refused(self):
        class Method(Module):
            def __wrapped__(self):
                return documented

        with pytest.raises(ValueError, match="must supply `__wrapped__` as a property"):
            module_update_wrapper(Method())
