"""What is done about a check that fails: `on_error=`, or else `EQX_ON_ERROR`."""

import os

MODES = ("raise", "breakpoint", "nan", "off")


def mode_of(on_error: str) -> str:
    """One of `MODES`, for the argument called `on_error`.

    **Raises:** `RuntimeError` for an argument, and `ValueError` for a variable, that is none.
    """
    if on_error == "default":
        mode = os.environ.get("EQX_ON_ERROR", "raise")
        if mode not in MODES:
            valid = ", ".join(f"`EQX_ON_ERROR={it}`" for it in MODES)
            message = f"Unrecognised value for `EQX_ON_ERROR`: {mode!r}. Valid values are {valid}."
            raise ValueError(message)
        return mode
    if on_error not in MODES:
        valid = ", ".join(f'"{it}"' for it in ("default", *MODES))
        message = f"Unrecognised value for `on_error`: {on_error!r}. Valid values are {valid}."
        raise RuntimeError(message)
    return on_error


def breakpoint_frames() -> int | None:
    """How many frames a breakpoint holds, by `EQX_ON_ERROR_BREAKPOINT_FRAMES`; None for all.

    **Raises:** `ValueError` if that is no positive integer.
    """
    given = os.environ.get("EQX_ON_ERROR_BREAKPOINT_FRAMES")
    if given is None:
        return None
    if not given.isdecimal() or int(given) == 0:
        message = f"`EQX_ON_ERROR_BREAKPOINT_FRAMES` must be a positive integer, not {given!r}."
        raise ValueError(message)
    return int(given)
