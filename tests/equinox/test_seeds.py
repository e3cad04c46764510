"""What the seed documents state, executed: each test quotes the statement that it holds."""

import dataclasses
import runpy
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import equinox as eqx

QUICK_EXAMPLE = Path(__file__).parent / "seeds" / "quick_example.txt"


class LinearWithoutBias(eqx.Module):
    weight: Any

    def __call__(self, x):
        return self.weight @ x


class AnotherModule(eqx.Module):
    weight: Any

    def __init__(self, input_size, output_size, key):
        self.weight = jax.random.normal(key, (output_size, input_size))


class MyModule(eqx.Module):
    weight: Any
    bias: Any
    submodule: eqx.Module


@pytest.fixture
def mlp():
    return eqx.nn.MLP(in_size=2, out_size=3, width_size=4, depth=2, key=jax.random.PRNGKey(0))


class TestQuickExample:
    def test_runs_word_for_word(self):
        """'grads = loss(model, x, y)'"""
        ran = runpy.run_path(str(QUICK_EXAMPLE))
        grads, model = ran["grads"], ran["model"]

        def plain_loss(weight):
            pred_y = ran["x"] @ weight.T
            return jnp.mean((ran["y"] - pred_y) ** 2)

        np.testing.assert_allclose(grads.weight, jax.grad(plain_loss)(model.weight), rtol=1e-5)

    def test_differentiates_weight_but_not_flag(self):
        """'In this case, all floating-point JAX arrays -- `weight` but not `flag`.'"""
        ran = runpy.run_path(str(QUICK_EXAMPLE))
        assert ran["grads"].flag is None
        assert type(ran["grads"]) is ran["LinearOrIdentity"]

    def test_flag_is_static_under_jitf(self):
        """'We certainly can't differentiate this, and we may or may not wish to JIT trace/static
        this.'
        """
        ran = runpy.run_path(str(QUICK_EXAMPLE))
        identity = ran["LinearOrIdentity"](2, 2, flag=True, key=ran["modelkey"])
        grads = ran["loss"](identity, jnp.ones((5, 2)), jnp.zeros((5, 2)))
        np.testing.assert_array_equal(grads.weight, jnp.zeros((2, 2)))

    def test_plain_transformations_work_on_all_leaves(self):
        """'If you want to differentiate everything, just use `jax.jit` and `jax.grad`.'"""
        model = LinearWithoutBias(jnp.arange(6.0).reshape(3, 2))
        grads = jax.jit(jax.grad(lambda m, x: jnp.sum(m(x))))(model, jnp.ones(2))
        assert isinstance(grads, LinearWithoutBias)
        np.testing.assert_array_equal(grads.weight, jnp.ones((3, 2)))


class TestCallablePyTrees:
    def test_module_is_a_pytree_like_any_other(self):
        """'All subclassing Module really does is just automatically register your class with JAX as
        a custom PyTree node.'
        """
        model = LinearWithoutBias(jnp.ones((3, 2)))
        leaves, treedef = jax.tree_util.tree_flatten(model)
        assert len(leaves) == 1
        assert leaves[0] is model.weight
        assert isinstance(jax.tree_util.tree_unflatten(treedef, leaves), LinearWithoutBias)

    def test_holds_arbitrary_python_objects(self):
        """'The PyTree structure holds the data (parameters, buffers, submodules, boolean flags,
        even arbitrary Python objects).'
        """
        thing = object()
        model = MyModule(jnp.ones(2), True, LinearWithoutBias(thing))
        assert jax.tree_util.tree_leaves(model)[1:] == [True, thing]

    def test_passes_in_and_out_of_functions(self):
        """'as such, they're suitable for passing in and out of JAX functions'"""
        model = LinearWithoutBias(jnp.ones((3, 2)))
        doubled = jax.jit(lambda m: jax.tree_util.tree_map(lambda leaf: 2 * leaf, m))(model)
        np.testing.assert_array_equal(doubled(jnp.ones(2)), jnp.full(3, 4.0))

    def test_vmap_takes_the_model_itself(self):
        """'passing models to jax.vmap, vmap'd functions to loss functions, or loss functions to JIT
        and grad'
        """
        model = LinearWithoutBias(jnp.ones((3, 2)))

        def loss(model, x):
            return jnp.sum(jax.vmap(model)(x))

        grads = jax.jit(jax.grad(loss))(model, jnp.ones((5, 2)))
        np.testing.assert_array_equal(grads.weight, jnp.full((3, 2), 5.0))


