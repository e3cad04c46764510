"""What JAX does not promise: with it and without it, the same comes out."""

import jax.tree_util as jtu
import pytest

import eqx_filter as ef
from eqx_filter.shared import _jax


@pytest.mark.parametrize("registry", [_jax.none_leaf_registry, None], ids=["with", "without"])
def test_nones_are_leaves(monkeypatch, registry):
    monkeypatch.setattr(_jax, "none_leaf_registry", registry)
    leaves, structure = _jax.flatten_with_nones({"a": None, "b": [1, None], "c": ()})
    assert leaves == [None, 1, None]
    assert structure.unflatten("xyz") == {"a": "x", "b": ["y", "z"], "c": ()}
    assert structure.flatten_up_to({"a": [2], "b": [3, None], "c": ()}) == [[2], 3, None]
    assert ef.combine({"a": None, "b": 1}, {"a": [2], "b": None}) == {"a": [2], "b": 1}


def test_this_jax_has_it():
    assert _jax.none_leaf_registry is not jtu.default_registry
    assert _jax.none_leaf_registry is not None
