"""`jitf`, `gradf`, `value_and_grad_f`."""

import pickle
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import pytest

from eqx_filter import gradf, is_array, is_array_like, is_inexact_array, jitf, value_and_grad_f
from eqx_pytree import Module


class Scale(Module):
    weight: Any

    def __call__(self, x):
        return self.weight * x

    def method(self, x):
        return self.weight * x


def square(x):
    return x**2


def traced_of(x, y=()):
    """Of each leaf whether it is traced, as text: other static values come back as arrays."""
    return str([isinstance(leaf, jax.core.Tracer) for leaf in jtu.tree_leaves((x, y))])


class TestJitf:
    def test_filter_fn_decides_leaf_by_leaf(self):
        run = jitf(traced_of, filter_fn=lambda leaf: isinstance(leaf, float))
        assert run([1, 1.0], {"a": 2.0}) == "[False, True, True]"

    @pytest.mark.parametrize("row", [tuple, list])
    def test_filter_tree_of_one_and_of_several_arguments(self, row):
        one = jitf(traced_of, filter_tree={"a": True, "b": False})
        assert one({"a": 1, "b": 2}) == "[True, False]"
        run = jitf(traced_of, filter_tree=row(([True, False], True)))
        assert run([1, 2], 3) == "[True, False, True]"

    def test_numbers_come_back_as_arrays_and_other_leaves_as_they_are(self):
        out = jitf(lambda x: (x, 1, True, 2.0, 1j, "a", None), filter_fn=is_array)(3)
        plain = jax.jit(lambda: (3, 1, True, 2.0, 1j))()
        assert [(x.dtype, x.weak_type) for x in out[:5]] == [(x.dtype, x.weak_type) for x in plain]
        assert out[5:] == ("a", None)
        assert jitf(lambda: 2**40, filter_fn=is_array)() == 2**40
        with pytest.raises(TypeError, match=r"not a valid JAX type"):
            jitf(lambda: np.array("a"), filter_fn=is_array)()

    def test_each_static_value_compiles_anew(self):
        traces = []

        def fun(x):
            traces.append(x)
            return x

        run = jitf(fun, filter_fn=lambda leaf: isinstance(leaf, complex))
        outs = [run(value) for value in (1, 1.0, True, 0.0, -0.0, 1)]
        assert [str(out) for out in outs] == ["1", "1.0", "True", "0.0", "-0.0", "1"]
        assert len(traces) == 5

    def test_static_argnums_and_argnames(self):
        for given in ({"static_argnums": 1}, {"static_argnums": (-1,)}, {"static_argnames": "y"}):
            run = jitf(traced_of, filter_fn=is_array_like, **given)
            assert run(1, [2, 3]) == "[True, False, False]"
        named = jitf(traced_of, filter_fn=is_array_like, static_argnames=["y"])
        assert named(1, y=[2, 3]) == "[True, False, False]"

    def test_filter_tree_leaves_static_argnums_out(self):
        run = jitf(traced_of, filter_tree=[True, False], static_argnums=1)
        assert run([1, 2], "a") == "[True, False, False]"

    def test_defaults_are_no_inputs_to_filter_tree(self):
        def fun(x, scale=1):
            return x["a"] * scale

        assert jitf(fun, filter_tree={"a": True})({"a": 2.0}) == 2

    def test_defaults_are_not_asked_of_filter_fn(self):
        def fun(x, times=3):
            return sum(x for _ in range(times))

        assert jitf(fun, filter_fn=is_array_like)(2.0) == 6

    def test_donate_argnums(self):
        x, y = jnp.ones(3), jnp.ones(4)
        jitf(lambda x, y: (x + 1, y + 1), filter_fn=is_array, donate_argnums=1)(x, y)
        assert (x.is_deleted(), y.is_deleted()) == (False, True)

    def test_arrays_of_a_callable_tree_are_inputs(self):
        for weight in (1.0, 2.0):
            model = Scale(jnp.array(weight))
            assert jitf(model, filter_fn=is_array)(jnp.array(3.0)) == 3 * weight
            assert jitf(model.method, filter_fn=is_array)(jnp.array(3.0)) == 3 * weight

    def test_keywords_with_filter_tree_are_refused(self):
        run = jitf(lambda x, *, y: x, filter_tree=True)
        with pytest.raises(TypeError, match=r"speaks of positional arguments.* keywords `y`"):
            run(1.0, y=2)

    def test_a_leaf_that_is_traced_and_is_no_array_is_named(self):
        with pytest.raises(
            TypeError, match=r"`x\['a'\]`, a `str` passed to .* is to be traced.*=is_array"
        ):
            jitf(lambda x: x, filter_fn=lambda leaf: True)({"a": "text"})

    def test_a_leaf_that_is_static_and_has_no_hash_is_named(self):
        expected = r"`x\['a'\]`, a `\w+` \(the filter holds it static.*neither traced nor hashed"
        with pytest.raises(ValueError, match=expected):
            jitf(lambda x: x, filter_fn=is_inexact_array)({"a": jnp.arange(3)})

    def test_an_unknown_keyword_is_refused(self):
        with pytest.raises(TypeError, match="`jitf` got an unexpected keyword argument `foo`"):
            jitf(len, filter_fn=is_array, foo=1)


