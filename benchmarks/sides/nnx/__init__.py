"""Flax NNX, used as its guides do: `nnx.jit`, `nnx.value_and_grad`, `nnx.Optimizer`."""

from sides import Side

side = Side()
