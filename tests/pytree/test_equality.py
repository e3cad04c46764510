"""`tree_equal`, and `==` of Modules, which is the same."""

import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eqx_pytree import Module, field, tree_equal


class Affine(Module):
    weight: Any
    name: Any = field(static=True, default="affine")


ON_TWO_DEVICES = """
import jax
jax.config.update("jax_num_cpu_devices", 2)
import jax.numpy as jnp
from eqx_pytree import tree_equal

one, two = (jax.device_put(jnp.arange(4.0), device) for device in jax.devices())
mesh = jax.make_mesh((2,), ("x",))
sharded = jax.device_put(one, jax.NamedSharding(mesh, jax.sharding.PartitionSpec("x")))
print(*(bool(tree_equal(one, other)) for other in (two, sharded)))
print(bool(tree_equal([one, sharded], [two, two])), bool(tree_equal(two, sharded + 1)))
"""

TREES = st.recursive(
    st.one_of(
        st.integers(), st.floats(allow_nan=False), st.text(), st.none(), st.just(jnp.arange(3))
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from("abc"), inner),
        st.builds(Affine, inner, st.sampled_from([1, 1.0, True, "a"])),
    ),
    max_leaves=6,
)


def _copied(tree):
    return jax.tree_util.tree_map(lambda leaf: leaf, tree)


@settings(deadline=None, max_examples=50)
@given(TREES, TREES)
def test_is_reflexive_and_symmetric(one, other):
    assert tree_equal(one, _copied(one))
    assert bool(tree_equal(one, other)) is bool(tree_equal(other, one))


class TestStructure:
    def test_of_other_structure_is_unequal(self):
        assert tree_equal([1], (1,)) is False
        assert tree_equal([1], [1, 2]) is False
        assert tree_equal({"a": 1}, {"b": 1}) is False
        assert tree_equal(None, 0) is False

    def test_dicts_are_equal_in_any_order(self):
        assert tree_equal({"a": 1, "b": 2}, {"b": 2, "a": 1}) is True

    def test_static_fields_compare_by_type_and_value(self):
        assert tree_equal(Affine(1, 1), Affine(1, 1)) is True
        for other in (1.0, True, 2, "1"):
            assert tree_equal(Affine(1, 1), Affine(1, other)) is False
        assert tree_equal(Affine(1, 0.0), Affine(1, -0.0)) is False

    def test_of_another_class_is_unequal(self):
        class Other(Module):
            weight: Any
            name: Any = field(static=True, default="affine")

        assert tree_equal(Affine(1), Other(1)) is False

    def test_empty_trees_are_equal(self):
        assert tree_equal((), ()) is True
        assert tree_equal(None, None) is True

    def test_more_than_two(self):
        assert tree_equal(1, 1, 1) is True
        assert tree_equal(1, 1, 2) is False
        assert tree_equal(1) is True

    def test_of_nothing_is_refused(self):
        with pytest.raises(TypeError, match="`tree_equal` compares PyTrees; it was called with no"):
            tree_equal()


class TestLeaves:
    def test_that_are_no_arrays_compare_by_equality(self):
        assert tree_equal(1, 1.0) is True
        assert tree_equal("a", "a") is True
        assert tree_equal("a", "b") is False
        assert tree_equal(len, len) is True
        assert tree_equal(1.0, 1.0 + 1e-9, rtol=1e-3) is False

    def test_an_array_and_a_number_are_unequal(self):
        assert tree_equal(1, jnp.array(1)) is False
        assert tree_equal(1.0, np.float64(1.0)) is False

    def test_an_error_in_their_equality_is_the_error(self):
        class Broken:
            def __eq__(self, other):
                message = "cannot compare"
                raise RuntimeError(message)

            __hash__ = None

        with pytest.raises(RuntimeError, match="cannot compare"):
            tree_equal(Broken(), Broken())


class TestArrays:
    @pytest.mark.parametrize("numpy", [jnp, np], ids=["jax", "numpy"])
    def test_compare_by_shape_dtype_and_values(self, numpy):
        ones = numpy.ones(2, "float32")
        assert tree_equal(ones, numpy.ones(2, "float32"))
        assert not tree_equal(ones, numpy.zeros(2, "float32"))
        assert not tree_equal(ones, numpy.ones((2, 1), "float32"))
        assert not tree_equal(ones, numpy.ones(2, "int32"))
        assert tree_equal(numpy.ones(0), numpy.ones(0))

    @pytest.mark.parametrize("dtype", ["float16", "bfloat16", "complex64", "bool", "uint8"])
    def test_of_every_dtype(self, dtype):
        assert tree_equal(jnp.ones(2, dtype), jnp.ones(2, dtype))
        assert not tree_equal(jnp.ones(2, dtype), jnp.zeros(2, dtype))
        assert tree_equal(jnp.ones(2, dtype), jnp.ones(2, dtype), atol=1e-3)

    def test_nan_is_unequal_to_itself(self):
        nan = jnp.array(jnp.nan)
        assert not tree_equal(nan, nan)
        assert not tree_equal(np.array(np.nan), np.array(np.nan))

    def test_zeros_of_other_sign_are_equal(self):
        assert tree_equal(jnp.array(0.0), jnp.array(-0.0))

    def test_numpy_strings_and_objects(self):
        assert tree_equal(np.array(["a"]), np.array(["a"])) is True
        assert tree_equal(np.array([None, 1]), np.array([None, 2])) is False

    def test_numpy_scalars_count_as_numpy_arrays(self):
        assert tree_equal(np.float32(1), np.array(1, np.float32)) is True
        assert tree_equal(np.float32(1), np.float64(1)) is False

    def test_kinds_of_answer(self):
        assert type(tree_equal(np.ones(2), np.ones(2))) is bool
        answer = tree_equal(jnp.ones(2), jnp.ones(2))
        assert isinstance(answer, jax.Array)
        assert (answer.shape, answer.dtype) == ((), jnp.bool_)
        assert tree_equal([jnp.ones(2), 1], [jnp.ones(2), 2]) is False

    def test_wherever_the_arrays_lie(self):
        ran = subprocess.run(
            [sys.executable, "-c", ON_TWO_DEVICES], capture_output=True, text=True, check=False
        )
        assert ran.stdout.split() == ["True", "True", "True", "False"], ran.stderr


