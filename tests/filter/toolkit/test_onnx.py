"""`to_onnx`: what is asked of the exporter, and what is said without it."""

import sys
import types
import warnings

import jax
import jax.experimental
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter import to_onnx
from eqx_filter.primitives import unvmap_max


@pytest.fixture
def exporter(monkeypatch):
    """Modules that stand for the exporter's, and keep what they are called with."""

    def convert(function, enable_xla=True):
        if not enable_xla:
            warnings.warn("deprecated", DeprecationWarning, stacklevel=2)
        return "converted", function, enable_xla

    def without_option(function, *, native=None):
        return "converted", function, None

    jax2tf = types.ModuleType("jax.experimental.jax2tf")
    jax2tf.convert, jax2tf.without_option = convert, without_option
    tensorflow = types.ModuleType("tensorflow")
    tensorflow.TensorSpec = lambda shape, dtype: ("spec", tuple(shape), np.dtype(dtype).name)
    tensorflow.function = lambda function: ("function", function)
    tf2onnx = types.ModuleType("tf2onnx")
    tf2onnx.convert = types.SimpleNamespace(
        from_function=lambda function, input_signature: (function, input_signature)
    )
    for module in (jax2tf, tensorflow, tf2onnx):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(jax.experimental, "jax2tf", jax2tf, raising=False)
    return jax2tf


@pytest.mark.parametrize(("name", "xla"), [("convert", False), ("without_option", None)])
def test_the_chain_of_converters(exporter, monkeypatch, name, xla):
    monkeypatch.setattr(exporter, "convert", getattr(exporter, name))
    exported = to_onnx(lambda x, tree: unvmap_max(x) + tree["a"])
    (_, (_, function, enable_xla)), signature = exported(jnp.ones(3), {"a": 2.0})
    assert enable_xla is xla
    assert signature == [("spec", (3,), "float32"), {"a": ("spec", (), "float32")}]
    jaxpr = str(jax.make_jaxpr(function)(jnp.ones(3), {"a": 2.0}))
    assert "reduce_max" in jaxpr
    assert "unvmap_max" not in jaxpr


@pytest.mark.parametrize("missing", ["tensorflow", "tf2onnx"])
def test_a_missing_exporter_is_named(exporter, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ModuleNotFoundError, match=r"`pip install tensorflow tf2onnx`") as caught:
        to_onnx(len)
    assert f"`{missing}` is not installed" in str(caught.value)
    assert caught.value.name == missing