class TestModule:
    def test_default_init_fills_in_the_attributes(self):
        """'MyModule(weight, bias, submodule) or MyModule(weight=weight, bias=bias,
        submodule=submodule)'
        """
        submodule = LinearWithoutBias(1)
        assert MyModule(1, 2, submodule) == MyModule(weight=1, bias=2, submodule=submodule)
        assert MyModule(1, 2, submodule).bias == 2

    def test_own_init(self):
        """'Alternatively you can provide an __init__ method yourself.'"""
        assert AnotherModule(2, 3, jax.random.PRNGKey(0)).weight.shape == (3, 2)

    def test_every_attribute_must_be_assigned(self):
        """'By the end of __init__, every attribute must have been assigned.'"""

        class Forgetful(eqx.Module):
            weight: Any

            def __init__(self):
                pass

        with pytest.raises(TypeError, match="Field 'weight' was not initialized"):
            Forgetful()

    def test_attributes_cannot_be_modified(self):
        """'After initialisation then attributes cannot be modified'"""
        model = LinearWithoutBias(jnp.ones((3, 2)))
        with pytest.raises(
            dataclasses.FrozenInstanceError, match="cannot assign to field 'weight'"
        ):
            model.weight = 1

    def test_updates_make_a_new_model(self, mlp):
        """'Parameter updates are made by creating a new model, not by mutating parameters
        in-place'
        """
        before = jax.tree_util.tree_map(lambda leaf: leaf, mlp)
        updates = jax.tree_util.tree_map(jnp.ones_like, eqx.filter(mlp, eqx.is_inexact_array))
        after = eqx.apply_updates(mlp, updates)
        assert eqx.tree_equal(mlp, before)
        assert not eqx.tree_equal(mlp, after)

    def test_methods_see_the_attributes(self):
        """'these methods will get access to the attributes of the instance'"""
        assert LinearWithoutBias(jnp.full((1, 2), 3.0))(jnp.ones(2)) == 6

    def test_unbound_methods_under_jit(self):
        """'Instead do either jax.jit(MyModule.meth)(instance, ...)'"""
        model = LinearWithoutBias(jnp.ones((3, 2)))
        out = jax.jit(LinearWithoutBias.__call__)(model, jnp.ones(2))
        np.testing.assert_array_equal(out, jnp.full(3, 2.0))

    def test_instance_passed_to_a_jitted_function(self):
        """'@jax.jit def func(instance, args): instance.meth(args)'"""

        @jax.jit
        def func(instance, args):
            return instance(args)

        out = func(LinearWithoutBias(jnp.ones((3, 2))), jnp.ones(2))
        np.testing.assert_array_equal(out, jnp.full(3, 2.0))


class TestFilters:
    @pytest.mark.parametrize("dtype", [jnp.float32, jnp.float16, jnp.bfloat16])
    def test_is_inexact_array_of_floating_arrays(self, dtype):
        """'Returns True if element is a floating point JAX array'"""
        assert eqx.is_inexact_array(jnp.ones(2, dtype)) is True

    @pytest.mark.parametrize("element", [np.ones(2), np.float32(1), 1.0, 1, jnp.arange(2), None])
    def test_is_inexact_array_of_anything_else(self, element):
        """'(but not a NumPy array)'"""
        assert eqx.is_inexact_array(element) is False

    @pytest.mark.parametrize(
        "element",
        [
            *(1, 1.0, True, 1j, "a", None, b"a", [1, 2], ["a"], [], (1, 2), [[1], [1, 2]], {}, len),
            *(np.ones(2), np.array("a"), np.array([None]), np.float32(1), np.datetime64("2020")),
            *(2**31 - 1, 2**31, 2**70, -(2**31), -(2**31) - 1, object(), object, range(3)),
            *(lambda x: x, jnp.ones(2), [None], {1, 2}, ..., slice(1)),
        ],
        ids=lambda element: type(element).__name__,
    )
    def test_is_array_like(self, element):
        """'i.e. does jax.numpy.array throw an exception or not'"""
        try:
            jnp.array(element)
            accepted = True
        except Exception:
            accepted = False
        assert eqx.is_array_like(element) is accepted

    def test_any_function_is_a_filter(self):
        """'Any function Any -> bool can be used as a filter.'"""
        seen = []
        run = eqx.jitf(lambda x, y: x + y, filter_fn=lambda leaf: seen.append(leaf) is None)
        assert run(1, 2) == 3
        assert seen == [1, 2]


