"""`filter_pmap`, on four devices."""

import inspect
import pickle
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import pytest

from eqx_filter import filter_grad, filter_jit, filter_pmap, filter_vmap, if_array, tree_equal
from eqx_pytree import Module, field

V, X = jnp.arange(4.0), jnp.array(2.0)
MATRIX = jnp.arange(8.0).reshape(4, 2)

pytestmark = pytest.mark.skipif(jax.device_count() < 4, reason="needs four devices")


class Model(Module):
    weight: Any
    activation: Any = jnp.tanh
    name: str = field(static=True, default="model")

    def __call__(self, x):
        return self.activation(self.weight * x)

    @filter_pmap(in_axes=(None, 0))
    def on_each(self, x):
        return self.weight * x


def double(x):
    return x * 2


def device_ids(array):
    return sorted(device.id for device in array.sharding.device_set)


class TestBatch:
    @pytest.mark.parametrize(
        ("function", "arguments", "axes"),
        [
            (double, (V,), {}),
            (double, (MATRIX,), {}),
            (double, (MATRIX.T,), {"in_axes": 1}),
            (double, (MATRIX.T,), {"in_axes": -1}),
            (double, (MATRIX,), {"out_axes": 1}),
            (double, (MATRIX,), {"out_axes": -1}),
            (lambda x, y: x * y, (MATRIX, X), {"in_axes": (0, None)}),
            (lambda x, y: x * y, (MATRIX, MATRIX.T), {"in_axes": (0, 1)}),
            (lambda x, y: x * y, (V, V), {"in_axes": {"y": None}}),
            (lambda x: (x, {"a": X}), (V,), {"out_axes": (0, None)}),
            (lambda x, n: (x * n, n, "text"), (V, 3), {"in_axes": if_array(0)}),
            (lambda x: jax.lax.psum(x, "i"), (MATRIX,), {"axis_name": "i"}),
            (lambda x: jax.lax.all_gather(x, "i"), (MATRIX,), {"axis_name": "i"}),
            (lambda x: x * jax.lax.axis_index("i"), (V,), {"axis_name": "i"}),
            (lambda: jax.lax.axis_index("i"), (), {"axis_name": "i", "axis_size": 4}),
            (double, (np.arange(4.0),), {}),
            (double, (V + 1j,), {}),
            (double, (jnp.asarray(np.arange(4, dtype=np.float16)),), {}),
            (Model(X), (V,), {}),
            (lambda model, x: model(x), (Model(V), V), {}),
            (jax.random.bits, (jax.random.split(jax.random.key(0), 4),), {}),
        ],
        ids=lambda value: "",
    )
    def test_equals_a_batch_on_one_device(self, function, arguments, axes):
        on_devices = filter_pmap(function, **axes)(*arguments)
        on_one = filter_jit(filter_vmap(function, **axes))(*arguments)
        assert tree_equal(on_devices, on_one, rtol=1e-6, atol=1e-6)

    def test_each_device_has_one_element(self):
        out = filter_pmap(double)(MATRIX)
        assert device_ids(out) == [0, 1, 2, 3]
        assert {shard.data.shape for shard in out.addressable_shards} == {(1, 2)}

    def test_an_ensemble_is_made_and_used_where_it_lies(self):
        models = filter_pmap(lambda key: Model(jax.random.normal(key, (3,))))(
            jax.random.split(jax.random.key(0), 4)
        )
        assert models.weight.shape == (4, 3)
        assert models.activation is jnp.tanh
        out = filter_pmap(lambda model, x: model(x), in_axes=(if_array(0), None))(models, 1.0)
        assert device_ids(out) == device_ids(models.weight) == [0, 1, 2, 3]

    def test_an_output_without_an_axis_is_the_first_device_s(self):
        mean = filter_pmap(lambda x: jax.lax.pmean(x, "i"), axis_name="i", out_axes=None)
        assert mean(V) == 1.5

    def test_a_keyword(self):
        assert tree_equal(filter_pmap(lambda x, y: x * y)(V, y=V), V * V)
        assert tree_equal(filter_pmap(lambda x, *, y: x * y)(V, y=V), V * V)

    def test_a_default_has_no_axis(self):
        assert tree_equal(filter_pmap(lambda x, y=3: x * y, in_axes=(0,))(V), V * 3)

    def test_a_method(self):
        assert tree_equal(Model(X).on_each(V), V * 2)


