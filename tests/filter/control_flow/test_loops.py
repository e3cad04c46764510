"""`filter_scan`, `filter_while_loop`, `filter_fori_loop` and `filter_map`."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter import (
    filter_fori_loop,
    filter_grad,
    filter_jit,
    filter_map,
    filter_scan,
    filter_vmap,
    filter_while_loop,
    tree_equal,
)
from eqx_pytree import Module, field

V = jnp.arange(3.0)


class Model(Module):
    weight: Any
    activation: Any = jnp.tanh
    name: str = field(static=True, default="model")

    def __call__(self, x):
        return self.activation(self.weight * x)


def grow(model, x):
    return Model(model.weight + x, model.activation, model.name), model.weight


def rerouted(body):
    """The loops, each with `body(carry) -> carry`."""
    return [
        lambda carry: filter_scan(lambda c, _: (body(c), None), carry, length=2)[0],
        lambda carry: filter_while_loop(lambda c: False, body, carry),
        lambda carry: filter_fori_loop(0, 2, lambda i, c: body(c), carry),
    ]


LOOPS = pytest.mark.parametrize("loop", [0, 1, 2], ids=["scan", "while", "fori"])


class TestScan:
    def test_carries_a_model(self):
        model, ys = filter_scan(grow, Model(jnp.array(0.0)), V)
        assert tree_equal(model, Model(jnp.array(3.0)))
        assert tree_equal(ys, jnp.array([0.0, 0.0, 1.0]))

    @pytest.mark.parametrize(
        "options", [{}, {"reverse": True}, {"unroll": 2}, {"length": 3}], ids=str
    )
    def test_agrees_with_jax(self, options):
        def body(carry, x):
            return (carry[0] + x["a"], carry[1] * 2), {"y": carry[0] * x["b"]}

        init, xs = (jnp.array(1.0), jnp.ones(2)), {"a": V, "b": V + 1}
        expected = jax.lax.scan(body, init, xs, **options)
        assert tree_equal(filter_scan(body, init, xs, **options), expected)
        assert tree_equal(filter_jit(filter_scan)(body, init, xs, **options), expected)

    def test_the_traced_program_is_that_of_jax(self):
        def body(carry, x):
            return carry + x, carry * x

        ours, theirs = (
            jax.make_jaxpr(lambda init, xs, scan=scan: scan(body, init, xs))(V[0], V)
            for scan in (filter_scan, jax.lax.scan)
        )
        assert len(ours.eqns) == len(theirs.eqns)
        assert str(ours.eqns[0].params["jaxpr"]) == str(theirs.eqns[0].params["jaxpr"])

    def test_other_leaves_of_xs_and_ys(self):
        def body(carry, x):
            return carry + x["row"], (x["text"], x["row"], None)

        out = filter_scan(body, jnp.array(0.0), {"row": V, "text": "text"})
        assert tree_equal(out, (jnp.array(3.0), ("text", V, None)))

    def test_numpy_arrays_are_arrays(self):
        out = filter_scan(grow, Model(np.float32(0)), np.arange(3, dtype=np.float32))
        assert out[0].weight == 3

    def test_differentiates(self):
        def loss(model):
            return filter_scan(lambda x, _: (model(x), None), jnp.array(1.0), length=3)[0]

        def plain(weight):
            return jax.lax.scan(lambda x, _: (jnp.tanh(weight * x), None), 1.0, length=3)[0]

        gradient = filter_grad(loss)(Model(jnp.array(0.5)))
        assert jnp.allclose(gradient.weight, jax.grad(plain)(0.5))

    def test_in_a_batch(self):
        out = filter_vmap(lambda w: filter_scan(grow, Model(w), V)[0].weight)(V)
        assert tree_equal(out, V + 3)

    def test_of_no_pair(self):
        with pytest.raises(TypeError, match=r"must return a pair `\(carry, y\)`; it returned a `M"):
            filter_scan(lambda model, _: model, Model(V), length=2)

    @pytest.mark.parametrize(
        ("xs", "length", "text"),
        [
            ({"a": V, "b": V[:2]}, None, r"one length; `xs\['a'\]` has 3, `xs\['b'\]` has 2"),
            (V, 2, "one length; `length` has 2, `xs` has 3"),
            (jnp.array(1.0), None, r"`xs` has shape \(\) and no rows"),
            ("text", None, "`xs` holds no arrays to take rows of. Pass `length`"),
            (None, None, "`xs` holds no arrays"),
        ],
    )
    def test_lengths(self, xs, length, text):
        with pytest.raises(ValueError, match=text):
            filter_scan(lambda carry, x: (carry, None), V, xs, length)


class TestWhile:
    def test_carries_a_model(self):
        out = filter_while_loop(
            lambda carry: carry[0].weight < 5,
            lambda carry: (grow(carry[0], 2.0)[0], carry[1]),
            (Model(jnp.array(0.0)), "text"),
        )
        assert tree_equal(out, (Model(jnp.array(6.0)), "text"))

    def test_agrees_with_jax(self):
        arguments = lambda c: c[0] < 10, lambda c: (c[0] + c[1], c[1] * 2), (V[0], V[1])
        assert tree_equal(filter_while_loop(*arguments), jax.lax.while_loop(*arguments))


class TestFori:
    def test_carries_a_model(self):
        out = filter_fori_loop(0, 3, lambda i, model: grow(model, i)[0], Model(jnp.array(0)))
        assert tree_equal(out, Model(jnp.array(3)))

    @pytest.mark.parametrize(
        "bounds", [(0, 3), (2, 5), (3, 0), (jnp.array(0), jnp.array(2))], ids=str
    )
    def test_agrees_with_jax(self, bounds):
        arguments = *bounds, lambda i, x: x * 2 + i, jnp.array(1)
        assert tree_equal(filter_fori_loop(*arguments), jax.lax.fori_loop(*arguments))


class TestMap:
    @pytest.mark.parametrize("batch_size", [None, 2])
    def test_agrees_with_jax(self, batch_size):
        def function(x):
            return x["a"] * x["b"].sum()

        xs = {"a": V, "b": jnp.ones((3, 2))}
        ours = filter_map(function, xs, batch_size=batch_size)
        assert tree_equal(ours, jax.lax.map(function, xs, batch_size=batch_size))

    def test_of_models_and_other_leaves(self):
        out = filter_map(lambda x: (x[0](x[1]), x[2]), (Model(V, jnp.abs), V, "text"))
        assert tree_equal(out, (V * V, "text"))

    def test_lengths(self):
        with pytest.raises(ValueError, match=r"one length; `xs\[0\]` has 3, `xs\[1\]` has 2"):
            filter_map(lambda x: x, (V, V[:2]))


class TestChanges:
    """What the carry may not become, in every loop."""

    @LOOPS
    @pytest.mark.parametrize(
        ("body", "text"),
        [
            (lambda m: Model(m.weight, jnp.sin), r"`carry.activation` is `.*sin.*` instead of `"),
            (lambda m: Model(m.weight, None), r"`carry.activation` is None instead of a leaf"),
            (lambda m: Model(V), r"`carry.weight` is float32\[3\] instead of float32\[\]"),
            (lambda m: Model(m.weight.astype(int)), r"`carry.weight` is int32\[\] instead of flo"),
            (lambda m: Model(1.0), r"`carry.weight` is `1.0` instead of an array of shape \(\)"),
            (lambda m: Model(m.weight, name="b"), r"`carry` is a `Model` with other static values"),
            (lambda m: [m], r"`carry` is a `list` with 1 child instead of a `Model`"),
        ],
    )
    def test_are_named(self, loop, body, text):
        rule = r"The carry that `.*<lambda>` returns must be like the one it is given in structure"
        with pytest.raises(TypeError, match=f"{rule}.*{text}"):
            rerouted(body)[loop](Model(jnp.array(0.0)))

    @LOOPS
    def test_of_a_number_that_should_have_been_an_array(self, loop):
        with pytest.raises(TypeError, match=r"`carry\['n'\]` is an array instead of `0`, which is"):
            rerouted(lambda c: {"n": c["n"] + jnp.array(1)})[loop]({"n": 0})

    @LOOPS
    def test_of_a_number_that_counts(self, loop):
        text = r"is `1` instead of `0`; begin with an array, `jnp.asarray\(...\)` of it"
        with pytest.raises(TypeError, match=text):
            rerouted(lambda c: {"n": c["n"] + 1})[loop]({"n": 0})

    @LOOPS
    def test_weak_types_may_become_strong(self, loop):
        assert rerouted(lambda x: x + jnp.float32(1))[loop](jnp.asarray(0.0)).dtype == jnp.float32

    @LOOPS
    def test_errors_of_the_function_are_its_own(self, loop):
        def fails(carry):
            raise TypeError("mine")

        with pytest.raises(TypeError, match="mine"):
            rerouted(fails)[loop](V)


@pytest.mark.parametrize(
    "call",
    [
        lambda: filter_scan(3, V, V),
        lambda: filter_while_loop(3, len, V),
        lambda: filter_while_loop(len, 3, V),
        lambda: filter_fori_loop(0, 1, 3, V),
        lambda: filter_map(3, V),
    ],
)
def test_what_cannot_be_called_is_refused(call):
    with pytest.raises(TypeError, match=r"`filter_\w+` takes a function as `\w+`; 3 cannot"):
        call()


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: filter_while_loop(lambda x: x > 0, lambda x: x, V),
            r"`.*<lambda>` must return a bool, .* it returned an array of shape \(3,\) and",
        ),
        (lambda: filter_while_loop(lambda x: x[0], lambda x: x, V), "and dtype float32"),
        (lambda: filter_while_loop(lambda x: None, lambda x: x, V), "it returned a `NoneType`"),
        (lambda: filter_fori_loop(0.5, 3, lambda i, x: x, V), "`lower` must be an integer; it is"),
        (lambda: filter_fori_loop(0, "a", lambda i, x: x, V), "`upper` must be an .* is a `str`"),
    ],
    ids=["vector", "float", "None", "lower", "upper"],
)
def test_bounds_and_conditions(call, text):
    with pytest.raises(TypeError, match=text):
        call()


def test_a_batch_of_no_rows_is_refused():
    with pytest.raises(ValueError, match=r"`batch_size` must be at least 1, or None .* it is 0"):
        filter_map(lambda x: x, V, batch_size=0)


KINDS = {
    "lax": {},
    "bounded": {"kind": "bounded"},
    "checkpointed": {"kind": "checkpointed"},
    "few": {"kind": "checkpointed", "checkpoints": 2},
}


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def kind(request):
    return request.param


def steps_of(model, **kind):
    bound = {"max_steps": 5} if kind else {}
    start = {"i": jnp.array(0), "model": model}

    def body(carry):
        return {"i": carry["i"] + 1, "model": grow(carry["model"], carry["model"].weight)[0]}

    return filter_while_loop(lambda c: c["i"] < 3, body, start, **kind, **bound)["model"]


def test_loops_of_each_kind_carry_what_is_no_array(kind):
    assert tree_equal(steps_of(Model(V), **kind), Model(8 * V))
    model, weights = filter_scan(grow, Model(V), jnp.ones(4), **kind)
    wanted, history = filter_scan(grow, Model(V), jnp.ones(4))
    assert tree_equal(model, wanted)
    assert tree_equal(weights, history)


def test_kinds_other_than_lax_are_differentiated_backwards(kind):
    if not kind:
        pytest.skip("JAX's own while loop is not")
    grads = filter_grad(lambda model: steps_of(model, **kind).weight.sum())(Model(V))
    assert tree_equal(grads.weight, jnp.full(3, 8.0))
    grads = filter_grad(lambda m: filter_scan(grow, m, jnp.ones(4), **kind)[1].sum())(Model(V))
    assert tree_equal(grads.weight, jnp.full(3, 4.0))


def test_a_loop_of_each_kind_is_compiled_once(kind):
    traces = []

    def body(carry):
        traces.append(1)
        return carry[0] + 1, carry[1]

    def run(x):
        options = kind | {"max_steps": 3} if kind else {}
        return filter_while_loop(cond, body, (jnp.array(0), x), **options)

    def cond(carry):
        return carry[0] < 2

    run(V)
    first = len(traces)
    for x in (V + 1, V + 2):
        assert tree_equal(run(x)[1], x)
    assert len(traces) == first


def test_steps_of_jaxs_own_kind_can_be_bounded():
    carry = filter_while_loop(lambda c: True, lambda c: (c[0] + 1, c[1]), (V, "x"), max_steps=4)
    assert tree_equal(carry, (V + 4, "x"))


@pytest.mark.parametrize("kind", [{"kind": "bounded", "max_steps": 3}, {"max_steps": 3}])
def test_what_changes_in_the_carry_is_named_in_each_kind(kind):
    with pytest.raises(TypeError, match=r"`carry\['x'\]` is float32\[2\] instead of float32\[3\]"):
        filter_while_loop(lambda c: False, lambda c: {"x": c["x"][:2]}, {"x": V}, **kind)


def test_options_that_a_kind_does_not_have_are_refused():
    with pytest.raises(ValueError, match=r"`max_steps` to be specified"):
        filter_while_loop(lambda c: False, lambda c: c, V, kind="bounded")
    with pytest.raises(ValueError, match=r"Unrecognised kind of while loop 'quick'"):
        filter_while_loop(lambda c: False, lambda c: c, V, kind="quick")
    for kind in ("lax", "bounded"):
        told = rf"`checkpoints` is an option of kind='checkpointed'; this is kind='{kind}'"
        with pytest.raises(ValueError, match=told):
            filter_scan(grow, Model(V), jnp.ones(4), checkpoints=2, kind=kind)
        with pytest.raises(ValueError, match=told):
            filter_while_loop(lambda c: False, lambda c: c, V, checkpoints=2, kind=kind)
    with pytest.raises(ValueError, match=r"`base` is an option of kind='bounded'"):
        filter_while_loop(lambda c: False, lambda c: c, V, base=4)
    with pytest.raises(ValueError, match=r"`reverse` and `unroll` are options of kind='lax'"):
        filter_scan(grow, Model(V), jnp.ones(4), reverse=True, kind="bounded")
