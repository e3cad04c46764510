"""Inside of `jax.shard_map`, which checks over which axes values vary: as on each part alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec

from eqx_filter import (
    Enumeration,
    branched_error_if,
    error_if,
    filter_checkpoint,
    filter_cond,
    filter_custom_jvp,
    filter_custom_vjp,
    filter_fori_loop,
    filter_jit,
    filter_scan,
    filter_vmap,
    filter_while_loop,
)
from eqx_filter.debug import announce_transform, backward_nan, store_dce
from eqx_filter.loops import scan, while_loop
from eqx_filter.primitives import (
    finalise_fn,
    noinline,
    nonbatchable,
    nondifferentiable,
    nondifferentiable_backward,
    nontraceable,
    unvmap_any,
    unvmap_max,
)

from ..custom_rules import doubled, product

pytestmark = [
    pytest.mark.skipif(jax.device_count() < 4, reason="needs four devices"),
    pytest.mark.skipif(not hasattr(jax, "shard_map"), reason="this JAX does not check it"),
]

SPEC = PartitionSpec("d")
X = np.linspace(0.5, 1.5, 8, dtype=np.float32)
KINDS = {
    "lax": {"kind": "lax", "max_steps": 5},
    "bounded": {"kind": "bounded", "max_steps": 5},
    "checkpointed": {"kind": "checkpointed", "max_steps": 5},
    "few": {"kind": "checkpointed", "checkpoints": 2},
}
EACH_KIND = [*[*KINDS][:-1], pytest.param("few", marks=pytest.mark.again)]


class Light(Enumeration):
    red = "Stop."
    green = "Go."


def within(function, x=X):
    mesh = Mesh(np.array(jax.devices()[:4]), ("d",))
    return jax.jit(jax.shard_map(function, mesh=mesh, in_specs=SPEC, out_specs=SPEC))(x)


def part_by_part(function, x=X):
    compiled = jax.jit(function)
    parts = [compiled(part) for part in x.reshape(4, 2, *x.shape[1:])]
    return jax.tree.map(lambda *outs: np.concatenate(outs), *parts)


def with_gradient(function):
    """Give what the function does, and the gradient of its sum: in one program."""
    gradient = jax.grad(lambda x: function(x).sum())
    return lambda x: (function(x), gradient(x))


def check(function):
    found, expected = within(function), part_by_part(function)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


def looped(x, options, first=None):
    def body(state):
        i, y = state
        return i + 1, jnp.sin(y) * x

    first = x if first is None else first
    return while_loop(lambda state: state[0] < 3, body, (0, first), **options)[1]


def written(x, options):
    def body(state):
        i, y, ys = state
        return i + 1, jnp.sin(y) * x, ys.at[i].set(y)

    init = (0, x, jnp.zeros((4, *x.shape)))
    loop = while_loop(lambda s: s[0] < 3, body, init, buffers=lambda s: s[2], **options)
    return loop[2].sum(0)


def scanned(x, options):
    kind = {"kind": options["kind"]}
    return scan(lambda c, y: (jnp.sin(c) * y, c), x, jnp.ones((4, 1)) * x, **kind)[1].sum(0)


LOOPS = {
    "loop": looped,
    "begins alike": lambda x, options: looped(x, options, jnp.ones_like(X[:2])),
    "batch": lambda x, options: jax.vmap(lambda x: looped(x, options))(x),
    "own condition": lambda x, options: while_loop(
        lambda state: state[1][0] < 2, lambda state: (state[0] + 1, 2 * state[1]), (0, x), **options
    )[1],
    "buffer": written,
    "scan": scanned,
}


@pytest.mark.parametrize("kind", EACH_KIND)
@pytest.mark.parametrize("loop", LOOPS)
def test_loops(loop, kind):
    def function(x):
        return LOOPS[loop](x, KINDS[kind])

    is_differentiable = kind != "lax" or loop == "scan"
    check(with_gradient(function) if is_differentiable else function)


@pytest.mark.parametrize("kind", EACH_KIND)
def test_a_loop_that_doubles_three_times(kind):
    def double(x):
        body = lambda s: (s[0] + 1, 2 * s[1])  # noqa: E731
        return while_loop(lambda s: s[0] < 3, body, (0, x), **KINDS[kind])[1]

    assert within(double, jnp.ones(8)).tolist() == [8.0] * 8


@pytest.mark.parametrize("kind", EACH_KIND)
def test_a_condition_may_ask_all_parts(kind):
    def function(x):
        def cond(state):
            return jax.lax.psum(state[1].sum(), "d") < 50

        body = lambda s: (s[0] + 1, 2 * s[1])  # noqa: E731
        return while_loop(cond, body, (0, x), **KINDS[kind])[1]

    np.testing.assert_allclose(within(function), 8 * X)


SMOOTH = {
    "noinline": noinline(jnp.sin),
    "noinline by number": noinline(jnp.sin, lambda _, x: x),
    "batch of noinline": jax.vmap(noinline(jnp.sin)),
    "custom_vjp": lambda x: product(x, 2.0),
    "batch of custom_vjp": jax.vmap(lambda x: product(x, 2.0)),
    "custom_jvp": lambda x: doubled(jnp.sin(x)),
    "checkpoint": filter_checkpoint(jnp.sin),
    "error_if": lambda x: error_if(jnp.sin(x), x > 100, "large"),
    "error_if of a batch": jax.vmap(lambda x: error_if(jnp.sin(x), x > 100, "large")),
    "branched_error_if": lambda x: branched_error_if(x, x > 100, jnp.where(x > 1, 1, 0), "ab"),
    "backward_nan": lambda x: backward_nan(jnp.sin(x)),
    "announce_transform": lambda x: announce_transform(x, announce=lambda told: None),
    "store_dce": lambda x: store_dce(jnp.sin(x)),
    "filter_scan": lambda x: filter_scan(lambda c, _: (c * x, None), x, None, length=3)[0],
    "filter_cond": lambda x: filter_cond(x[0] > 1, jnp.sin, jnp.cos, x),
    "filter_jit": filter_jit(jnp.sin),
    "filter_vmap": filter_vmap(jnp.sin),
}
OTHERS = {
    "nontraceable": nontraceable,
    "nondifferentiable": nondifferentiable,
    "nondifferentiable_backward": nondifferentiable_backward,
    "nonbatchable": nonbatchable,
    "batch of nondifferentiable": jax.vmap(nondifferentiable),
    "unvmap_any": lambda x: x * unvmap_any(x > 1),
    "unvmap_any of a batch": jax.vmap(lambda x: x * (x > 1)),
    "unvmap_max": lambda x: x * unvmap_max(x),
    "filter_while_loop": lambda x: filter_while_loop(lambda c: c.sum() < 9, lambda c: 2 * c, x),
    "filter_fori_loop": lambda x: filter_fori_loop(0, 3, lambda i, c: c * 2, x),
    "enumeration": lambda x: Light.where(x[0] > 1, *Light).error_if(x, x[0] > 100),
    "finalised": finalise_fn(lambda x: nondifferentiable(2 * x)),
}


@pytest.mark.parametrize("name", OTHERS)
def test_primitives(name):
    check(OTHERS[name])


@pytest.mark.parametrize("name", SMOOTH)
def test_primitives_and_rules_with_gradients(name):
    if "noinline" in name and jax.__version_info__ < (0, 7):
        pytest.skip("JAX 0.6 gives its transpose a cotangent that does not vary")
    check(with_gradient(SMOOTH[name]))


@pytest.mark.parametrize(
    "loop",
    [
        lambda step, init, x: filter_scan(lambda c, x: (step(c), None), init, x),
        lambda step, init, x: filter_while_loop(lambda c: c["n"] < 3, step, init),
        lambda step, init, x: filter_fori_loop(0, 3, lambda i, c: step(c), init),
    ],
    ids=["scan", "while", "fori"],
)
def test_a_carry_that_comes_to_vary_is_named_by_its_path(loop):
    def function(x):
        init = {"n": jnp.array(0), "rate": 1.5, "sum": jnp.zeros(2)}
        loop(lambda c: {**c, "n": c["n"] + 1, "sum": c["sum"] + x}, init, x)
        return x

    with pytest.raises(TypeError, match=r"carry component `carry\['sum'\]` has type float32"):
        within(function)


def of_constant_cotangent(constant):
    @filter_custom_vjp
    def function(xy):
        return xy[0] * xy[1]

    @function.def_fwd
    def _(perturbed, xy):
        return xy[0] * xy[1], None

    @function.def_bwd
    def _(residuals, cotangent, perturbed, xy):
        return constant, None

    return lambda x: function((x[0], 2.0))[None] * x


def of_constant_tangent(constant):
    @filter_custom_jvp
    def function(x):
        return x * 2

    @function.def_jvp
    def _(primals, tangents):
        return primals[0] * 2, constant

    return lambda x: function(x[0])[None] * x


@pytest.mark.parametrize("constant", [3.0, jnp.array(3.0), np.float32(3.0), None])
def test_rules_may_return_constants(constant):
    def derivatives(x):
        pushed = jax.jvp(of_constant_tangent(constant), (x,), (x,))[1]
        return pushed, jax.grad(lambda x: of_constant_cotangent(constant)(x).sum())(x)

    check(derivatives)
