"""Warnings that point at the user's line, however many frames of ours are between."""

import sys
import warnings

_OURS = ("eqx_pytree", "eqx_filter", "eqx_nn", "equinox", "jax")


def warn_user(message: str) -> None:
    """Warn of the line that called into these packages, or into JAX."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] in _OURS:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, UserWarning, stacklevel=level + 1)
