"""Errors of JAX that blame a traced argument: they name it as the user does."""

import re
from collections.abc import Callable, Sequence

_POSITION = re.compile(r"\bdynamic\[(\d+)\]")


def name_arguments(error: Exception, names: Callable[[], Sequence[str]]) -> None:
    """Put argument and path in the place of the position among the traced leaves."""
    text, *others = error.args or (None,)
    if not isinstance(text, str) or not _POSITION.search(text):
        return
    if type(error).__module__.startswith("jax"):
        known = dict(enumerate(names()))
        text = _POSITION.sub(lambda match: known.get(int(match[1]), match[0]), text)
        error.args = (text, *others)
