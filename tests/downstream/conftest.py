"""Loads the scripts beside this file; other folders have scripts of the same names."""

import importlib.util
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture
def script(monkeypatch):
    """A function that gives the script of a name, as a module."""
    monkeypatch.syspath_prepend(str(HERE))

    def load(name):
        spec = importlib.util.spec_from_file_location(f"downstream_{name}", HERE / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    yield load
    for path in HERE.glob("*.py"):  # what a script imported by its bare name
        if getattr(sys.modules.get(path.stem), "__file__", None) == str(path):
            del sys.modules[path.stem]