class TestTypematch:
    def test_by_default_jax_and_numpy_arrays_are_unequal(self):
        assert tree_equal(jnp.ones(2), np.ones(2, np.float32)) is False

    def test_false_lets_them_be_equal(self):
        assert tree_equal(jnp.ones(2), np.ones(2, np.float32), typematch=False)
        assert not tree_equal(jnp.ones(2), np.ones(2, np.float64), typematch=False)

    def test_true_asks_for_the_same_type(self):
        assert tree_equal(1, 1, typematch=True) is True
        assert tree_equal(1, 1.0, typematch=True) is False
        assert tree_equal(np.float32(1), np.array(1, np.float32), typematch=True) is False
        assert tree_equal(jnp.ones(2), jnp.ones(2), typematch=True)


class TestTolerance:
    @settings(deadline=None, max_examples=30)
    @given(
        st.lists(st.floats(-100, 100, width=32), min_size=2, max_size=2),
        st.lists(st.floats(-100, 100, width=32), min_size=2, max_size=2),
        st.sampled_from([0.0, 1e-3, 0.5]),
        st.sampled_from([0.0, 1e-3, 0.5]),
    )
    def test_is_that_of_numpy(self, one, other, rtol, atol):
        one, other = np.array(one), np.array(other)
        expected = np.allclose(one, other, rtol=rtol, atol=atol)
        assert tree_equal(one, other, rtol=rtol, atol=atol) is expected

    def test_integers_stay_exact(self):
        assert not tree_equal(jnp.array(1), jnp.array(2), atol=5)

    def test_complex_arrays(self):
        assert tree_equal(jnp.array(1 + 1j), jnp.array(1 + 1.001j), rtol=1e-2)
        assert not tree_equal(jnp.array(1 + 1j), jnp.array(1 + 1.1j), rtol=1e-2)

    @pytest.mark.parametrize("numpy", [jnp, np], ids=["jax", "numpy"])
    def test_infinities_are_equal_and_warn_of_nothing(self, numpy):
        infinite = numpy.array([numpy.inf, -numpy.inf])
        assert tree_equal(infinite, +infinite, rtol=1e-3, atol=1e-3)
        assert not tree_equal(infinite, -infinite, rtol=1e-3, atol=1e-3)


class TestKeys:
    def test_typed_keys_compare_by_implementation_and_data(self):
        key = jax.random.key(0)
        assert tree_equal(key, jax.random.key(0))
        assert not tree_equal(key, jax.random.key(1))
        assert not tree_equal(key, jax.random.key(0, impl="rbg"))
        assert not tree_equal(key, jax.random.PRNGKey(0))
        assert tree_equal(key, jax.random.key(0), atol=1.0)
        assert not tree_equal(key, jax.random.key(1), atol=1e9)


class TestUnderATrace:
    def test_gives_a_traced_answer(self):
        @jax.jit
        def equal(one, other):
            answer = tree_equal(one, other)
            assert isinstance(answer, jax.core.Tracer)
            return answer

        assert equal({"a": jnp.ones(2), "b": 1.0}, {"a": jnp.ones(2), "b": 1.0})
        assert not equal({"a": jnp.ones(2), "b": 1.0}, {"a": jnp.ones(2), "b": 2.0})

    def test_what_the_structure_decides_stays_a_bool(self):
        @jax.jit
        def inner(x):
            assert tree_equal([x], (x,)) is False
            assert tree_equal(x, jnp.ones((5, 5))) is False
            return x

        inner(jnp.ones(2))

    def test_an_answer_made_under_a_trace_can_be_used_after_it(self):
        jax.jit(lambda x: tree_equal(jnp.arange(7), jnp.arange(7)) * x)(1.0)
        assert tree_equal(jnp.arange(7), jnp.arange(7))
        assert not tree_equal(jnp.arange(7), jnp.ones(7, int))

    def test_inside_vmap(self):
        answers = jax.vmap(lambda x: tree_equal({"a": x}, {"a": jnp.array(1)}))(jnp.arange(3))
        assert answers.tolist() == [False, True, False]

    def test_keys_may_be_traced(self):
        assert jax.jit(tree_equal)(jax.random.key(0), jax.random.key(0))


class TestModules:
    def test_equality_is_tree_equal(self):
        assert Affine(1) == Affine(1)
        assert Affine(1) != Affine(2)
        assert Affine(jnp.ones(2)) == Affine(jnp.ones(2))
        assert Affine(jnp.ones(2)) != Affine(jnp.zeros(2))
        assert Affine(jnp.ones(2)) != Affine(np.ones(2, np.float32))

    def test_with_anything_else_is_false(self):
        assert (Affine(1) == 3) is False
        assert Affine(1) != "affine"

    def test_may_be_traced(self):
        answer = jax.jit(lambda one, other: one == other)(Affine(1.0), Affine(1.0))
        assert answer.shape == ()
        assert bool(answer) is True
