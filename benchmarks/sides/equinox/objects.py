"""An `equinox`: building a Module, its methods, the import."""

import importlib.util

from sides.equinox import side
from sides.equinox.models import Two
from sides.settings import X, import_seconds


@side.row
def build():
    return lambda: Two(X, X)


@side.row
def method():
    two = Two(X, X)
    return lambda: two.method(1)


@side.figure
def import_time():
    return lambda: import_seconds("equinox")


@side.figure
def import_filter():
    """Of the peer, which has no such part, the whole."""
    is_ours = importlib.util.find_spec("eqx_filter")
    return lambda: import_seconds("eqx_filter" if is_ours else "equinox")
