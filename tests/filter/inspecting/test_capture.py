"""`capture`: what modules return, under every transformation, and what is added there."""

import inspect
import threading
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import eqx_filter as eqf
from eqx_filter import capture
from eqx_filter.loops import scan, while_loop
from eqx_filter.primitives import noinline
from eqx_pytree import Module, Partial, field

from .models import Noise

X = jnp.arange(3.0)


class Scale(Module):
    """Multiplies, and tells nothing of it."""

    by: jax.Array
    name: str = field(static=True, default="scale")

    def __call__(self, x):
        return jnp.sin(x * self.by)

    def twice(self, x):
        return 2 * x * self.by


class Two(Module):
    first: Scale
    second: Scale

    def __call__(self, x):
        return self.second(self.first(x))


MODEL = Two(Scale(jnp.array([1.0, 2.0, 3.0])), Scale(jnp.array(2.0)))


def by_hand(model, x, zero=0.0):
    """What the model computes, and what its first part returns, with something added."""
    first = jnp.sin(x * model.first.by) + zero
    return jnp.sin(first * model.second.by), first


def loss(model, x):
    return jnp.sum(model(x) ** 2)


def loss_by_hand(model, x, zero=0.0):
    return jnp.sum(by_hand(model, x, zero)[0] ** 2)


def close(found, expected):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), found, expected
    )


def test_the_result_and_what_was_chosen_come_back():
    out, inside = capture(MODEL, "first")(X)
    assert list(inside) == ["first"]
    close((out, inside["first"]), by_hand(MODEL, X))
    assert list(capture(lambda model, x: model(x), Scale)(MODEL, X)[1]) == ["first", "second"]
    assert list(capture(MODEL, lambda model: model)(X)[1]) == [""]
    assert list(capture(MODEL, eqf.by("first") | Two)(x=X)[1]) == ["first", ""]


def test_a_program_without_it_has_not_one_equation_more():
    plain = jax.make_jaxpr(lambda model, x: model(x))(MODEL, X)
    capture(MODEL, "first")(X)
    assert str(jax.make_jaxpr(lambda model, x: model(x))(MODEL, X)) == str(plain)
    captured = jax.make_jaxpr(lambda model, x: capture(model, "*")(x))(MODEL, X)
    assert len(captured.eqns) == len(plain.eqns)


@pytest.mark.parametrize("jitted", [False, True])
def test_under_jit_of_vmap_of_grad(jitted):
    def both(model, x):
        (_, inside), grads = jax.value_and_grad(
            lambda x: capture(loss, "first")(model, x), has_aux=True
        )(x)
        return inside["first"], grads

    def expected(x):
        return by_hand(MODEL, x)[1], jax.grad(loss_by_hand, argnums=1)(MODEL, x)

    run = jax.vmap(both, in_axes=(None, 0))
    xs = jnp.stack([X, X + 1])
    close((jax.jit(run) if jitted else run)(MODEL, xs), jax.vmap(expected)(xs))


def test_a_batch_inside_has_its_axis_in_front():
    batched = lambda model, x: jax.vmap(model, in_axes=1, out_axes=1)(x)  # noqa: E731
    xs = jnp.stack([X, X + 1], axis=1)
    out, inside = eqf.filter_jit(capture(batched, "first"))(MODEL, xs)
    expected, first = jax.vmap(lambda x: by_hand(MODEL, x), in_axes=1)(xs)
    close((out, inside["first"]), (expected.T, first))
    twice = capture(lambda model, x: jax.vmap(jax.vmap(model))(x), "first")
    assert jax.eval_shape(twice, MODEL, jnp.ones((2, 4, 3)))[1]["first"].shape == (2, 4, 3)


def test_a_derivative_inside():
    step = capture(eqf.filter_grad(loss), "first")
    grads, inside = eqf.filter_jit(step)(MODEL, X)
    assert type(grads) is Two
    assert type(grads.first) is Scale
    close((grads, inside["first"]), (jax.grad(loss_by_hand)(MODEL, X), by_hand(MODEL, X)[1]))


