"""PyTrees in Orbax's checkpoints, under the names of their leaves."""

from eqx_filter.orbax import TreeHandler, TreeRestore, TreeSave

__all__ = ["TreeHandler", "TreeRestore", "TreeSave"]
