"""What stands for an argument that was not given, where `None` is one that may be."""

from __future__ import annotations

import enum
from typing import Final, Literal


class Unset(enum.Enum):
    """The type of `UNSET`."""

    UNSET = enum.auto()

    def __repr__(self) -> str:
        return "<unset>"


UNSET: Final[Literal[Unset.UNSET]] = Unset.UNSET