def traced_of(x, y=()):
    """Of each leaf whether it is traced, as text, which comes back as it is."""
    leaves = jax.tree_util.tree_leaves((x, y))
    return str([isinstance(leaf, jax.core.Tracer) for leaf in leaves])


class TestJitf:
    def test_true_is_traced_and_false_is_static(self):
        """'If it returns True, the leaf will be traced. It returns False, the leaf with be treated
        as static.'
        """
        kinds = []

        def fun(x, y):
            kinds.append((isinstance(x, jax.core.Tracer), y))
            return x

        run = eqx.jitf(fun, filter_fn=lambda leaf: isinstance(leaf, float))
        for x, y in [(1.0, "a"), (2.0, "a"), (1.0, "b")]:
            assert run(x, y) == x
        assert kinds == [(True, "a"), (True, "b")]

    def test_filter_fn_is_called_on_every_leaf(self):
        """'It will be called on every leaf of every PyTree that is inputted to fun.'"""
        seen = []

        def is_traced(leaf):
            seen.append(leaf)
            return True

        eqx.jitf(lambda x, y: x["a"], filter_fn=is_traced)({"a": 1, "b": (2, 3)}, [4])
        assert seen == [1, 2, 3, 4]

    def test_filter_tree_of_one_input(self):
        """'filter_tree is a tree, or tuple of trees'"""
        run = eqx.jitf(traced_of, filter_tree={"a": True, "b": False})
        assert run({"a": 1.0, "b": 2.0}) == "[True, False]"

    def test_filter_tree_of_several_inputs(self):
        """'a tuple of trees, of the same length as the number of inputs'"""
        run = eqx.jitf(traced_of, filter_tree=([True, False], True))
        assert run([1, 2], 3) == "[True, False, True]"

    def test_filter_tree_must_have_the_same_structure(self):
        """'It must have the exact same tree structure as the inputs.'"""
        run = eqx.jitf(lambda x: x, filter_tree={"a": True, "b": False})
        with pytest.raises(ValueError, match=r"at `filter_tree\['b'\]`: a leaf .* a `list` with 2"):
            run({"a": 1, "b": [2, 3]})

    @pytest.mark.parametrize("leaf", [1, 0, None.__class__, "True", np.bool_(True)])
    def test_filter_tree_holds_booleans(self, leaf):
        """'Every leaf must be either True or False.'"""
        with pytest.raises(ValueError, match=r"must be True or False; `filter_tree\[0\]` is"):
            eqx.jitf(lambda x: x, filter_tree=[leaf])

    @pytest.mark.parametrize("make", [eqx.jitf, eqx.gradf, eqx.value_and_grad_f])
    @pytest.mark.parametrize("given", [{}, {"filter_fn": eqx.is_array, "filter_tree": True}])
    def test_precisely_one_filter(self, make, given):
        """'Precisely one of filter_fn or filter_tree must be passed.'"""
        with pytest.raises(ValueError, match="Precisely one of `filter_fn` and `filter_tree`"):
            make(lambda x: x, **given)

    def test_static_argnums_make_static(self):
        """'a leaf will be marked static if either (a) it is filtered as being so, or (b) it is part
        of a PyTree that is marked through static_argnums'
        """
        run = eqx.jitf(traced_of, filter_fn=eqx.is_array_like, static_argnums=1)
        assert run(1.0, [2.0, "a"]) == "[True, False, False]"

    def test_filter_tree_leaves_static_argnums_out(self):
        """'if static_argnums is passed, the number of inputs not already marked static'"""
        run = eqx.jitf(traced_of, filter_tree=[True, False], static_argnums=1)
        assert run([1.0, 2.0], 3.0) == "[True, False, False]"

    def test_is_array_like_traces_everything_possible(self):
        """'this will trace everything that can possible be traced, with everything else static'"""
        out = eqx.jitf(lambda x: x, filter_fn=eqx.is_array_like)([1, 1.0, np.ones(2), "a", None])
        assert [isinstance(leaf, jax.Array) for leaf in out] == [True, True, True, False, False]

    def test_static_leaf_without_a_hash_is_named(self):
        """A leaf that can be neither traced nor hashed is named, with the way out."""
        run = eqx.jitf(lambda x: x, filter_fn=eqx.is_inexact_array)
        with pytest.raises(ValueError, match=r"`x\['a'\]`, .*can be neither traced nor hashed"):
            run({"a": jnp.arange(3)})

    def test_acts_on_any_pytree(self):
        """'filtered transformations act on any kind of PyTree'"""
        run = eqx.jitf(lambda tree: tree["f"](tree["x"]), filter_fn=eqx.is_array)
        assert run({"f": jnp.sum, "x": jnp.ones(3)}) == 3


