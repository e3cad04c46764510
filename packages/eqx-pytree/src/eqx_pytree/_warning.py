"""Warnings that point at the user's line, however many frames are between."""

import sys
import types
import warnings

_PACKAGES = ("eqx_pytree", "eqx_filter", "eqx_nn", "equinox", "jax", "jaxtyping")
_BETWEEN = ("contextlib", "dataclasses", "typing")
"""Of Python, where frames lie between a user's call and what is called."""


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn of the line that called into these packages, or into JAX."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and _is_between(frame):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level + 1)


def _is_between(frame: types.FrameType) -> bool:
    code = frame.f_code
    if (code.co_filename, code.co_name) == ("<string>", "__init__"):  # of a dataclass
        return True
    return frame.f_globals.get("__name__", "").partition(".")[0] in (*_PACKAGES, *_BETWEEN)
