"""The version that eqx-nn tells of itself, against the installed metadata and the pyproject."""

import tomllib
from importlib import metadata
from pathlib import Path

import eqx_nn

PYPROJECT = Path(__file__).resolve().parents[2] / "packages" / "eqx-nn" / "pyproject.toml"


def test_version_is_the_declared_one():
    declared = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]["version"]
    assert eqx_nn.__version__ == metadata.version("eqx-nn") == declared
