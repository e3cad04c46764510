"""`LayerNorm`, `RMSNorm` and `GroupNorm`: every argument, dtypes, gradients and mistakes."""

import jax
import jax.numpy as jnp
import numpy as np
from marks import over, rounded

import equinox as eqx

nn = eqx.nn
KEY = jax.random.PRNGKey(7)
X = (np.cos(np.arange(24.0)) * np.arange(24) + 3).astype(np.float32)
DTYPES = ["float16", "bfloat16", "float32", "complex64"]


def both(make):
    """The same case of the two layers that have the same arguments."""
    return {
        f"{cls}: {name}": (lambda cls=cls, case=case: case(getattr(nn, cls)))
        for cls in ("LayerNorm", "RMSNorm")
        for name, case in make.items()
    }


BUILDS = both(
    {
        "int": lambda cls: cls(4),
        "tuple": lambda cls: cls((2, 3)),
        "list": lambda cls: cls([2, 3]),
        "empty tuple": lambda cls: cls(()),
        "zero": lambda cls: cls(0),
        "eps": lambda cls: cls(4, eps=0.5),
        "eps by position": lambda cls: cls(4, 0.5),
        "no weight": lambda cls: cls(4, use_weight=False),
        "no bias": lambda cls: cls(4, use_bias=False),
        "neither": lambda cls: cls(4, use_weight=False, use_bias=False),
        "all by position": lambda cls: cls(4, 1e-5, False, True, jnp.float16),
        "numpy size": lambda cls: cls(np.int64(4)),
        "negative": lambda cls: cls(-1),
        "float": lambda cls: cls(2.0),
        "string": lambda cls: cls("a"),
        **{f"dtype {name}": (lambda cls, name=name: cls(3, dtype=name)) for name in DTYPES},
        "dtype int": lambda cls: cls(3, dtype=int),
        "elementwise_affine False": lambda cls: cls(4, elementwise_affine=False),
        "elementwise_affine True": lambda cls: cls(4, elementwise_affine=True),
        "elementwise_affine wins": lambda cls: cls(4, use_weight=True, elementwise_affine=False),
        "key": lambda cls: cls(4, key=KEY),
    }
) | {
    "GroupNorm: groups, channels": lambda: nn.GroupNorm(2, 4),
    "GroupNorm: without channels": lambda: nn.GroupNorm(2),
    "GroupNorm: without channels or affine": lambda: nn.GroupNorm(2, channelwise_affine=False),
    "GroupNorm: channels without affine": lambda: nn.GroupNorm(2, 4, channelwise_affine=False),
    "GroupNorm: all by position": lambda: nn.GroupNorm(2, 4, 0.5, True, jnp.float16),
    "GroupNorm: indivisible": lambda: nn.GroupNorm(3, 4),
    "GroupNorm: no groups": lambda: nn.GroupNorm(0, 4),
    "GroupNorm: negative groups": lambda: nn.GroupNorm(-2, 4),
    "GroupNorm: groups of 2.0": lambda: nn.GroupNorm(2.0, 4),
    "GroupNorm: channels of a string": lambda: nn.GroupNorm(2, "a"),
    "GroupNorm: numpy sizes": lambda: nn.GroupNorm(np.int64(2), np.int64(4)),
    **{
        f"GroupNorm: dtype {name}": (lambda name=name: nn.GroupNorm(2, 4, dtype=name))
        for name in DTYPES
    },
}


@over(BUILDS)
def case_build(make):
    return make()


@over({name: make for name, make in BUILDS.items() if "dtype" not in name})
def case_repr(make):
    return repr(make())


def affine(layer):
    """The layer with a weight and a bias that are not ones and zeros."""
    ramp = jnp.arange(float(layer.weight.size)).reshape(layer.weight.shape)
    news = (jnp.cos(ramp).astype(layer.weight.dtype), jnp.sin(ramp).astype(layer.bias.dtype))
    return eqx.tree_at(lambda it: (it.weight, it.bias), layer, news)


