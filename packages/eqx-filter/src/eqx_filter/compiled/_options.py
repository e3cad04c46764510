"""What a jitted function was asked for besides its function: donation, filter, jit's arguments."""

import inspect
import weakref
from collections.abc import Callable, Hashable
from typing import Any

import jax

from eqx_pytree import static_key

from ..shared._shardings import has_plans
from ..shared._wrapper import check_keywords

_DONATED: dict[str, Callable[[int], bool] | None] = {
    "all": lambda arg: True,
    "all-except-first": lambda arg: arg != 0,
    "warn": lambda arg: True,
    "warn-except-first": lambda arg: arg != 0,
    "none": None,
}
"""For each mode, whether an argument is donated; -1 is for keywords and the function itself."""

_DECIDED_BY_LEAF = (
    "static_argnums",
    "static_argnames",
    "donate_argnums",
    "donate_argnames",
)
_SHARDINGS = ("in_shardings", "out_shardings")
JIT_KEYWORDS = tuple(
    name for name in list(inspect.signature(jax.jit).parameters)[1:] if name not in _DECIDED_BY_LEAF
)


class Options:
    """Options that say the same are one object, so that programs are found by identity.

    - `made_by`: the function and the arguments that these options come from, for pickling.
    - `jit`: keyword arguments of `jax.jit`, but for shardings.
    - `in_shardings`, `out_shardings`: prefix trees of the arguments and of the output, or None.
    - `in_plans`: `in_shardings` if a `ShardingPlan` is among them, which needs shapes; or None.
    - `donated_args`: of an argument's position, whether it is donated; None if none is.
    - `silences`: whether JAX's warning about donated buffers of no use is kept quiet.
    - `filter`: which leaves of a call are traced; None where a leaf's type tells, as it does for
        `filter_jit`.
    - `fill_defaults`: whether a call is filled up with the defaults of what it leaves out.
    - `numbers_to_arrays`: whether a number that the function returns comes back as an array.
    """

    __slots__ = (
        "__weakref__",
        "donated_args",
        "fill_defaults",
        "filter",
        "in_plans",
        "in_shardings",
        "jit",
        "made_by",
        "numbers_to_arrays",
        "out_shardings",
        "silences",
    )

    def __init__(
        self,
        made_by: tuple[Callable[..., "Options"], tuple[Any, ...]],
        jit: dict[str, Any],
        donated_args: Callable[[int], bool] | None = None,
        silences: bool = False,
        filter: Callable[..., tuple[bool, ...]] | None = None,
        fill_defaults: bool = True,
        numbers_to_arrays: bool = False,
    ) -> None:
        self.made_by = made_by
        self.jit = {name: value for name, value in jit.items() if name not in _SHARDINGS}
        self.in_shardings, self.out_shardings = map(jit.get, _SHARDINGS)
        self.in_plans = self.in_shardings if has_plans(self.in_shardings) else None
        self.donated_args = donated_args
        self.silences = silences
        self.filter = filter
        self.fill_defaults = fill_defaults
        self.numbers_to_arrays = numbers_to_arrays

    def __reduce__(self) -> tuple[Callable[..., "Options"], tuple[Any, ...]]:
        return self.made_by

    def __repr__(self) -> str:
        make, arguments = self.made_by
        return f"{make.__name__}{arguments!r}"


_known: "weakref.WeakValueDictionary[Hashable, Options]" = weakref.WeakValueDictionary()


def filter_jit_options(donate: str, jit: dict[str, Any], fill_defaults: bool = True) -> Options:
    """Check what was passed to `filter_jit`, and return the `Options` that stand for it.

    **Raises:** `ValueError` for an unknown `donate` or an argument of `jax.jit` that is decided
    leaf by leaf; `TypeError` for a keyword that `jax.jit` does not have.
    """
    if donate not in _DONATED:
        known = ", ".join(f"`{mode}`" for mode in _DONATED)
        message = f"`donate={donate!r}` is unknown to `filter_jit`; it is one of {known}."
        raise ValueError(message)
    refused = [name for name in jit if name in _DECIDED_BY_LEAF]
    if refused:
        message = (
            f"`{refused[0]}` cannot be passed to `filter_jit`, which decides leaf by leaf: arrays "
            "are traced, all else is static. To donate inputs, pass `donate=`."
        )
        raise ValueError(message)
    check_keywords("filter_jit", jit, JIT_KEYWORDS)
    return known_options(
        (donate, static_key(jit), fill_defaults),
        lambda: Options(
            made_by=(filter_jit_options, (donate, jit, fill_defaults)),
            jit=jit,
            donated_args=_DONATED[donate],
            silences=donate.startswith("all"),
            fill_defaults=fill_defaults,
        ),
    )


def known_options(key: Hashable, make: Callable[[], Options]) -> Options:
    """The options known by a key, made if there are none."""
    options = _known.get(key)
    if options is None:
        options = _known[key] = make()
    return options
