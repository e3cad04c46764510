"""Tables as text: columns that are shortened where they are too wide."""

from collections.abc import Collection, Mapping, Sequence

WIDTH = 100
"""That no table goes beyond."""

GAP = 2


def widths_of(
    header: Sequence[str], lines: Sequence[Sequence[str]], shrinks: Mapping[str, int]
) -> list[int]:
    """The widths of columns; `shrinks` says of some to what they may be shortened at most."""
    widths = [max(len(cells[i]) for cells in lines) for i in range(len(header))]
    while sum(widths) + GAP * (len(widths) - 1) > WIDTH:
        able = [i for i, name in enumerate(header) if widths[i] > shrinks.get(name, WIDTH)]
        if not able:
            break
        widths[max(able, key=widths.__getitem__)] -= 1
    return widths


def line_of(
    header: Sequence[str],
    cells: Sequence[str],
    widths: Sequence[int],
    *,
    left: Collection[str],
    paths: Collection[str],
) -> str:
    """A line; columns in `left` begin on the left, and those in `paths` are told by their ends."""
    padded = [
        fit(cell, width, from_left=name in paths).ljust(width)
        if name in left
        else cell.rjust(width)
        for name, cell, width in zip(header, cells, widths, strict=True)
    ]
    return (" " * GAP).join(padded).rstrip()


def fit(text: str, width: int, *, from_left: bool = False) -> str:
    """A text of at most so many columns; of a path the end is what tells."""
    if len(text) <= width:
        return text
    return "…" + text[len(text) - width + 1 :] if from_left else text[: width - 1] + "…"
