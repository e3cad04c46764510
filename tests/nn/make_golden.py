"""Record what the peer, equinox 0.13.8, makes of the same keys, inputs and mistakes.

Writes golden/*.json. Run it in an environment of its own, which holds the peer and none of our
packages; ours have the same import name:

    python -m venv peer && peer/bin/pip install equinox==0.13.8
    peer/bin/python tests/nn/make_golden.py

The tests import this file for its tables and record our layers with the same functions.
"""

import dataclasses
import inspect
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

GOLDEN = Path(__file__).parent / "golden"

DTYPES = {
    "32": [None, "float16", "bfloat16", "complex64"],
    "64": [None, "complex128"],
}
"""The dtypes recorded by default and in JAX's 64-bit mode; `None` is that mode's default."""


def vector(size, scale=1.0):
    """A fixed input: not from JAX's PRNG, which the layers use."""
    return (scale * np.cos(np.arange(1.0, size + 1))).astype(np.float32)


LAYERS = {
    "Linear(3, 4)": (lambda nn, **kw: nn.Linear(3, 4, **kw), [vector(3)]),
    "Linear(7, 2)": (lambda nn, **kw: nn.Linear(7, 2, **kw), [vector(7)]),
    "Linear(3, 4, False)": (lambda nn, **kw: nn.Linear(3, 4, False, **kw), [vector(3)]),
    "Linear(0, 4)": (lambda nn, **kw: nn.Linear(0, 4, **kw), [vector(0)]),
    "Linear(3, 0)": (lambda nn, **kw: nn.Linear(3, 0, **kw), [vector(3)]),
    "Linear(scalar, 4)": (lambda nn, **kw: nn.Linear("scalar", 4, **kw), [vector(1)[0]]),
    "Linear(3, scalar)": (lambda nn, **kw: nn.Linear(3, "scalar", **kw), [vector(3)]),
    "GRUCell(4, 3)": (lambda nn, **kw: nn.GRUCell(4, 3, **kw), [vector(4), vector(3, 0.5)]),
    "GRUCell(4, 3, False)": (
        lambda nn, **kw: nn.GRUCell(4, 3, False, **kw),
        [vector(4), vector(3, 0.5)],
    ),
    "LSTMCell(4, 3)": (
        lambda nn, **kw: nn.LSTMCell(4, 3, **kw),
        [vector(4), (vector(3, 0.5), vector(3, 2.0))],
    ),
    "LSTMCell(4, 3, False)": (
        lambda nn, **kw: nn.LSTMCell(4, 3, False, **kw),
        [vector(4), (vector(3, 0.5), vector(3, 2.0))],
    ),
    **{
        f"MLP(depth={depth}, scan={scan})": (
            lambda nn, depth=depth, scan=scan, **kw: nn.MLP(3, 2, 4, depth, scan=scan, **kw),
            [vector(3)],
        )
        for depth in (0, 1, 3)
        for scan in (False, True)
    },
    "MLP(scalar, scalar)": (
        lambda nn, **kw: nn.MLP("scalar", "scalar", 4, 2, jnp.tanh, jnp.tanh, **kw),
        [vector(1)[0]],
    ),
    "MLP without biases": (
        lambda nn, **kw: nn.MLP(3, 2, 4, 2, use_bias=False, use_final_bias=False, **kw),
        [vector(3)],
    ),
    "MLP with final bias": (
        lambda nn, **kw: nn.MLP(3, 2, 4, 2, jnp.sin, jnp.cos, False, True, **kw),
        [vector(3)],
    ),
    "MLP with a layer as activation": (
        lambda nn, **kw: nn.MLP(
            3,
            2,
            4,
            2,
            *[nn.Linear("scalar", "scalar", key=jax.random.PRNGKey(i)) for i in (1, 2)],
            **kw,
        ),
        [vector(3)],
    ),
    "MLP with a layer as activation, scan": (
        lambda nn, **kw: nn.MLP(
            3, 2, 4, 3, nn.Linear("scalar", "scalar", key=jax.random.PRNGKey(1)), scan=True, **kw
        ),
        [vector(3)],
    ),
}

