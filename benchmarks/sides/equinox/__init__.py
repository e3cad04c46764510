"""An `equinox`: ours or the peer's, whichever the interpreter has."""

from sides import Side

side = Side()
