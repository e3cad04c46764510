"""`filter_custom_vjp`."""

from typing import Any

import jax
import jax.numpy as jnp
import pytest

from eqx_filter import (
    error_if,
    filter_custom_vjp,
    filter_grad,
    filter_jit,
    filter_vjp,
    tree_equal,
)
from eqx_filter.debug import backward_nan
from eqx_filter.primitives import noinline, nondifferentiable_backward
from eqx_pytree import Module, field

X = jnp.arange(3.0)


class Scale(Module):
    weight: Any
    name: Any = field(static=True, default="scale")

    def __call__(self, x):
        return self.weight * x


def with_rules(function, fwd=None, bwd=None):
    wrapped = filter_custom_vjp(function)
    wrapped.def_fwd(fwd or (lambda perturbed, *args, **kwargs: (function(*args, **kwargs), None)))
    wrapped.def_bwd(bwd or (lambda residuals, g, *args, **kwargs: g))
    return wrapped


class TestRules:
    def test_give_the_derivative(self):
        function = with_rules(
            lambda x: x * x,
            lambda perturbed, x: (x * x, {"held": x}),
            lambda residuals, g, perturbed, x: g * residuals["held"] * 5,
        )
        assert tree_equal(function(X), X * X)
        assert jax.grad(function)(2.0) == 10
        assert filter_jit(filter_grad(function))(jnp.array(2.0)) == 10
        assert tree_equal(jax.vmap(jax.grad(function))(X), X * 5)

    def test_agree_with_a_custom_rule_of_jax(self):
        plain = jax.custom_vjp(jnp.sin)
        plain.defvjp(lambda x: (jnp.sin(x), x), lambda x, g: (g * x,))
        ours = with_rules(jnp.sin, lambda _, x: (jnp.sin(x), x), lambda held, g, _, x: g * held)
        counts = [len(jax.make_jaxpr(jax.grad(f))(2.0).eqns) for f in (ours, plain)]
        assert jax.grad(ours)(2.0) == jax.grad(plain)(2.0)
        assert counts[0] == counts[1]

    def test_see_all_arguments(self):
        seen = []

        def fwd(perturbed, x, *args, **kwargs):
            seen.append((perturbed, args, kwargs))
            return x, ("text", len, 3, None)

        def bwd(residuals, g, perturbed, x, *args, **kwargs):
            seen.append((perturbed, args, kwargs))
            assert residuals == ("text", len, 3, None)
            return g

        function = with_rules(lambda x, *args, **kwargs: x, fwd, bwd)
        jax.grad(lambda x: function(x, Scale(X), "s", 3, k=X, j="j"))(2.0)
        expected = (True, (Scale(X), "s", 3), {"k": X, "j": "j"})
        assert tree_equal(seen, [expected, expected])

    def test_are_told_what_is_perturbed(self):
        seen = []

        def fwd(perturbed, arg):
            seen.append(perturbed)
            return arg["a"], None

        function = with_rules(
            lambda arg: arg["a"], fwd, lambda r, g, p, arg: {"a": g, **dict.fromkeys("bifsn")}
        )
        arg = {"b": X, "i": jnp.array(1), "f": 2.0, "s": "text", "n": None}
        jax.grad(lambda a: function({"a": a, **arg}))(2.0)
        flags = {"a": True, "b": False, "i": False, "f": False, "s": False, "n": None}
        assert seen == [flags]

    def test_of_a_module(self):
        function = with_rules(
            lambda model, x: model(x), bwd=lambda r, g, perturbed, model, x: Scale(g * 7)
        )
        gradient = filter_grad(lambda model: function(model, 3.0))(Scale(jnp.array(2.0)))
        assert gradient == Scale(jnp.array(7.0))


class TestCotangents:
    def test_are_none_where_zero_or_impossible(self):
        seen = []

        def bwd(residuals, g, perturbed, x):
            seen.append(g)
            return g["a"]

        function = with_rules(
            lambda x: {"a": x, "b": x * 2, "i": jnp.array(1), "s": "text", "n": None}, bwd=bwd
        )
        assert jax.grad(lambda x: function(x)["a"])(2.0) == 1
        assert seen == [{"a": 1, "b": None, "i": None, "s": None, "n": None}]

    def test_of_none_are_zero(self):
        function = with_rules(lambda t: t[0] * t[1], bwd=lambda r, g, p, t: (None, g))
        assert jax.grad(function)((2.0, 3.0)) == (0, 1)
        function = with_rules(lambda t: t[0] * t[1], bwd=lambda r, g, p, t: None)
        assert jax.grad(function)((2.0, 3.0)) == (0, 0)

    def test_reach_filter_vjp(self):
        function = with_rules(lambda x: (x, "text"), bwd=lambda r, g, p, x: g[0] * 4)
        out, pullback = filter_vjp(function, X)
        assert tree_equal(out, (X, "text"))
        assert tree_equal(pullback((X, None)), (X * 4,))


class TestMethods:
    def test_self_is_the_first_argument(self):
        class Layer(Module):
            weight: Any

            @filter_custom_vjp
            def apply(self, x):
                return self.weight * x

            @apply.def_fwd
            def forward(perturbed, self, x):  # noqa: N805
                return self.weight * x, None

            @apply.def_bwd
            def backward(residuals, g, perturbed, self, x):  # noqa: N805
                return Layer(g * 11)

        assert filter_grad(lambda layer: layer.apply(2.0))(Layer(jnp.array(3.0))).weight == 11