CALLS = both(
    {
        "vector": lambda cls: affine(cls(24))(X),
        "cube": lambda cls: affine(cls((4, 3, 2)))(X.reshape(4, 3, 2)),
        "eps of 0.5": lambda cls: affine(cls(24, eps=0.5))(X),
        "far from zero": lambda cls: cls(24)(X + 3000),
        "constant": lambda cls: cls(4)(jnp.ones(4)),
        "zeros": lambda cls: cls(4)(jnp.zeros(4)),
        "one element": lambda cls: cls(1)(jnp.ones(1)),
        "empty": lambda cls: cls(0)(jnp.zeros(0)),
        "state": lambda cls: cls(24)(X, 3),
        "state of None": lambda cls: cls(24)(X, None),
        "state by keyword": lambda cls: cls(24)(X, state="s"),
        "key": lambda cls: cls(24)(X, key=KEY),
        "under vmap": lambda cls: jax.vmap(cls(4))(X.reshape(6, 4)),
        "under jit": lambda cls: eqx.filter_jit(affine(cls(24)))(X),
        "gradient": lambda cls: jax.grad(lambda x: jnp.sin(affine(cls(24))(x)).sum())(X),
        "gradient of the layer": lambda cls: eqx.filter_grad(lambda m: jnp.sin(m(X)).sum())(
            affine(cls(24))
        ),
        "int": lambda cls: cls(4)(jnp.arange(4)),
        "numpy float64": lambda cls: cls(4)(np.arange(4.0)),
        "list": lambda cls: cls(4)([1.0, 2.0, 3.0, 4.0]),
        "number": lambda cls: cls(4)(1.0),
        "number for shape ()": lambda cls: cls(())(1.0),
        "array for shape ()": lambda cls: cls(())(jnp.array(2.0)),
        "wrong size": lambda cls: cls(4)(jnp.ones(3)),
        "batch": lambda cls: cls(4)(jnp.ones((3, 4))),
        "flat for a square": lambda cls: cls((3, 4))(jnp.ones(12)),
        **{
            f"{layer} layer of {x}": (
                lambda cls, layer=layer, x=x: cls(24, dtype=layer)(jnp.asarray(X).astype(x))
            )
            for layer in DTYPES
            for x in DTYPES
        },
        "imaginary": lambda cls: cls(24)(X * 1j),
        "weight of shape ()": lambda cls: eqx.tree_at(
            lambda it: it.weight, cls(24), jnp.array(2.0)
        )(X),
    }
)
FOUR = X.reshape(4, 6)
CALLS |= {
    "GroupNorm: vector": lambda: affine(nn.GroupNorm(2, 4))(FOUR[:, 0]),
    "GroupNorm: matrix": lambda: affine(nn.GroupNorm(2, 4))(FOUR),
    "GroupNorm: cube": lambda: affine(nn.GroupNorm(2, 4))(X.reshape(4, 3, 2)),
    "GroupNorm: one group": lambda: affine(nn.GroupNorm(1, 4))(FOUR),
    "GroupNorm: a group for each": lambda: affine(nn.GroupNorm(4, 4))(FOUR),
    "GroupNorm: eps": lambda: affine(nn.GroupNorm(2, 4, eps=0.5))(FOUR),
    "GroupNorm: without affine": lambda: nn.GroupNorm(2, channelwise_affine=False)(FOUR),
    "GroupNorm: other channels without affine": lambda: nn.GroupNorm(
        2, 4, channelwise_affine=False
    )(X.reshape(6, 4)),
    "GroupNorm: state": lambda: nn.GroupNorm(2, 4)(FOUR, 3),
    "GroupNorm: state of None": lambda: nn.GroupNorm(2, 4)(FOUR, None),
    "GroupNorm: key": lambda: nn.GroupNorm(2, 4)(FOUR, key=KEY),
    "GroupNorm: under vmap": lambda: jax.vmap(nn.GroupNorm(2, 4))(X.reshape(2, 4, 3)),
    "GroupNorm: gradient": lambda: jax.grad(lambda x: jnp.sin(affine(nn.GroupNorm(2, 4))(x)).sum())(
        FOUR
    ),
    "GroupNorm: int": lambda: nn.GroupNorm(2, 4)(jnp.arange(4)),
    "GroupNorm: far from zero": lambda: nn.GroupNorm(2, 4)(FOUR + 100),
    "GroupNorm: too few": lambda: nn.GroupNorm(2, 4)(jnp.ones(3)),
    "GroupNorm: too many": lambda: nn.GroupNorm(2, 4)(jnp.ones(6)),
    "GroupNorm: batch": lambda: nn.GroupNorm(2, 4)(jnp.ones((8, 4))),
    "GroupNorm: indivisible without affine": lambda: nn.GroupNorm(2, channelwise_affine=False)(
        jnp.ones(3)
    ),
    "GroupNorm: number": lambda: nn.GroupNorm(2, 4)(1.0),
    "GroupNorm: list": lambda: nn.GroupNorm(2, 4)([1.0, 2.0, 3.0, 4.0]),
    **{
        f"GroupNorm: {layer} layer of {x}": (
            lambda layer=layer, x=x: nn.GroupNorm(2, 4, dtype=layer)(jnp.asarray(FOUR).astype(x))
        )
        for layer in DTYPES
        for x in DTYPES
    },
}


@rounded
@over(CALLS)
def case_call(make):
    return make()