class TestGradf:
    def test_true_is_differentiated_and_false_is_not(self):
        """'If it returns True, the leaf will be differentiated. If it returns False, the leaf will
        not be differentiated.'
        """
        grads = eqx.gradf(lambda t: t["a"] ** 2 * t["b"], filter_fn=eqx.is_inexact_array)(
            {"a": jnp.array(3.0), "b": 2}
        )
        assert grads == {"a": 12.0, "b": None}

    def test_nondifferentiable_leaves_have_gradient_none(self, mlp):
        """'all nondifferentiable components of the input PyTrees will have gradient None'"""
        grads = eqx.gradf(lambda m: jnp.sum(m(jnp.ones(2))), filter_fn=eqx.is_inexact_array)(mlp)
        assert grads.activation is None
        assert grads.layers[0].weight.shape == mlp.layers[0].weight.shape

    def test_simple_update_fails_and_apply_updates_does_not(self, mlp):
        """'Doing a simple jax.tree_map(lambda m, g: m - lr * g, model, grad) will fail. As such
        Equinox provides equinox.apply_updates'
        """
        grads = eqx.gradf(lambda m: jnp.sum(m(jnp.ones(2))), filter_fn=eqx.is_inexact_array)(mlp)
        with pytest.raises((TypeError, ValueError)):
            jax.tree_util.tree_map(lambda m, g: m - 0.1 * g, mlp, grads)
        updated = eqx.apply_updates(mlp, jax.tree_util.tree_map(lambda g: -0.1 * g, grads))
        expected = mlp.layers[0].weight - 0.1 * grads.layers[0].weight
        np.testing.assert_allclose(updated.layers[0].weight, expected, rtol=1e-6)
        assert updated.activation is mlp.activation

    def test_filter_fn_is_called_on_argnums_only(self):
        """'called on every leaf of every PyTree that is marked as potentially requiring gradient
        via argnums'
        """
        seen = []

        def picks(leaf):
            seen.append(leaf)
            return True

        eqx.gradf(lambda x, y: x * y, filter_fn=picks, argnums=1)(2.0, 3.0)
        assert seen == [3.0]

    def test_argnums(self):
        """'a leaf will only be differentiated if (a) it is filtered as being so, and (b) it is part
        of a PyTree that is marked through argnums'
        """

        def fun(x, y):
            return x[0] * x[1] * y

        args = [jnp.array(2.0), jnp.array(3.0)], jnp.array(5.0)
        tree = ([True, False], True)
        assert eqx.gradf(fun, filter_tree=tree, argnums=(0, 1))(*args) == ([15.0, None], 6.0)
        assert eqx.gradf(fun, filter_tree=[False, True])(*args) == [None, 10.0]

    def test_agrees_with_jax_grad(self):
        """'Wraps jax.grad.'"""
        x = jnp.arange(1.0, 4.0)

        def fun(x, scale):
            return jnp.sum(jnp.sin(x) * scale), {"aux": scale}

        ours = eqx.gradf(fun, filter_fn=eqx.is_inexact_array, has_aux=True)(x, 2.0)
        plain = jax.grad(fun, has_aux=True)(x, 2.0)
        np.testing.assert_array_equal(ours[0], plain[0])
        assert ours[1] == plain[1]

    def test_value_and_grad_f(self):
        """'Wraps jax.value_and_grad. Arguments are as equinox.gradf.'"""
        both = eqx.value_and_grad_f(lambda x: (x**2, "aux"), filter_tree=True, has_aux=True)
        assert both(3.0) == ((9.0, "aux"), 6.0)

    def test_filter_tree_from_tree_at(self, mlp):
        """'trainable = equinox.tree_at(lambda mlp: mlp.layers[-1].linear.weight, model,
        replace=True)'
        """
        trainable = jax.tree_util.tree_map(lambda _: False, mlp)
        trainable = eqx.tree_at(lambda mlp: mlp.layers[-1].weight, trainable, replace=True)
        grads = eqx.gradf(lambda m: jnp.sum(m(jnp.ones(2))), filter_tree=trainable)(mlp)
        assert len(jax.tree_util.tree_leaves(grads)) == 1
        assert grads.layers[-1].weight.shape == mlp.layers[-1].weight.shape


