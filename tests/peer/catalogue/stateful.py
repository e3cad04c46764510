"""`State` and its indices, and the layers that use them: `BatchNorm`, `SpectralNorm`."""

import copy
import pickle
import warnings

import jax
import jax.numpy as jnp
import numpy as np
from marks import over, rounded

import equinox as eqx

nn = eqx.nn
KEY = jax.random.PRNGKey(7)
X = (np.cos(np.arange(48.0)) * np.arange(48) + 3).astype(np.float32).reshape(4, 3, 2, 2)


class Counter(nn.StatefulLayer):
    count: nn.StateIndex
    rest: dict

    def __init__(self, start=0):
        self.count = nn.StateIndex(start)
        self.rest = {"x": [nn.StateIndex(jnp.zeros(2))], "y": nn.StateIndex((jnp.ones(2), None))}

    def __call__(self, x, state, *, key=None):
        return x, state.set(self.count, state.get(self.count) + 1)


def made(start=0):
    return nn.make_with_state(Counter)(start)


def on(use):
    """A case of a fresh model and its state."""
    return lambda: use(*made())


def clone(state):
    leaves, structure = jax.tree.flatten(state)
    return jax.tree.unflatten(structure, leaves)


def old(use):
    """A case of a state from which another was made."""

    def case():
        counter, state = made()
        state.set(counter.count, 1)
        return use(counter, state)

    return case