def test_a_checkpoint_within_a_derivative_is_captured_once():
    def of_checkpoint(model, x):
        return jnp.sum(eqf.filter_checkpoint(model)(x) ** 2)

    grads, inside = eqf.filter_jit(capture(eqf.filter_grad(of_checkpoint), "*"))(MODEL, X)
    close((grads, inside["first"]), (jax.grad(loss_by_hand)(MODEL, X), by_hand(MODEL, X)[1]))
    perturbed = capture(eqf.filter_grad(of_checkpoint), "*", perturb={"first": jnp.zeros(3)})
    with pytest.raises(ValueError, match=r"to `first`: .* which computes it twice. Leave it out"):
        perturbed(MODEL, X)
    outside = jax.grad(lambda p: capture(of_checkpoint, "*", perturb={"first": p})(MODEL, X)[0])
    close(outside(jnp.zeros(3)), jax.grad(loss_by_hand, argnums=2)(MODEL, X, jnp.zeros(3)))


def test_a_derivative_of_checkpointed_steps_inside():
    def of_steps(x, model):
        step = eqf.filter_checkpoint(lambda model, x: model(x))
        return jnp.sum(jax.lax.scan(lambda x, _: (step(model, x), None), x, length=3)[0])

    def by_hand_too(x, model):
        return steps_by_hand(model, x, jnp.zeros((3, 3)), jnp.zeros(3))

    run = capture(lambda model, x: jax.grad(of_steps)(x, model), "first")
    grads, inside = jax.jit(lambda x: run(MODEL, x))(X)
    close((grads, inside["first"]), jax.grad(by_hand_too, has_aux=True)(X, MODEL))


def test_what_is_added_reaches_a_derivative_inside():
    grads, _ = capture(eqf.filter_grad(loss), "first", perturb={"first": 0.5})(MODEL, X)
    close(grads, jax.grad(loss_by_hand)(MODEL, X, 0.5))


def loop(kind):
    def of_steps(model, x):
        def step(x, shift):
            return model(x) + shift, None

        return jnp.sum(scan(step, x, jnp.arange(3.0), kind=kind)[0])

    return of_steps


def steps_by_hand(model, x, zeros, shifts=(0.0, 1.0, 2.0)):
    firsts = []
    for shift, zero in zip(shifts, zeros, strict=True):
        x, first = by_hand(model, x, zero)
        x = x + shift
        firsts.append(first)
    return jnp.sum(x), jnp.stack(firsts)


@pytest.mark.parametrize("kind", ["lax", "checkpointed", "bounded"])
def test_a_scan_stacks_the_steps_and_takes_what_is_added_step_by_step(kind):
    def run(model, x, zeros):
        return capture(loop(kind), "first", perturb={"first": zeros})(model, x)

    zeros = jnp.zeros((3, 3))
    by_zeros = jax.value_and_grad(lambda zeros: run(MODEL, X, zeros), has_aux=True)
    (out, inside), grads = jax.jit(by_zeros)(zeros)
    expected = jax.value_and_grad(lambda zeros: steps_by_hand(MODEL, X, zeros), has_aux=True)
    close(((out, inside["first"]), grads), expected(zeros))


def test_loops_of_the_package_that_are_scans():
    def loops(model, x):
        x, _ = eqf.filter_scan(lambda x, _: (model(x), None), x, length=2, kind="checkpointed")
        x = eqf.filter_fori_loop(0, 4, lambda i, x: model(x), x)
        return eqf.filter_map(model, x[None])

    inside = jax.eval_shape(capture(loops, "first"), MODEL, X)[1]["first"]
    assert [value.shape for value in inside] == [(2, 3), (4, 3), (1, 3)]


def in_cond(model, x):
    return jax.lax.cond(x[0] > 0, lambda x: -model(x), lambda x: x, x)


def in_while(model, x):
    return jax.lax.while_loop(lambda x: x[0] > 0, lambda x: -model(x), x)


def in_own_while(kind):
    def run(model, x):
        return while_loop(lambda x: x[0] > 0, lambda x: -model(x), x, max_steps=4, kind=kind)

    return run


REFUSED = [
    (in_cond, "in a branch of `cond`.* Compute it before the branch"),
    (in_while, "in a loop whose number of steps is not known. Use a scan"),
    (in_own_while("lax"), "in a loop whose number of steps is not known"),
    (in_own_while("checkpointed"), "in a loop whose number of steps is not known"),
    (in_own_while("bounded"), "a branch of `cond`.*kind='bounded'"),
]


@pytest.mark.parametrize(("fn", "told"), REFUSED)
def test_where_there_is_no_one_value_it_is_refused_by_path(fn, told):
    with pytest.raises(ValueError, match=f"what `first` returns: .*{told}"):
        capture(fn, "first")(MODEL, X)