class TestOldSpelling:
    def test_is_deprecated_and_gives_zeros(self):
        seen = []
        function = filter_custom_vjp(lambda x, y: (x * y, x))
        with pytest.warns(UserWarning, match=r"`filter_custom_vjp.defvjp` is deprecated"):
            function.defvjp(
                lambda x, y: ((x * y, x), "held"),
                lambda held, g, x, y: (seen.append((held, g)), g[0] * 6)[1],
            )
        assert jax.grad(lambda x: function(x, 3)[0])(2.0) == 6
        assert seen == [("held", (1, 0))]


class TestErrors:
    @pytest.mark.parametrize("define", ["def_fwd", "def_bwd", None])
    def test_no_rules(self, define):
        function = filter_custom_vjp(jnp.sin)
        if define:
            getattr(function, define)(len)
        with pytest.raises(RuntimeError, match="`def_fwd` or `def_bwd` not yet called for sin"):
            function(2.0)

    @pytest.mark.parametrize(
        ("call", "place"),
        [
            (lambda f, y: f(2.0, {"a": y}), r"`args\[0\]\['a'\]`"),
            (lambda f, y: f(2.0, k=y), r"`kwargs\['k'\]`"),
        ],
    )
    def test_other_argument_perturbed(self, call, place):
        function = with_rules(lambda x, *args, **kwargs: x)
        text = rf"Unexpected tangent. .* cannot be autodifferentiated.*{place}.* first argument"
        with pytest.raises(RuntimeError, match=text):
            jax.grad(lambda y: call(function, y))(3.0)

    def test_perturbed_function(self):
        def loss(model):
            return with_rules(model)(jnp.array(2.0))

        with pytest.raises(RuntimeError, match=r"`Scale\.weight` of `Scale` is"):
            filter_grad(loss)(Scale(jnp.array(1.0)))

    def test_closed_over_tracer(self):
        with pytest.raises(jax.errors.UnexpectedTracerError, match=r"`y`, which .* closes over"):
            jax.grad(lambda y: with_rules(lambda x: x * y)(2.0))(3.0)

    def test_no_pair(self):
        function = with_rules(jnp.sin, lambda perturbed, x: x)
        with pytest.raises(TypeError, match=r"must return a pair `\(out, residuals\)`; it"):
            jax.grad(function)(2.0)

    @pytest.mark.parametrize(
        ("gradients", "kind", "text"),
        [
            ((X,), RuntimeError, "at `gradients`: a `tuple` with 1 child instead of a `dict`"),
            ({"a": X, "b": X}, RuntimeError, r"at `gradients\['a'\]`: one array .* 2 leaves"),
            ({"a": None, "b": X}, ValueError, r"at `gradients\['b'\]`: shape \(3,\) instead of"),
        ],
    )
    def test_gradients_that_do_not_fit(self, gradients, kind, text):
        function = with_rules(lambda d: d["b"], bwd=lambda r, g, p, d: gradients)
        with pytest.raises(kind, match="the custom_vjp gradients, .*" + text):
            jax.grad(function)({"a": (1.0, 2.0), "b": 3.0})

    def test_forward_mode(self):
        with pytest.raises(TypeError, match="forward-mode"):
            jax.jvp(with_rules(jnp.sin), (2.0,), (1.0,))

    def test_what_cannot_be_called(self):
        with pytest.raises(TypeError, match="`filter_custom_vjp` wraps a function; 3 is not"):
            filter_custom_vjp(3)


@jax.custom_vjp
def constant(x):
    return 1.0 * x


constant.defvjp(lambda x: (1.0 * x, None), lambda residuals, cotangent: (0.0,))


@filter_custom_vjp
def filtered_constant(x):
    return 1.0 * x


@filtered_constant.def_fwd
def _(perturbed, x):
    return 1.0 * x, None


@filtered_constant.def_bwd
def _(residuals, cotangent, perturbed, x):
    return 0.0


@filter_custom_vjp
def passed_on(x):
    return 1.0 * x


@passed_on.def_fwd
def _(perturbed, x):
    return 1.0 * x, None


@passed_on.def_bwd
def _(residuals, cotangent, perturbed, x):
    return cotangent.astype(x.dtype)


@pytest.mark.parametrize("jit", [lambda f: f, jax.jit], ids=["eager", "jit"])
@pytest.mark.parametrize("of", [constant, filtered_constant], ids=["jax", "filtered"])
@pytest.mark.parametrize(
    "rule",
    [
        passed_on,
        lambda x: backward_nan(x, terminate=False),
        lambda x: nondifferentiable_backward(x, symbolic=False),
        noinline(lambda x: 2 * x),
        lambda x: error_if(x, x > 100, "large"),
    ],
    ids=["custom_vjp", "backward_nan", "barrier", "noinline", "error_if"],
)
def test_a_rule_is_given_an_array_where_another_returned_a_number(rule, of, jit):
    """JAX hands a Python number on as it is; right is what it gives without the rule."""
    assert jit(jax.grad(lambda x: of(rule(x))))(2.0) == jit(jax.grad(of))(2.0) == 0