class TestUtilities:
    def test_apply_updates_adds(self):
        """'It essentially performs jax.tree_map(lambda m, u: m + u, model, updates).'"""
        assert eqx.apply_updates({"a": 1, "b": (2, 3)}, {"a": 10, "b": (20, 30)}) == {
            "a": 11,
            "b": (22, 33),
        }

    def test_apply_updates_leaves_none_alone(self):
        """'anywhere updates is None then no update is made at all'"""
        assert eqx.apply_updates(["a", 1, (2, 3)], [None, 1, None]) == ["a", 2, (2, 3)]

    def test_tree_at_replaces_a_leaf(self, mlp):
        """'Modifies an existing tree, and returns the modified tree.'"""
        changed = eqx.tree_at(lambda mlp: mlp.layers[-1].weight, mlp, replace="new")
        assert changed.layers[-1].weight == "new"
        assert changed.layers[0].weight is mlp.layers[0].weight
        assert mlp.layers[-1].weight.shape == (3, 4)

    def test_tree_at_replaces_a_tuple(self):
        """'replace should either be a single element, or a tuple of the same length as returned by
        where'
        """
        assert eqx.tree_at(lambda t: (t[0], t[2]), [1, 2, 3], (10, 30)) == [10, 2, 30]
        with pytest.raises(
            ValueError, match=r"same length as `replace`: it returns 2, and .* has 1"
        ):
            eqx.tree_at(lambda t: (t[0], t[2]), [1, 2, 3], (10,))

    def test_tree_at_replace_fn(self):
        """'It will be called on every leaf replaced using where.'"""
        assert eqx.tree_at(lambda t: (t[0], t[2]), [1, 2, 3], replace_fn=str) == ["1", 2, "3"]

    def test_tree_at_takes_precisely_one(self):
        """'Mutually exclusive with replace.'"""
        with pytest.raises(ValueError, match="Precisely one of `replace` and `replace_fn`"):
            eqx.tree_at(lambda t: t[0], [1], 1, replace_fn=str)

    @pytest.mark.parametrize(
        ("other", "equal"),
        [
            (lambda: jnp.arange(3.0), True),
            (lambda: jnp.arange(3), False),
            (lambda: jnp.arange(4.0), False),
            (lambda: jnp.arange(3.0) + 1, False),
            (lambda: np.arange(3, dtype=np.float32), False),
        ],
    )
    def test_tree_equal(self, other, equal):
        """'All arrays must have the same shape, dtype, and values. JAX arrays and NumPy arrays are
        not considered equal.'
        """
        assert bool(eqx.tree_equal([jnp.arange(3.0)], [other()])) is equal

    def test_tree_equal_of_several(self):
        """'Returns True if all PyTrees in the list are equal.'"""
        assert eqx.tree_equal([1, "a"], [1, "a"], [1, "a"])
        assert not eqx.tree_equal([1, "a"], [1, "a"], [1, "b"])