DROPOUTS = [
    (p, dtype)
    for p in (0, 0.1, 0.3, 0.5, 0.9, 1.0)
    for dtype in ("float32", "float16", "bfloat16", "complex64", "int32")
]

MISTAKES = {
    "in_features=-1": lambda nn, key: nn.Linear(-1, 3, key=key),
    "out_features=-1": lambda nn, key: nn.Linear(3, -1, key=key),
    "in_features=2.5": lambda nn, key: nn.Linear(2.5, 3, key=key),
    "in_features='scaler'": lambda nn, key: nn.Linear("scaler", 3, key=key),
    "in_features=None": lambda nn, key: nn.Linear(None, 3, key=key),
    "no key": lambda nn, key: nn.Linear(2, 3),
    "key=None": lambda nn, key: nn.Linear(2, 3, key=None),
    "dtype=int": lambda nn, key: nn.Linear(2, 3, dtype=int, key=key),
    "dtype='foo'": lambda nn, key: nn.Linear(2, 3, dtype="foo", key=key),
    "Linear: wrong size": lambda nn, key: nn.Linear(2, 3, key=key)(vector(4)),
    "Linear: batch first": lambda nn, key: nn.Linear(2, 3, key=key)(np.ones((5, 2))),
    "Linear: batch last": lambda nn, key: nn.Linear(2, 3, key=key)(np.ones((2, 5))),
    "Linear: number": lambda nn, key: nn.Linear(2, 3, key=key)(1.0),
    "Linear: list": lambda nn, key: nn.Linear(2, 3, key=key)([1.0, 2.0]),
    "Linear: scalar": lambda nn, key: nn.Linear("scalar", 3, key=key)(vector(1)),
    "Linear: columns to scalar": lambda nn, key: nn.Linear(2, "scalar", key=key)(np.ones((2, 5))),
    "GRUCell(-1)": lambda nn, key: nn.GRUCell(-1, 3, key=key),
    "GRUCell('scalar')": lambda nn, key: nn.GRUCell("scalar", 3, key=key),
    "GRUCell(3, 0)": lambda nn, key: nn.GRUCell(3, 0, key=key),
    "GRUCell: wrong input": lambda nn, key: nn.GRUCell(2, 3, key=key)(vector(3), vector(3)),
    "GRUCell: wrong hidden": lambda nn, key: nn.GRUCell(2, 3, key=key)(vector(2), vector(4)),
    "GRUCell: batch": lambda nn, key: nn.GRUCell(2, 3, key=key)(np.ones((5, 2)), np.ones((5, 3))),
    "GRUCell: LSTM's state": lambda nn, key: nn.GRUCell(2, 3, key=key)(vector(2), (vector(3),) * 2),
    "LSTMCell: wrong h": lambda nn, key: nn.LSTMCell(2, 3, key=key)(
        vector(2), (vector(4), vector(3))
    ),
    "LSTMCell: wrong c": lambda nn, key: nn.LSTMCell(2, 3, key=key)(
        vector(2), (vector(3), vector(4))
    ),
    "LSTMCell: no pair": lambda nn, key: nn.LSTMCell(2, 3, key=key)(vector(2), vector(3)),
    "LSTMCell: one": lambda nn, key: nn.LSTMCell(2, 3, key=key)(vector(2), (vector(3),)),
    "LSTMCell: None": lambda nn, key: nn.LSTMCell(2, 3, key=key)(vector(2), None),
    "MLP: depth=-1": lambda nn, key: nn.MLP(2, 3, 4, -1, key=key),
    "MLP: depth=1.0": lambda nn, key: nn.MLP(2, 3, 4, 1.0, key=key),
    "MLP: width='scalar'": lambda nn, key: nn.MLP(2, 3, "scalar", 1, key=key),
    "MLP: batch": lambda nn, key: nn.MLP(2, 3, 4, 1, key=key)(np.ones((5, 2))),
    "MLP: softmax": lambda nn, key: nn.MLP(2, 3, 4, 1, jax.nn.softmax, key=key)(vector(2)),
    "MLP: activation=None": lambda nn, key: nn.MLP(2, 3, 4, 1, None, key=key)(vector(2)),
    "Dropout: no key": lambda nn, key: nn.Dropout()(vector(2)),
    "Dropout: list": lambda nn, key: nn.Dropout()([1.0], key=key),
    "Sequential: function": lambda nn, key: nn.Sequential([jnp.tanh])(vector(2)),
    "Sequential: no callable": lambda nn, key: nn.Sequential([1])(vector(2)),
    "Sequential: layer": lambda nn, key: nn.Sequential(nn.Identity()),
    "Sequential: None": lambda nn, key: nn.Sequential(None),
    "Sequential: two": lambda nn, key: nn.Sequential(nn.Identity(), nn.Identity()),
    "Sequential: index": lambda nn, key: nn.Sequential([nn.Identity()])[1],
    "Sequential: string index": lambda nn, key: nn.Sequential([nn.Identity()])["a"],
    "Identity: two": lambda nn, key: nn.Identity()(1, 2),
    "Lambda: None": lambda nn, key: nn.Lambda(None)(1),
    "StatefulLayer()": lambda nn, key: nn.StatefulLayer(),
}

