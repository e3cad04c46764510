"""Equal blocks, one after the other, kept and applied as one."""

from ._pipeline import pipeline
from ._stacked import Stacked

__all__ = ["Stacked", "pipeline"]
