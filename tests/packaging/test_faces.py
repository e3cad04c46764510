"""Each face, a package's `__init__.py` or a topic folder's: small, sorted, and true."""

import ast
import importlib
import inspect
import subprocess
import sys

import pytest

import eqx_filter

MAX_LINES = 70


@pytest.fixture
def module(face):
    found = importlib.import_module(face.folder_module)
    if not hasattr(found, "__all__"):
        pytest.skip("This folder is for its siblings; it has no names of its own.")
    return found


def is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def is_all(node: ast.stmt) -> bool:
    """Its own names; or those of a topic folder, `__all__ += folder.__all__`."""
    target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
    return target is not None and ast.unparse(target) == "__all__"


def is_module_hook(node: ast.stmt) -> bool:
    """`__getattr__, __dir__ = load_on_use(...)`: the version, and what is loaded on first use."""
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "(__getattr__, __dir__)"


def is_for_checkers(node: ast.stmt) -> bool:
    """Or for all but them: a hook of the module would let them take any name for known."""
    return isinstance(node, ast.If) and ast.unparse(node.test) in (
        "TYPE_CHECKING",
        "not TYPE_CHECKING",
    )


def order(name: str) -> tuple[bool, bool, str]:
    """Ruff's order of `__all__`: constants, then classes, then the rest; `MLP` is a constant."""
    return not name.isupper(), not name[0].isupper(), name


def test_face_is_short(face):
    """But for those that name a whole package for all its folders, and the drop-in's."""
    lines = len(face.text.splitlines())
    limit = {"equinox": 4 * MAX_LINES, "eqx_filter": 2 * MAX_LINES}.get(face.package, MAX_LINES)
    assert lines <= limit, f"{face.label} has {lines} lines; group its names by topic folders"


def test_face_holds_imports_only(face):
    for node in face.tree.body:
        allowed = (
            isinstance(node, ast.Import | ast.ImportFrom)
            or is_docstring(node)
            or is_all(node)
            or is_module_hook(node)
            or is_for_checkers(node)
        )
        first_line = ast.unparse(node).splitlines()[0]
        assert allowed, f"{face.label}:{node.lineno} holds `{first_line}`; a face only imports"


def test_names_are_sorted_and_said_once(face, module):
    own = next(ast.literal_eval(it.value) for it in face.tree.body if is_all(it))
    assert own == sorted(own, key=order), f"`__all__` of {face.label} is not sorted"
    assert len(module.__all__) == len(set(module.__all__)), f"{face.label} repeats a name"


def test_every_name_resolves(face, module):
    missing = [name for name in module.__all__ if not hasattr(module, name)]
    assert not missing, f"{face.label} exports {missing}, which it does not have"


def test_every_name_is_public(face, module):
    private = [name for name in module.__all__ if name.startswith("_")]
    assert not private, f"{face.label} exports private names: {private}"


def test_every_function_and_class_is_documented(face, module):
    exported = {name: getattr(module, name) for name in module.__all__}
    silent = [
        name
        for name, value in exported.items()
        if (inspect.isclass(value) or inspect.isroutine(value)) and not value.__doc__
    ]
    assert not silent, f"{face.label} exports names without a docstring: {silent}"


def test_equinox_defines_nothing(sources):
    """But for its room of private paths, some of which have no other home."""
    for source in sources:
        if not source.label.startswith("packages/equinox/") or source.path.name == "_private.py":
            continue
        for node in ast.walk(source.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                allowed = node.name in ("__getattr__", "__dir__")
                assert allowed, (
                    f"{source.label}:{node.lineno} defines `{node.name}`; equinox re-exports"
                )


def test_what_is_loaded_on_use_is_what_the_folders_have():
    """The table that the face of eqx-filter looks names up in repeats them."""
    for folder, names in eqx_filter._HOMES.items():
        exported = importlib.import_module(folder, "eqx_filter").__all__
        assert not names or sorted(names.split()) == sorted(exported), folder


def test_names_that_are_not_loaded_yet_are_listed(tmp_path):
    code = (
        "import eqx_filter, equinox\n"
        "for face in (eqx_filter, equinox):\n"
        "    assert {*face.__all__, 'debug'} <= {*dir(face)}, face\n"
        "assert equinox.filter_jit is eqx_filter.filter_jit\n"
        "assert equinox.debug is not eqx_filter.debug\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
