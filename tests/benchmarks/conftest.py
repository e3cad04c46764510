"""Lets the tests import the files of `benchmarks/` by name, as these import one another."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))


@pytest.fixture
def results():
    """What a run gives: Haiku was not there, and no side has every row."""
    return {
        "versions": {"plain": "0.10.2", "ours": "0.13.9", "peer": "0.13.8", "nnx": "0.12.8"},
        "rounds": 5,
        "seconds": 70,
        "rows": {
            "flatten": {"plain": 2e-6, "ours": 3e-6, "peer": 12e-6, "nnx": 50e-6},
            "jit_model_out": {"plain": 30e-6, "ours": 45e-6, "peer": 120e-6},
            "import_time": {"ours": 0.01, "peer": 0.08, "nnx": 0.2},
            "blocked_share": {"plain": 0.01, "ours": 0.02, "peer": 1.0},
            "tree_at": {"ours": 15e-6, "peer": 150e-6},
        },
        "growth": {
            "leaves": {
                "flatten": {
                    "plain": {"10": 1e-6, "1000": 100e-6},
                    "ours": {"10": 2e-6, "1000": 150e-6},
                    "nnx": {"10": 20e-6},
                },
                "partition": {},
                "jit": {},
            },
            "variants": {
                "turn": {
                    "plain": {"1": 5e-6, "1000": 10e-6},
                    "ours": {"1": 8e-6, "1000": 80e-6},
                },
                "held": {"ours": {"10": 25_000.0, "1000": 24_000.0}},
                "kept": {"ours": {"1000": 140.0}},
                "programs": {"ours": {"1000": 0.0}},
            },
        },
    }
