"""What a bare import loads: of ours, a closed list; of JAX, nothing that `import jax` does not."""

import json
import subprocess
import sys

import pytest

PYTREE = {
    "eqx_pytree",
    *(
        f"eqx_pytree._{room}"
        for room in (
            "abstract",
            "checks",
            "container",
            "documentation",
            "equality",
            "fields",
            "keys",
            "lazy",
            "methods",
            "module",
            "printing",
            "registration",
            "static",
            "wrapping",
        )
    ),
}
FILTER = {*PYTREE, "eqx_filter", "eqx_filter.shared", "eqx_filter.shared._predicates"}
LOADED = {
    "eqx_pytree": PYTREE,
    "eqx_filter": FILTER,
    "equinox": {*FILTER, "equinox", "equinox._private"},
}

TELL_NEW = """
import json, sys
import jax
before = set(sys.modules)
__import__(sys.argv[1])
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def loaded_by(name: str, cwd) -> set[str]:
    command = [sys.executable, "-c", TELL_NEW, name]
    ran = subprocess.run(command, check=True, capture_output=True, text=True, cwd=cwd)
    return set(json.loads(ran.stdout))


@pytest.mark.parametrize("name", LOADED)
def test_a_bare_import_loads_this_and_nothing_else(name, tmp_path):
    loaded = loaded_by(name, tmp_path)
    ours = {module for module in loaded if module.startswith(("eqx_", "equinox"))}
    assert ours == LOADED[name]
    heavy = {module for module in loaded if module.split(".")[0] in ("jax", "jaxlib", "numpy")}
    assert not heavy


def test_no_folder_loads_pallas(tmp_path):
    assert not {it for it in loaded_by("equinox.internal", tmp_path) if "pallas" in it}


WITHOUT_EXTRAS = """
import importlib, inspect, sys
for name in "flatbuffers optax orbax safetensors tensorflow tf2onnx tqdm".split():
    sys.modules[name] = None
for name in sys.argv[1:]:
    inspect.getmembers(importlib.import_module(name))
    exec(f"from {name} import *", {})
"""


def test_every_name_is_there_without_what_need_not_be_installed(tmp_path):
    faces = "eqx_pytree", "eqx_filter", "eqx_nn", "equinox", "equinox.nn", "equinox.internal"
    subprocess.run([sys.executable, "-c", WITHOUT_EXTRAS, *faces], check=True, cwd=tmp_path)