def test_around_shard_map_it_is_refused_by_path_and_inside_it_works():
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("i",))
    spec = jax.sharding.PartitionSpec("i")

    def sharded(fn):
        return eqf.filter_shard_map(fn, mesh=mesh, in_specs=spec, out_specs=spec)

    with pytest.raises(ValueError, match="what `second` returns: it is called in `shard_map`"):
        capture(lambda model, x: sharded(model)(x), "second")(MODEL, X)
    out, inside = sharded(capture(MODEL, "first", perturb={"first": 0.0}))(X)
    close((out, inside["first"]), by_hand(MODEL, X))


@eqf.filter_custom_vjp
def sevenfold(x, model):
    return model.first(x)


sevenfold.def_fwd(lambda perturbed, x, model: (model.first(x), None))
sevenfold.def_bwd(lambda residuals, cotangent, perturbed, x, model: 7 * cotangent)


@jax.custom_jvp
def sevenfold_forwards(x, model):
    return model.first(x)


@sevenfold_forwards.defjvp
def _(primals, tangents):
    return sevenfold_forwards(*primals), 7 * tangents[0]


@pytest.mark.parametrize("fn", [sevenfold, sevenfold_forwards])
def test_functions_with_derivatives_of_their_own_keep_them(fn):
    def total(model, x):
        return jnp.sum(fn(x, model))

    run = jax.value_and_grad(lambda x: capture(total, "first")(MODEL, x), has_aux=True)
    (_, inside), grads = jax.jit(run)(X)
    close((inside["first"], grads), (by_hand(MODEL, X)[1], jnp.full(3, 7.0)))
    slope = jax.grad(lambda x: jnp.sum(capture(total, "first")(MODEL, x)[1]["first"]))(X)
    close(slope, jax.grad(lambda x: jnp.sum(by_hand(MODEL, x)[1]))(X))
    with pytest.raises(ValueError, match=r"add nothing to `first`: .* a derivative of its own"):
        capture(total, "first", perturb={"first": jnp.zeros(3)})(MODEL, X)


def test_inner_jits_are_traced_once_and_calls_are_told_apart():
    traces = []

    @eqf.filter_jit
    def inner(model, x):
        traces.append(0)
        return model(x)

    def outer(model, x):
        return inner(model, inner(model, x))

    for _ in range(2):
        out, inside = capture(outer, "first")(MODEL, X)
        middle, first = by_hand(MODEL, X)
        close((out, inside["first"][0]), (by_hand(MODEL, middle)[0], first))
        close(inside["first"][1], by_hand(MODEL, middle)[1])
    assert len(traces) == 1


def test_captures_in_captures_keep_to_their_own():
    def outer(model, x):
        out, inside = capture(model, "second")(x)
        return out, inside["second"]

    (out, second), inside = eqf.filter_jit(capture(outer, "*"))(MODEL, X)
    expected, first = by_hand(MODEL, X)
    close((out, second, inside), (expected, expected, {"first": first, "second": expected}))


def test_gradients_with_respect_to_what_is_inside():
    x = X + 0.5
    zeros = jax.tree.map(jnp.zeros_like, capture(loss, "*")(MODEL, x)[1])
    grads = jax.jit(jax.grad(lambda p: capture(loss, "*", perturb=p)(MODEL, x)[0]))(zeros)
    close(grads["first"], jax.grad(loss_by_hand, argnums=2)(MODEL, x, jnp.zeros(3)))
    close(grads["second"], 2 * by_hand(MODEL, x)[0])
    shifted, inside = capture(loss, "first", perturb={"first": 0.5})(MODEL, x)
    close((shifted, inside["first"]), (loss_by_hand(MODEL, x, 0.5), by_hand(MODEL, x, 0.5)[1]))


def test_a_zero_of_a_batch_and_one_for_the_batch():
    def batched(model, xs):
        return jnp.sum(jax.vmap(model)(xs))

    def by_zero(zero):
        return jax.grad(lambda p: capture(batched, "first", perturb={"first": p})(MODEL, xs)[0])(
            zero
        )

    xs = jnp.stack([X, X + 1])
    each = by_zero(jnp.zeros((2, 3)))
    close(each.sum(0), by_zero(jnp.zeros(3)))
    close(each[1], jax.grad(lambda z: jnp.sum(by_hand(MODEL, xs[1], z)[0]))(jnp.zeros(3)))


