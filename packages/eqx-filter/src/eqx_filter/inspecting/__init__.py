"""Looking into models and programs: tables, what is inside, and what it costs."""

from ._capture import capture
from ._cost import TreeCost, tree_cost
from ._summary import Summary, summary

__all__ = ["Summary", "TreeCost", "capture", "summary", "tree_cost"]