class TestGradf:
    def test_filter_fn_picks_what_is_differentiated(self):
        tree = {"a": jnp.array(3.0), "b": jnp.array(2.0), "c": "text"}
        gradient = gradf(lambda t: t["a"] ** 2 * t["b"], filter_fn=is_inexact_array)(tree)
        assert gradient == {"a": 12, "b": 9, "c": None}

    def test_filter_tree_picks_what_is_differentiated(self):
        run = gradf(lambda t: t["a"] ** 2 * t["b"], filter_tree={"a": True, "b": False})
        assert run({"a": 3.0, "b": 2.0}) == {"a": 12, "b": None}

    @pytest.mark.parametrize("argnums", [0, 1, -1, (0, 1), [1], (-1, 0)])
    def test_argnums_agree_with_jax(self, argnums):
        def fun(x, y):
            return x**2 * y**3

        x, y = jnp.array(2.0), jnp.array(3.0)
        plain = jax.grad(fun, argnums=argnums)(x, y)
        assert gradf(fun, filter_fn=is_array, argnums=argnums)(x, y) == plain

    def test_has_aux_orders_as_jax_does(self):
        def fun(x):
            return x**2, "aux"

        x = jnp.array(3.0)
        assert gradf(fun, filter_fn=is_array, has_aux=True)(x) == (6, "aux")
        assert value_and_grad_f(fun, filter_fn=is_array, has_aux=True)(x) == ((9, "aux"), 6)
        assert value_and_grad_f(lambda x: x**2, filter_tree=True)(x) == (9, 6)

    def test_keywords_are_passed_on(self):
        assert gradf(lambda x, *, y: x * y, filter_fn=is_array)(jnp.array(1.0), y=3) == 3

    def test_on_a_method(self):
        run = gradf(Scale(jnp.array(3.0)).method, filter_fn=is_array)
        assert run(jnp.array(2.0)) == 3

    def test_a_leaf_that_cannot_be_differentiated_is_named(self):
        expected = r"real- or complex-valued leaves.*`args\[0\]\['a'\]` of .*dtype `int32`"
        with pytest.raises(TypeError, match=expected):
            gradf(lambda x: 1.0, filter_fn=lambda leaf: True)({"a": jnp.arange(2)})

    def test_allow_int(self):
        run = gradf(lambda x: 1.0, filter_fn=is_array, allow_int=True)
        assert run(jnp.array(1)).dtype == jax.dtypes.float0

    def test_argnums_beyond_the_arguments(self):
        with pytest.raises(TypeError, match=r"`argnums=1` asks for argument 1 .*called with 1 by"):
            gradf(lambda x, y=2: x, filter_fn=is_array, argnums=1)(jnp.array(1.0))

    def test_an_unknown_keyword_is_refused(self):
        with pytest.raises(TypeError, match="`gradf` got an unexpected keyword argument `foo`"):
            gradf(len, filter_fn=is_array, foo=1)


@pytest.mark.parametrize("transform", [jitf, gradf, value_and_grad_f])
class TestFilters:
    @pytest.mark.parametrize(
        "given", [{"filter_fn": is_array}, {"filter_tree": True}], ids=["fn", "tree"]
    )
    def test_what_is_returned_can_be_pickled(self, transform, given):
        run = transform(square, **given)
        x = jnp.array(1.0)
        assert pickle.loads(pickle.dumps(run))(x) == run(x)

    @pytest.mark.parametrize("given", [{}, {"filter_fn": is_array, "filter_tree": True}])
    def test_precisely_one_is_passed(self, transform, given):
        with pytest.raises(ValueError, match="Precisely one of `filter_fn` and `filter_tree`"):
            transform(len, **given)

    def test_a_function_must_be_callable(self, transform):
        with pytest.raises(TypeError, match=r"`filter_fn` of `.*` is 3; it must be a function"):
            transform(len, filter_fn=3)

    @pytest.mark.parametrize("leaf", [1, "True", np.bool_(True), jnp.array(True)], ids=repr)
    def test_a_tree_holds_booleans(self, transform, leaf):
        with pytest.raises(ValueError, match=r"True or False; `filter_tree\['a'\]\[0\]` is"):
            transform(len, filter_tree={"a": [leaf]})

    def test_a_tree_of_another_structure_says_where(self, transform):
        run = transform(lambda x: 1.0, filter_tree={"a": True, "b": [True]})
        with pytest.raises(ValueError, match=r"structure of the inputs.*at `filter_tree\['b'\]`"):
            run({"a": 1.0, "b": (2.0,)})

    def test_a_tuple_of_another_structure_says_where(self, transform):
        run = transform(lambda x, y: 1.0, filter_tree=({"a": True}, False), **_argnums(transform))
        with pytest.raises(ValueError, match=r"at `filter_tree\[0\]"):
            run({"b": 1.0}, 2.0)

    def test_what_cannot_be_called_is_refused(self, transform):
        with pytest.raises(TypeError, match="wraps a function; 3 is not a callable object"):
            transform(3, filter_fn=is_array)


def _argnums(transform):
    return {} if transform is jitf else {"argnums": (0, 1)}
