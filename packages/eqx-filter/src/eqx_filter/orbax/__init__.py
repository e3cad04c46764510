"""PyTrees in Orbax's checkpoints: loaded by whoever imports it, and never by another room."""

from ._handler import TreeHandler, TreeRestore, TreeSave

__all__ = ["TreeHandler", "TreeRestore", "TreeSave"]
