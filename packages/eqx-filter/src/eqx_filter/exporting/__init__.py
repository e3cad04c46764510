"""Programs for processes that have JAX alone."""

from ._export import Exported, export

__all__ = ["Exported", "export"]
