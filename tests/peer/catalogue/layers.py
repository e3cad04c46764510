"""Layers: what their constructors and calls take, give and refuse."""

import jax
import jax.numpy as jnp
import numpy as np
from marks import over, rounded

import equinox as eqx

nn = eqx.nn
KEY = jax.random.PRNGKey(7)


def vector(size, scale=1.0):
    """A fixed input: not from JAX's PRNG, which the layers use."""
    return (scale * np.cos(np.arange(1.0, size + 1))).astype(np.float32)


MISTAKES = {
    "negative in_features": lambda: nn.Linear(-1, 3, key=KEY),
    "negative out_features": lambda: nn.Linear(3, -1, key=KEY),
    "in_features of 2.5": lambda: nn.Linear(2.5, 3, key=KEY),
    "in_features of a string": lambda: nn.Linear("scaler", 3, key=KEY),
    "in_features of None": lambda: nn.Linear(None, 3, key=KEY),
    "no key": lambda: nn.Linear(2, 3),
    "key of None": lambda: nn.Linear(2, 3, key=None),
    "key of a number": lambda: nn.Linear(2, 3, key=0),
    "key by position": lambda: nn.Linear(2, 3, True, None, KEY),
    "int dtype": lambda: nn.Linear(2, 3, dtype=int, key=KEY),
    "unknown dtype": lambda: nn.Linear(2, 3, dtype="foo", key=KEY),
    "unknown argument": lambda: nn.Linear(2, 3, unknown=1, key=KEY),
    "Linear of wrong size": lambda: nn.Linear(2, 3, key=KEY)(vector(4)),
    "Linear of batch": lambda: nn.Linear(2, 3, key=KEY)(np.ones((5, 2))),
    "Linear of columns": lambda: nn.Linear(2, 3, key=KEY)(np.ones((2, 5))),
    "Linear of number": lambda: nn.Linear(2, 3, key=KEY)(1.0),
    "Linear of list": lambda: nn.Linear(2, 3, key=KEY)([1.0, 2.0]),
    "scalar Linear of vector": lambda: nn.Linear("scalar", 3, key=KEY)(vector(1)),
    "Linear to scalar of columns": lambda: nn.Linear(2, "scalar", key=KEY)(np.ones((2, 5))),
    "GRUCell of wrong input": lambda: nn.GRUCell(2, 3, key=KEY)(vector(3), vector(3)),
    "GRUCell of wrong hidden": lambda: nn.GRUCell(2, 3, key=KEY)(vector(2), vector(4)),
    "GRUCell of scalar": lambda: nn.GRUCell("scalar", 3, key=KEY),
    "GRUCell of hidden 0": lambda: nn.GRUCell(3, 0, key=KEY),
    "LSTMCell of wrong state": lambda: nn.LSTMCell(2, 3, key=KEY)(vector(2), vector(3)),
    "LSTMCell of None": lambda: nn.LSTMCell(2, 3, key=KEY)(vector(2), None),
    "MLP of depth -1": lambda: nn.MLP(2, 3, 4, -1, key=KEY),
    "MLP of depth 1.0": lambda: nn.MLP(2, 3, 4, 1.0, key=KEY),
    "MLP of scalar width": lambda: nn.MLP(2, 3, "scalar", 1, key=KEY),
    "MLP of batch": lambda: nn.MLP(2, 3, 4, 1, key=KEY)(np.ones((5, 2))),
    "MLP without activation": lambda: nn.MLP(2, 3, 4, 1, None, key=KEY)(vector(2)),
    "Dropout without key": lambda: nn.Dropout()(vector(2)),
    "Dropout of list": lambda: nn.Dropout()([1.0], key=KEY),
    "Sequential of function": lambda: nn.Sequential([jnp.tanh])(vector(2)),
    "Sequential of number": lambda: nn.Sequential([1])(vector(2)),
    "Sequential of layer": lambda: nn.Sequential(nn.Identity()),
    "Sequential of None": lambda: nn.Sequential(None),
    "Sequential of two": lambda: nn.Sequential(nn.Identity(), nn.Identity()),
    "Sequential out of range": lambda: nn.Sequential([nn.Identity()])[1],
    "Sequential of string index": lambda: nn.Sequential([nn.Identity()])["a"],
    "Identity of two": lambda: nn.Identity()(1, 2),
    "Lambda of None": lambda: nn.Lambda(None)(1),
}


