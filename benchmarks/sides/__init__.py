"""The sides that are compared: a package for each, with one module for each topic of `rows.py`."""

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

Prepare = Callable[[], Callable[[], Any]]
"""Sets up what a row needs, and gives the function that is timed."""

Lines = dict[str, Callable[[], Any] | float]
"""What is timed for each line, or its figure."""

Grow = Callable[[], Callable[[int], Lines]]
"""Gives a function that grows to a size, and then gives the lines there."""


class Side:
    """What one side can do, by the names of `rows.py`."""

    def __init__(self) -> None:
        self.rows: dict[str, Prepare] = {}
        self.figures: dict[str, Callable[[], Callable[[], float]]] = {}
        self.families: dict[str, Grow] = {}

    def row(self, prepare: Prepare) -> Prepare:
        """Enter a function for the row of its name: what it gives is timed."""
        self.rows[prepare.__name__] = prepare
        return prepare

    def figure(self, prepare: Callable[[], Callable[[], float]]) -> Any:
        """Enter a function for the row of its name: what it gives measures itself."""
        self.figures[prepare.__name__] = prepare
        return prepare

    def family(self, grow: Grow) -> Grow:
        """Enter a function for the family of its name."""
        self.families[grow.__name__] = grow
        return grow


def load(name: str) -> Side:
    """Import every module of a side, which enters its rows."""
    package = importlib.import_module(f"sides.{name}")
    for module in sorted(module.name for module in pkgutil.iter_modules(package.__path__)):
        importlib.import_module(f"sides.{name}.{module}")
    return package.side