STATES = {
    "make_with_state": lambda: made(),
    "make_with_state of an array": lambda: made(jnp.arange(3)),
    "make_with_state of a list": lambda: nn.make_with_state(lambda: [nn.StateIndex(1), 2])(),
    "make_with_state of an index": lambda: nn.make_with_state(nn.StateIndex)(1.0),
    "make_with_state of no index": lambda: nn.make_with_state(lambda: [1, 2])(),
    "make_with_state of None": lambda: nn.make_with_state(nn.StateIndex)(None),
    "make_with_state of a layer": lambda: nn.make_with_state(
        lambda: nn.StateIndex(nn.Linear(2, 2, key=KEY))
    )(),
    "make_with_state of a function in it": lambda: nn.make_with_state(nn.StateIndex)(jnp.sin),
    "make_with_state twice": lambda: nn.make_with_state(lambda: made()[0])(),
    "make_with_state under vmap": lambda: jax.vmap(made)(jnp.arange(3)),
    "make_with_state under jit": lambda: eqx.filter_jit(made)(3),
    "one index at two places": lambda: nn.make_with_state(lambda: [nn.StateIndex(1)] * 2)(),
    "structures": lambda: jax.tree.structure(made()) == jax.tree.structure(made()),
    "equality": lambda: eqx.tree_equal(made(), made()),
    "get": on(lambda m, s: (s.get(m.count), s.get(m.rest["y"]))),
    "get of a number": on(lambda m, s: s.get(3)),
    "get of None": on(lambda m, s: s.get(None)),
    "get of another": on(lambda m, s: s.get(nn.StateIndex(1))),
    "set": on(lambda m, s: s.set(m.count, 5)),
    "set of two": on(lambda m, s: s.set(m.rest["y"], (jnp.zeros(2), None))),
    "set of a numpy array": on(lambda m, s: s.set(m.rest["x"][0], np.ones(2, np.float32))),
    "set of a number": on(lambda m, s: s.set(3, 3)),
    "set of another": on(lambda m, s: s.set(nn.StateIndex(1), 1)),
    "set of a float": on(lambda m, s: s.set(m.count, 5.0)),
    "set of a bool": on(lambda m, s: s.set(m.count, True)),
    "set of a strong type": on(lambda m, s: s.set(m.count, jnp.int32(3))),
    "set of None": on(lambda m, s: s.set(m.count, None)),
    "set of another shape": on(lambda m, s: s.set(m.rest["x"][0], jnp.ones(3))),
    "set of another dtype": on(lambda m, s: s.set(m.rest["x"][0], jnp.ones(2, int))),
    "set of another structure": on(lambda m, s: s.set(m.rest["y"], [jnp.ones(2), None])),
    "set under grad": on(
        lambda m, s: jax.grad(lambda x: clone(s).set(m.rest["x"][0], x).get(m.rest["x"][0]).sum())(
            jnp.ones(2)
        )
    ),
    "set under vmap": on(
        lambda m, s: jax.vmap(lambda x: clone(s).set(m.rest["x"][0], x))(jnp.ones((3, 2)))
    ),
    "substate": on(lambda m, s: s.substate(m.rest)),
    "substate of an index": on(lambda m, s: s.substate(m.count)),
    "substate of nothing": on(lambda m, s: s.substate([1, 2])),
    "substate of another": on(lambda m, s: s.substate(nn.StateIndex(1))),
    "substate leaves the state": on(lambda m, s: (s.substate(m.rest), s)),
    "update": on(lambda m, s: s.update(s.substate(m.count).set(m.count, 7))),
    "update leaves the substate": on(lambda m, s: (lambda u: (s.update(u), u))(s.substate(m))),
    "update of a dict": on(lambda m, s: s.update({})),
    "update of another": on(lambda m, s: s.update(nn.make_with_state(nn.StateIndex)(1)[1])),
    "old get": old(lambda m, s: s.get(m.count)),
    "old set": old(lambda m, s: s.set(m.count, 1)),
    "old substate": old(lambda m, s: s.substate(m)),
    "old update": old(lambda m, s: s.update(made()[1])),
    "update by old": old(lambda m, s: made()[1].update(s)),
    "old leaves": old(lambda m, s: jax.tree.leaves(s)),
    "old under jit": old(lambda m, s: jax.jit(lambda s: 1)(s)),
    "old repr": old(lambda m, s: repr(s)),
    "leaves": on(lambda m, s: jax.tree.leaves(s)),
    "repr": on(lambda m, s: repr(s)),
    "repr of the model": on(lambda m, s: repr(m)),
    "long arrays": on(lambda m, s: eqx.tree_pformat(s, short_arrays=False)),
    "tree_flatten": on(lambda m, s: s.tree_flatten()),
    "tree_unflatten": on(lambda m, s: nn.State.tree_unflatten(("a", "b"), (1, 2))),
    "tree_map": on(lambda m, s: jax.tree.map(lambda x: x + 1, s)),
    "pickle": on(lambda m, s: pickle.loads(pickle.dumps(s))),
    "pickle of the model": on(lambda m, s: pickle.loads(pickle.dumps(m))),
    "deepcopy": on(lambda m, s: copy.deepcopy(s)),
    "State of a made model": on(lambda m, s: nn.State(m)),
    "State of nothing": lambda: nn.State([1, None]),
    "State of a model": lambda: jax.tree.leaves(nn.State(Counter())),
    "delete_init_state": lambda: jax.tree.leaves(nn.delete_init_state(Counter())),
    "delete_init_state of nothing": lambda: nn.delete_init_state([1, jnp.ones(2)]),
    "State after delete_init_state": lambda: nn.State(nn.delete_init_state(Counter())),
    "index": lambda: [nn.StateIndex(x).init for x in (1, "a", np.ones(2), None)],
    "index of two": lambda: nn.StateIndex(1, 2),
    "index equality": on(lambda m, s: (m.count == made()[0].count, m.count == m.rest["y"])),
    "is_stateful": lambda: (Counter().is_stateful(), nn.Sequential([]).is_stateful()),
    "Sequential": lambda: nn.Sequential([Counter(), nn.Identity()]).is_stateful(),
    "nested Sequential": lambda: nn.Sequential([nn.Sequential([Counter()])]).is_stateful(),
    "abstract": lambda: nn.StatefulLayer(),
}


@over(STATES)
def case_state(make):
    return make()


def sequential():
    layers = [nn.Identity(), Counter(), nn.Sequential([Counter(5), nn.Lambda(jnp.tanh)])]
    return nn.make_with_state(nn.Sequential)(layers)


SEQUENTIALS = {
    "call": lambda: (lambda m, s: m(jnp.ones(2), s))(*sequential()),
    "key": lambda: (lambda m, s: m(jnp.ones(2), s, key=KEY))(*sequential()),
    "state by keyword": lambda: (lambda m, s: m(jnp.ones(2), state=s))(*sequential()),
    "no state": lambda: (lambda m, s: m(jnp.ones(2)))(*sequential()),
    "state for none": lambda: nn.Sequential([nn.Identity()])(1, sequential()[1]),
    "norms pass it on": lambda: nn.Sequential([nn.LayerNorm(2), nn.GroupNorm(1, 2)])(
        jnp.ones(2), 3
    ),
    "under jit": lambda: (lambda m, s: eqx.filter_jit(m)(jnp.ones(2), s))(*sequential()),
}


@rounded
@over(SEQUENTIALS)
def case_sequential(make):
    return make()


