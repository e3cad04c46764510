"""What a case of the catalogue may be marked with: a table of arguments, and rounding."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

Case = TypeVar("Case", bound=Callable[..., Any])


def over(table: Mapping[str, Any]) -> Callable[[Case], Case]:
    """Make one case of each entry: its name stands in brackets, its value is the argument."""

    def mark(case: Case) -> Case:
        case.table = dict(table)
        return case

    return mark


def rounded(case: Case) -> Case:
    """Compare the floats of this case up to rounding; without this mark every bit counts."""
    case.rounded = True
    return case
