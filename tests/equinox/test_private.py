"""The private paths that published packages import: how they are imported, and what is there."""

import ast
import functools
import importlib
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest

import equinox as eqx
import equinox.internal as eqxi
from equinox._private import TABLE, Room

ROOT = Path(__file__).resolve().parents[2]
ENTRIES = [(path, name) for path, names in TABLE.items() for name in names]


def served(path, name):
    return getattr(importlib.import_module(f"equinox.{path}"), name)


@pytest.mark.parametrize(("path", "name"), ENTRIES, ids=".".join)
def test_every_style_of_import_gives_the_same(path, name):
    exec(
        f"from equinox.{path} import {name} as imported\nimport equinox.{path} as room", names := {}
    )
    attribute = functools.reduce(getattr, [*path.split("."), name], eqx)
    assert type(names["room"]) is Room
    assert names["imported"] is attribute or names["imported"] == attribute
    assert name in dir(names["room"])


@pytest.mark.parametrize(("path", "name"), ENTRIES, ids=".".join)
def test_home_is_a_face_and_who_needs_it_is_said(path, name):
    home, needed_by = TABLE[path][name]
    module, _, attribute = home.partition(":")
    assert module == "equinox._private" or "._" not in f".{module}.{attribute.partition('.')[0]}"
    assert needed_by


@pytest.mark.parametrize("path", TABLE)
def test_folders_are_in_the_table(path):
    folder = path.rpartition(".")[0]
    assert folder in {*TABLE, "", "internal", "nn"}


def test_attributes_are_there_right_after_the_import():
    """And the layers are loaded for layers alone."""
    code = (
        "import sys, equinox as eqx\n"
        "for room in (eqx._module._module, eqx.internal._omega, eqx.internal._loop.common):\n"
        "    print(room.__name__)\n"
        "from equinox._misc import default_floating_dtype\n"
        "from equinox.internal._loop.checkpointed import checkpointed_while_loop\n"
        "print('eqx_nn' in sys.modules, 'equinox._filters' in sys.modules)\n"
        "print(eqx.nn._attention.__name__)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == [
        "equinox._module._module",
        "equinox.internal._omega",
        "equinox.internal._loop.common",
        "False False",
        "equinox.nn._attention",
    ]


def test_a_layer_can_be_imported_first():
    code = (
        "from equinox.nn._stateful import State; import equinox; print(State is equinox.nn.State)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "True"


PUBLIC = [
    *[("_doc_utils", name, eqxi) for name in ("doc_remove_args", "doc_repr")],
    *[("_filters", name, eqx) for name in TABLE["_filters"]],
    *[("_module", name, eqx) for name in TABLE["_module"] if name != "Static"],
    *[("_unvmap", name, eqxi) for name in TABLE["_unvmap"]],
    *[("nn._stateful", name, eqx.nn) for name in TABLE["nn._stateful"]],
    ("_compile_utils", "hashable_partition", eqxi),
    ("_errors", "EquinoxTracetimeError", eqx),
    ("_misc", "left_broadcast_to", eqxi),
    ("_module", "Static", eqxi),
    ("_module._module", "Module", eqx),
    ("_tree", "tree_at", eqx),
    ("_vmap_pmap", "filter_vmap", eqx),
    ("nn._attention", "MultiheadAttention", eqx.nn),
    ("nn._batch_norm", "BatchNorm", eqx.nn),
    ("nn._conv", "Conv", eqx.nn),
    ("nn._dropout", "Dropout", eqx.nn),
    ("nn._linear", "Linear", eqx.nn),
    ("nn._mlp", "MLP", eqx.nn),
]


@pytest.mark.parametrize(
    ("path", "name", "face"), PUBLIC, ids=lambda it: getattr(it, "__name__", it)
)
def test_what_is_public_is_the_same_object(path, name, face):
    assert served(path, name) is getattr(face, name)


class TestUnknownNames:
    def test_attribute(self):
        with pytest.raises(AttributeError, match=r"`equinox\._misc` has no attribute `nope`.*only"):
            eqx._misc.nope  # noqa: B018

    def test_import(self):
        with pytest.raises(ImportError, match=r"only `default_floating_dtype`, `left_.*no public"):
            from equinox._misc import nope  # noqa: F401

    def test_the_public_name_is_told(self):
        with pytest.raises(ImportError, match=r"Use `equinox\.filter_jit`"):
            from equinox._filters import filter_jit  # noqa: F401
        with pytest.raises(AttributeError, match=r"Use `equinox\.nn\.LayerNorm`"):
            eqx.nn._mlp.LayerNorm  # noqa: B018
        with pytest.raises(AttributeError, match=r"Use `equinox\.internal\.scan`"):
            eqx.internal._loop.common.scan  # noqa: B018

    def test_rooms_inside_are_told(self):
        with pytest.raises(ImportError, match=r"only `bounded`, `checkpointed`, `common`"):
            from equinox.internal._loop import nope  # noqa: F401

    @pytest.mark.parametrize("path", ["_pretty_print", "nn._nope", "internal._primitive"])
    def test_a_path_that_is_not_served(self, path):
        with pytest.raises(ModuleNotFoundError, match=f"No module named 'equinox.{path}'"):
            importlib.import_module(f"equinox.{path}")
        folder, _, name = f"equinox.{path}".rpartition(".")
        with pytest.raises(AttributeError, match=f"module `{folder}` has no attribute `{name}`"):
            getattr(importlib.import_module(folder), name)

    def test_probes_get_plain_answers(self):
        assert not hasattr(eqx._misc, "__wrapped__")
        assert importlib.util.find_spec("equinox._misc") is not None
        assert importlib.util.find_spec("equinox._pretty_print") is None


class TestPickles:
    def test_classes_keep_their_own_home(self):
        dumped = pickle.dumps(served("nn._linear", "Linear"))
        assert b"eqx_nn" in dumped
        assert pickle.loads(dumped) is eqx.nn.Linear

    def test_a_pickle_with_the_private_path_can_be_read(self):
        assert pickle.loads(b"cequinox.nn._linear\nLinear\n.") is eqx.nn.Linear


def names_of_private_paths(tree):
    """Give each dotted name in a file that leads through a private room of equinox."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (it.name for it in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield from (f"{node.module}.{it.name}" for it in node.names)
        elif isinstance(node, ast.Attribute):
            yield ast.unparse(node)


def test_nothing_of_ours_uses_the_room():
    private = re.compile(r"\b(?:equinox|eqx|eqxi)\.(?:\w+\.)*_[a-z]\w*(?:\.|$)")
    assert private.search("equinox.nn._misc.default_init")
    for folder in ("packages", "examples", "benchmarks"):
        for path in ROOT.glob(f"{folder}/**/*.py"):
            if path.name == "_private.py" and path.parent.name == "equinox":
                continue
            found = names_of_private_paths(ast.parse(path.read_text(encoding="utf-8")))
            used = [name for name in found if private.search(name)]
            assert not used, f"{path.relative_to(ROOT)} uses {used}"


def test_every_entry_is_in_the_docs():
    rows = (ROOT / "docs" / "private_paths.md").read_text(encoding="utf-8").splitlines()
    for path, name in ENTRIES:
        found = [row for row in rows if row.startswith(f"| `{path}` |") and f"`{name}`" in row]
        assert len(found) == 1, f"`{path}.{name}` is in {len(found)} rows of private_paths.md"
        assert TABLE[path][name][1] in found[0]
