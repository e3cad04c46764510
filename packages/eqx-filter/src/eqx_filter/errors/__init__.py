"""Checks at run time: errors raised by compiled programs."""

from . import _finalised as _finalised
from ._check import branched_error_if, error_if
from ._classes import EquinoxRuntimeError, EquinoxTracetimeError
from ._dce import assert_dce

__all__ = [
    "EquinoxRuntimeError",
    "EquinoxTracetimeError",
    "assert_dce",
    "branched_error_if",
    "error_if",
]
