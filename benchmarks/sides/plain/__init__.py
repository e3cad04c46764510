"""Plain JAX: a model is a list of dicts, a method belongs to a bare class."""

from sides import Side

side = Side()