class TestDevices:
    def test_those_that_are_given(self):
        out = filter_pmap(double, devices=jax.devices()[2:])(V[:2])
        assert device_ids(out) == [2, 3]

    def test_those_of_a_backend(self):
        assert device_ids(filter_pmap(double, backend="cpu")(V[:2])) == [0, 1]


class TestCompiled:
    def test_traces_once_for_one_kind_of_call(self):
        count = 0

        def function(x, label):
            nonlocal count
            count += 1
            return x

        for label in ("a", "a", "b", "a"):
            filter_pmap(function)(V, label)
        assert count == 2

    def test_axes_are_told_apart(self):
        square = jnp.arange(16.0).reshape(4, 4)
        first, second = (filter_pmap(lambda x: x, in_axes=axis)(square) for axis in (0, 1))
        assert tree_equal(second, first.T)

    def test_donation(self):
        x = filter_pmap(double)(V)
        filter_pmap(double, donate="all")(x)
        assert x.is_deleted()

    def test_lower_and_compile(self):
        compiled = filter_pmap(double).lower(V).compile()
        assert tree_equal(compiled(V), V * 2)

    def test_transformations_of_it(self):
        run = filter_pmap(double)
        assert tree_equal(filter_jit(run)(V), V * 2)
        assert tree_equal(jax.grad(lambda x: run(x).sum())(V), jnp.full(4, 2.0))
        assert tree_equal(jax.vmap(run, in_axes=1, out_axes=1)(MATRIX), MATRIX * 2)

    def test_a_gradient_on_each_device(self):
        gradient = filter_grad(lambda model, x: model.weight * x)
        out = filter_pmap(gradient, in_axes=(None, 0))(Model(X), V)
        assert tree_equal(out.weight, V)

    def test_it_is_a_pytree_named_as_its_function(self):
        run = filter_pmap(Model(X))
        assert tree_equal(jtu.tree_leaves(run), [X, jnp.tanh])
        assert filter_pmap(double).__name__ == "double"
        assert str(inspect.signature(filter_pmap(double))) == "(x)"

    def test_pickling(self):
        run = pickle.loads(pickle.dumps(filter_pmap(double, in_axes=1, donate="all")))
        assert tree_equal(run(MATRIX.T), MATRIX * 2)


class TestErrors:
    @pytest.mark.parametrize(
        ("call", "kind", "text"),
        [
            (
                lambda: filter_pmap(double)(jnp.arange(5.0)),
                ValueError,
                "`double` was given a batch of 5, .* there are 4. Use `filter_vmap`",
            ),
            (
                lambda: filter_pmap(double, devices=jax.devices()[:1])(V),
                ValueError,
                "a batch of 4, .* there are 1",
            ),
            (
                lambda: filter_pmap(lambda x, y: x)(V, V[:2]),
                ValueError,
                "must have one size; axis 0 of `x` is 4, axis 0 of `y` is 2",
            ),
            (
                lambda: filter_pmap(lambda x, y: x, in_axes=(0, 0))(V, "a"),
                TypeError,
                "`in_axes` maps axis 0 of `y`, a `str`",
            ),
            (
                lambda: filter_pmap(lambda x: "a", out_axes=0)(V),
                TypeError,
                "`out_axes` gives `out` of `.*` the axis 0, and it is a `str`",
            ),
            (
                lambda: filter_pmap(double, in_axes={"z": 0})(V),
                ValueError,
                r"did not correspond to any argument: \('z',\).*given `x`",
            ),
            (
                lambda: filter_pmap(double, static_broadcasted_argnums=0),
                TypeError,
                "`filter_pmap` got an unexpected keyword argument `static_broadcasted_argnums`",
            ),
            (lambda: filter_pmap(double, donate="foo"), ValueError, "`donate='foo'` is unknown"),
            (lambda: filter_pmap(3), TypeError, "`filter_pmap` wraps a function"),
        ],
        ids=[
            "too many",
            "too few devices",
            "sizes",
            "axis of text",
            "out axis of text",
            "unknown name",
            "unknown keyword",
            "donate",
            "no function",
        ],
    )
    def test_errors(self, call, kind, text):
        with pytest.raises(kind, match=text):
            call()
