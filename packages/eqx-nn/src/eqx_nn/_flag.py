"""A flag that must be known when a layer is called, and what is said where it is traced."""

from __future__ import annotations

from typing import Any

from jax.errors import TracerBoolConversionError


def known(layer: str, flag: Any) -> bool:
    """Whether the flag `inference` of a layer, or the one it was called with, is set.

    **Raises** `TracerBoolConversionError`, with a note, if it is traced.
    """
    try:
        return bool(flag)
    except TracerBoolConversionError as error:
        error.add_note(
            f"`inference` of `{layer}` decides what is computed, so it must be known, as a bool. "
            "`jax.jit`, `jax.lax.scan` and kin trace it with every other leaf of a model: write "
            "`filter_jit`, `filter_scan` and so on, which trace arrays alone."
        )
        raise
