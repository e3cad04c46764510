"""What stands for an argument that was not given, where None is one that may be."""

from typing import Any


class _Unset:
    def __repr__(self) -> str:
        return "<unset>"


UNSET: Any = _Unset()