class TestLayers:
    def test_linear_takes_bias(self):
        """'equinox.nn.Linear(in_features, out_features, bias=True, *, key)(input)'"""
        key = jax.random.PRNGKey(0)
        assert eqx.nn.Linear(2, 3, bias=False, key=key).bias is None
        assert eqx.nn.Linear(2, 3, False, key=key).bias is None
        linear = eqx.nn.Linear(2, 3, bias=True, key=key)
        expected = linear.weight @ jnp.ones(2) + linear.bias
        np.testing.assert_array_equal(linear(jnp.ones(2)), expected)

    def test_identity_ignores_arguments(self):
        """'equinox.nn.Identity(*args, **kwargs)(input)  # args and kwargs are ignored'"""
        assert eqx.nn.Identity(1, "a", anything=2)(3) == 3

    def test_dropout_deterministic_at_construction(self):
        """'The Dropout(deterministic=...)(deterministic=...) options determines whether to have the
        layer act as the identity function'
        """
        x = jnp.ones(100)
        np.testing.assert_array_equal(eqx.nn.Dropout(0.5, deterministic=True)(x), x)
        np.testing.assert_array_equal(eqx.nn.Dropout(0.5, True)(x), x)
        dropped = eqx.nn.Dropout(0.5, deterministic=False)(x, key=jax.random.PRNGKey(0))
        assert 0 < jnp.sum(dropped == 0) < 100

    def test_dropout_deterministic_at_the_call_wins(self):
        """'The call-time deterministic takes precendence if it passed'"""
        x, key = jnp.ones(100), jax.random.PRNGKey(0)
        always = eqx.nn.Dropout(0.5, deterministic=True)
        assert jnp.any(always(x, key=key, deterministic=False) == 0)
        never = eqx.nn.Dropout(0.5, deterministic=False)
        np.testing.assert_array_equal(never(x, deterministic=True), x)

    def test_dropout_deterministic_by_tree_at(self):
        """'because models are PyTrees, you can modify the init-time deterministic flag using
        equinox.tree_at'
        """
        dropout = eqx.tree_at(lambda d: d.deterministic, eqx.nn.Dropout(), replace=True)
        assert dropout.deterministic is True
        np.testing.assert_array_equal(dropout(jnp.ones(5)), jnp.ones(5))

    def test_cells(self):
        """'equinox.nn.GRUCell(input_size, hidden_size, bias=True, *, key)(input, hidden)'"""
        key = jax.random.PRNGKey(0)
        gru = eqx.nn.GRUCell(2, 3, bias=False, key=key)
        assert gru.bias is None
        assert gru(jnp.ones(2), jnp.zeros(3)).shape == (3,)
        lstm = eqx.nn.LSTMCell(2, 3, bias=False, key=key)
        hidden = lstm(jnp.ones(2), (jnp.zeros(3), jnp.zeros(3)))
        assert [h.shape for h in hidden] == [(3,), (3,)]

    def test_sequential(self):
        """'equinox.nn.Sequential(layers)(input, *, key=None)'"""
        keys = jax.random.split(jax.random.PRNGKey(0))
        layers = [eqx.nn.Linear(2, 3, key=keys[0]), eqx.nn.Dropout(0.5)]
        out = eqx.nn.Sequential(layers)(jnp.ones(2), key=keys[1])
        assert out.shape == (3,)

    def test_mlp(self):
        """'The MLP(final_activation=...) option determines any final activation function to apply
        after the last layer.'
        """
        key = jax.random.PRNGKey(0)
        plain = eqx.nn.MLP(2, 3, 4, 2, jax.nn.relu, lambda x: x, key=key)
        squashed = eqx.nn.MLP(2, 3, 4, 2, final_activation=jax.nn.sigmoid, key=key)
        x = jnp.array([0.3, -0.7])
        np.testing.assert_allclose(squashed(x), jax.nn.sigmoid(plain(x)), rtol=1e-6)

    def test_keys_generate_the_initial_weights(self):
        """'The key arguments are used to generate the random initial weights'"""
        one, same, other = (eqx.nn.Linear(2, 3, key=jax.random.PRNGKey(i)) for i in (0, 0, 1))
        assert eqx.tree_equal(one, same)
        assert not eqx.tree_equal(one, other)


class TestTheArticle:
    """The third document explains the library by a small implementation of it."""

    def test_no_static_argnums_needed(self):
        """'You can drop strings, booleans, and functions anywhere inside your model when you call
        @filter_jit'
        """

        class Layer(eqx.Module):
            weight: jax.Array
            activation: Any
            name: str
            double: bool

            def __call__(self, x):
                x = self.activation(self.weight @ x)
                return {self.name: 2 * x if self.double else x}

        layer = Layer(jnp.ones((1, 2)), jax.nn.relu, "layer1", double=True)
        assert eqx.filter_jit(lambda m, x: m(x))(layer, jnp.ones(2)) == {"layer1": 4.0}

    def test_partition_and_combine(self, mlp):
        """'uses a filter to split the tree into two parallel trees'"""
        dynamic, static = eqx.partition(mlp, eqx.is_array)
        assert all(map(eqx.is_array, jax.tree_util.tree_leaves(dynamic)))
        assert not any(map(eqx.is_array, jax.tree_util.tree_leaves(static)))
        assert eqx.tree_equal(eqx.combine(dynamic, static), mlp)

    def test_a_class_becomes_a_frozen_dataclass(self):
        """'By turning your classes into dataclass, it knows exactly what fields exist.'"""
        assert [f.name for f in dataclasses.fields(MyModule)] == ["weight", "bias", "submodule"]

    def test_pass_the_model_directly_into_jit_or_grad(self):
        """'Now you can pass entire model instance (like model = Linear(...) directly into jax.jit
        or jax.grad.'
        """
        linear = eqx.nn.Linear(2, 3, key=jax.random.PRNGKey(0))
        grads = jax.jit(jax.grad(lambda m: jnp.sum(m(jnp.ones(2)))))(linear)
        assert isinstance(grads, eqx.nn.Linear)
        np.testing.assert_array_equal(grads.bias, jnp.ones(3))
