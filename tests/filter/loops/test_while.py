"""`while_loop` of each kind against loops in Python, and its gradients against theirs."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eqx_filter import filter_while_loop
from eqx_filter.loops import while_loop
from eqx_filter.primitives import nondifferentiable

LAX = {"kind": "lax"}
BOUNDED = {"kind": "bounded", "max_steps": 40}
SMALL_BASE = {"kind": "bounded", "max_steps": 40, "base": 4}
CHECKPOINTED = {"kind": "checkpointed", "max_steps": 40}
FEW = {"kind": "checkpointed", "checkpoints": 3}
KINDS = {
    "lax": LAX,
    "bounded": BOUNDED,
    "small base": SMALL_BASE,
    "checkpointed": CHECKPOINTED,
    "few": FEW,
}
BACKWARDS = {name: options for name, options in KINDS.items() if name != "lax"}
X = np.array([0.3, 1.2], np.float32)


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def kind(request):
    return request.param


@pytest.fixture(params=BACKWARDS.values(), ids=BACKWARDS)
def backwards(request):
    return request.param


def step(i, x, a):
    return jnp.sin(x * a) + 0.1 * i


def looped(x, a, steps, **options):
    def body(state):
        i, x = state
        return i + 1, step(i, x, a)

    return while_loop(lambda state: state[0] < steps, body, (0, x), **options)[1]


def unrolled(x, a, steps):
    for i in range(steps):
        x = step(i, x, a)
    return x


def gradients_of_unrolled(x, a, steps):
    """Of what each element becomes, by itself and by `a`; in double precision, by NumPy."""
    x, by_x, by_a = np.float64(x), np.float64(1), np.float64(0)
    for i in range(steps):
        slope = np.cos(x * a)
        x, by_x, by_a = np.sin(x * a) + 0.1 * i, slope * a * by_x, slope * (x + a * by_a)
    return x, by_x + 0 * x, by_a + 0 * x


def gradients_of_squares(x, a, steps):
    """Of the sum of the squares."""
    last, by_x, by_a = gradients_of_unrolled(x, a, steps)
    return 2 * last * by_x, (2 * last * by_a).sum()


@functools.cache
def compiled(options, *, derivative=False):
    """The loop, or the gradients of the sum of its squares, of `x`, `a` and the number of steps."""

    def loss(x, a, steps):
        return (looped(x, a, steps, **dict(options)) ** 2).sum()

    def value(x, a, steps):
        return looped(x, a, steps, **dict(options))

    return jax.jit(jax.grad(loss, (0, 1)) if derivative else value)


def close(found, expected):
    for mine, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(mine, other, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("steps", [0, 1, 7, 40])
def test_steps_are_taken_while_the_condition_holds(kind, steps):
    loop = compiled(tuple(kind.items()))
    close(loop(X, 1.1, steps), gradients_of_unrolled(X, 1.1, steps)[0])


def test_no_more_than_max_steps_are_taken(kind):
    for most in (0, 1, 3):
        options = {**kind, "max_steps": most}
        close(looped(X, 1.1, 10, **options), unrolled(X, 1.1, most))


@pytest.mark.parametrize("steps", [0, 1, 2, 9, 26])
def test_gradients_of_state_and_closure(backwards, steps):
    gradients = compiled(tuple(backwards.items()), derivative=True)
    close(gradients(X, 1.1, steps), gradients_of_squares(X, 1.1, steps))


@functools.cache
def gradient_with(checkpoints):
    def loss(x, steps):
        return looped(x, 1.1, steps, kind="checkpointed", checkpoints=checkpoints).sum()

    return jax.jit(jax.grad(loss))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 60), st.sampled_from([1, 2, 3, 5, 12]))
def test_any_number_of_steps_and_checkpoints(steps, checkpoints):
    """The schedule changes which states are computed again, never the gradient."""
    found = gradient_with(checkpoints)(X, steps)
    close(found, gradients_of_unrolled(X, 1.1, steps)[1])


def test_forward_derivatives():
    for options in (LAX, BOUNDED):
        found = jax.jvp(lambda x: looped(x, 1.1, 9, **options), (X,), (X,))  # noqa: B023
        close(found, jax.jvp(lambda x: unrolled(x, 1.1, 9), (X,), (X,)))


def test_second_derivatives():
    def hessian_of(loop, outer):
        return jax.jit(outer(jax.grad(lambda x: (loop(x) ** 2).sum())))(X)

    expected = hessian_of(lambda x: unrolled(x, 1.1, 5), jax.jacfwd)
    close(hessian_of(lambda x: looped(x, 1.1, 5, **BOUNDED), jax.jacrev), expected)
    close(hessian_of(lambda x: looped(x, 1.1, 5, **CHECKPOINTED), jax.jacfwd), expected)


def test_members_of_a_batch_stop_at_different_steps(kind):
    steps = jnp.array([0, 3, 12, 1])
    xs = np.stack([X, 2 * X, -X, X + 1])
    found = jax.vmap(lambda x, n: looped(x, 1.1, n, **kind))(xs, steps)
    batch = zip(xs, steps.tolist(), strict=True)
    close(found, np.stack([gradients_of_unrolled(x, 1.1, n)[0] for x, n in batch]))


def test_gradients_of_a_batch(backwards):
    steps = jnp.array([0, 3, 12, 1])
    xs = np.stack([X, 2 * X, -X, X + 1])

    def loss(x, a, n):
        return (looped(x, a, n, **backwards) ** 2).sum()

    found = jax.jit(jax.vmap(jax.grad(loss, (0, 1)), (0, None, 0)))(xs, 1.1, steps)
    for i, (x, n) in enumerate(zip(xs, steps.tolist(), strict=True)):
        close([found[0][i], found[1][i]], gradients_of_squares(x, 1.1, n))
    total = jax.grad(lambda xs: jax.vmap(loss, (0, None, 0))(xs, 1.1, steps).sum())
    close(jax.jit(total)(xs), found[0])


def test_loops_in_loops(backwards):
    def nested(loop):
        def body(state):
            i, x = state
            return i + 1, loop(x)

        return lambda x: while_loop(lambda s: s[0] < 3, body, (0, x), **backwards)[1].sum()

    expected, x = 1, X
    for _ in range(3):
        x, by_x, _ = gradients_of_unrolled(x, 1.1, 4)
        expected = expected * by_x
    close(jax.jit(jax.grad(nested(lambda x: looped(x, 1.1, 4, **backwards))))(X), expected)


def test_integers_complex_numbers_and_keys_are_carried(backwards):
    def loop(z, a):
        def body(state):
            i, z, key, flags = state
            return i + 1, z * (a + 1j), jax.random.split(key)[0], ~flags

        start = (jnp.array(0), z, jax.random.PRNGKey(0), jnp.array([True, False]))
        return while_loop(lambda s: s[0] < 3, body, start, **backwards)

    @jax.jit
    def gradients(z, a):
        (_, out), found = jax.value_and_grad(loss, (0, 1), has_aux=True)(z, a)
        return out, found, jax.grad(lambda z, a: jnp.abs(z * (a + 1j) ** 3), (0, 1))(z, a)

    def loss(z, a):
        out = loop(z, a)
        return jnp.abs(out[1]), out

    out, found, expected = gradients(1 + 2j, 0.5)
    close(found, expected)
    assert out[3].tolist() == [False, True]


@pytest.mark.parametrize("init", [(jnp.array(0, jnp.int32), jnp.ones(2)), (0, 1.0)])
def test_each_function_is_traced_once(kind, init):
    traces = []

    def body(state):
        traces.append("body")
        return state[0] + 1, state[1] * 2

    def cond(state):
        traces.append("cond")
        return state[0] < 3

    while_loop(cond, body, init, **kind)
    assert sorted(traces) == ["body", "cond"]


@pytest.mark.parametrize("kind", ["bounded", "checkpointed"])
def test_what_the_body_closes_over_is_not_kept_for_each_step(kind):
    def loss(w):
        def body(state):
            return state[0] + 1, jnp.tanh(w @ state[1])

        return while_loop(lambda s: s[0] < 300, body, (0, x), max_steps=300, kind=kind)[1].sum()

    w, x = jnp.eye(64), jnp.ones(64)
    compiled = jax.jit(jax.grad(loss)).lower(w).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 8 * w.nbytes


def test_what_has_no_tangent_gets_none(backwards):
    def last(x, rate):
        def body(state):
            time, x = state
            return nondifferentiable(time) + 1, x * rate + time

        return while_loop(lambda s: s[0] < 3, body, (0.0, x), **backwards)[1]

    np.testing.assert_allclose(jax.jit(jax.grad(last))(2.0, 3.0), 27)
    np.testing.assert_allclose(jax.jit(jax.grad(last, (0, 1)))(2.0, 3.0), (27, 2 * 27 + 1))


def test_tangents_reach_one_array_after_another(backwards):
    def body(state):
        i, a, b, _, d = state
        return i + 1, a * 2, jnp.sin(a) + b, b * b, d + 1

    def last(x, steps):
        init = (0, x, 0.5, 1.0, 0.0)
        return jnp.stack(while_loop(lambda s: s[0] < steps, body, init, **backwards)[1:])

    gradients = jax.jit(jax.jacrev(last))
    one = jax.jit(jax.grad(lambda x, steps: last(x, steps)[2]))
    for steps in (0, 1, 2, 4):
        a, b, c = (0.3, 1), (0.5, 0), (1.0, 0)  # each with its tangent
        for _ in range(steps):
            double, wave = (2 * a[0], 2 * a[1]), (np.sin(a[0]), np.cos(a[0]) * a[1])
            a, b, c = double, (wave[0] + b[0], wave[1] + b[1]), (b[0] ** 2, 2 * b[0] * b[1])
        expected = np.array([a[1], b[1], c[1], 0])
        close(gradients(0.3, steps), expected)
        close(one(0.3, steps), expected[2])


@functools.cache
def products_of_normals(make):
    """Three in turn, for the keys of 0 and 1."""
    found = []
    for seed in range(2):
        key, product = make(seed), 1.0
        for _ in range(3):
            key, this = jax.random.split(key)
            product *= float(jax.random.normal(this))
        found.append(product)
    return found


@pytest.mark.parametrize("make", [jax.random.key, jax.random.PRNGKey])
def test_keys_go_round(kind, make):
    def body(state):
        i, key, x = state
        key, this = jax.random.split(key)
        return i + 1, key, x * jax.random.normal(this)

    def last(x, key):
        return while_loop(lambda s: s[0] < 3, body, (0, key, x), **kind)[2]

    keys = jax.vmap(make)(np.arange(2))
    found = jax.jit(jax.vmap(last))(np.ones(2, np.float32), keys)
    np.testing.assert_allclose(found, products_of_normals(make), rtol=1e-5)
    # JAX 0.6 fails at scans in scans that hold branches with typed keys
    old = jax.__version_info__ < (0, 7) and kind["kind"] == "bounded" and make is jax.random.key
    if kind["kind"] != "lax" and not old:
        found = jax.jit(jax.grad(last))(2.0, make(0))
        np.testing.assert_allclose(found, products_of_normals(make)[0], rtol=1e-5)


def test_memory_does_not_grow_with_the_steps():
    def temporary(steps):
        def loss(x):
            return looped(x, 1.1, steps, kind="checkpointed", checkpoints=5).sum()

        compiled = jax.jit(jax.grad(loss)).lower(jnp.ones(1000)).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert temporary(10_000) == temporary(10)
    assert temporary(10) < 20 * 4 * 1000


def test_weak_types_stay_where_they_can(kind):
    def body(state):
        i, x, y = state
        return i + 1, x * jnp.float32(2), y * 2

    i, x, y = while_loop(lambda s: s[0] < 3, body, (0, 1.0, 1.0), **kind)
    assert (i.weak_type, x.weak_type, y.weak_type) == (True, False, True)
    assert (x.dtype, float(x), float(y)) == (jnp.float32, 8, 8)


@pytest.mark.parametrize(
    ("body", "init", "error", "match"),
    [
        (lambda s: s[:1], (0, 1.0), ValueError, r"same input and output structure. Difference is"),
        (lambda s: (s[0], jnp.ones(2)), (0, 1.0), ValueError, r"\+ \(weak_i32\[\], f32\[2\]\)"),
        (lambda s: (s[0], 1), (0, 1.0), ValueError, r"same input and output structure"),
        (lambda s: s, (0, "a"), TypeError, r"`init_val\[1\]` is `'a'`, which is none"),
        (lambda s: s, {"f": jnp.sin, "i": 0}, TypeError, r"`init_val\['f'\]`"),
    ],
    ids=["structure", "shape", "dtype", "text", "function"],
)
def test_what_cannot_be_carried_is_refused(kind, body, init, error, match):
    with pytest.raises(error, match=match):
        while_loop(lambda s: False, body, init, **kind)


@pytest.mark.parametrize("pred", [1, jnp.ones(2, bool), None], ids=["number", "vector", "None"])
def test_a_condition_is_one_bool(kind, pred):
    with pytest.raises(TypeError):
        while_loop(lambda s: pred, lambda s: s, 0, **kind)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"kind": "foo"}, r"Unrecognised kind of while loop 'foo'"),
        ({"kind": "bounded"}, r"requires `max_steps`"),
        ({"kind": "bounded", "max_steps": -1}, r"requires `max_steps`"),
        ({"kind": "checkpointed"}, r"one of `max_steps` and `checkpoints`"),
        ({"kind": "checkpointed", "checkpoints": 0}, r"Must have at least one checkpoint"),
        ({"kind": "lax", "max_steps": jnp.array(3)}, r"`max_steps` must be a Python integer"),
    ],
)
def test_options_are_checked(options, match):
    with pytest.raises(ValueError, match=match):
        while_loop(lambda s: False, lambda s: s, 0, **options)


@pytest.mark.parametrize("base", [1, 0, -1, True, 2.5, "a", None])
def test_a_base_is_an_integer_of_at_least_two(base):
    error = ValueError if isinstance(base, (int, float)) else TypeError
    kept = {"kind": "bounded", "max_steps": 7, "base": base}
    with pytest.raises(error, match=rf"`base` must be .* integer of at least 2; it is {base!r}"):
        looped(X, 1.1, 3, **kept)
    with pytest.raises(error, match=r"`base` must be"):
        filter_while_loop(lambda x: x < 3, lambda x: x + 1, jnp.array(0), **kept)
    close(looped(X, 1.1, 3, kind="bounded", max_steps=0, base=base), X)
    close(looped(X, 1.1, 3, kind="lax", max_steps=7, base=base), unrolled(X, 1.1, 3))


@pytest.mark.parametrize("base", [np.int64(3), 4.0])
def test_other_numbers_that_are_integers_are_bases(base):
    options = {"kind": "bounded", "max_steps": 7, "base": base}
    close(looped(X, 1.1, 5, **options), unrolled(X, 1.1, 5))


@pytest.mark.parametrize("checkpoints", ["x", "all", 2.5])
def test_checkpoints_are_an_integer(checkpoints):
    options = {"kind": "checkpointed", "max_steps": 7, "checkpoints": checkpoints}
    with pytest.raises(TypeError, match=rf"`checkpoints` must be .* it is {checkpoints!r}"):
        jax.grad(lambda x: looped(x, 1.1, 3, **options).sum())(X)


def test_max_steps_is_no_more_than_can_be_counted(kind):
    options = {**kind, "max_steps": 2**31}
    with pytest.raises(ValueError, match=r"`max_steps` must be at most 2147483647, .* 2147483648"):
        looped(X, 1.1, 3, **options)


@pytest.mark.parametrize("most", [2**31, 2**40, -(2**40)])
def test_max_steps_may_be_a_long_integer(kind, most, x64):
    if kind["kind"] == "bounded" and most < 0:
        return
    with x64(True):
        found = looped(X, 1.1, 3, **{**kind, "max_steps": most})
    close(found, unrolled(X, 1.1, 3 if most > 0 else 0))


def test_a_gradient_of_a_loop_of_very_many_steps(x64):
    options = {"kind": "checkpointed", "max_steps": 2**40, "checkpoints": 3}
    with x64(True):
        found = jax.grad(lambda x: looped(x, 1.1, 9, **options).sum())(X)
    close(found, gradients_of_unrolled(X, 1.1, 9)[1])


def test_an_empty_state(kind):
    assert while_loop(lambda s: False, lambda s: s, (), **kind) == ()


UNTOUCHED_WAYS = {
    "grad": lambda f: jax.grad(f)(0.5, 2.0),
    "jit": lambda f: jax.jit(jax.grad(jax.jit(f)))(0.5, 2.0),
    "linearize": lambda f: jax.linear_transpose(jax.linearize(f, 0.5, 2.0)[1], 0.5, 2.0)(1.0)[0],
    "vmap": lambda f: jax.vmap(jax.grad(f), in_axes=(0, None))(jnp.full(1, 0.5), 2.0)[0],
    "grad of vmap": lambda f: jax.grad(
        lambda x: jax.vmap(f, in_axes=(0, None))(x[None], 2.0).sum()
    )(0.5),
}


@pytest.mark.parametrize("way", UNTOUCHED_WAYS)
def test_what_no_perturbed_input_reaches_has_no_tangent(way):
    """Of a checkpointed loop; of the others it is so by JAX's own rules."""

    def loss(x, untouched):
        def body(state):
            i, is_odd, x, z = state
            return i + 1, ~is_odd, jnp.sin(x), 2 * z

        init = (0, False, x, jax.lax.stop_gradient(untouched))
        i, is_odd, y, z = while_loop(lambda s: s[0] < 3, body, init, **CHECKPOINTED)
        nondifferentiable((i, is_odd, z))
        return y

    def directly(x, _):
        return jnp.sin(jnp.sin(jnp.sin(x)))

    use = UNTOUCHED_WAYS[way]
    close(use(loss), use(directly))


def test_a_cotangent_of_what_no_input_reaches_runs_nothing():
    def loss(x, w):
        def body(state):
            i, x, z = state
            return i + 1, jnp.sin(x), 2 * z

        *_, z = while_loop(
            lambda s: s[0] < 300, body, (0, x, 1.0), kind="checkpointed", max_steps=300
        )
        return z + w

    compiled = jax.jit(jax.grad(loss, (0, 1))).lower(0.5, 0.5).compile()
    assert " while(" not in compiled.as_text()


@pytest.mark.parametrize("kind", ["lax", "bounded", "checkpointed"])
def test_gradients_are_of_weak_type_where_their_inputs_are(kind):
    def run(x, more):
        steps = {"max_steps": 4} if kind != "lax" else {}
        differentiate = jax.jacfwd if kind == "lax" else jax.grad

        def loss(x, more):
            return while_loop(lambda c: c < 3, lambda c: c + more, x, kind=kind, **steps)

        return differentiate(loss, (0, 1))(x, more)

    weak, strong = run(0.0, 1.0), run(jnp.float32(0), jnp.float32(1))
    assert [it.weak_type for it in weak] == [True, True]
    assert [it.weak_type for it in strong] == [False, False]
