"""A string that may be in a PyTree, and keys one after another. For solvers and their tests."""

import dataclasses
import os
import random
import threading
from typing import Any

import jax

from eqx_pytree import Module, field

from ..shared._describe import describe_value


class _Text(Module):
    """What `str2jax` gives: a string as a static part of a PyTree."""

    _text: str = field(static=True)

    def __repr__(self) -> str:
        return self._text

    def __pdoc__(self, **kwargs: Any) -> Any:
        """The same text inside of the text of a tree."""
        import wadler_lindig as wl

        return wl.TextDoc(self._text)


def str2jax(msg: str) -> Module:
    """Turn a string into a PyTree without leaves, which JAX takes where it refuses a string.

    **Arguments:**

    - `msg`: the string.

    **Returns:** a hashable PyTree; `str` and `repr` of it give `msg`. Those of the same string are
    equal, and have the same structure.

    **Raises:** `TypeError` if `msg` is not a string.
    """
    if not isinstance(msg, str):
        message = f"`str2jax` takes a string, not {describe_value(msg)}. Convert it first."
        raise TypeError(message)
    return _Text(msg)


_counting = threading.Lock()


@dataclasses.dataclass(init=False, eq=False)
class GetKey:
    """Keys of random numbers, another at each call; for tests and scripts.

    It keeps count, so do not call it in a function that JAX transforms: there, a compiled program
    repeats one key.

    **Arguments:**

    - `seed`: an integer. If None, that of the environment variable `EQX_GETKEY_SEED`, or else a
        random one. `repr` tells it, so that a run can be repeated.

    **Returns:** by each call, `jax.random.fold_in(jax.random.PRNGKey(seed), n)` for
    `n = 1, 2, ...`: an array of shape `(2,)` and dtype uint32 (with JAX's default generator).
    """

    seed: int
    call: int
    key: "jax.Array"

    def __init__(self, seed: int | None = None) -> None:
        self.seed = _any_seed() if seed is None else seed
        self.call = 0
        self.key = jax.random.PRNGKey(self.seed)

    def __call__(self) -> "jax.Array":
        """Give the next key. Threads may share the object: no two get the same."""
        with _counting:
            self.call += 1
            call = self.call
        return jax.random.fold_in(self.key, call)


def _any_seed() -> int:
    given = os.environ.get("EQX_GETKEY_SEED")
    return random.randint(0, 2**31 - 1) if given is None else int(given)