@over(MISTAKES)
def case_mistake(make):
    return make()


DROPOUTS = {
    "half": lambda: nn.Dropout()(vector(8), key=KEY),
    "none": lambda: nn.Dropout(0)(vector(8), key=KEY),
    "none without key": lambda: nn.Dropout(0)(vector(8)),
    "0.0 without key": lambda: nn.Dropout(0.0)(vector(8)),
    "all": lambda: nn.Dropout(1)(vector(8), key=KEY),
    "inference": lambda: nn.Dropout(inference=True)(vector(8)),
    "inference at call": lambda: nn.Dropout()(vector(8), inference=True),
    "training at call": lambda: nn.Dropout(inference=True)(vector(8), key=KEY, inference=False),
    "deterministic": lambda: nn.Dropout(deterministic=True)(vector(8)),
    "deterministic at call": lambda: nn.Dropout()(vector(8), deterministic=True),
    "deterministic attribute": lambda: nn.Dropout(inference=True).deterministic,
    "p of 2": lambda: nn.Dropout(2.0),
    "p of array": lambda: nn.Dropout(jnp.array(0.5))(vector(8), key=KEY),
    "matrix": lambda: nn.Dropout(0.3)(np.ones((3, 4), np.float32), key=KEY),
    "typed key": lambda: nn.Dropout(0.3)(vector(8), key=jax.random.key(3)),
    "float16": lambda: nn.Dropout(0.3)(vector(8).astype(np.float16), key=KEY),
    "int": lambda: nn.Dropout(0.3)(jnp.arange(8), key=KEY),
    "complex": lambda: nn.Dropout(0.3)(jnp.arange(8) * 1j, key=KEY),
    "scalar": lambda: nn.Dropout(0.3)(1.0, key=KEY),
    "under jit": lambda: jax.jit(nn.Dropout(0.3))(vector(8), key=KEY),
}


@rounded
@over(DROPOUTS)
def case_dropout(make):
    return make()


def layers():
    return nn.Sequential(
        [nn.Linear(2, 3, key=KEY), nn.Lambda(jnp.tanh), nn.Dropout(), nn.Identity()]
    )


SEQUENTIALS = {
    "call without key": lambda: layers()(vector(2)),
    "call": lambda: layers()(vector(2), key=KEY),
    "empty": lambda: nn.Sequential([])(vector(2)),
    "index": lambda: layers()[1],
    "negative index": lambda: layers()[-1],
    "slice": lambda: layers()[1:3],
    "step": lambda: layers()[::2],
    "numpy index": lambda: layers()[np.int64(1)],
    "bool index": lambda: layers()[True],
    "length": lambda: len(layers()),
    "iteration": lambda: [type(layer) for layer in layers()],
    "tuple": lambda: nn.Sequential((nn.Identity(),)),
    "generator": lambda: nn.Sequential(nn.Identity() for _ in range(2)),
    "nested": lambda: nn.Sequential([nn.Sequential([nn.Identity()])])(1),
    "stateful": lambda: layers().is_stateful(),
    "positional state": lambda: nn.Sequential([nn.Identity()])(vector(2), None),
    "equality": lambda: layers() == layers(),
    "no key for Identity": lambda: nn.Sequential([nn.Identity(), nn.Identity()])(1, key=None),
}


@rounded
@over(SEQUENTIALS)
def case_sequential(make):
    return make()


def inference_tree():
    return [nn.Dropout(), {"a": nn.Sequential([nn.Dropout(0.1)])}, nn.Identity(), 3, None]


