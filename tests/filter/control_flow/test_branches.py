"""`filter_cond` and `filter_switch`."""

from typing import Any

import jax
import jax.numpy as jnp
import pytest

from eqx_filter import filter_cond, filter_grad, filter_jit, filter_switch, filter_vmap, tree_equal
from eqx_pytree import Module, field

V = jnp.arange(3.0)


class Model(Module):
    weight: Any
    activation: Any = jnp.abs
    name: str = field(static=True, default="model")


def same(model):
    return model


def doubled(model):
    return Model(model.weight * 2, model.activation, model.name)


class TestCond:
    @pytest.mark.parametrize("pred", [True, False, jnp.array(True), jnp.array(False)], ids=repr)
    def test_returns_a_model(self, pred):
        out = filter_cond(pred, same, doubled, Model(V))
        assert tree_equal(out, same(Model(V)) if pred else doubled(Model(V)))

    def test_agrees_with_jax(self):
        arguments = lambda x, y: (x + y, x), lambda x, y: (x * y, y), V, V + 1
        for pred in (True, False):
            expected = jax.lax.cond(pred, *arguments)
            assert tree_equal(filter_cond(pred, *arguments), expected)
            assert tree_equal(filter_jit(filter_cond)(jnp.array(pred), *arguments), expected)

    def test_the_traced_program_is_that_of_jax(self):
        ours, theirs = (
            jax.make_jaxpr(lambda p, x, cond=cond: cond(p, jnp.sin, jnp.cos, x))(True, V)
            for cond in (filter_cond, jax.lax.cond)
        )
        assert len(ours.eqns) == len(theirs.eqns)

    def test_other_leaves_pass(self):
        out = filter_cond(True, lambda x, s: (x, s, None), lambda x, s: (x * 2, s, None), V, "text")
        assert tree_equal(out, (V, "text", None))

    def test_without_operands(self):
        assert tree_equal(filter_cond(jnp.array(False), lambda: V, lambda: V * 2), V * 2)

    def test_differentiates_and_batches(self):
        def loss(model, pred):
            return filter_cond(pred, same, doubled, model).weight.sum()

        assert tree_equal(filter_grad(loss)(Model(V), jnp.array(False)).weight, jnp.full(3, 2.0))
        out = filter_vmap(lambda p, x: filter_cond(p, jnp.sin, jnp.cos, x))(V > 0, V)
        assert tree_equal(out, jnp.where(V > 0, jnp.sin(V), jnp.cos(V)), rtol=1e-6)


class TestSwitch:
    @pytest.mark.parametrize("index", [-1, 0, 1, 2, 7, jnp.array(1)], ids=repr)
    def test_agrees_with_jax(self, index):
        branches = [jnp.sin, jnp.cos, jnp.tanh]
        ours = filter_switch(index, branches, V)
        assert tree_equal(ours, jax.lax.switch(index, branches, V), rtol=1e-6)

    def test_returns_a_model(self):
        for index, expected in enumerate([Model(V), Model(V * 2)]):
            assert tree_equal(filter_switch(index, [same, doubled], Model(V)), expected)

    def test_without_branches(self):
        with pytest.raises(ValueError, match="needs at least one function in `branches`"):
            filter_switch(0, [], V)


class TestChanges:
    @pytest.mark.parametrize(
        ("other", "text"),
        [
            (lambda m: Model(m.weight, jnp.sin), r"`out.activation` is `.*sin.*` instead of `"),
            (lambda m: Model(m.weight[0]), r"`out.weight` is float32\[\] instead of float32\[3\]"),
            (lambda m: Model(m.weight.astype(int)), r"`out.weight` is int32\[3\] instead of flo"),
            (lambda m: Model(1.0), r"`out.weight` is `1.0` instead of an array of shape \(3,\)"),
            (lambda m: Model(m.weight, name="b"), r"`out` is a `Model` with other static values"),
            (lambda m: (m, m), r"`out` is a `tuple` with 2 children instead of a `Model`"),
        ],
    )
    def test_are_named(self, other, text):
        rule = r"What `.*<lambda>` returns must be like what `same` returns in structure.*"
        with pytest.raises(TypeError, match=rule + text):
            filter_cond(True, same, other, Model(V))
        with pytest.raises(TypeError, match=rule + text):
            filter_switch(0, [same, same, other], Model(V))

    @pytest.mark.parametrize(
        "call", [lambda: filter_cond(True, len, 3, V), lambda: filter_switch(0, [3], V)]
    )
    def test_what_cannot_be_called(self, call):
        with pytest.raises(TypeError, match=r"takes functions as its branches; 3 cannot be called"):
            call()

    @pytest.mark.parametrize(
        ("pred", "text"),
        [
            (V > 1, r"`pred` must be a bool, .* it is an array of shape \(3,\) and dtype bool"),
            ("a", "`pred` must be a bool.* it is a `str`. To choose for each element"),
            (None, "`pred` must be a bool.* it is a `NoneType`"),
        ],
        ids=["vector", "text", "None"],
    )
    def test_another_condition(self, pred, text):
        with pytest.raises(TypeError, match=text):
            filter_cond(pred, same, same, V)

    @pytest.mark.parametrize(
        ("index", "text"),
        [
            (jnp.array([0, 1]), r"`index` must be an integer, .* it is an array of shape \(2,\)"),
            (0.5, "`index` must be an integer.* it is a `float`"),
            (True, "`index` must be an integer.* it is a `bool`"),
        ],
        ids=["vector", "float", "bool"],
    )
    def test_another_index(self, index, text):
        with pytest.raises(TypeError, match=text):
            filter_switch(index, [same, same], V)
