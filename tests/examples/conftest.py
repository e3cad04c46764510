"""What the tests of examples share: scripts as modules, which find what lies beside them."""

import importlib.util
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(scope="session")
def examples():
    """The folder of the scripts."""
    return EXAMPLES


@pytest.fixture(autouse=True)
def beside_each_other(monkeypatch):
    """A script finds what lies beside it."""
    monkeypatch.syspath_prepend(EXAMPLES)


@pytest.fixture(scope="session")
def load():
    """A function that imports the script `examples/<name>.py`; its command line does not run."""

    def imported(name):
        spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(EXAMPLES)
            spec.loader.exec_module(module)
        return module

    return imported