FACE = [
    "Dropout",
    "GRUCell",
    "Identity",
    "LSTMCell",
    "Lambda",
    "Linear",
    "MLP",
    "Sequential",
    "StatefulLayer",
]


def array(x):
    """An array as JSON: dtype, shape and bytes."""
    x = np.asarray(x)
    return [x.dtype.name, list(x.shape), x.tobytes().hex()]


def leaves(tree):
    """Path and content of each leaf; what is no array is told by its type alone."""
    return {
        jax.tree_util.keystr(path): array(leaf) if hasattr(leaf, "dtype") else "no array"
        for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]
    }


def layer_record(nn, name, dtype):
    """The first values of a layer, and what it makes of its input."""
    build, inputs = LAYERS[name]
    layer = build(nn, dtype=dtype, key=jax.random.PRNGKey(7))
    return {"layer": leaves(layer), "output": leaves(layer(*inputs))}


def dropout_record(nn, p, dtype):
    """What `Dropout` leaves of an array; integers are told as they are."""
    x = jnp.asarray(np.arange(1, 31).reshape(5, 6), dtype)
    return leaves(nn.Dropout(p)(x, key=jax.random.PRNGKey(3)))


def mistake_record(nn, name):
    """The name of the exception's type, or `None`."""
    try:
        MISTAKES[name](nn, jax.random.PRNGKey(0))
    except Exception as error:
        return type(error).__name__
    return None


def face_record(cls):
    """Fields, and parameters with kinds and plain defaults, of a layer class."""

    def parameters(function):
        return [
            [p.name, p.kind.name, p.default if isinstance(p.default, bool | int | float) else None]
            for p in inspect.signature(function).parameters.values()
        ]

    fields = [[f.name, f.metadata.get("static", False)] for f in dataclasses.fields(cls)]
    call = parameters(cls.__call__) if inspect.isfunction(cls.__call__) else None
    return {"fields": fields, "parameters": parameters(cls), "call": call}


def all_records(nn):
    """Every record, in groups; one group is one file. Ends in JAX's 64-bit mode."""
    groups = {
        "faces": {name: face_record(getattr(nn, name)) for name in FACE},
        "mistakes": {name: mistake_record(nn, name) for name in MISTAKES},
        "dropout": {f"{p} {dtype}": dropout_record(nn, p, dtype) for p, dtype in DROPOUTS},
    }
    for bits, dtypes in DTYPES.items():
        jax.config.update("jax_enable_x64", bits == "64")
        groups[f"layers{bits}"] = {
            f"{name} {dtype}": layer_record(nn, name, dtype) for name in LAYERS for dtype in dtypes
        }
    return groups


def main():
    """Write the files, one record a line."""
    import equinox

    if equinox.__version__ != "0.13.8":
        message = f"this records equinox 0.13.8, and {equinox.__version__} is installed"
        raise SystemExit(message)
    GOLDEN.mkdir(exist_ok=True)
    for group, records in all_records(equinox.nn).items():
        lines = [f"{json.dumps(name)}: {json.dumps(record)}" for name, record in records.items()]
        text = "{\n" + ",\n".join(lines) + "\n}\n"
        (GOLDEN / f"{group}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
