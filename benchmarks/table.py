"""Tells the figures in Markdown: a table of the rows, and one of what grows."""

import math
from collections.abc import Mapping
from typing import Any

from rows import FAMILIES, ROWS, SCALES, SIDES, Line, Row

MARKS = {True: " ✓", False: " ✗", None: ""}
STEADY = 2.0  # what should stay flat may grow this many times as much as in plain JAX


def sides_of(results: Mapping[str, Any]) -> list[str]:
    """Give the sides that were measured, in the order of the columns."""
    return [side for side in SIDES if side in results["versions"]]


def heading(side: str, versions: Mapping[str, str]) -> str:
    """Give the name of a side, with the version of a library that is not ours."""
    return SIDES[side] if side == "ours" else f"{SIDES[side]} {versions[side]}"


def figure(value: float | None, unit: str) -> str:
    """Give a figure of three digits with its unit, or nothing."""
    if value is None:
        return ""
    scaled = value * SCALES[unit]
    digits = f"{scaled:,.0f}" if scaled >= 100 else f"{scaled:.3g}"
    return f"{digits} {unit}".strip()


def ratio(figures: Mapping[str, float], side: str, to: str) -> float | None:
    """Give how many times as long a side takes as another, where both have the row."""
    if side not in figures or to not in figures:
        return None
    return figures[side] / figures[to] if figures[to] else math.inf


def reached(row: Row, figures: Mapping[str, float]) -> bool | None:
    """Say whether ours is within its limit; None where that cannot be told."""
    value = ratio(figures, "ours", row.against) if row.against else figures.get("ours")
    return None if value is None or row.limit is None else value <= row.limit


def goal(row: Row) -> str:
    """Give what ours must reach, in words."""
    if row.limit is None:
        return ""
    if not row.against:
        return figure(row.limit, row.unit)
    return f"{row.limit:.2f}x {'plain' if row.against == 'plain' else 'equinox'}"


def table(head: list[str], left: int, lines: list[list[str]]) -> str:
    """Give a table in Markdown whose columns, but for the first few, are aligned on the right."""
    rule = ["---" if i < left else "---:" for i in range(len(head))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, rule, *lines])


def rows_table(results: Mapping[str, Any]) -> str:
    """Give a line for each row: each side, ours against plain JAX and the peer, and the target."""
    sides, versions = sides_of(results), results["versions"]
    against = [side for side in ("plain", "peer") if side in sides]
    head = ["work", *(heading(side, versions) for side in sides)]
    head += [f"ours / {SIDES[side].removesuffix(' JAX')}" for side in against] + ["to reach"]
    lines = []
    for name, figures in results["rows"].items():
        row = ROWS[name]
        ratios = [ratio(figures, "ours", side) for side in against]
        cells = [figure(figures.get(side), row.unit) for side in sides]
        cells += ["" if each is None else f"{each:.2f}" for each in ratios]
        lines.append([row.title, *cells, goal(row) + MARKS[reached(row, figures)]])
    return table(head, 1, lines)


def growth_of(values: Mapping[str, float]) -> float | None:
    """Give how much larger the last figure is than the smallest, where that can be told."""
    *_, last = values.values()
    smallest = min(values.values())
    return last / smallest if len(values) > 1 and smallest > 0 else None


def by_size(line: Line, figures: Mapping[str, float]) -> dict[str, float]:
    """Give a side's figures by size, for each thing if that is how the line is told."""
    return {size: value / int(size) if line.each else value for size, value in figures.items()}


def steady(grown: Mapping[str, float | None]) -> bool | None:
    """Say whether what should be flat is: more memory is slower memory, for every side."""
    ours, other = grown.get("ours"), grown.get("plain") or grown.get("peer") or 1.0
    return None if ours is None else ours <= STEADY * max(1.0, other)


def span(figures: Mapping[str, float], unit: str, largest: int) -> str:
    """Give the figures at the smallest and the largest size, which is told if it is another."""
    (_, first), *_, (size, last) = [*figures.items()] * 2
    until = "" if int(size) == largest else f" (at {int(size):,})"
    begin = "" if len(figures) == 1 else figure(first, unit).removesuffix(unit).strip() + " → "
    return begin + figure(last, unit) + until


def growth_line(
    line: Line, growth: Mapping[str, Mapping[str, float]], sides: list[str], largest: int
) -> list[str]:
    """Give the cells of one cost: each side from the smallest size to the largest."""
    figures = {side: by_size(line, growth[side]) for side in sides if growth.get(side)}
    grown = {side: growth_of(figures[side]) for side in figures}
    rate = grown.get("ours") if line.flat else None
    flat = "" if rate is None else f"{rate:.1f}x{MARKS[steady(grown)]}"
    cells = [span(figures[side], line.unit, largest) if side in figures else "" for side in sides]
    return [line.title, *cells, flat]


def growth_table(results: Mapping[str, Any]) -> str:
    """Give a line for each cost of each family, under a line that names what grows."""
    growth = results["growth"]
    shown = {side for lines in growth.values() for sides in lines.values() for side in sides}
    sides = [side for side in sides_of(results) if side in shown]
    head = ["as it grows", *(heading(side, results["versions"]) for side in sides), "ours grows"]
    lines = []
    for name, costs in growth.items():
        family = FAMILIES[name]
        measured = [figures for by_side in costs.values() for figures in by_side.values()]
        sizes = [int(size) for figures in measured for size in figures]
        title = f"**{family.title}: {min(sizes):,} → {max(sizes):,}**"
        lines.append([title, *[""] * (len(head) - 1)])
        lines += [growth_line(family.lines[it], costs[it], sides, max(sizes)) for it in costs]
    return table(head, 1, lines)


def markdown(results: Mapping[str, Any]) -> str:
    """Give both tables, or the one that was measured."""
    parts = [rows_table(results)] if results["rows"] else []
    parts += [growth_table(results)] if results["growth"] else []
    return "\n\n".join(parts) + "\n"
