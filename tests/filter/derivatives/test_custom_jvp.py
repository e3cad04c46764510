"""`filter_custom_jvp`."""

from typing import Any

import jax
import jax.numpy as jnp
import pytest

from eqx_filter import filter_custom_jvp, filter_grad, filter_jit, filter_jvp, tree_equal
from eqx_pytree import Module, field

X = jnp.arange(3.0)


class Scale(Module):
    weight: Any
    name: Any = field(static=True, default="scale")

    def __call__(self, x):
        return self.weight * x


def with_rule(function, rule):
    wrapped = filter_custom_jvp(function)
    wrapped.def_jvp(rule)
    return wrapped


def tripled(function):
    """The function with a rule that gives three times the tangent of its first argument."""

    def rule(primals, tangents, **kwargs):
        return function(*primals, **kwargs), tangents[0] * 3

    return with_rule(function, rule)


class TestRule:
    def test_gives_the_derivative(self):
        function = tripled(lambda x: x * x)
        assert tree_equal(function(X), X * X)
        assert jax.grad(function)(2.0) == 3
        assert jax.jvp(function, (2.0,), (1.0,)) == (4, 3)
        assert filter_jit(filter_grad(function))(jnp.array(2.0)) == 3
        assert tree_equal(jax.vmap(jax.grad(function))(X), jnp.full(3, 3.0))

    def test_agrees_with_a_custom_rule_of_jax(self):
        def rule(primals, tangents):
            return jnp.sin(*primals), tangents[0] * primals[0]

        plain = jax.custom_jvp(jnp.sin)
        plain.defjvp(rule)
        ours = with_rule(jnp.sin, rule)
        assert tree_equal(jax.grad(ours)(2.0), jax.grad(plain)(2.0))
        counts = [len(jax.make_jaxpr(jax.grad(f))(2.0).eqns) for f in (ours, plain)]
        assert counts[0] == counts[1]

    def test_sees_arguments_as_they_were_given(self):
        seen = []

        def rule(primals, tangents, **kwargs):
            seen.append((primals, tangents, kwargs))
            return primals[0] * 2, tangents[0] * 2

        function = with_rule(lambda x, *others, **kwargs: x * 2, rule)
        model, array = Scale(X), jnp.ones(2)
        jax.jvp(lambda x: function(x, model, "text", 3, None, array, k=X, j="j"), (2.0,), (1.0,))
        [(primals, tangents, kwargs)] = seen
        assert tree_equal(primals[1:], (model, "text", 3, None, array), typematch=False)
        assert tree_equal(tangents[1:], (Scale(None), None, None, None, None))
        assert tree_equal(kwargs, {"k": X, "j": "j"})

    def test_is_told_what_is_perturbed(self):
        seen = []

        def rule(primals, tangents):
            seen.append(tangents)
            return primals[0].weight, None

        function = with_rule(lambda model, x: model.weight, rule)
        filter_jvp(lambda x, w: function(Scale(w), x), (2.0, 3.0), (1.0, None))
        assert seen[0][0].weight is None
        assert seen[0][1] == 1

    def test_is_not_used_where_nothing_is_perturbed(self):
        function = with_rule(lambda x: x, lambda primals, tangents: pytest.fail("called"))
        assert filter_jvp(lambda x, y: function(y), (2.0, 3.0), (1.0, None)) == (3, None)


class TestOutput:
    def test_may_hold_anything(self):
        def rule(primals, tangents):
            return (primals[0], "text", 1, None), (tangents[0] * 5, None, None, None)

        function = with_rule(lambda x: (x, "text", 1, None), rule)
        assert tree_equal(function(X), (X, "text", 1, None))
        assert filter_jvp(function, (2.0,), (1.0,))[1] == (5, None, None, None)
        assert tree_equal(filter_jit(function)(X), (X, "text", 1, None))

    def test_none_stands_for_tangents_of_zero(self):
        function = with_rule(lambda x: {"a": (x, x), "b": x}, lambda p, t: (
            {"a": (p[0], p[0]), "b": p[0]}, {"a": None, "b": t[0]}
        ))  # fmt: skip
        out = filter_jvp(function, (2.0,), (1.0,))[1]
        assert out == {"a": (None, None), "b": 1}
        assert jax.jvp(function, (2.0,), (1.0,))[1] == {"a": (0, 0), "b": 1}

    def test_of_integers(self):
        rule = lambda p, t: ((p[0], jnp.array(1)), (t[0], None))  # noqa: E731
        function = with_rule(lambda x: (x, jnp.array(1)), rule)
        assert jax.grad(lambda x: function(x)[0])(2.0) == 1


