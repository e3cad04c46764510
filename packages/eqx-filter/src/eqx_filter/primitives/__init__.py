"""Primitives of JAX's, made for PyTrees or for one purpose."""

from ._unvmap import unvmap_all, unvmap_any, unvmap_max

__all__ = ["unvmap_all", "unvmap_any", "unvmap_max"]
