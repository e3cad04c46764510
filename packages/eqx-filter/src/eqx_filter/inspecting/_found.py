"""The marks of one call that a program holds, in the order in which they come.

A mark in a loop of a known number of steps has as many values. In a branch, or in a loop of any
number of steps, there may be none: those are refused, or left to the caller.
"""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

from ..shared._jax import ClosedJaxpr, Jaxpr
from ..shared._jaxprs import inner_jaxprs
from ..shared._marks import mark_p
from ._stand_ins import Label

JITS = frozenset({"jit", "pjit", "closed_call", "core_call"})
"""What JAX calls a call of a function that is compiled; it has changed its word."""

CHECKPOINTS = frozenset({"checkpoint", "remat", "remat2"})
CUSTOM = frozenset({"custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr"})


_OUTSIDE = "Call it outside of that"
_PLACES = {
    "cond": (
        "a branch of `cond` or `switch`, which may not be taken (a loop of kind='bounded' is made "
        "of such)",
        "Compute it before the branch, or select with `jax.numpy.where`",
    ),
    "while": (
        "a loop whose number of steps is not known",
        "Use a scan, as `filter_scan`, or `filter_fori_loop` with bounds that are numbers",
    ),
}
"""Where a mark has no one value, and the way out."""


@dataclasses.dataclass(frozen=True)
class Found:
    """A mark: its label, and the abstract values of the marked arrays.

    `steps` is the length of each loop around it, the outermost first. `why_fixed` says why nothing
    can be added there, if that is so.
    """

    label: Label
    avals: list[Any]
    steps: tuple[int, ...]
    why_fixed: str | None

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """The shapes of the values of all steps."""
        return [(*self.steps, *aval.shape) for aval in self.avals]

    @property
    def count(self) -> int:
        """How often it is passed."""
        return math.prod(self.steps)


def found_in(jaxpr: Jaxpr, level: int) -> list[Found]:
    """The marks of what comes out, for the calls of one level.

    **Raises:** `ValueError` naming the path of one that cannot be carried out of where it is.
    """
    return list(_found(jaxpr, level, (), None))


def _found(jaxpr: Jaxpr, level: int, steps: tuple[int, ...], why: str | None) -> Iterator[Found]:
    for equation in jaxpr.eqns:
        name, params = equation.primitive.name, equation.params
        if equation.primitive is mark_p:
            if is_ours(params["label"], level):
                yield Found(params["label"], [var.aval for var in equation.invars], steps, why)
            continue
        inner = inner_jaxprs(params.values())
        if not any(holds(it, level) for it in inner) or is_second_time(equation):
            continue
        if name == "scan":
            yield from _found(inner[0], level, (*steps, params["length"]), why)
        elif name in JITS or name in CHECKPOINTS:
            yield from _found(inner[0], level, steps, why)
        elif name in CUSTOM:
            yield from _found(
                inner[0], level, steps, why or "a function with a derivative of its own"
            )
        else:
            refuse(name, inner, level)


def is_ours(label: Label, level: int) -> bool:
    """Whether a mark is of what comes out of a node in the calls of one level."""
    return label.tag.level == level and not label.is_input


def holds(jaxpr: Jaxpr, level: int) -> bool:
    """Whether there is a mark of one level in a program, or in any program inside."""
    return next(labels_in(jaxpr, level), None) is not None


def labels_in(jaxpr: Jaxpr, level: int) -> Iterator[Label]:
    """The labels of the marks of one level, wherever they are."""
    for equation in jaxpr.eqns:
        if equation.primitive is mark_p and is_ours(equation.params["label"], level):
            yield equation.params["label"]
        for inner in inner_jaxprs(equation.params.values()):
            yield from labels_in(inner, level)


def computed_again(jaxpr: Jaxpr, level: int) -> Iterator[Label]:
    """The labels of the marks that a checkpoint passes once more on the way back."""
    for equation in jaxpr.eqns:
        for inner in inner_jaxprs(equation.params.values()):
            again = labels_in if is_second_time(equation) else computed_again
            yield from again(inner, level)


def is_second_time(equation: Any) -> bool:
    """Whether an equation is a checkpoint that computes again what was computed before."""
    return equation.primitive.name in CHECKPOINTS and equation.params.get("differentiated", False)


def closed_jaxpr_of(equation: Any) -> tuple[str, Any]:
    """The program in an equation, and the parameter that holds it."""
    kinds = ClosedJaxpr, Jaxpr
    return next((name, it) for name, it in equation.params.items() if isinstance(it, kinds))


def refuse(name: str, jaxprs: list[Jaxpr], level: int) -> None:
    """Refuse marks in what has no one value for each.

    **Raises:** `ValueError`.
    """
    label = next(label for jaxpr in jaxprs for label in labels_in(jaxpr, level))
    place, way_out = _PLACES.get(name, (f"`{name}`, which no value can leave", _OUTSIDE))
    path = label.tag.path
    message = f"`capture` cannot give what `{path}` returns: it is called in {place}. {way_out}."
    raise ValueError(message)
