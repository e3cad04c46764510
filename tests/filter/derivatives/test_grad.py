"""`filter_grad` and `filter_value_and_grad`."""

import pickle
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eqx_filter import (
    combine,
    filter_grad,
    filter_jit,
    filter_value_and_grad,
    is_inexact_array,
    partition,
    tree_equal,
)
from eqx_pytree import Module, field


class Affine(Module):
    weight: Any
    bias: Any
    activation: Any = jnp.tanh
    name: str = field(static=True, default="affine")

    def __call__(self, x):
        return self.activation(self.weight @ x + self.bias)

    def loss(self, x):
        return jnp.sum(self(x) ** 2)


def loss(model, x):
    return model.loss(x)


@pytest.fixture
def affine():
    return Affine(jnp.arange(6.0).reshape(2, 3) / 10, jnp.ones(2))


class TestValues:
    def test_agree_with_jax(self, affine):
        x = jnp.arange(3.0)

        def plain(parameters):
            return loss(Affine(*parameters), x)

        value, gradient = filter_value_and_grad(loss)(affine, x)
        expected_value, expected = jax.value_and_grad(plain)((affine.weight, affine.bias))
        assert tree_equal(value, expected_value, rtol=1e-6)
        assert tree_equal((gradient.weight, gradient.bias), expected, rtol=1e-6)
        assert tree_equal(filter_grad(loss)(affine, x), gradient)

    def test_leaves_that_are_no_floating_arrays_have_none(self, affine):
        gradient = filter_grad(loss)(affine, jnp.ones(3))
        assert type(gradient) is Affine
        assert (gradient.activation, gradient.name) == (None, "affine")

    @pytest.mark.parametrize(
        "leaf", [1, 1.0, True, "a", None, len, jnp.arange(2), np.arange(2), jax.random.key(0)]
    )
    def test_other_leaves(self, leaf):
        gradient = filter_grad(lambda tree: tree["x"] ** 2)({"x": jnp.array(3.0), "leaf": leaf})
        assert gradient == {"x": 6, "leaf": None}

    @pytest.mark.parametrize(
        "leaf", [np.array(3.0), np.float32(3), jnp.array(3.0, jnp.bfloat16), np.float16(3)]
    )
    def test_floating_arrays_of_every_kind(self, leaf):
        gradient = filter_grad(lambda x: (x**2).astype("float32"))(leaf)
        assert isinstance(gradient, jax.Array)
        assert gradient == 6
        assert gradient.dtype == jnp.asarray(leaf).dtype

    def test_complex_arrays(self):
        z = jnp.array(1 + 2j)
        ours = filter_grad(lambda z: jnp.real(z * jnp.conj(z)))(z)
        assert ours == jax.grad(lambda z: jnp.real(z * jnp.conj(z)))(z)

    def test_nothing_to_differentiate(self):
        gradient = filter_grad(lambda tree: 1.0)
        with pytest.warns(
            UserWarning, match=r"`tree` of .* has no floating .* `int`, `str`\. Pass"
        ):
            assert gradient({"a": 1, "b": "text"}) == {"a": None, "b": None}
        assert filter_value_and_grad(lambda tree: 2.0)(()) == (2.0, ())

    def test_of_a_tuple_differentiates_several(self):
        gradient = filter_grad(lambda pair: pair[0] * pair[1])((jnp.array(2.0), jnp.array(3.0)))
        assert gradient == (3, 2)

    def test_of_part_of_a_model(self, affine):
        spec = jtu.tree_map(lambda _: False, affine)
        spec = Affine(spec.weight, True, False)
        trained, frozen = partition(affine, spec)
        gradient = filter_grad(lambda t: loss(combine(t, frozen), jnp.ones(3)))(trained)
        assert gradient.weight is None
        assert gradient.bias.shape == (2,)

    @pytest.mark.filterwarnings("ignore:.*has no floating array")
    @settings(deadline=None, max_examples=20)
    @given(st.lists(st.floats(-3, 3, width=32) | st.integers(-3, 3) | st.text(), max_size=4))
    def test_the_gradient_of_a_sum_of_squares_is_twice_the_leaf(self, values):
        tree = [jnp.asarray(v) if isinstance(v, float) else v for v in values]
        squares = filter_grad(lambda t: sum(jnp.sum(v**2) for v in t if is_inexact_array(v)) + 0.0)
        for leaf, gradient in zip(tree, squares(tree), strict=True):
            assert gradient is None if not is_inexact_array(leaf) else gradient == 2 * leaf


