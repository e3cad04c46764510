"""`Sequential` and `Lambda`."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter import filter_grad
from eqx_nn import Dropout, Identity, Lambda, Linear, Sequential, StatefulLayer
from eqx_pytree import Module


class Recorder(Module):
    """Adds one, and writes down the keys that it was given."""

    seen: Any

    def __call__(self, x, *, key=None):
        self.seen.keys.append(key)
        return x + 1


class Seen:
    def __init__(self):
        self.keys = []


class Counter(StatefulLayer):
    """Counts its calls in the state."""

    stateful: bool = True

    def is_stateful(self):
        return self.stateful

    def __call__(self, x, state=None, *, key=None):
        return x + 1 if state is None else (x + 1, state + 1)


@pytest.fixture
def seen():
    return Seen()


class TestCall:
    def test_one_after_the_other(self, key):
        first, second = (Linear(2, 2, key=k) for k in jax.random.split(key))
        model = Sequential([first, Lambda(jnp.tanh), second])
        np.testing.assert_array_equal(model(jnp.ones(2)), second(jnp.tanh(first(jnp.ones(2)))))

    def test_each_layer_gets_its_key(self, key, seen):
        assert Sequential([Recorder(seen)] * 3)(0, key=key) == 3
        np.testing.assert_array_equal(np.stack(seen.keys), jax.random.split(key, 3))

    def test_typed_keys(self, seen):
        key = jax.random.key(1)
        Sequential([Recorder(seen)] * 2)(0, key=key)
        assert [k == e for k, e in zip(seen.keys, jax.random.split(key), strict=True)] == [True] * 2

    def test_no_key_is_none_for_each(self, seen):
        Sequential([Recorder(seen)] * 2)(0)
        assert seen.keys == [None, None]

    def test_empty(self, key):
        assert Sequential([])(5, key=key) == 5
        assert Sequential([])(5, 1) == (5, 1)

    def test_dropout_inside(self, key):
        model = Sequential([Identity(), Dropout()])
        expected = Dropout()(jnp.ones(9), key=jax.random.split(key)[1])
        np.testing.assert_array_equal(model(jnp.ones(9), key=key), expected)

    def test_gradient_reaches_every_layer(self, key):
        model = Sequential([Linear(2, 2, key=key), Lambda(jnp.tanh), Linear(2, 1, key=key)])
        grads = filter_grad(lambda m: m(jnp.ones(2))[0])(model)
        assert grads.layers[1].fn is None
        assert all(np.any(np.asarray(g) != 0) for g in jax.tree_util.tree_leaves(grads))

    def test_operations_carry_the_names_of_the_layers(self, key, program_text):
        model = Sequential([Linear(2, 2, key=key)])
        assert "eqx.nn.Sequential/eqx.nn.Linear/add" in program_text(model, jnp.ones(2))


class TestState:
    def test_is_handed_on(self, key, seen):
        model = Sequential([Recorder(seen), Counter(), Sequential([Counter(), Counter()])])
        assert model.is_stateful()
        assert model(0, 10, key=key) == (4, 13)
        assert model(0, state=10) == (4, 13)

    def test_without_stateful_layers_is_returned(self, seen):
        model = Sequential([Recorder(seen), Counter(stateful=False)])
        assert not model.is_stateful()
        assert model(0, 10) == (2, 10)
        assert model(0, None) == (2, None)
        assert model(0) == 2

    def test_missing(self):
        message = r"`Counter` is stateful: call the `Sequential` .* `y, state = model\(x, state"
        with pytest.raises(TypeError, match=message):
            Sequential([Counter()])(0)

    def test_base_class_is_abstract(self):
        with pytest.raises(TypeError, match="abstract"):
            StatefulLayer()

    def test_stateful_unless_said_otherwise(self):
        class Layer(StatefulLayer):
            def __call__(self, x, state, *, key=None):
                return x, state

        assert Layer().is_stateful()


class TestContainer:
    def test_layers_of_any_iterable(self):
        layers = (Identity(), Lambda(abs))
        for given in (layers, list(layers), iter(layers), Sequential(layers)):
            assert Sequential(given).layers == layers

    def test_indices(self, key):
        layers = [Lambda(f) for f in (abs, len, max)]
        model = Sequential(layers)
        assert len(model) == 3
        assert model[0] is layers[0]
        assert model[-1] is model[np.int64(2)] is layers[2]
        assert list(model) == list(type(model).__iter__(model)) == layers
        assert list(reversed(model)) == layers[::-1]

    def test_slices(self):
        model = Sequential([Lambda(f) for f in (abs, len, max)])
        part = model[1:]
        assert type(part) is Sequential
        assert part.layers == model.layers[1:]
        assert model[::2].layers == model.layers[::2]
        assert len(model[3:]) == 0

    @pytest.mark.parametrize("index", [3, -4])
    def test_beyond_the_end(self, index):
        model = Sequential([Identity()] * 3)
        with pytest.raises(IndexError, match=f"index out of range: {index}, with 3 layers"):
            model[index]

    @pytest.mark.parametrize("index", ["a", 1.0, None, (0, 1)])
    def test_other_indices(self, index):
        with pytest.raises(TypeError, match=r"Indexing with type .* is not supported"):
            Sequential([Identity()])[index]

    @pytest.mark.parametrize("layers", [None, 3, Identity(), "ab", {"a": Identity()}])
    def test_no_sequence(self, layers):
        kind = type(layers).__name__
        message = rf"needs a sequence of layers, got a `{kind}`.*`Sequential\(\[first, second\]\)`"
        with pytest.raises(TypeError, match=message):
            Sequential(layers)

    def test_structure(self, key):
        model = Sequential([Linear(2, 2, key=key), Lambda(abs)])
        paths = [jax.tree_util.keystr(p) for p, _ in jax.tree_util.tree_leaves_with_path(model)]
        assert paths == [".layers[0].weight", ".layers[0].bias", ".layers[1].fn"]


class TestWrongLayers:
    @pytest.mark.parametrize(
        ("layer", "name"), [(jnp.tanh, "tanh"), (lambda x: x, "<lambda>"), (1, "1")]
    )
    def test_function_without_key(self, layer, name):
        message = (
            rf"`layers\[1\]` of `Sequential` cannot be called as .* wrap it: `Lambda\({name}\)`"
        )
        with pytest.raises(TypeError, match=message):
            Sequential([Identity(), layer])(1.0)

    def test_error_inside_a_layer_tells_which(self, key):
        model = Sequential([Identity(), Linear(2, 2, key=key)])
        with pytest.raises(
            TypeError, match=r"got shape \(3,\)\.\nThis was raised by `layers\[1\]`"
        ):
            model(jnp.ones(3))

    def test_error_inside_a_function_is_its_own(self):
        def broken(x, *, key=None):
            return x + "1"

        with pytest.raises(TypeError, match="unsupported operand"):
            Sequential([broken])(1)


class TestLambda:
    def test_calls_with_the_input_alone(self, key):
        assert Lambda(lambda *a, **kw: (a, kw))(1, key=key) == ((1,), {})
        assert Lambda(functools.partial(max, 3))(2) == 3

    def test_function_is_a_leaf_and_a_layer_a_subtree(self, key):
        assert jax.tree_util.tree_leaves(Lambda(abs)) == [abs]
        assert len(jax.tree_util.tree_leaves(Lambda(Linear(2, 2, key=key)))) == 2