def batched(layer, x, state, **kwargs):
    def call(x, state):
        return layer(x, state, **kwargs)

    return jax.vmap(call, axis_name="b", in_axes=(0, None), out_axes=(0, None))(x, state)


def norm(**kwargs):
    return nn.make_with_state(nn.BatchNorm)(3, "b", **kwargs)


def three(layer, state, x=X):
    """Three batches, and one at inference."""
    ys = []
    for factor in (1, 2, -1):
        y, state = batched(layer, factor * x, state)
        ys.append(y)
    return ys, state, batched(layer, x, clone(state), inference=True)


def in_both(cases):
    return {
        f"{mode}: {name}": (lambda mode=mode, case=case: case(mode))
        for mode in ("ema", "batch")
        for name, case in cases.items()
    }


BATCH_NORMS = in_both(
    {
        "three batches": lambda mode: three(*norm(mode=mode)),
        "momentum": lambda mode: three(*norm(mode=mode, momentum=0.5)),
        "momentum 0": lambda mode: three(*norm(mode=mode, momentum=0)),
        "momentum 1": lambda mode: three(*norm(mode=mode, momentum=1)),
        "eps": lambda mode: three(*norm(mode=mode, eps=0.5)),
        "no affine": lambda mode: three(*norm(mode=mode, channelwise_affine=False)),
        "inference": lambda mode: batched(
            *(lambda m, s: (m, X, s))(*norm(mode=mode, inference=True))
        ),
        "training at call": lambda mode: (lambda m, s: batched(m, X, s, inference=False))(
            *norm(mode=mode, inference=True)
        ),
        "inference_mode": lambda mode: nn.inference_mode(norm(mode=mode)[0]),
        "inference without a batch": lambda mode: (lambda m, s: m(X[0], s, inference=True))(
            *norm(mode=mode)
        ),
        "inference of an array": lambda mode: (lambda m, s: m(X[0], s, inference=jnp.array(True)))(
            *norm(mode=mode)
        ),
        "no axis": lambda mode: (lambda m, s: m(X[0], s))(*norm(mode=mode)),
        "vectors": lambda mode: three(*norm(mode=mode), X[:, :, 0, 0]),
        "far from zero": lambda mode: three(*norm(mode=mode), X + 1000),
        "constant": lambda mode: three(*norm(mode=mode), jnp.ones((4, 3))),
        "int": lambda mode: three(*norm(mode=mode), jnp.ones((4, 3), int)),
        "under jit": lambda mode: (lambda m, s: eqx.filter_jit(batched)(m, X, s))(*norm(mode=mode)),
        "batched state": lambda mode: (
            lambda m, s: jax.vmap(m, axis_name="b", in_axes=(0, None))(X, s)
        )(*norm(mode=mode)),
        "an ensemble": lambda mode: eqx.filter_vmap(lambda k: norm(mode=mode))(jnp.arange(2)),
        "gradient": lambda mode: (
            lambda m, s: jax.grad(lambda x: jnp.sin(batched(m, x, clone(s))[0]).sum())(X / 10)
        )(*norm(mode=mode)),
        "second gradient": lambda mode: (
            lambda m, s: jax.grad(lambda x: jnp.sin(batched(m, x, batched(m, X, s)[1])[0]).sum())(
                X / 10
            )
        )(*norm(mode=mode, momentum=0.5)),
        "wrong channels": lambda mode: (lambda m, s: batched(m, X[:, :2], s))(*norm(mode=mode)),
        "no channels": lambda mode: (lambda m, s: batched(m, jnp.ones(4), s))(*norm(mode=mode)),
        "key": lambda mode: (lambda m, s: batched(m, X, s, key=KEY))(*norm(mode=mode)),
        "key by position": lambda mode: (lambda m, s: m(X[0], s, KEY))(*norm(mode=mode)),
        "no state": lambda mode: (lambda m, s: m(X[0]))(*norm(mode=mode)),
        "state of another": lambda mode: (lambda m, s: batched(m, X, made()[1]))(*norm(mode=mode)),
        "old state": lambda mode: (lambda m, s: batched(lambda x, s: (m(x, s), m(x, s)), X, s))(
            *norm(mode=mode)
        ),
        "imaginary": lambda mode: (lambda m, s: batched(m, X * 1j, s))(*norm(mode=mode)),
        **{
            f"{layer} layer of {x}": (
                lambda mode, layer=layer, x=x: (
                    lambda m, s: batched(m, jnp.asarray(X).astype(x), s)
                )(*norm(mode=mode, dtype=layer))
            )
            for layer in ("float16", "bfloat16", "float32", "complex64")
            for x in ("float16", "bfloat16", "float32")
        },
    }
)


