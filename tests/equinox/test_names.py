"""Names that `equinox` serves when they are first asked for."""

import equinox as eqx


def test_tree_inference_is_inference_mode():
    assert eqx.tree_inference is eqx.nn.inference_mode
    assert "tree_inference" in dir(eqx)
