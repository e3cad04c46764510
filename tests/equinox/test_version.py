"""The version that equinox tells of itself, against the installed metadata and the pyproject."""

import tomllib
from importlib import metadata
from pathlib import Path

from packaging.specifiers import SpecifierSet

import equinox

PYPROJECT = Path(__file__).resolve().parents[2] / "packages" / "equinox" / "pyproject.toml"


def test_version_is_the_declared_one():
    declared = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]["version"]
    assert equinox.__version__ == metadata.version("equinox") == declared


def test_version_serves_those_who_ask_for_013():
    assert equinox.__version__ == "0.13.9"
    assert SpecifierSet(">=0.13.3,<0.14").contains(equinox.__version__)