@rounded
@over(BATCH_NORMS)
def case_batch_norm(make):
    return make()


BUILDS = {
    **{
        f"BatchNorm: {name}": make
        for name, make in in_both(
            {
                "made": lambda mode: norm(mode=mode),
                "repr": lambda mode: repr(norm(mode=mode)),
                "leaves": lambda mode: jax.tree.leaves(nn.BatchNorm(3, "b", mode=mode)),
                "int dtype": lambda mode: norm(mode=mode, dtype=int),
                "float16": lambda mode: norm(mode=mode, dtype=jnp.float16),
                "size 0": lambda mode: nn.make_with_state(nn.BatchNorm)(0, "b", mode=mode),
                "two axes": lambda mode: nn.make_with_state(nn.BatchNorm)(3, ("a", "b"), mode=mode),
            }
        ).items()
    },
    "BatchNorm: no mode": lambda: nn.BatchNorm(3, "b").mode,
    "BatchNorm: legacy": lambda: nn.BatchNorm(3, "b", mode="legacy").mode,
    "BatchNorm: unknown mode": lambda: nn.BatchNorm(3, "b", mode="foo"),
    "BatchNorm: mode in capitals": lambda: nn.BatchNorm(3, "b", mode="EMA"),
    "BatchNorm: no axis": lambda: nn.BatchNorm(3, mode="ema"),
    "BatchNorm: negative size": lambda: nn.BatchNorm(-3, "b", mode="ema"),
    "BatchNorm: size of 2.5": lambda: nn.BatchNorm(2.5, "b", mode="ema"),
    "BatchNorm: size of a string": lambda: nn.BatchNorm("scalar", "b", mode="ema"),
    "BatchNorm: numpy size": lambda: nn.BatchNorm(np.int64(3), "b", mode="ema").input_size,
    "BatchNorm: all by position": lambda: nn.make_with_state(nn.BatchNorm)(
        3, "b", 1e-3, False, 0.9, True, jnp.float16, "batch"
    ),
}


@over(BUILDS)
def case_build(make):
    return make()


def linear(**kwargs):
    return nn.Linear(3, 4, key=KEY, **kwargs)


def spectral(layer, name="weight", **kwargs):
    return nn.make_with_state(nn.SpectralNorm)(layer, name, key=jax.random.PRNGKey(5), **kwargs)


def called(layer, state, **kwargs):
    y, state = layer(X[0, :, 0, 0], state, **kwargs)
    return y, layer(X[1, :, 0, 0], state)


SPECTRAL = {
    "made": lambda: spectral(linear()),
    "repr": lambda: repr(spectral(linear())),
    "call": lambda: called(*spectral(linear())),
    "inference": lambda: called(*spectral(linear(), inference=True)),
    "inference at call": lambda: called(*spectral(linear()), inference=True),
    "training at call": lambda: called(*spectral(linear(), inference=True), inference=False),
    "inference_mode": lambda: nn.inference_mode(spectral(linear())[0]),
    "five iterations": lambda: called(*spectral(linear(), num_power_iterations=5)),
    "no iterations": lambda: called(*spectral(linear(), num_power_iterations=0)),
    "negative iterations": lambda: spectral(linear(), num_power_iterations=-1),
    "iterations of 1.5": lambda: spectral(linear(), num_power_iterations=1.5),
    "eps": lambda: called(*spectral(linear(), eps=3.0)),
    "float16": lambda: jax.tree.leaves(spectral(linear(dtype=jnp.float16))[1]),
    "complex64": lambda: called(*spectral(linear(dtype=jnp.complex64))),
    "cell": lambda: spectral(nn.GRUCell(2, 3, key=KEY), "weight_ih"),
    "gradient": lambda: (
        lambda m, s: eqx.filter_grad(lambda m: jnp.sin(called(m, clone(s))[0]).sum())(m)
    )(*spectral(linear())),
    "zero weight": lambda: called(
        *spectral(eqx.tree_at(lambda m: m.weight, linear(), jnp.zeros((4, 3))))
    ),
    "unknown name": lambda: spectral(linear(), "foo"),
    "bias": lambda: spectral(linear(), "bias"),
    "no bias": lambda: spectral(linear(use_bias=False), "bias"),
    "of a function": lambda: spectral(jnp.sin),
    "of an MLP": lambda: spectral(nn.MLP(2, 2, 2, 1, key=KEY)),
    "no outputs": lambda: spectral(nn.Linear(3, 0, key=KEY)),
    "no key": lambda: nn.make_with_state(nn.SpectralNorm)(linear(), "weight"),
    "under vmap": lambda: (
        lambda m, s: jax.vmap(m, in_axes=(0, None), out_axes=(0, None))(X[:, :, 0, 0], s)
    )(*spectral(linear())),
    "key": lambda: called(*spectral(linear()), key=KEY),
}