INFERENCE = {
    "default": lambda: nn.inference_mode(inference_tree()),
    "False": lambda: nn.inference_mode(nn.inference_mode(inference_tree()), False),
    "keyword": lambda: nn.inference_mode(inference_tree(), value=True),
    "number": lambda: nn.inference_mode(inference_tree(), value=1),
    "array": lambda: nn.inference_mode(nn.Dropout(), value=jnp.array(True)),
    "no layers": lambda: nn.inference_mode([1, 2]),
    "layer": lambda: nn.inference_mode(nn.Dropout()),
    "None": lambda: nn.inference_mode(None),
    "method": lambda: nn.inference_mode([nn.Dropout().__call__]),
}


@over(INFERENCE)
def case_inference_mode(make):
    return make()


OTHERS = {
    "Identity": lambda: nn.Identity(1, 2, unknown=3)(4),
    "Identity with key": lambda: nn.Identity()(jnp.ones(1), key=KEY),
    "Lambda": lambda: nn.Lambda(lambda x: x + 1)(1),
    "Lambda with key": lambda: nn.Lambda(jnp.sin)(vector(2), key=KEY),
    "Lambda of layer": lambda: nn.Lambda(nn.Linear(2, 3, key=KEY))(vector(2)),
    "Linear with key": lambda: nn.Linear(2, 3, key=KEY)(vector(2), key=KEY),
    "Linear of typed key": lambda: nn.Linear(2, 3, key=jax.random.key(7)),
    "Linear of numpy sizes": lambda: nn.Linear(np.int64(2), np.int32(3), key=KEY),
    "Linear of jax vector": lambda: nn.Linear(2, 3, key=KEY)(jnp.asarray(vector(2))),
    "Linear of int vector": lambda: nn.Linear(2, 3, key=KEY)(jnp.arange(2)),
    "Linear of float16": lambda: nn.Linear(2, 3, key=KEY)(vector(2).astype(np.float16)),
    "Linear under vmap": lambda: jax.vmap(nn.Linear(2, 3, key=KEY))(np.ones((5, 2))),
    "Linear under jit": lambda: jax.jit(nn.Linear(2, 3, key=KEY))(vector(2)),
    "use_bias by position": lambda: nn.Linear(2, 3, False, key=KEY),
    "use_bias of 0": lambda: nn.Linear(2, 3, use_bias=0, key=KEY),
    "bool size": lambda: nn.Linear(True, 3, key=KEY),
    "MLP of tanh": lambda: nn.MLP(2, 3, 4, 2, jnp.tanh, key=KEY)(vector(2)),
    "MLP of lambda": lambda: nn.MLP(2, 3, 4, 2, lambda x: x * 2, key=KEY)(vector(2)),
    "MLP with key": lambda: nn.MLP(2, 3, 4, 2, key=KEY)(vector(2), key=KEY),
    "MLP of width 0": lambda: nn.MLP(2, 3, 0, 2, key=KEY)(vector(2)),
    "MLP under vmap": lambda: jax.vmap(nn.MLP(2, 3, 4, 2, key=KEY))(np.ones((5, 2))),
    "LSTM under scan": lambda: scanned(nn.LSTMCell(2, 3, key=KEY), (vector(3), vector(3))),
    "GRU under scan": lambda: scanned(nn.GRUCell(2, 3, key=KEY), vector(3)),
    "GRU with key": lambda: nn.GRUCell(2, 3, key=KEY)(vector(2), vector(3), key=KEY),
    "LSTM of list state": lambda: nn.LSTMCell(2, 3, key=KEY)(vector(2), [vector(3), vector(3)]),
}


def scanned(cell, state):
    def step(state, x):
        state = cell(x, state)
        return state, jax.tree.leaves(state)[0]

    return jax.lax.scan(step, state, np.ones((4, 2), np.float32))


@rounded
@over(OTHERS)
def case_layer(make):
    return make()
