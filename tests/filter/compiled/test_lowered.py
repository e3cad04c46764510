"""`filter_jit(f).lower(...)` and `compile`."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter import filter_jit
from eqx_pytree import Module, field


class Scale(Module):
    weight: Any
    power: int = field(static=True, default=1)

    def __call__(self, x):
        return self.weight * x**self.power


def keep(x, name):
    return x + 1, name, x.shape


@pytest.fixture
def compiled():
    return filter_jit(keep).lower(jnp.ones(3), "a").compile()


class TestLowered:
    def test_shows_the_program(self):
        lowered = filter_jit(keep).lower(jnp.ones(3), "a")
        assert "stablehlo.add" in lowered.as_text()

    def test_forwards_the_attributes_of_jax(self, compiled):
        lowered = filter_jit(keep).lower(jnp.ones(3), "a")
        assert isinstance(lowered.lowered, jax.stages.Lowered)
        assert isinstance(compiled.compiled, jax.stages.Compiled)
        assert compiled.as_text()
        assert compiled.memory_analysis() is not None

    def test_a_missing_attribute_is_an_attribute_error(self, compiled):
        with pytest.raises(AttributeError, match="no attribute 'nothing'"):
            compiled.nothing  # noqa: B018

    def test_takes_shapes_in_place_of_arrays(self):
        struct = jax.ShapeDtypeStruct((3,), jnp.float32)
        out, name, shape = filter_jit(keep).lower(struct, "a").compile()(jnp.ones(3), "a")
        np.testing.assert_array_equal(out, [2, 2, 2])
        assert (name, shape) == ("a", (3,))

    def test_compiler_options_reach_the_compiler(self):
        lowered = filter_jit(keep).lower(jnp.ones(3), "a")
        with pytest.raises(Exception, match="no_such_option"):
            lowered.compile(compiler_options={"no_such_option": True})

    def test_an_error_in_the_function_is_the_error(self):
        with pytest.raises(ZeroDivisionError, match="division by zero"):
            filter_jit(lambda x: 1 / 0).lower(jnp.ones(3))


class TestCompiled:
    def test_runs_on_other_values(self, compiled):
        for values in (jnp.zeros(3), np.ones(3, np.float32)):
            out, name, shape = compiled(values, "a")
            np.testing.assert_array_equal(out, values + 1)
            assert (name, shape) == ("a", (3,))

    def test_takes_keywords(self, compiled):
        assert compiled(name="a", x=jnp.ones(3))[1] == "a"

    def test_of_a_module(self):
        compiled = filter_jit(Scale(jnp.array(2.0))).lower(jnp.ones(3)).compile()
        np.testing.assert_array_equal(compiled(jnp.ones(3)), [2, 2, 2])

    def test_of_a_decorated_function_of_a_model(self):
        run = filter_jit(lambda model, x: model(x))
        compiled = run.lower(Scale(jnp.array(2.0)), jnp.ones(3)).compile()
        np.testing.assert_array_equal(compiled(Scale(jnp.array(5.0)), jnp.ones(3)), [5, 5, 5])

    def test_keeps_its_output_when_other_shapes_came_between(self, compiled):
        filter_jit(keep)(jnp.ones(7), "a")
        assert compiled(jnp.ones(3), "a")[2] == (3,)

    def test_other_static_values_are_named(self, compiled):
        with pytest.raises(TypeError, match=r"compiled for other .*`name` was 'a' and is 'b'"):
            compiled(jnp.ones(3), "b")

    @pytest.mark.parametrize(("one", "other"), [(1, 1.0), (1, True), (0.0, -0.0)])
    def test_static_values_differ_by_type_and_value(self, one, other):
        compiled = filter_jit(keep).lower(jnp.ones(3), one).compile()
        with pytest.raises(TypeError, match="compiled for other arguments"):
            compiled(jnp.ones(3), other)

    def test_an_array_in_place_of_a_static_value_is_named(self, compiled):
        with pytest.raises(TypeError, match="`name` changed between an array and a static value"):
            compiled(jnp.ones(3), jnp.ones(3))

    def test_another_structure_is_told(self, compiled):
        with pytest.raises(TypeError, match="compiled for other arguments: their structure was"):
            compiled([jnp.ones(3)], "a")

    def test_another_static_field_is_told(self):
        run = filter_jit(lambda model, x: model(x))
        compiled = run.lower(Scale(jnp.array(2.0), 1), jnp.ones(3)).compile()
        with pytest.raises(TypeError, match="compiled for other arguments: their structure was"):
            compiled(Scale(jnp.array(2.0), 2), jnp.ones(3))

    def test_other_shapes_and_dtypes_raise_what_jax_raises(self, compiled):
        with pytest.raises(TypeError, match=r"float32\[3\].*float32\[4\]"):
            compiled(jnp.ones(4), "a")
        with pytest.raises(TypeError, match=r"float32\[3\].*int32\[3\]"):
            compiled(jnp.arange(3), "a")
