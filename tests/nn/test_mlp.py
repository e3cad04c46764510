"""`MLP`, unrolled and scanned."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter import combine, filter_grad, filter_jit, is_array, partition
from eqx_nn import MLP, Linear
from eqx_pytree import Module, tree_equal

X = np.array([0.5, -1.0, 2.0], np.float32)


class Slope(Module):
    """An activation with a parameter, as PReLU: its own for each neuron of an `MLP`."""

    slope: jax.Array
    name: str = "slope"

    def __call__(self, x):
        assert x.shape == self.slope.shape == ()
        return jnp.where(x > 0, x, self.slope * x)


def plain(model, x, activation=jax.nn.relu, final=lambda x: x):
    """An MLP over whole vectors, from the layers of one that is not scanned."""
    *hidden, last = model.layers
    for layer in hidden:
        x = activation(layer.weight @ x + layer.bias)
    return final(last.weight @ x + last.bias)


def both(*args, **kwargs):
    """The same MLP unrolled and scanned."""
    key = jax.random.PRNGKey(1)
    return [MLP(*args, scan=scan, key=key, **kwargs) for scan in (False, True)]


class TestForward:
    @pytest.mark.parametrize("depth", [0, 1, 2, 5])
    @pytest.mark.parametrize(
        ("activation", "final"),
        [
            (jax.nn.relu, jnp.tanh),
            (lambda x: jnp.where(x > 0, x, 2 * x), lambda x: x**2),  # unknown, so mapped
        ],
    )
    def test_formula(self, depth, activation, final):
        unrolled, scanned = both(3, 2, 4, depth, activation, final)
        expected = plain(unrolled, X, activation, final)
        np.testing.assert_allclose(unrolled(X), expected, rtol=1e-5)
        np.testing.assert_allclose(scanned(X), expected, rtol=1e-5)

    @pytest.mark.parametrize("depth", [1, 2, 5])
    def test_gradients(self, depth):
        unrolled, scanned = both(3, 2, 4, depth, jnp.tanh)
        ours = filter_grad(lambda m: jnp.sum(m(X) ** 2))(unrolled)
        theirs = filter_grad(lambda m: jnp.sum(plain(m, X, jnp.tanh) ** 2))(unrolled)
        for one, other in zip(*map(jax.tree_util.tree_leaves, (ours, theirs)), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)
        looped = filter_grad(lambda m: jnp.sum(m(X) ** 2))(scanned)
        middle = [layer.weight for layer in ours.layers[1:-1]]
        stacked = np.stack(middle) if middle else np.zeros((0, 4, 4))
        np.testing.assert_allclose(looped.layers[1].weight, stacked, rtol=1e-5, atol=1e-7)

    def test_final_activation_follows_the_last_layer_even_if_it_is_the_only_one(self):
        """The seed: 'any final activation function to apply after the last layer'."""
        for model in both(3, 2, 4, 0, final_activation=jnp.tanh):
            np.testing.assert_allclose(model(X), jnp.tanh(model.layers[0](X)), rtol=1e-6)

    def test_scalar_in_and_out(self):
        for model in both("scalar", "scalar", 4, 2, final_activation=lambda x: x + x.ndim):
            assert model(2.0).shape == ()
            assert tree_equal(model(2.0), model(jnp.array(2.0)), rtol=1e-6)

    def test_final_activation_gets_one_neuron(self):
        shapes = []
        final = lambda x: (shapes.append(x.shape), x)[1]  # noqa: E731
        for out in (2, "scalar"):
            MLP(3, out, 4, 1, final_activation=final, key=jax.random.PRNGKey(0))(X)
        assert shapes == [(), ()]

    def test_under_the_transformations(self):
        for model in both(3, 2, 4, 3):
            batch = np.stack([X, -X])
            np.testing.assert_allclose(jax.vmap(model)(batch)[1], model(-X), rtol=1e-5)
            np.testing.assert_allclose(filter_jit(model)(X), model(X), rtol=1e-5)

    def test_known_activation_adds_nothing_to_the_program(self, key):
        model = MLP(3, 2, 4, 2, key=key)
        arrays, rest = partition(model, is_array)
        ours = jax.make_jaxpr(lambda a, x: combine(a, rest)(x))(arrays, X)
        theirs = jax.make_jaxpr(lambda a, x: plain(combine(a, rest), x))(arrays, X)
        assert str(ours) == str(theirs)

    def test_operations_carry_the_name_of_the_layer(self, key, program_text):
        model = MLP(3, 2, 4, 1, key=key)
        assert "eqx.nn.MLP/eqx.nn.Linear/dot_general" in program_text(model, X)


class TestStructure:
    def test_scanned_layers_are_stacked(self):
        unrolled, scanned = both(3, 2, 4, 4)
        first, middle, last = scanned.layers
        assert tree_equal((first, last), (unrolled.layers[0], unrolled.layers[-1]))
        apart = np.stack([layer.weight for layer in unrolled.layers[1:-1]])
        np.testing.assert_allclose(middle.weight, apart, rtol=1e-6, atol=1e-6)
        assert (middle.in_features, middle.out_features) == (4, 4)

    def test_one_hidden_layer_scanned_with_any_prng(self):
        for impl in ("threefry2x32", "rbg"):
            model = MLP(3, 2, 4, 1, scan=True, key=jax.random.key(0, impl=impl))
            assert model.layers[1].weight.shape == (0, 4, 4)
            assert model(X).shape == (2,)

    def test_paths(self, key):
        leaves = jax.tree_util.tree_leaves_with_path(MLP(3, 2, 4, 1, key=key))
        assert [jax.tree_util.keystr(path) for path, _ in leaves] == [
            ".layers[0].weight",
            ".layers[0].bias",
            ".layers[1].weight",
            ".layers[1].bias",
            ".activation",
            ".final_activation",
        ]

    def test_default_activations(self, key):
        model = MLP(3, 2, 4, 1, key=key)
        assert model.activation is jax.nn.relu
        assert model.final_activation(5) == 5

    @pytest.mark.parametrize(("use_bias", "use_final_bias"), [(True, False), (False, True)])
    def test_biases(self, use_bias, use_final_bias):
        for model in both(3, 2, 4, 2, use_bias=use_bias, use_final_bias=use_final_bias):
            *hidden, last = model.layers
            assert all((layer.bias is not None) is use_bias for layer in hidden)
            assert (last.bias is not None) is use_final_bias

    def test_dtype(self):
        for model in both(3, 2, 4, 2, dtype="float16"):
            arrays = partition(model, is_array)[0]
            assert {x.dtype.name for x in jax.tree_util.tree_leaves(arrays)} == {"float16"}
            with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
                assert model(X.astype("float16")).dtype == "float16"


class TestActivationsWithParameters:
    def test_each_neuron_has_its_own(self, key):
        model = MLP(3, 2, 4, 3, Slope(jnp.array(0.25)), Slope(jnp.array(0.5)), key=key)
        assert model.activation.slope.shape == (3, 4)
        assert model.final_activation.slope.shape == (2,)
        assert model.activation.name == "slope"
        scalar = MLP(3, "scalar", 4, 3, final_activation=Slope(jnp.array(0.5)), key=key)
        assert scalar.final_activation.slope.shape == ()

    def test_formula_and_gradient(self):
        for model in both(3, 2, 4, 3, Slope(jnp.array(0.25)), Slope(jnp.array(0.5))):
            reference = MLP(3, 2, 4, 3, key=jax.random.PRNGKey(1))
            expected = plain(
                reference,
                X,
                lambda x: jnp.where(x > 0, x, 0.25 * x),
                lambda x: jnp.where(x > 0, x, 0.5 * x),
            )
            np.testing.assert_allclose(model(X), expected, rtol=1e-5)
            grads = filter_grad(lambda m: m(X).sum())(model)
            assert np.any(np.asarray(grads.activation.slope) != 0, axis=1).all()

    def test_each_neuron_uses_its_own(self):
        slopes = jnp.arange(12.0).reshape(3, 4)
        unrolled, scanned = (
            MLP(3, 4, 4, 3, Slope(jnp.array(0.0)), scan=scan, key=jax.random.PRNGKey(1))
            for scan in (False, True)
        )

        def with_slopes(model):
            leaves, structure = jax.tree_util.tree_flatten(model)
            return structure.unflatten(
                slopes if is_array(leaf) and leaf.shape == (3, 4) and not leaf.any() else leaf
                for leaf in leaves
            )

        x = X
        for i, layer in enumerate(unrolled.layers[:-1]):
            x = layer(x)
            x = jnp.where(x > 0, x, slopes[i] * x)
        expected = unrolled.layers[-1](x)
        for model in map(with_slopes, (unrolled, scanned)):
            np.testing.assert_allclose(model(X), expected, rtol=1e-5)

    def test_partial_with_an_array(self, key):
        leaky = jax.tree_util.Partial(jax.nn.leaky_relu, negative_slope=jnp.array(0.3))
        model = MLP(3, 2, 4, 1, leaky, key=key)
        assert model.activation.keywords["negative_slope"].shape == (1, 4)
        expected = plain(model, X, lambda x: jax.nn.leaky_relu(x, 0.3))
        np.testing.assert_allclose(model(X), expected, rtol=1e-6)


class TestWrongArguments:
    @pytest.mark.parametrize("name", ["in_size", "out_size", "width_size", "depth"])
    def test_sizes(self, key, name):
        sizes = {"in_size": 3, "out_size": 2, "width_size": 4, "depth": 1}
        with pytest.raises(
            ValueError, match=f"`MLP` needs a non-negative integer.* as `{name}`, got -1"
        ):
            MLP(**sizes | {name: -1}, key=key)
        with pytest.raises(
            TypeError, match=f"`MLP` needs a non-negative integer.* as `{name}`, got 1.5"
        ):
            MLP(**sizes | {name: 1.5}, key=key)

    def test_width_is_not_needed_without_hidden_layers(self, key):
        assert MLP(3, 2, None, 0, key=key)(X).shape == (2,)

    def test_input(self, key):
        for model in both(3, 2, 4, 2):
            message = (
                r"expects `x` of shape \(3,\), got shape \(8, 3\).*`jax.vmap\(layer\)`(.|\n)*"
                r"`x` is the input of an `MLP` with `in_size=3`"
            )
            with pytest.raises(TypeError, match=message):
                model(jnp.ones((8, 3)))

    def test_activation_of_the_whole_vector(self, key):
        for arguments in ({"activation": jax.nn.softmax}, {"final_activation": jax.nn.softmax}):
            with pytest.raises(ValueError, match=r"one neuron at a time.*softmax"):
                MLP(3, 2, 4, 1, **arguments, key=key)(X)

    def test_activation_that_is_no_function(self, key):
        with pytest.raises(TypeError, match="not callable"):
            MLP(3, 2, 4, 1, None, key=key)(X)


def test_widths_of_zero(key):
    assert MLP(0, 2, 4, 1, key=key)(jnp.zeros(0)).shape == (2,)
    assert MLP(3, 2, 0, 2, lambda x: x + 1, key=key)(X).shape == (2,)
    assert MLP(3, 0, 4, 1, key=key)(X).shape == (0,)


def test_layers_are_linear(key):
    assert all(type(layer) is Linear for layer in MLP(3, 2, 4, 2, key=key).layers)