class TestMethods:
    def test_self_is_the_first_primal(self):
        class Layer(Module):
            weight: Any

            @filter_custom_jvp
            def apply(self, x):
                return self.weight * x

            @apply.def_jvp
            def apply_jvp(primals, tangents):  # noqa: N805
                (self, x), (t_self, t_x) = primals, tangents
                return self.weight * x, 7 * t_x if t_self.weight is None else 9 * t_self.weight

        assert jax.grad(Layer(3.0).apply)(2.0) == 7
        assert filter_grad(lambda layer: layer.apply(2.0))(Layer(jnp.array(3.0))).weight == 9

    def test_a_module_as_the_function(self):
        assert jax.grad(with_rule(Scale(X[1]), lambda p, t: (p[0], t[0] * 4)))(2.0) == 4


class TestOldSpelling:
    def test_is_deprecated_and_gives_zeros(self):
        seen = []
        function = filter_custom_jvp(lambda x, y, n: x * y)
        with pytest.warns(UserWarning, match=r"`filter_custom_jvp.defjvp` is deprecated"):
            function.defjvp(lambda p, t: (seen.append(t), (p[0] * p[1], t[0]))[1])
        filter_jvp(lambda x: function(x, jnp.array(3.0), 2), (2.0,), (1.0,))
        assert seen == [(1, 0, None)]

    def test_defjvps(self):
        with pytest.raises(NotImplementedError, match="use `def_jvp`"):
            filter_custom_jvp(jnp.sin).defjvps(None)


class TestErrors:
    def test_no_rule(self):
        with pytest.raises(AttributeError, match=r"No JVP defined for `sin`.* `def_jvp`"):
            filter_custom_jvp(jnp.sin)(2.0)

    def test_perturbed_keyword_argument(self):
        function = tripled(lambda x, k: x * k)
        with pytest.raises(ValueError, match=r"keyword tangent: `k`, a keyword .* by position"):
            jax.grad(lambda k: function(2.0, k=k))(3.0)

    def test_perturbed_function(self):
        def loss(model):
            return with_rule(model, lambda p, t: (p[0], t[0]))(jnp.array(2.0))

        with pytest.raises(ValueError, match=r"`Scale\.weight` is differentiated, and the rule"):
            filter_grad(loss)(Scale(jnp.array(1.0)))

    def test_closed_over_tracer(self):
        def loss(scale):
            held = {"scale": [scale]}
            return tripled(lambda x: x * held["scale"][0])(2.0)

        with pytest.raises(jax.errors.UnexpectedTracerError, match=r"held\['scale'\]\[0\]`, which"):
            jax.grad(loss)(3.0)

    def test_no_pair(self):
        function = with_rule(jnp.sin, lambda p, t: p[0])
        with pytest.raises(TypeError, match=r"must return a pair .* it returned a "):
            jax.grad(function)(2.0)

    @pytest.mark.parametrize(
        ("tangents", "kind", "text"),
        [
            ((1.0,), ValueError, "at `tangents_out`: a `tuple` with 1 child instead of a `dict`"),
            ({"a": 1.0, "b": 1.0}, ValueError, r"at `tangents_out\['a'\]`: one array .* 2 leaves"),
            ({"a": None, "b": X}, TypeError, r"at `tangents_out\['b'\]`: shape \(3,\) instead of"),
        ],
    )
    def test_tangents_that_do_not_fit(self, tangents, kind, text):
        out = {"a": (2.0, 3.0), "b": 4.0}
        function = with_rule(lambda x: out, lambda p, t: (out, tangents))
        with pytest.raises(kind, match=text):
            jax.jvp(function, (2.0,), (1.0,))

    def test_what_cannot_be_called(self):
        with pytest.raises(TypeError, match="`filter_custom_jvp` wraps a function; 3 is not"):
            filter_custom_jvp(3)


def test_name_and_signature_are_the_function_s():
    def function(x, y):
        """Documented."""

    wrapped = filter_custom_jvp(function)
    assert (wrapped.__name__, wrapped.__doc__) == ("function", "Documented.")
    assert wrapped.fn is wrapped.__wrapped__ is function


def test_a_number_that_is_returned_may_have_a_tangent():
    @filter_custom_jvp
    def function(x):
        return {"number": 2.0, "name": "a"}

    @function.def_jvp
    def _(primals, tangents):
        return {"number": 2.0, "name": "a"}, {"number": 3.0 * tangents[0], "name": None}

    out = function(jnp.array(1.0))
    assert out == {"number": 2.0, "name": "a"}
    assert type(out["number"]) is float
    _, tangent = jax.jvp(lambda x: x * function(x)["number"], (1.0,), (1.0,))
    assert tangent == 5.0
    assert jax.jit(jax.grad(lambda x: x * function(x)["number"]))(1.0) == 5.0
