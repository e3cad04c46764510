"""The equations of the cells that are known here, and their derivatives.

A cell multiplies its input and its hidden state with weights; what it makes of these products and
of its state, it makes unit by unit. So a step is one product of `[x, h]` with one matrix, and then
a function whose derivatives are one number for each unit and product: the slopes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from eqx_filter import is_array

from .._activation import is_elementwise
from ._cells import GRUCell, LSTMCell, RNNCell

States = tuple[Array, ...]
"""The hidden state, and what else a cell keeps: each of shape (batch, hidden_size)."""


class Equations:
    """How the state follows from `z = [x, h] @ matrix + bias`, and how its tangent follows."""

    def matrices(self, matrix: Array, input_size: int) -> tuple[Array, Array]:
        """What the products of a step are taken with: made once for all steps."""
        return matrix, matrix[input_size:]

    def products(self, matrices: tuple[Array, Array], x: Array, h: Array) -> Array:
        """`[x, h] @ matrix`."""
        return jnp.concatenate([x, h], -1) @ matrices[0]

    def hidden_products(self, matrices: tuple[Array, Array], h: Array) -> Array:
        """`[0, h] @ matrix`."""
        return h @ matrices[1]

    def step(self, z: Array, states: States) -> tuple[States, Any]:
        """The next states, and the slopes."""
        raise NotImplementedError

    def tangent(self, slopes: Any, z: Array, states: States) -> States:
        """The tangents of the next states, linear in those of `z` and of the states."""
        raise NotImplementedError


@dataclass(frozen=True)
class Elman(Equations):
    """`h' = activation(z)`."""

    activation: Callable[[Any], Any]

    def step(self, z: Array, states: States) -> tuple[States, Any]:
        new, slope = jax.jvp(self.activation, (z,), (jnp.ones_like(z),))
        return (new,), slope

    def tangent(self, slopes: Any, z: Array, states: States) -> States:
        return (slopes * z,)


@dataclass(frozen=True)
class Gru(Equations):
    """`z` stacks what `r`, `z` and `n` have of the products, of `n` that with `h` by itself.

    In the matrix there are zeros where `n` has nothing of `x`, or of `h`; they are not multiplied.
    """

    def matrices(self, matrix: Array, input_size: int) -> tuple[Array, Array]:
        by_input, by_hidden = matrix[:input_size], matrix[input_size:]
        size = len(by_hidden)
        by_hidden = jnp.concatenate([by_hidden[:, : 2 * size], by_hidden[:, 3 * size :]], 1)
        return by_input[:, : 3 * size], by_hidden

    def products(self, matrices: tuple[Array, Array], x: Array, h: Array) -> Array:
        from_input, from_hidden = x @ matrices[0], h @ matrices[1]
        gates = 2 * h.shape[-1]
        both = from_input[..., :gates] + from_hidden[..., :gates]
        return jnp.concatenate([both, from_input[..., gates:], from_hidden[..., gates:]], -1)

    def hidden_products(self, matrices: tuple[Array, Array], h: Array) -> Array:
        z, gates = h @ matrices[1], 2 * h.shape[-1]
        return jnp.concatenate([z[..., :gates], jnp.zeros_like(h), z[..., gates:]], -1)

    def step(self, z: Array, states: States) -> tuple[States, Any]:
        [h] = states
        reset, update, from_input, from_hidden = parts(z, 4)
        reset, update = jax.nn.sigmoid(reset), jax.nn.sigmoid(update)
        new = jnp.tanh(from_input + reset * from_hidden)
        of_new = (1 - update) * (1 - new * new)
        slopes = (
            of_new * from_hidden * reset * (1 - reset),
            (h - new) * update * (1 - update),
            of_new,
            of_new * reset,
        )
        return (new + update * (h - new),), (slopes, update)

    def tangent(self, slopes: Any, z: Array, states: States) -> States:
        by_product, by_hidden = slopes
        terms = (slope * part for slope, part in zip(by_product, parts(z, 4), strict=True))
        return (by_hidden * states[0] + sum(terms),)


@dataclass(frozen=True)
class Lstm(Equations):
    """`z` stacks the products of `i`, `f`, `g` and `o`."""

    def step(self, z: Array, states: States) -> tuple[States, Any]:
        in_gate, forget, new, out = parts(z, 4)
        in_gate, forget = jax.nn.sigmoid(in_gate), jax.nn.sigmoid(forget)
        new, out = jnp.tanh(new), jax.nn.sigmoid(out)
        c = forget * states[1] + in_gate * new
        squashed = jnp.tanh(c)
        slopes = [
            new * in_gate * (1 - in_gate),
            states[1] * forget * (1 - forget),
            in_gate * (1 - new * new),
            squashed * out * (1 - out),
        ]
        by_c = out * (1 - squashed * squashed)
        return (out * squashed, c), (jnp.concatenate(slopes, -1), forget, by_c)

    def tangent(self, slopes: Any, z: Array, states: States) -> States:
        by_product, forget, by_c = slopes
        in_gate, forgotten, new, out = parts(by_product * z, 4)
        c = forget * states[1] + in_gate + forgotten + new
        return by_c * c + out, c


def parts(stacked: Array, count: int) -> Sequence[Array]:
    """Take apart what stacks `count` arrays of equal size along the last axis."""
    return lax.split(stacked, (stacked.shape[-1] // count,) * count, axis=-1)


def equations_of(cell: Any, *inputs: Any) -> tuple[Equations, Array, Array | None] | None:
    """The equations of a cell, its matrix (input_size + hidden_size, products) and its bias.

    None for a cell that is of no kind known here, or whose weights were replaced by something else;
    and for an activation of complex numbers, which may have no single slope. `inputs` are the other
    arrays that go in.
    """
    kind = type(cell)
    if kind not in (RNNCell, GRUCell, LSTMCell):
        return None
    weights = cell.weight_ih, cell.weight_hh
    biases = cell.bias, getattr(cell, "bias_n", None)
    if not all(is_array(x) for x in (*weights, *(b for b in biases if b is not None))):
        return None
    if kind is LSTMCell:
        return Lstm(), jnp.concatenate(weights, 1).T, cell.bias
    if kind is GRUCell:
        return Gru(), *_of_gru(*weights, *biases)
    numbers = (*weights, cell.bias, *inputs)
    if is_elementwise(cell.activation) and not any(map(jnp.iscomplexobj, numbers)):
        return Elman(cell.activation), jnp.concatenate(weights, 1).T, cell.bias
    return None


def _of_gru(
    weight_ih: Array, weight_hh: Array, bias: Array | None, bias_n: Array | None
) -> tuple[Array, Array | None]:
    """The matrix with a block of zeros for what the two products of `n` do not see."""
    gates = 2 * weight_hh.shape[1]
    by_input = jnp.concatenate([weight_ih, jnp.zeros_like(weight_ih[gates:])])
    zeros = jnp.zeros_like(weight_hh[gates:])
    by_hidden = jnp.concatenate([weight_hh[:gates], zeros, weight_hh[gates:]])
    matrix = jnp.concatenate([by_input, by_hidden], 1).T
    if bias is None and bias_n is None:
        return matrix, None
    bias = jnp.zeros_like(weight_ih[:, 0]) if bias is None else bias
    bias_n = jnp.zeros_like(zeros[:, 0]) if bias_n is None else bias_n
    return matrix, jnp.concatenate([bias, bias_n])