@rounded
@over(SPECTRAL)
def case_spectral_norm(make):
    return make()


def parts(layer):
    """The leaves that are arrays, which do not depend on private fields."""
    return jax.tree.leaves(eqx.filter(layer, eqx.is_array))


def weighted(layer, *args, **kwargs):
    norm = nn.WeightNorm(layer, *args, **kwargs)
    twice = eqx.tree_at(lambda it: it.g, norm, 2 * norm.g)
    return parts(norm), norm(X[0, :, 0, 0]), twice(X[0, :, 0, 0])


WEIGHTED = {
    "default": lambda: weighted(linear()),
    "axis 1": lambda: weighted(linear(), axis=1),
    "axis -1": lambda: weighted(linear(), axis=-1),
    "axis None": lambda: weighted(linear(), axis=None),
    "by position": lambda: weighted(linear(), "weight", 1),
    "bias": lambda: weighted(linear(), "bias"),
    "complex64": lambda: weighted(linear(dtype=jnp.complex64)),
    "float16": lambda: parts(nn.WeightNorm(linear(dtype=jnp.float16))),
    "key": lambda: nn.WeightNorm(linear())(X[0, :, 0, 0], key=KEY),
    "gradient": lambda: parts(
        eqx.filter_grad(lambda m: jnp.sin(m(X[0, :, 0, 0])).sum())(nn.WeightNorm(linear()))
    ),
    "zero weight": lambda: nn.WeightNorm(
        eqx.tree_at(lambda m: m.weight, linear(), jnp.zeros((4, 3)))
    )(X[0, :, 0, 0]),
    "axis 2": lambda: nn.WeightNorm(linear(), axis=2),
    "two axes": lambda: nn.WeightNorm(linear(), axis=(0, 1)),
    "unknown name": lambda: nn.WeightNorm(linear(), "foo"),
    "no bias": lambda: nn.WeightNorm(linear(use_bias=False), "bias"),
    "of a function": lambda: nn.WeightNorm(jnp.sin),
    "nested": lambda: nn.WeightNorm(nn.WeightNorm(linear())),
    "structures": lambda: (
        jax.tree.structure(nn.WeightNorm(linear())) == jax.tree.structure(nn.WeightNorm(linear()))
    ),
    "equality": lambda: nn.WeightNorm(linear()) == nn.WeightNorm(linear()),
}


@rounded
@over(WEIGHTED)
def case_weight_norm(make):
    return make()


def two(where=lambda p: p[1], get=lambda p: p[0], nodes=None):
    return nn.Shared(nodes or [jnp.ones(2), jnp.zeros(2)], where, get)


SHARED = {
    "made": lambda: parts(two()),
    "repr": lambda: repr(two()),
    "call": lambda: two()(),
    "several": lambda: two(lambda p: (p[1], p[0]), lambda p: (p[2], p[2]), [jnp.ones(2)] * 3)(),
    "layers": lambda: two(nodes=[linear(), linear()])(),
    "same node": lambda: parts(two(lambda p: p[0], lambda p: p[0])),
    "shapes": lambda: two(nodes=[jnp.ones(2), jnp.ones(3)]),
    "dtypes": lambda: two(nodes=[jnp.ones(2), jnp.ones(2, int)]),
    "structures": lambda: two(nodes=[(jnp.ones(2),), jnp.ones(2)]),
    "no node": lambda: two(lambda p: 3),
    "functions": lambda: two(nodes=[jnp.sin, jnp.cos]),
    "numpy": lambda: parts(two(nodes=[np.ones(2), np.zeros(2)])),
    "gradient": lambda: parts(eqx.filter_grad(lambda s: (s()[0] * s()[1]).sum())(two())),
    "transposed": lambda: two(
        lambda p: p[1], lambda p: p[0].T, [jnp.ones((2, 3)), jnp.zeros((3, 2))]
    )(),
    "under jit": lambda: eqx.filter_jit(lambda s: s())(two()),
}


@over(SHARED)
def case_shared(make):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return make()
