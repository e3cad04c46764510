"""`filter_vmap` and `if_array`."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import jax.tree_util as jtu
import numpy as np
import pytest

from eqx_filter import filter_grad, filter_jit, filter_vmap, if_array, tree_equal
from eqx_pytree import Module, field

V = jnp.arange(3.0)
MATRIX = jnp.arange(6.0).reshape(3, 2)


class Scale(Module):
    weight: Any
    name: Any = field(static=True, default="scale")

    def __call__(self, x):
        return self.weight * x

    def method(self, x):
        return self.weight + x

    @filter_vmap
    def batched(self, x):
        return self.weight * x

    @filter_vmap(in_axes=(None, 0))
    def half_batched(self, x):
        return self.weight * x


def product(x, y):
    return x * y


class TestValues:
    @pytest.mark.parametrize(
        ("in_axes", "out_axes"),
        [(0, 0), (1, 0), (-1, 1), ((0, None), 0), ((None, 1), -1), (([0], [1]), (0,))],
        ids=str,
    )
    def test_agree_with_jax(self, in_axes, out_axes):
        square, args = (
            jnp.arange(9.0).reshape(3, 3),
            (jnp.ones((3, 3)), jnp.arange(9.0).reshape(3, 3)),
        )
        if isinstance(in_axes, tuple) and isinstance(in_axes[0], list):
            args = [square], [square]

        def function(x, y):
            total = jtu.tree_leaves(x)[0] * jtu.tree_leaves(y)[0].sum()
            return (total,) if isinstance(out_axes, tuple) else total

        ours = filter_vmap(function, in_axes=in_axes, out_axes=out_axes)(*args)
        assert tree_equal(ours, jax.vmap(function, in_axes, out_axes)(*args))

    def test_the_traced_program_is_that_of_jax(self):
        def function(x, y):
            return jnp.tanh(x) @ y, y

        ours, theirs = (
            jax.make_jaxpr(vmap(function, in_axes=(0, None), out_axes=(0, None)))(MATRIX, MATRIX[0])
            for vmap in (filter_vmap, jax.vmap)
        )
        assert str(ours) == str(theirs)

    def test_other_leaves_pass_as_they_are(self):
        out = filter_vmap(lambda x, n, s: (x * n, n, s, None, len))(V, 3, "text")
        assert tree_equal(out, (V * 3, 3, "text", None, len))

    def test_of_numpy_arrays_and_keys(self):
        assert tree_equal(filter_vmap(product)(V, np.arange(3.0, dtype=np.float32)), V * V)
        keys = jr.split(jr.key(0), 2)
        assert tree_equal(filter_vmap(jr.normal)(keys), jax.vmap(jr.normal)(keys))

    def test_under_other_transformations(self):
        assert tree_equal(filter_jit(filter_vmap(product))(V, V), V * V)
        assert tree_equal(filter_vmap(filter_vmap(jnp.sin))(MATRIX), jnp.sin(MATRIX), rtol=1e-6)
        gradient = filter_grad(lambda model: filter_vmap(model)(V).sum())(Scale(jnp.array(1.0)))
        assert gradient.weight == 3


class TestModels:
    def test_an_argument_that_is_a_model(self):
        assert tree_equal(filter_vmap(lambda model, x: model(x))(Scale(V), V), V * V)

    def test_the_function_s_own_leaves_are_not_batched(self):
        assert tree_equal(filter_vmap(Scale(V))(V), jnp.outer(V, V))
        assert tree_equal(filter_vmap(Scale(V).method)(V), V[:, None] + V)

    def test_unless_the_axes_of_self_are_given(self):
        assert tree_equal(filter_vmap(Scale(V), in_axes={"self": 0})(V), V * V)
        assert tree_equal(filter_vmap(Scale(V).method, in_axes={"self": if_array(0)})(V), V + V)
        assert tree_equal(filter_vmap(Scale(V), in_axes={"self": Scale(0)})(V), V * V)
        unbound = filter_vmap(Scale.__call__, in_axes={"self": 0, "x": None})
        assert tree_equal(unbound(Scale(V), V), jnp.outer(V, V))

    def test_methods(self):
        assert tree_equal(Scale(V).batched(V), V * V)
        assert tree_equal(Scale(V).half_batched(V), jnp.outer(V, V))

    def test_an_ensemble_made_in_a_batch(self):
        def make(key):
            return Scale(jr.normal(key, (2,)))

        keys = jr.split(jr.key(0), 4)
        ensemble = filter_vmap(make)(keys)
        assert ensemble.weight.shape == (4, 2)
        assert ensemble.name == "scale"
        out = filter_vmap(lambda model, x: model(x), in_axes=(0, None))(ensemble, jnp.ones(2))
        assert tree_equal(out, jnp.stack([make(key).weight for key in keys]))


class TestAxes:
    def test_are_prefixes(self):
        tree = {"a": V, "b": V}
        out = filter_vmap(lambda t: t["a"] * t["b"].sum(), in_axes=({"a": 0, "b": None},))(tree)
        assert tree_equal(out, V * 3)

    def test_are_functions(self):
        def last_of_matrices(leaf):
            return leaf.ndim - 1 if leaf.ndim == 2 else None

        out = filter_vmap(product, in_axes=last_of_matrices)(MATRIX, V)
        assert tree_equal(out, jax.vmap(product, (1, None))(MATRIX, V))
        out = filter_vmap(lambda x: (x, "text"), out_axes=(if_array(1), None))(MATRIX)
        assert tree_equal(out, (MATRIX.T, "text"))

    def test_are_a_dict_by_name(self):
        def function(x, *others, y, **named):
            return x * others[0] * y * named["z"]

        vmapped = filter_vmap(function, in_axes={"others": None, "z": None})
        out = vmapped(V, V, y=V, z=V)
        assert tree_equal(out, (V * V)[:, None] * V * V)

    def test_of_keyword_arguments_are_those_of_arrays(self):
        assert tree_equal(filter_vmap(product)(V, y=V), V * V)

    def test_of_defaults_are_none(self):
        out = filter_vmap(lambda x, y=V: x * y)(V)
        assert tree_equal(out, jnp.outer(V, V))

    def test_of_none_give_a_result_that_is_the_same_for_all(self):
        assert filter_vmap(lambda x: jnp.array(1.0), out_axes=None)(V) == 1
        assert tree_equal(filter_vmap(lambda x: x, in_axes=None, out_axes=None)(V), V)
        assert tree_equal(filter_vmap(lambda x: (x, V), out_axes=(0, None))(V), (V, V))

    def test_unbatched_results_are_repeated(self):
        assert tree_equal(filter_vmap(lambda x: jnp.array(1.0))(V), jnp.ones(3))
        assert filter_vmap(lambda x: 3, out_axes=0)(V).tolist() == [3, 3, 3]

    def test_size_and_name(self):
        assert filter_vmap(lambda: jnp.array(1.0), axis_size=3)().shape == (3,)
        summed = filter_vmap(lambda x: jax.lax.psum(x, "i"), axis_name="i")(V)
        assert tree_equal(summed, jnp.full(3, 3.0))


class TestIfArray:
    def test_gives_the_axis_of_arrays(self):
        assert [if_array(1)(x) for x in (V, np.ones(2), np.float32(1), "a", 1.0, None)] == [
            1, 1, 1, None, None, None,
        ]  # fmt: skip

    def test_is_a_value(self):
        assert if_array(axis=1) == if_array(1) != if_array(0)
        assert repr(if_array(1)) == "if_array(axis=1)"
        assert hash(if_array(1)) == hash(if_array(1))


@pytest.mark.parametrize("axis", ["a", None, 1.0, True])
def test_if_array_takes_integers(axis):
    with pytest.raises(TypeError, match="`axis` of `if_array` must be an integer, not `"):
        if_array(axis)


class TestErrors:
    @pytest.mark.parametrize(
        ("in_axes", "text"),
        [
            ((0,), r"`in_axes` must be a tree prefix; at `in_axes`: a `tuple` with 1 child"),
            ((0, {"a": 0}), r"at `in_axes\[1\]`: a `dict` with 1 child instead of a leaf"),
            ("a", r"must consist of None, ints, and callables only; `in_axes` is 'a'"),
            ((0, 1.0), r"only; `in_axes\[1\]` is 1.0"),
            (True, r"only; `in_axes` is True"),
            (lambda leaf: "a", r"only; `in_axes` is 'a', as `.*<lambda>` answered"),
            ({"z": 0}, r"not correspond to any argument: \('z',\)\. `product` was given `x`, `y`"),
            ({"y": (0, 0)}, r"at `in_axes\['y'\]`: a `tuple` with 2 children instead of a leaf"),
            (1, r"`in_axes` maps axis 1 of `x`, which has shape \(3,\)\. Give None"),
            ((None, -2), r"maps axis -2 of `y`, which has shape \(3,\)"),
        ],
    )
    def test_in_axes(self, in_axes, text):
        with pytest.raises(ValueError, match=text):
            filter_vmap(product, in_axes=in_axes)(V, V)

    def test_an_axis_of_what_is_no_array(self):
        with pytest.raises(TypeError, match=r"axis 0 of `x\['a'\]`, a `str`, and only arrays"):
            filter_vmap(lambda x: x, in_axes=0)({"a": "text"})
        with pytest.raises(ValueError, match=r"axis 0 of `x`, a `float`, and only arrays"):
            filter_vmap(lambda x: x, in_axes=0)(1.0)

    def test_sizes_that_differ(self):
        with pytest.raises(ValueError, match=r"0 of `x\[0\]` is 3, axis 1 of `y\.weight` is 2"):
            filter_vmap(lambda x, y: x, in_axes=(0, 1))([V], Scale(MATRIX))
        with pytest.raises(ValueError, match=r"`axis_size` is 2, axis 0 of `x` is 3"):
            filter_vmap(product, axis_size=2)(V, V)

    def test_nothing_batched(self):
        with pytest.raises(ValueError, match=r"no argument of `sin` has a batch axis"):
            filter_vmap(jnp.sin)(1.0)

    @pytest.mark.parametrize(
        ("out_axes", "kind", "text"),
        [
            ((0, 0, 0), ValueError, r"`out_axes` must be a tree prefix; at `out_axes`: a `tuple`"),
            ((0, "a"), ValueError, r"callables only; `out_axes\[1\]` is 'a'"),
            (0, TypeError, r"gives `out\[1\]` of `.*<lambda>` the axis 0, and it is a `str`"),
            (None, ValueError, r"batched"),
        ],
    )
    def test_out_axes(self, out_axes, kind, text):
        with pytest.raises(kind, match=text):
            filter_vmap(lambda x: (x, "text"), out_axes=out_axes)(V)

    def test_unknown_keywords(self):
        with pytest.raises(TypeError, match=r"`filter_vmap` got an unexpected .* `foo`"):
            filter_vmap(product, foo=1)

    def test_what_cannot_be_called(self):
        with pytest.raises(TypeError, match="`filter_vmap` wraps a function; 3 is not"):
            filter_vmap(3)


def test_if_array_is_a_leaf():
    """So a tree of axes can be mapped beside a tree of them."""
    assert jax.tree.leaves([if_array(0), if_array(1)]) == [if_array(0), if_array(1)]
    chosen = jax.tree.map(lambda axis, x: axis(x), [if_array(1), if_array(0)], [jnp.ones(2), "no"])
    assert chosen == [1, None]
