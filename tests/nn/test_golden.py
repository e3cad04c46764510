"""Our layers against records of the peer, equinox 0.13.8: see make_golden.py.

First values are equal to the last bit, results within rounding; names, order and kinds of fields
and parameters, and types of errors, are the same. Each exception is listed here with its reason.
"""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import eqx_nn

FOLDER = Path(__file__).parent / "golden"
RECORDS = {path.stem: json.loads(path.read_text("utf-8")) for path in FOLDER.glob("*.json")}

ROUNDING = {"float16": 2e-3, "bfloat16": 2e-2, "float64": 1e-14, "complex128": 1e-14}

OTHER_ERRORS = {
    "out_features=-1": "ValueError",  # there an error of the compiler; here the argument is named
    "GRUCell(-1)": "ValueError",  # the same
    "GRUCell(3, 0)": None,  # there a division by zero; a `Linear` may have a size of zero
    "MLP: depth=-1": "ValueError",  # there an index error of JAX; here the argument is named
    "MLP: width='scalar'": "TypeError",  # there it fails at the first call
    "Linear: columns to scalar": "ValueError",  # there a bare `assert`, gone under `python -O`
}

MORE_PARAMETERS = [["bias", "KEYWORD_ONLY", None]]  # the seed's spelling of `use_bias`


def decode(leaf):
    dtype, shape, data = leaf
    return np.frombuffer(bytes.fromhex(data), jnp.dtype(dtype)).reshape(shape)


def assert_close(ours, peers):
    """The same paths, dtypes, shapes and zeros, and values within rounding."""
    assert list(ours) == list(peers)
    for path, leaf in peers.items():
        assert ours[path][:2] == leaf[:2], path
        one, other = decode(ours[path]), decode(leaf)
        np.testing.assert_array_equal(one == 0, other == 0)
        wide = np.complex128 if np.iscomplexobj(one) else np.float64
        rounding = ROUNDING.get(leaf[0], 1e-6)
        np.testing.assert_allclose(
            one.astype(wide), other.astype(wide), rtol=rounding, atol=rounding, err_msg=path
        )


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


@pytest.mark.parametrize("case", RECORDS["layers32"])
def test_layer(golden, case):
    name, dtype = case.rsplit(" ", 1)
    ours = golden.layer_record(eqx_nn, name, None if dtype == "None" else dtype)
    assert ours["layer"] == RECORDS["layers32"][case]["layer"]
    assert_close(ours["output"], RECORDS["layers32"][case]["output"])


@pytest.mark.parametrize("case", RECORDS["layers64"])
@pytest.mark.usefixtures("x64")
def test_layer_in_64_bit_mode(golden, case):
    name, dtype = case.rsplit(" ", 1)
    ours = golden.layer_record(eqx_nn, name, None if dtype == "None" else dtype)
    assert ours["layer"] == RECORDS["layers64"][case]["layer"]
    assert_close(ours["output"], RECORDS["layers64"][case]["output"])


@pytest.mark.parametrize("name", ["Linear(3, 4)", "GRUCell(4, 3)", "MLP(depth=3, scan=True)"])
def test_typed_keys_give_the_same(golden, name):
    build, _ = golden.LAYERS[name]
    typed = build(eqx_nn, key=jax.random.key(7))
    assert golden.leaves(typed) == RECORDS["layers32"][f"{name} None"]["layer"]


@pytest.mark.parametrize("case", RECORDS["dropout"])
def test_dropout(golden, case):
    p, dtype = case.split(" ")
    ours = golden.dropout_record(eqx_nn, json.loads(p), dtype)
    assert_close(ours, RECORDS["dropout"][case])


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
    more = MORE_PARAMETERS if name in ("Linear", "GRUCell", "LSTMCell") else []
    assert [p for p in ours["parameters"] if p not in more] == peers["parameters"]
    if name != "StatefulLayer":  # abstract: its subclasses say how they are called
        assert ours["call"] == peers["call"]