BAD_PERTURB = [
    ({"second": X}, "has `second`, where nothing is captured; there are `first`"),
    ({"first": jnp.zeros(2)}, r"an array of shape \(2,\) .* for `first`.* to shape \(3,\)"),
    ({"first": jnp.zeros((4, 3))}, r"for `first`.*Make it by `jnp.zeros_like`"),
    ({"first": jnp.zeros(3, complex)}, "complex64 for `first`, which cannot be added"),
    ({"first": True}, "a `bool` for `first`, which cannot be added"),
    ({"first": "zero"}, "a `str` for `first`"),
]


@pytest.mark.parametrize(("perturb", "told"), BAD_PERTURB)
def test_what_cannot_be_added_is_refused_by_path(perturb, told):
    with pytest.raises(ValueError, match=told):
        capture(MODEL, "first", perturb=perturb)(X)


class Pair(Module):
    """Returns a PyTree, with what is no array in it."""

    scale: Scale

    def __call__(self, x, *, key=None):
        return {"y": self.scale(x), "name": "pair", "n": jnp.array(1)}, None


def test_outputs_are_any_pytrees():
    model = {"pair": Pair(MODEL.first)}

    def total(model, x):
        found, _ = model["pair"](x)
        again, _ = model["pair"](found["y"])
        return jnp.sum(again["y"])

    half = {"y": None, "name": None, "n": 0.5}, None
    with pytest.raises(ValueError, match=r"for `pair`, which .* shape \(\) and dtype int32"):
        capture(lambda m, x: m["pair"](x), "pair", perturb={"pair": half})(model, X)
    _, inside = capture(total, "pair")(model, X)
    first, second = inside["pair"]
    assert first[0]["name"] == "pair"
    close(first[0]["y"], by_hand(MODEL, X)[1])
    shift = {"y": 1.0, "name": None, "n": None}, None
    shifted = capture(total, "pair", perturb={"pair": (shift, second)})(model, X)[1]["pair"]
    close(shifted[0][0]["y"], first[0]["y"] + 1.0)
    with pytest.raises(ValueError, match="`pair` is called 2 times: `perturb` needs a tuple of 2"):
        capture(total, "pair", perturb={"pair": shift[0]})(model, X)
    with pytest.raises(ValueError, match="for `pair` another structure than what is captured"):
        capture(total, "pair", perturb={"pair": (1.0, None)})(model, X)


class Row(NamedTuple):
    by: jax.Array

    def __call__(self, x):
        return self.by * x


class Slotted:
    __slots__ = ("by",)

    def __init__(self, by):
        self.by = by

    def __call__(self, x):
        return self.by * x


jax.tree_util.register_pytree_node(Slotted, lambda s: ((s.by,), None), lambda _, c: Slotted(*c))

CALLABLES = [
    Row(X),
    Slotted(X),
    Partial(jnp.multiply, X),
    jax.tree_util.Partial(jnp.multiply, X),
    jnp.square,
    Scale(X).twice,
    eqf.filter_jit(Scale(X)),
]


@pytest.mark.parametrize("node", CALLABLES, ids=lambda node: type(node).__name__)
def test_nodes_of_any_type_that_can_be_called(node):
    plain = node(X)
    out, inside = capture(lambda tree, x: tree["node"](x), "node")({"node": node}, X)
    close((out, inside["node"]), (plain, plain))


def test_a_chosen_node_is_of_its_type_and_has_its_attributes():
    def look(model, x):
        first = model.first
        assert isinstance(first, Scale)
        assert isinstance(first, Module)
        assert (first.name, repr(first)) == ("scale", repr(MODEL.first))
        assert list(inspect.signature(first).parameters) == ["x"]
        assert jax.tree.leaves(first) == [first.by]
        return first(x) + first.twice(x)

    out, inside = capture(look, "first")(MODEL, X)
    close(out, inside["first"] + MODEL.first.twice(X))


def test_classes_that_listen_for_subclasses_hear_of_none():
    heard = []

    class Base(Module):
        by: jax.Array

        def __init_subclass__(cls, **kwargs):
            super().__init_subclass__(**kwargs)
            heard.append(cls)

    class Leaf(Base):
        def __call__(self, x):
            return x * self.by

    out, _ = capture(Leaf(X), Leaf)(X)
    close(out, X * X)
    assert heard == [Leaf]


