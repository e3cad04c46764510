"""A summary as text and as HTML."""

import functools
import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from eqx_pytree import tree_pformat

from ..shared._columns import GAP, WIDTH, fit, line_of, widths_of
from ..shared._scaled import scaled
from ._rows import Row

if TYPE_CHECKING:
    from ._summary import Summary

_COLUMNS = ("path", "type", "parameters", "trainable", "bytes", "in", "out", "FLOPs")
_LEFT = {"path", "type", "in", "out"}
"""The columns of texts; the others hold numbers."""

_SHRINKS = {"path": 16, "type": 8, "in": 10, "out": 10}
"""What is shortened where a table is too wide, and to no less than this."""


def as_text(summary: "Summary") -> str:
    """The table in columns, of which none goes beyond 100.

    A type that tells more than a name, as `Quantised, int8`, stands below its row where it is cut.
    """
    header = _header(summary)
    lines = [_cells(row, header) for row in summary.rows]
    widths = widths_of(header, [header, *lines], _SHRINKS)
    line = functools.partial(line_of, header, widths=widths, left=_LEFT, paths=["path"])
    told = [line(header), "-" * (sum(widths) + GAP * (len(widths) - 1))]
    for row, cells in zip(summary.rows, lines, strict=True):
        told.append(line(cells))
        is_cut = len(row.type) > widths[header.index("type")]
        notes = [row.type] * (is_cut and ", " in row.type) + _notes(row)
        told += [fit(f"    {note}", WIDTH) for note in notes]
    return "\n".join([*told, told[1], *_totals(summary)])


def as_html(summary: "Summary") -> str:
    """The table for notebooks; nothing in it is shortened."""
    header = _header(summary)
    rows = ["".join(f"<th>{html.escape(it)}</th>" for it in header)]
    for row in summary.rows:
        cells = _cells(row, header)
        cells[0] = "<br>".join(map(html.escape, (cells[0], *_notes(row))))
        cells[1:] = map(html.escape, cells[1:])
        rows.append("".join(_html_cell(*pair) for pair in zip(header, cells, strict=True)))
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    totals = "<br>".join(map(html.escape, _totals(summary)))
    return f"<table>{body}</table><p>{totals}</p>"


def _html_cell(column: str, text: str) -> str:
    side = "left" if column in _LEFT else "right"
    return f'<td style="text-align: {side}">{text}</td>'


def _header(summary: "Summary") -> list[str]:
    left_out = {
        *(["trainable"] if summary.trainable == summary.parameters else []),
        *([] if summary.has_shapes else ["in", "out"]),
        *([] if summary.has_cost else ["FLOPs"]),
    }
    return [name for name in _COLUMNS if name not in left_out]


def _cells(row: Row, header: Sequence[str]) -> list[str]:
    inputs, outputs = _shapes(row.inputs), _shapes(row.outputs)
    again = f" x{row.calls}" if row.calls > 1 else ""
    cells = {
        "path": row.path or "(all)",
        "type": row.type,
        "parameters": f"{row.parameters:,}" if row.parameters else "",
        "trainable": _share(row),
        "bytes": scaled(row.bytes, "B") if row.bytes else "",
        "in": inputs,
        "out": f"{outputs}{again}",
        "FLOPs": "?" if row.flops is None else scaled(row.flops) if row.flops else "",
    }
    return [cells[column] for column in header]


def _shapes(structs: Sequence[Any]) -> str:
    return ", ".join(tree_pformat(it, struct_as_array=True, width=WIDTH * 10) for it in structs)


def _share(row: Row) -> str:
    if not row.parameters:
        return ""
    if row.trainable in (0, row.parameters):
        return "yes" if row.trainable else "no"
    return f"{row.trainable:,}"


def _notes(row: Row) -> list[str]:
    """What is said of nodes that are shared."""
    return [
        f"the same as {before or '(all)'}" if path == row.path else f"{path} is {before}"
        for path, before in row.shared.items()
    ]


def _totals(summary: "Summary") -> list[str]:
    told = (
        f"{summary.parameters:,} parameters, {summary.trainable:,} of them trainable, "
        f"{scaled(summary.bytes, 'B')}"
    )
    if not summary.has_cost:
        return [told]
    if summary.flops is not None:
        return [f"{told}, {scaled(summary.flops, 'FLOP')}"]
    known = sum(row.flops for row in summary.rows if row.flops is not None)
    opaque = [row.path or "(all)" for row in summary.rows if row.flops is None]
    note = f"XLA cannot tell the FLOPs of {', '.join(opaque)}; the others: {scaled(known, 'FLOP')}"
    return [told, fit(note, WIDTH)]
