"""Lets the tests import the files beside them by name, as these import one another."""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))
    for path in HERE.glob("*.py"):  # other folders have scripts of the same names
        loaded = sys.modules.get(path.stem)
        if loaded is not None and loaded.__file__ != str(path):
            monkeypatch.delitem(sys.modules, path.stem)
