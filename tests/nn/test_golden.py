"""Our layers against records of the peer, equinox 0.13.8: see make_golden.py.

First values and results are equal within rounding, which no two processors do alike; that first
values have the very bits of `jax.random` is in test_first_values.py, that they have the peer's in
`nox -s peer`. Names, order and kinds of fields and parameters, and types of errors, are the same.
Each exception is listed here with its reason.
"""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import eqx_nn
from eqx_filter import combine, is_array, partition

FOLDER = Path(__file__).parent / "golden"
RECORDS = {path.stem: json.loads(path.read_text("utf-8")) for path in FOLDER.glob("*.json")}

OTHER_ERRORS = {
    "out_features=-1": "ValueError",  # there an error of the compiler; here the argument is named
    "GRUCell(-1)": "ValueError",  # the same
    "GRUCell(3, 0)": None,  # there a division by zero; a `Linear` may have a size of zero
    "MLP: depth=-1": "ValueError",  # there an index error of JAX; here the argument is named
    "MLP: width='scalar'": "TypeError",  # there it fails at the first call
    "Linear: columns to scalar": "ValueError",  # there a bare `assert`, gone under `python -O`
}

MORE_PARAMETERS = [  # the seed's spelling of `use_bias`, and what first values are drawn by
    [name, "KEYWORD_ONLY", None] for name in ("bias", "weight_init", "bias_init")
]


def decode(leaf):
    dtype, shape, data = leaf
    return np.frombuffer(bytes.fromhex(data), jnp.dtype(dtype)).reshape(shape)


def assert_close(ours, peers, *, operations):
    """The same paths, dtypes and shapes, and values within the rounding of so many operations.

    Each rounds by at most half of the dtype's epsilon; their results are of size one, or theirs.
    """
    assert list(ours) == list(peers)
    for path, leaf in peers.items():
        assert ours[path][:2] == leaf[:2], path
        if leaf == "no array":
            continue
        one, other = decode(ours[path]), decode(leaf)
        wide = np.complex128 if other.dtype.kind == "c" else np.float64
        inexact = jnp.issubdtype(other.dtype, jnp.inexact)
        rounding = operations * float(jnp.finfo(other.dtype).eps) if inexact else 0
        np.testing.assert_allclose(
            one.astype(wide), other.astype(wide), rtol=rounding, atol=rounding, err_msg=path
        )


def assert_layer(golden, case, record):
    """First values as recorded, and of these very values the recorded result."""
    name, dtype = case.rsplit(" ", 1)
    build, inputs = golden.LAYERS[name]
    layer = build(eqx_nn, dtype=None if dtype == "None" else dtype, key=jax.random.PRNGKey(7))
    assert_close(golden.leaves(layer), record["layer"], operations=4)  # of U(-1, 1) at most
    weights = [jnp.asarray(decode(leaf)) for leaf in record["layer"].values() if leaf != "no array"]
    arrays, rest = partition(layer, is_array)
    recorded = combine(jax.tree.unflatten(jax.tree.structure(arrays), weights), rest)
    terms = sum(weight.size for weight in weights)
    result = golden.leaves(recorded(*inputs))
    assert_close(result, record["output"], operations=8 + terms)


def test_every_record_is_there(golden):
    counted = {name: len(records) for name, records in RECORDS.items()}
    layers = len(golden.LAYERS)
    assert counted == {
        "faces": len(golden.FACE),
        "mistakes": len(golden.MISTAKES),
        "dropout": len(golden.DROPOUTS),
        "layers32": layers * len(golden.DTYPES["32"]),
        "layers64": layers * len(golden.DTYPES["64"]),
    }


def cases(record):
    """Those of the default dtype, and the others again."""
    again = [it for it in RECORDS[record] if not it.endswith("None")]
    return [
        pytest.param(it, marks=pytest.mark.again if it in again else ()) for it in RECORDS[record]
    ]


@pytest.mark.parametrize("case", cases("layers32"))
def test_layer(golden, case):
    assert_layer(golden, case, RECORDS["layers32"][case])


@pytest.mark.parametrize("case", cases("layers64"))
@pytest.mark.usefixtures("x64")
def test_layer_in_64_bit_mode(golden, case):
    assert_layer(golden, case, RECORDS["layers64"][case])


@pytest.mark.parametrize("name", ["Linear(3, 4)", "GRUCell(4, 3)", "MLP(depth=3, scan=True)"])
def test_typed_keys_give_the_same(golden, name):
    build, _ = golden.LAYERS[name]
    typed, raw = (build(eqx_nn, key=key) for key in (jax.random.key(7), jax.random.PRNGKey(7)))
    assert golden.leaves(typed) == golden.leaves(raw)


@pytest.mark.parametrize("case", RECORDS["dropout"])
def test_dropout(golden, case):
    p, dtype = case.split(" ")
    ours, recorded = golden.dropout_record(eqx_nn, json.loads(p), dtype), RECORDS["dropout"][case]
    assert_close(ours, recorded, operations=2)
    for path, leaf in recorded.items():
        np.testing.assert_array_equal(decode(ours[path]) == 0, decode(leaf) == 0)


@pytest.mark.parametrize("case", RECORDS["mistakes"])
def test_mistake(golden, case):
    expected = RECORDS["mistakes"][case]
    if case in OTHER_ERRORS:
        assert OTHER_ERRORS[case] != expected, "no difference any more: take it off the list"
        expected = OTHER_ERRORS[case]
    assert golden.mistake_record(eqx_nn, case) == expected


@pytest.mark.parametrize("name", RECORDS["faces"])
def test_face(golden, name):
    ours, peers = golden.face_record(getattr(eqx_nn, name)), RECORDS["faces"][name]
    assert ours["fields"] == peers["fields"]
    more = MORE_PARAMETERS if name in ("Linear", "GRUCell", "LSTMCell", "MLP") else []
    assert [p for p in ours["parameters"] if p not in more] == peers["parameters"]
    if name != "StatefulLayer":  # abstract: its subclasses say how they are called
        assert ours["call"] == peers["call"]
