"""Operations by module: what XLA counts for each equation of a program, added up between marks.

XLA's own sum is of a whole program, and counts the body of a loop once. Here a scan counts as often
as it has steps.
"""

import dataclasses
from typing import Any

import jax

from ..shared._jax import bind_with, struct_of_aval
from ..shared._jaxprs import inner_jaxprs
from ..shared._marks import mark_p
from ._found import CHECKPOINTS, CUSTOM, JITS

Counts = dict[str, float | None]
"""By path; None where it cannot be told."""


def flops_by_path(jaxpr: Any, level: int) -> Counts:
    """The floating-point operations within each node that has marks of what goes in and comes out.

    Those within a node inside of it are not counted again; those outside of all are at the path "".
    """
    counter = _Counter(level, {})
    return counter.of_program(jaxpr, "")


@dataclasses.dataclass
class _Counter:
    level: int
    known: dict[Any, float | None]

    def of_program(self, jaxpr: Any, path: str) -> Counts:
        counts: Counts = {}
        within = [path]
        for equation in jaxpr.eqns:
            if equation.primitive is mark_p:
                self._enter_or_leave(equation.params["label"], within)
            else:
                _add(counts, self._of_equation(equation, within[-1]), 1)
        return counts

    def _enter_or_leave(self, label: Any, within: list[str]) -> None:
        if label.tag.level != self.level:
            return
        if label.is_input:
            within.append(label.tag.path)
        elif label.tag.path in within[1:]:
            while within.pop() != label.tag.path:
                pass

    def _of_equation(self, equation: Any, path: str) -> Counts:
        name, params = equation.primitive.name, equation.params
        inner = inner_jaxprs(params.values())
        if not inner or name not in _OPENED:
            return {path: self._by_xla(equation)}
        each = [self.of_program(it, path) for it in inner]
        counts: Counts = {}
        if name == "scan":
            _add(counts, each[0], params["length"])
        elif name == "while":
            for one in each:
                _add(counts, one, None)
        elif name == "cond":
            for where in {key for one in each for key in one}:
                found = {one.get(where, 0.0) for one in each}
                counts[where] = found.pop() if len(found) == 1 else None
        else:
            _add(counts, each[0], 1)
        return counts

    def _by_xla(self, equation: Any) -> float | None:
        avals = tuple(atom.aval for atom in equation.invars)
        key = equation.primitive, repr(equation.params), avals
        if key not in self.known:
            self.known[key] = _flops_of(equation, avals)
        return self.known[key]


_OPENED = {"scan", "while", "cond"} | JITS | CHECKPOINTS | CUSTOM


def _add(counts: Counts, more: Counts, times: int | None) -> None:
    """Add what is run so many times; None is a number that is not known."""
    for path, count in more.items():
        before = counts.setdefault(path, 0.0)
        if count == 0 or before is None:
            continue
        counts[path] = None if count is None or times is None else before + count * times


def _flops_of(equation: Any, avals: tuple[Any, ...]) -> float | None:
    """What XLA counts for one equation."""

    def run(*operands: Any) -> Any:
        return bind_with(equation.primitive, operands, equation.params)

    try:
        told = jax.jit(run).lower(*map(struct_of_aval, avals)).cost_analysis()
    except Exception:  # it has no meaning by itself, as a sum over a mesh has none
        return None
    return told_of(told, "flops")


def told_of(told: Any, name: str) -> float | None:
    """One number of what XLA tells of a program; None if something in it is opaque to XLA.

    Then an estimate is negative.
    """
    if isinstance(told, (list, tuple)):  # one for each device
        told = told[0] if told else None
    if told is None or any(value < 0 for value in told.values()):
        return None
    return float(told.get(name, 0.0))
