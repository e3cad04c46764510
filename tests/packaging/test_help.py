"""What `help` shows of the public names: text and signatures that a reader can use."""

import importlib
import inspect
import pydoc
import re

import pytest

MODULES = [
    "eqx_pytree",
    "eqx_filter",
    "eqx_filter.loops",
    "eqx_filter.primitives",
    "eqx_filter.debug",
    "eqx_filter.migrations",
    "eqx_filter.trees",
    "eqx_nn",
    "equinox.internal",
]
RAW = {
    "a private name of JAX": r"jaxlib|jax\._src",
    "a cross-reference": r"\]\[\]",
    "an object without a name": r"<object object at 0x",
    "a compiled function": r"<PjitFunction",
}


def shown(name, value):
    """The help text; of what is neither function nor class, such as a primitive, its docstring."""
    if inspect.isclass(value) or inspect.isroutine(value):
        return pydoc.plain(pydoc.render_doc(value, f"help of {name}: %s"))
    return str(value.__doc__)


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("what", RAW)
def test_help_holds_nothing_raw(module, what):
    face = importlib.import_module(module)
    found = {
        f"{module}.{name}": line.strip()
        for name in face.__all__
        for line in shown(name, getattr(face, name)).splitlines()
        if re.search(RAW[what], line) and not line.startswith(" |  __")
    }
    assert not found, f"`help` shows {what}: {found}"
