"""Draws the figures: each side beside plain JAX, beside the peer, and as something grows."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from rows import ROWS, SCALES, SIDES
from table import heading, sides_of

COLOURS = {
    "plain": "#444444",
    "ours": "#0072b2",
    "peer": "#e69f00",
    "nnx": "#8fbf9f",
    "haiku": "#c9a6c4",
}
STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
}
SHOWN = (
    *("jit_array_out", "jit_model_out", "training_step", "trace_and_lower", "flatten", "build"),
    *("save", "import_time", "partition", "combine", "tree_at", "tree_equal"),
)
"""What a user waits for; the table has the rest."""

BAR = 0.8  # of the room of a row, shared by its bars
CURVES = (
    ("leaves", "jit", "jit call, model in, array out", "leaves of the model", "us"),
    ("leaves", "flatten", "flatten", "leaves of the model", "us"),
    ("variants", "turn", "call variants of a static field in turn", "variants", "us"),
    ("functions", "turn", "call wrapped functions in turn", "functions", "us"),
    ("tokens", "forward", "attention, 8 heads of 64, forward", "tokens", "ms"),
    ("tokens", "gradient", "its gradient", "tokens", "ms"),
    ("tokens", "causal", "its gradient, causal", "tokens", "ms"),
    ("tokens", "temporary", "temporary memory of its gradient", "tokens", "MB"),
)


def multiple(value: float, _: object = None) -> str:
    """Give a multiple in as few digits as it needs."""
    return f"{value:g}x"


def relative(results: Mapping[str, Any], to: str) -> dict[str, dict[str, float]]:
    """Give each row that can be told beside a side, as multiples of it."""
    rows = {name: results["rows"][name] for name in SHOWN if name in results["rows"]}
    if to == "peer":  # what plain JAX has is shown beside plain JAX
        rows = {name: its for name, its in rows.items() if "plain" not in its}
    return {
        name: {side: its[side] / its[to] for side in its if side != to}
        for name, its in rows.items()
        if its.get(to)
    }


def number_beside(axes: Axes, value: float, middle: float) -> None:
    """Write a figure past the end of its bar."""
    text = f"{value:.2f}" if value < 10 else f"{value:,.0f}"
    if value < 0.9:  # a bar to the left, too long to write to its right
        at, away, side = value, -4, "right"
    else:
        at, away, side = max(value, 1), 4, "left"
    offset = {"xytext": (away, 0), "textcoords": "offset points"}
    axes.annotate(text, (at, middle), fontsize=7, ha=side, va="center", **offset)


def bars(axes: Axes, results: Mapping[str, Any], to: str) -> None:
    """Draw each row's bars."""
    rows = relative(results, to)
    sides = [side for side in sides_of(results) if any(side in its for its in rows.values())]
    height = BAR / len(sides)
    for place, figures in enumerate(rows.values()):
        present = [side for side in sides if side in figures]
        top = place - height * len(present) / 2
        for number, side in enumerate(present):
            middle = top + height * (number + 0.5)
            axes.barh(middle, figures[side] - 1, height, left=1, color=COLOURS[side])
            number_beside(axes, figures[side], middle)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(multiple))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_yticks(range(len(rows)), [ROWS[name].title.replace("`", "") for name in rows])
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.axvline(1, color=COLOURS[to], lw=1)
    axes.margins(x=0.12)


def curves(axes: Axes, sides: Mapping[str, Mapping[str, float]], unit: str) -> None:
    """Draw what one cost comes to at each size."""
    for side in (side for side in SIDES if side in sides):
        sizes = [int(size) for size in sides[side]]
        figures = [figure * SCALES[unit] for figure in sides[side].values()]
        axes.plot(sizes, figures, marker="o", ms=4, color=COLOURS[side])
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 100 else (1,)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(alpha=0.25)


def legend(figure: Figure, results: Mapping[str, Any]) -> None:
    """Name the sides above the picture."""
    sides = sides_of(results)
    keys = [Patch(color=COLOURS[side]) for side in sides]
    names = [heading(side, results["versions"]) for side in sides]
    figure.legend(keys, names, loc="outside upper center", ncols=len(sides))


def plot(results: Mapping[str, Any], file: Path) -> None:
    """Draw the picture and write it."""
    beside = [to for to in ("plain", "peer") if relative(results, to)]
    grown = [curve for curve in CURVES if results["growth"].get(curve[0], {}).get(curve[1])]
    pairs = math.ceil(len(grown) / 2)
    heights = [0.5 + 0.6 * len(relative(results, to)) for to in beside]
    heights += [2.25 * pairs] if pairs else []
    with mpl.rc_context(STYLE):
        figure = plt.figure(figsize=(10, sum(heights) + 0.3), layout="constrained")
        grid = figure.add_gridspec(max(1, len(heights)), 1, height_ratios=heights or None)
        for place, to in enumerate(beside):
            axes = figure.add_subplot(grid[place])
            bars(axes, results, to)
            axes.set_title(f"time, as a multiple of {heading(to, results['versions'])}")
        inner = grid[-1].subgridspec(max(1, pairs), 2)
        for place, (family, line, title, along, unit) in enumerate(grown):
            axes = figure.add_subplot(inner[place])
            curves(axes, results["growth"][family][line], unit)
            axes.set(
                title=title, xlabel=along, ylabel=unit if unit == "MB" else f"{unit} for a call"
            )
        legend(figure, results)
        figure.savefig(file, dpi=150)
        plt.close(figure)
