"""What treescope draws of a Module: fields, and what is said beside them."""

import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

from eqx_pytree import Module, field

treescope = pytest.importorskip("treescope")
pytestmark = pytest.mark.filterwarnings(  # treescope asks NumPy for all that it has
    "ignore:The chararray class is deprecated:DeprecationWarning"
)


class Layer(Module):
    weight: jax.Array
    bias: jax.Array | None
    size: int = field(static=True, default=2)
    hidden: int = field(static=True, default=3, repr=False)


class Model(Module):
    layers: list
    table: jax.Array = field(trainable=False)


def drawn(tree):
    """What treescope draws, as text, without the pictures of arrays."""
    return re.sub(r"=<jax\.Array.*?>,|Tracer.*?\),", "=<array>,", treescope.render_to_text(tree))


LAYER = Layer(jnp.ones(2), jnp.zeros(2))


def test_static_frozen_and_shared_are_marked():
    tied = Layer(LAYER.weight, None)
    model = Model([LAYER, LAYER, tied], jnp.ones(3))
    text = drawn(model)
    assert "size=2,  # static" in text
    assert "table=<array>,  # frozen" in text
    assert "Layer(  # shared: the same as `layers[0]`" in text
    assert "weight=<array>,  # shared: the same as `layers[0].weight`" in text
    assert text.count("shared") == 2
    assert "hidden" not in text


def test_traced_is_marked():
    texts = []

    @jax.jit
    def trace(layer):
        texts.append(drawn(layer))
        return layer

    trace(LAYER)
    [line] = [line for line in texts[0].splitlines() if "weight=" in line]
    assert line.endswith("# traced")
    assert "size=2,  # static" in texts[0]


def test_what_was_drawn_is_forgotten():
    assert "shared" not in drawn(LAYER) + drawn([Layer(jnp.ones(2), None), LAYER])


def test_arrays_have_the_pictures_of_treescope():
    page = treescope.render_to_html(LAYER, compressed=False)
    assert "weight=" in page
    assert "# static" in page
    with treescope.active_autovisualizer.set_scoped(treescope.ArrayAutovisualizer()):
        pictured = treescope.render_to_html(Layer(jnp.ones((4, 4)), None), compressed=False)
    assert len(pictured) > len(page)


def test_what_is_absent_is_left_out():
    bare = object.__new__(Layer)
    assert drawn(bare) == "Layer()"


def test_nothing_is_loaded_for_it(tmp_path):
    code = "import eqx_pytree, sys; sys.exit('treescope' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
