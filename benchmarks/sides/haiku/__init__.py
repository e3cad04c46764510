"""Haiku: parameters are dicts and `jax.jit` is used as it is, so much of it is plain JAX."""

from sides import Side

side = Side()
