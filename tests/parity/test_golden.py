"""Our layers against what PyTorch made of the same values: golden.json, which record.py wrote."""

import json

import numpy as np
import pytest

from .cases import CASES
from .record import GOLDEN, ours, sketched

RECORDS = json.loads(GOLDEN.read_text(encoding="utf-8"))


def assert_close(found, expected, size):
    """Within rounding of float32, which a sum of `size` elements gathers."""
    tolerance = 3e-5 * max(1, np.sqrt(size))
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def test_every_case_is_recorded():
    assert list(RECORDS) == list(CASES)


@pytest.mark.parametrize("name", CASES)
def test_layer(name):
    expected = RECORDS[name]
    whole = ours(CASES[name], expected["entries"])
    found = sketched(whole)
    names = {k: k if k in found["entries"] else k.removesuffix("_l0") for k in expected["entries"]}
    assert found["entries"] == {names[k]: shape for k, shape in expected["entries"].items()}
    for kind in ("outputs", "input gradients"):
        for mine, theirs, x in zip(found[kind], expected[kind], whole[kind], strict=True):
            assert_close(mine, theirs, x.size)
    for key, theirs in expected["gradients"].items():
        if "bias_hh" not in key:  # both biases of a cell are one here
            mine = names[key]
            assert_close(found["gradients"][mine], theirs, whole["gradients"][mine].size)