class TestArguments:
    def test_has_aux(self):
        def fun(x):
            return x**2, {"aux": (x, "text")}

        x = jnp.array(3.0)
        assert filter_grad(fun, has_aux=True)(x) == (6, {"aux": (3, "text")})
        assert filter_value_and_grad(fun, has_aux=True)(x) == ((9, {"aux": (3, "text")}), 6)

    def test_further_arguments_are_passed_on(self):
        run = filter_grad(lambda x, y, *, scale: x * y * scale)
        assert run(jnp.array(1.0), 2, scale=3) == 6

    def test_holomorphic(self):
        assert filter_grad(lambda z: z**2, holomorphic=True)(jnp.array(1j)) == 2j

    def test_decorator_with_arguments(self):
        @filter_value_and_grad(has_aux=True)
        def fun(x):
            """Square."""
            return x**2, None

        assert fun(jnp.array(3.0)) == ((9, None), 6)
        assert (fun.__name__, fun.__doc__) == ("fun", "Square.")


class TestCallables:
    def test_decorated_methods_differentiate_the_instance(self):
        class Learner(Module):
            weight: Any

            @filter_grad
            def slope(self, x):
                return self.weight**2 * x

        gradient = Learner(jnp.array(3.0)).slope(2.0)
        assert (type(gradient), gradient.weight) == (Learner, 12)

    def test_a_module_differentiates_its_first_argument(self, affine):
        x = jnp.arange(3.0)
        assert tree_equal(filter_grad(affine.loss)(x), jax.grad(affine.loss)(x))

    def test_nests_with_other_transformations(self, affine):
        xs = jnp.ones((4, 3))
        run = filter_jit(lambda m, xs: jax.vmap(lambda x: filter_grad(loss)(m, x).weight)(xs))
        assert run(affine, xs).shape == (4, 2, 3)
        second = filter_grad(filter_grad(lambda x: x**3))(jnp.array(2.0))
        assert second == 12

    def test_pickle_round_trip(self, affine):
        run = pickle.loads(pickle.dumps(filter_grad(loss)))
        assert tree_equal(run(affine, jnp.ones(3)), filter_grad(loss)(affine, jnp.ones(3)))


@pytest.mark.parametrize("transform", [filter_grad, filter_value_and_grad])
class TestRefused:
    def test_argnums(self, transform):
        with pytest.raises(ValueError, match=r"`argnums` should not be passed to `filter_.*tuple"):
            transform(len, argnums=0)

    def test_an_unknown_keyword(self, transform):
        with pytest.raises(TypeError, match="`foo`; it takes `holomorphic`, `allow_int`"):
            transform(len, foo=1)

    def test_what_cannot_be_called(self, transform):
        with pytest.raises(TypeError, match="wraps a function; 3 is not a callable object"):
            transform(3)

    def test_a_call_without_positional_argument(self, transform):
        with pytest.raises(TypeError, match="must have at least one positional argument"):
            transform(lambda: 1.0)()
        with pytest.raises(TypeError, match=r"Functions wrapped with .*Passed by keyword: `x`"):
            transform(lambda x: x)(x=jnp.array(1.0))

    @pytest.mark.parametrize(
        ("loss", "text"),
        [
            (lambda x: None, "only defined for scalar-output.* returned a `NoneType`.*has_aux"),
            (lambda x: "a", "only defined for scalar-output.* returned a `str`"),
            (lambda x: (x, x), "only defined for scalar-output.* returned a `tuple` of 2"),
            (lambda x: x[None], r"only defined for .*shape \(1,\) .* Return its sum or mean"),
            (lambda x: jnp.array(1), "real-valued outputs.* dtype int32. Return a floating"),
            (lambda x: True, "real-valued outputs.* returned a `bool`"),
            (lambda x: x + 1j, "real-valued outputs.* dtype complex64. .*`holomorphic=True`"),
        ],
        ids=["None", "text", "pair", "vector", "integer", "bool", "complex"],
    )
    def test_an_output_without_gradient_is_named(self, transform, loss, text):
        with pytest.raises(TypeError, match=text):
            transform(loss)(jnp.array(1.0))

    def test_a_real_output_is_not_holomorphic(self, transform):
        with pytest.raises(TypeError, match=r"requires complex outputs.* Leave `holomorphic`"):
            transform(jnp.real, holomorphic=True)(jnp.array(1j))

    @pytest.mark.parametrize(
        ("returned", "told"),
        [(1.0, "a `float`"), ((1.0, 2, 3), "a `tuple` of 3"), (None, "a `NoneType`")],
        ids=["number", "three", "None"],
    )
    def test_no_pair_with_has_aux(self, transform, returned, told):
        text = rf"`has_aux`, `.*<lambda>` must return a pair `\(value, aux\)`; it returned {told}"
        with pytest.raises(TypeError, match=text):
            transform(lambda x: returned, has_aux=True)(jnp.array(1.0))

    def test_an_error_inside_stays_the_error(self, transform):
        with pytest.raises(ZeroDivisionError, match="division by zero"):
            transform(lambda x: 1 / 0)(jnp.array(1.0))
