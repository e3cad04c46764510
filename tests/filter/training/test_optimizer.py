"""`Optimizer`: against steps that are written by hand."""

import io
import pickle

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from eqx_filter import (
    Optimizer,
    apply_updates,
    combine,
    filter,
    filter_eval_shape,
    filter_jit,
    filter_make_jaxpr,
    filter_value_and_grad,
    is_inexact_array,
    tree_at,
    tree_deserialise_leaves,
    tree_equal,
    tree_paths,
    tree_serialise_leaves,
)
from eqx_pytree import Module, field

from .transformations import momentum

TX = momentum()


class Linear(Module):
    weight: jax.Array
    bias: jax.Array

    def __call__(self, x):
        return self.weight @ x + self.bias


class Model(Module):
    """A model that can be called, with an activation function, a buffer and an integer."""

    one: Linear
    other: Linear
    scale: jax.Array = field(trainable=False)
    steps: jax.Array
    activation: object

    def __call__(self, x):
        return self.other(self.activation(self.one(x))) * self.scale


def model():
    one, other = (Linear(jnp.full((4, 4), i, float), jnp.ones(4)) for i in (0.1, 0.2))
    return Model(one, other, jnp.asarray(2.0), jnp.arange(3), jnp.tanh)


X = jnp.arange(4.0)
PARAMETERS = ["one.weight", "one.bias", "other.weight", "other.bias"]


def loss(model, x):
    return jnp.sum((model(x) - 1) ** 2)


def step(model, opt, x):
    value, grads = filter_value_and_grad(loss)(model, x)
    model, opt = opt.update(grads, model)
    return model, opt, value


def by_hand(model, state, x):
    """The same with what is trained partitioned off by hand."""
    is_trained = lambda leaf: is_inexact_array(leaf) and leaf.ndim > 0  # noqa: E731
    value, grads = filter_value_and_grad(loss)(model, x)
    grads = filter(grads, is_trained)
    updates, state = TX.update(grads, state, filter(model, is_trained))
    return apply_updates(model, updates), state, value


@pytest.fixture(scope="module")
def trained():
    """A model and its optimizer after three steps, and both by hand."""
    ours, theirs = filter_jit(step), filter_jit(by_hand)
    a, opt = model(), Optimizer(TX, model())
    b, state = model(), opt.state
    for _ in range(3):
        a, opt, value = ours(a, opt, X)
        b, state, expected = theirs(b, state, X)
        assert value == expected
    return a, opt, b, state


def test_is_the_step_by_hand(trained):
    a, opt, b, state = trained
    assert tree_equal((a, opt.state), (b, state))
    assert not tree_equal(a.one, model().one)


def test_has_the_program_of_the_step_by_hand():
    opt = Optimizer(TX, model())
    ours, *_ = filter_make_jaxpr(step)(model(), opt, X)
    theirs, *_ = filter_make_jaxpr(by_hand)(model(), opt.state, X)
    names = [[equation.primitive.name for equation in it.eqns] for it in (ours, theirs)]
    assert names[0] == names[1]


def test_what_is_not_trained_is_the_same_object():
    before = model()
    opt = Optimizer(TX, before, wrt="other.weight")
    assert [*tree_paths(opt.state["velocity"])] == ["other.weight"]
    _, grads = filter_value_and_grad(loss)(before, X)
    after, _ = opt.update(grads, before)
    old, new = tree_paths(before), tree_paths(after)
    assert [path for path in old if old[path] is not new[path]] == ["other.weight"]


def test_by_default_buffers_are_not_trained():
    opt = Optimizer(TX, model())
    assert [*tree_paths(opt.params(model()))] == PARAMETERS
    assert [*tree_paths(opt.state["velocity"])] == PARAMETERS
    assert tree_equal(combine(opt.params(model()), model()), model())


def test_trees_of_any_kind_and_gradients_of_some():
    tree = {"a": jnp.ones(2), "n": 3, "b": [jnp.ones(3, jnp.bfloat16)]}
    opt = Optimizer(TX, tree, wrt="b")
    new, _ = opt.update({"a": None, "n": None, "b": [jnp.ones(3, jnp.float32)]}, tree)
    assert new["a"] is tree["a"]
    assert new["b"][0].dtype == jnp.bfloat16
    assert not tree_equal(new["b"], tree["b"])


def test_saves_loads_and_pickles(trained):
    _, opt, *_ = trained
    file = io.BytesIO()
    tree_serialise_leaves(file, opt)
    file.seek(0)
    assert tree_equal(tree_deserialise_leaves(file, Optimizer(TX, model())), opt)
    again = pickle.loads(pickle.dumps(opt.state))
    assert tree_equal(again, opt.state)


