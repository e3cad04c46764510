"""Errors of JAX that blame a traced argument: they name it as the user does."""

import re
from collections.abc import Callable, Sequence

_POSITION = re.compile(r"\bdynamic\[(\d+)\]")
_OF_JAX = "while tracing the function"
"""In what JAX says of arguments, also in a `TypeError`."""


def name_arguments(error: Exception, names: Callable[[], Sequence[str]]) -> None:
    """Put argument and path in the place of the position among the traced leaves."""
    text, *others = error.args or (None,)
    if not isinstance(text, str) or not _POSITION.search(text):
        return
    if type(error).__module__.startswith("jax") or _OF_JAX in text:
        known = dict(enumerate(names()))
        text = _POSITION.sub(lambda match: known.get(int(match[1]), match[0]), text)
        error.args = (text, *others)