def test_models_that_come_back_are_as_they_were():
    out, inside = capture(lambda model, x: (model, model.first(x)), "first")(MODEL, X)
    assert jax.tree.structure(out[0]) == jax.tree.structure(MODEL)
    assert type(out[0].first) is Scale
    assert list(inside) == ["first"]


def test_state_and_keys():
    model, key = {"noise": Noise(0.5)}, jax.random.key(0)

    def run(model, xs, state):
        def one(x):
            x, after = model["noise"](x, state, key=key)
            return x - jax.lax.pmean(x, "batch"), after

        return jax.vmap(one, axis_name="batch", out_axes=(0, None))(xs)

    xs, state = jnp.stack([X, X + 1]), {"n": jnp.array(1)}
    _, inside = eqf.filter_jit(capture(run, "noise"))(model, xs, state)
    noisy, after = inside["noise"]
    close((noisy, after), (xs + 0.5 * jax.random.normal(key, (3,)), {"n": 2}))

    def of_one(x):
        return capture(lambda model, x: jax.lax.psum(model(x), "batch"), "first")(MODEL, x)

    out, inside = jax.vmap(of_one, axis_name="batch")(xs)
    expected, first = jax.vmap(lambda x: by_hand(MODEL, x))(xs)
    close((out[0], inside["first"]), (expected.sum(0), first))


class Bound(Module):
    scale: Scale

    def encode(self, x):
        return self.scale(x)

    @eqf.filter_jit
    def __call__(self, x):
        return self.scale(x)


def test_methods_and_wrapped_models():
    wrapped = [MODEL.__call__, eqf.filter_jit(MODEL), eqf.filter_checkpoint(MODEL)]
    expected = by_hand(MODEL, X)[1]
    for fn in wrapped:
        close(capture(fn, "first")(X)[1]["first"], expected)
    bound = Bound(MODEL.first)
    close(capture(bound.encode, "scale")(X)[1]["scale"], expected)
    close(capture(bound, Bound | Scale)(X)[1], {"": expected, "scale": expected})


def test_dtypes():
    for dtype in (jnp.bfloat16, jnp.complex64):
        scale = Scale(jnp.ones(3, dtype))

        def size(scale, x):
            return jnp.sum(jnp.abs(scale(x)) ** 2).astype(jnp.float32)

        def run(zero, scale=scale):
            return capture(size, Scale, perturb={"": zero})(scale, X.astype(scale.by.dtype))

        (_, inside), grads = jax.value_and_grad(run, has_aux=True)(jnp.ones(3))
        assert (inside[""].dtype, grads.dtype) == (dtype, jnp.float32)


def test_what_is_not_called():
    def of_first(model, x):
        return model.first(x)

    assert list(capture(of_first, Scale)(MODEL, X)[1]) == ["first"]
    with pytest.raises(ValueError, match="None of the modules that `'second'` selects is called"):
        capture(of_first, "second")(MODEL, X)
    with pytest.raises(ValueError, match=r"Only `model\(\.\.\.\)` is seen, and no other method"):
        capture(lambda model, x: model.first.twice(x), "first")(MODEL, X)
    with pytest.raises(ValueError, match=r"what `first` returns: it is called where .* `noinline`"):
        capture(lambda model, x: noinline(model)(x), "first")(MODEL, X)


def test_bad_choices_are_named():
    with pytest.raises(ValueError, match=r"selects `first.by`, an array of .*cannot be called"):
        capture(MODEL, "first.by")(X)
    with pytest.raises(ValueError, match=r"`'third'` selects nothing in the `Two`"):
        capture(MODEL, "third")(X)
    with pytest.raises(TypeError, match=r"its first argument is an array .* Pass the model first"):
        capture(lambda x: x, "first")(X)
    with pytest.raises(TypeError, match="it is given none"):
        capture(lambda: 0, "first")()
    with pytest.raises(TypeError, match=r"`capture` wraps a function; 3 is not a callable"):
        capture(3, "first")


def test_in_threads():
    found = [None] * 4

    def run(i):
        found[i] = capture(MODEL, "first")(X + i)[1]["first"]

    threads = [threading.Thread(target=run, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    close(found, [by_hand(MODEL, X + i)[1] for i in range(4)])