def test_of_an_abstract_model():
    opt = filter_eval_shape(lambda: Optimizer(TX, model()))
    velocity = opt.state["velocity"].one.weight
    assert isinstance(velocity, jax.ShapeDtypeStruct)
    assert velocity.shape == (4, 4)


def test_donation():
    donating = filter_jit(step, donate="all-except-first")
    a, opt = model(), Optimizer(TX, model())
    held = opt.state["velocity"].one.weight
    expected = step(a, opt, X)
    got = donating(a, opt, X + 0)
    assert held.is_deleted()
    assert tree_equal(got, expected, rtol=1e-5, atol=1e-6)


def test_the_state_lies_where_the_model_lies():
    mesh = Mesh(jax.devices()[:2], ("d",))
    sharding = NamedSharding(mesh, PartitionSpec("d"))
    sharded = tree_at("**.weight", model(), replace_fn=lambda it: jax.device_put(it, sharding))
    opt = Optimizer(TX, sharded)
    assert opt.state["velocity"].one.weight.sharding.is_equivalent_to(sharding, 2)
    after, opt, _ = filter_jit(step)(sharded, opt, X)
    assert after.one.weight.sharding.is_equivalent_to(sharding, 2)
    assert opt.state["velocity"].one.weight.sharding.is_equivalent_to(sharding, 2)


def test_extra_arguments_are_passed_on():
    seen = {}

    def update(grads, state, params, *, grad, value_fn, value):
        seen.update(grad=grad, value=value, at_params=value_fn(params))
        return jtu.tree_map(jnp.zeros_like, grads), state

    tx = type(TX)(lambda params: (), update)
    opt = Optimizer(tx, model(), wrt="one")
    value, grads = filter_value_and_grad(loss)(model(), X)
    opt.update(grads, model(), value=value, grad=grads, value_fn=lambda m: loss(m, X))
    assert seen["value"] == seen["at_params"] == value
    assert [*tree_paths(seen["grad"])] == ["one.weight", "one.bias"]


class TestRefusals:
    def test_no_transformation(self):
        with pytest.raises(TypeError, match=r"must be an Optax transformation, .* Call it first"):
            Optimizer(momentum, model())

    def test_nothing_to_train(self):
        with pytest.raises(ValueError, match="selects nothing"):
            Optimizer(TX, {"a": 1})
        with pytest.raises(TypeError, match=r"`wrt='steps'` selects `model\.steps`"):
            Optimizer(TX, model(), wrt="steps")

    def test_gradients_of_another_structure(self):
        opt = Optimizer(TX, model())
        with pytest.raises(
            ValueError, match=r"`grads` must have the structure of the model; at `g"
        ):
            opt.update({"a": X}, model())
        grads = tree_at("one", model(), None)
        with pytest.raises(
            ValueError, match=r"at `grads\.one`: a `Linear` with 2 children instead of"
        ):
            opt.update(grads, model())

    def test_a_gradient_that_is_missing(self):
        _, grads = filter_value_and_grad(loss, wrt="one")(model(), X)
        with pytest.raises(ValueError, match=r"no gradient for `other\.weight`, .* the same `wrt`"):
            Optimizer(TX, model()).update(grads, model())

    def test_another_model(self):
        opt = Optimizer(TX, model())
        with pytest.raises(ValueError, match="has 2 leaves, and that of which it was made 7"):
            opt.update(model().one, model().one)

        class Other(Module):
            other: Linear
            one: Linear
            scale: jax.Array
            steps: jax.Array
            activation: object

        was = model()
        turned = Other(was.other, was.one, was.scale, was.steps, was.activation)
        told = r"has `other\.weight` where that of which it was made had `one\.weight`"
        with pytest.raises(ValueError, match=told):
            opt.update(turned, turned)

    def test_a_gradient_of_another_shape(self):
        opt = Optimizer(TX, {"w": jnp.ones(())})
        with pytest.raises(ValueError, match=r"gradient of `w` has shape \(3,\), and the"):
            opt.update({"w": jnp.ones(3)}, {"w": jnp.ones(())})


def test_is_traced_once():
    traces = []

    @filter_jit
    def counted(model, opt):
        traces.append(1)
        _, grads = filter_value_and_grad(loss)(model, X)
        return opt.update(grads, model)

    a, opt = model(), Optimizer(TX, model())
    for _ in range(3):
        a, opt = counted(a, opt)
    counted(model(), Optimizer(TX, model()))
    assert len(traces) == 1
    assert "<4 of 7 leaves>" in repr(opt)
