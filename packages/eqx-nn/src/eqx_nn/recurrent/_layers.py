"""`RNN`: cells along sequences, in several layers and in both directions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Inexact, Integer, Shaped

from eqx_pytree import Module, field

from .._dropout import Dropout, Flag
from .._random import Key, Keys, key_at, key_of_each
from ._along import along, output_of
from ._inputs import checked_sequences, real_steps, with_real_steps, without_padding
from ._states import as_one, first_states, of_each_cell


class RNN(Module):
    """Run a cell along sequences: `state = cell(x, state)` at each step.

    A cell is `RNNCell`, `GRUCell`, `LSTMCell`, or anything that is called so on one vector, whose
    `initial_state()` gives what it begins with; its output is its state, or the first of several.
    Several cells are layers, each on the outputs of the one before; a second row of cells reads
    backwards, and its outputs stand behind those of the first (Schuster & Paliwal, 1997,
    "Bidirectional Recurrent Neural Networks").

        rnn = RNN(LSTMCell(3, 8, key=key))
        hs, (h, c) = rnn(xs, lengths=lengths)

    The cells known here are not called: their weights meet `[x, h]` in one product a step, and
    their derivative (forward and backward, of any order) sums the gradients of weights in one
    product after the loop.
    """

    cells: tuple[Any, ...]
    reverse_cells: tuple[Any, ...] | None
    dropout: Dropout
    reverse: bool = field(static=True)
    unroll: int = field(static=True)

    def __init__(
        self,
        cell: Any,
        reverse_cell: Any = None,
        *,
        dropout: Any = 0.0,
        inference: Flag = False,
        reverse: bool = False,
        unroll: int = 1,
    ) -> None:
        """Take the cells.

        **Arguments:**

        - `cell`: a cell, or a sequence of them: one for each layer.
        - `reverse_cell`: as many, which read from the end; without them there is one direction.
        - `dropout`: the probability with which an output of a layer is dropped before the next.
        - `inference`: of that `Dropout`.
        - `reverse`: whether the cells read from the end.
        - `unroll`: how many steps a turn of the loop has.

        **Raises:** `TypeError` for no cell; `ValueError` for rows of cells that do not fit each
        other, and for `reverse` with both directions.
        """
        self.cells = _row(type(self).__name__, "cell", cell)
        self.reverse_cells = None
        if reverse_cell is not None:
            self.reverse_cells = _row(type(self).__name__, "reverse_cell", reverse_cell)
        self.dropout = Dropout(dropout, inference)
        self.reverse, self.unroll = reverse, unroll
        self._check_rows()

    def _check_rows(self) -> None:
        name = type(self).__name__
        if self.reverse_cells is not None and self.reverse:
            message = f"`{name}` reads in both directions; `reverse=True` is for one."
            raise ValueError(message)
        if self.reverse_cells is not None and len(self.reverse_cells) != len(self.cells):
            message = (
                f"`{name}` needs as many cells that read from the end as others: got "
                f"{len(self.cells)} and {len(self.reverse_cells)}."
            )
            raise ValueError(message)
        before = None
        for i, row in enumerate(self._layers()):
            for kind, cell in zip(("cell", "reverse_cell"), row, strict=False):
                size = getattr(cell, "input_size", None)
                if None not in (before, size) and size != before:
                    message = (
                        f"`{kind}[{i}]` of `{name}` has `input_size={size}`; the outputs of the "
                        f"layer before have size {before}."
                    )
                    raise ValueError(message)
            sizes = [getattr(cell, "hidden_size", None) for cell in row]
            before = None if None in sizes else sum(sizes)

    def _layers(self) -> list[tuple[Any, ...]]:
        """By layer, the cell, and the one that reads from the end."""
        rows = [self.cells] + ([] if self.reverse_cells is None else [self.reverse_cells])
        return list(zip(*rows, strict=True))

    def initial_state(self, *batch: int) -> Any:
        """The state of all cells at the beginning, with axes of a batch in front.

        Each array has the shape `(*batch, cells, *shape)`, of which `shape` is that of one cell.
        The cells are in PyTorch's order: layer by layer, in each forwards before backwards.

        **Raises:** `TypeError` for a cell without `initial_state`; `ValueError` for cells whose
        states differ in structure or shape.
        """
        cells = [cell for row in self._layers() for cell in row]
        return first_states(type(self).__name__, cells, batch)

    @jax.named_scope("eqx.nn.RNN")
    def __call__(
        self,
        xs: Shaped[ArrayLike, "*batch length input_size"],
        state: Any = None,
        *,
        lengths: Integer[ArrayLike, "*batch"] | None = None,
        mask: Bool[ArrayLike, "*batch length"] | None = None,
        return_sequences: bool = True,
        key: Key | None = None,
        inference: Flag | None = None,
    ) -> tuple[Inexact[Array, "*batch length outputs"] | Inexact[Array, "*batch outputs"], Any]:
        """Read sequences.

        **Arguments:**

        - `xs`: of shape `(length, input_size)`; axes of a batch may stand in front, for all
            arguments and results alike, at no cost over one sequence.
        - `state`: what to begin with, as `initial_state` gives it and as it is returned; without
            axes of a batch it is the same for all. By default that of the cells.
        - `lengths`: how many steps of each sequence are there; the others are padding, which has no
            part in any result or gradient, whatever stands there.
        - `mask`: instead of `lengths`, True for each step that is there; it may have holes.
        - `return_sequences`: whether to return the output of each step, or where each direction
            ends alone.
        - `key`: for the dropout between layers, where there is one, and for cells other than those
            known here, which are called with one as `key` at each step.
        - `inference`: in place of the flag of `dropout`.

        **Returns:** the outputs of the last layer, of shape `(*batch, length, outputs)`, zero where
        there is padding; or `(*batch, outputs)`. And the state of all cells after their last step.

        **Raises:** `TypeError` or `ValueError` for arrays of other shapes and dtypes, and for a
        length beyond that of `xs`, unless it is traced; `RuntimeError` if dropout needs a `key`.
        """
        name, layers = type(self).__name__, self._layers()
        xs, batch = checked_sequences(name, xs, getattr(self.cells[0], "input_size", None))
        real = real_steps(name, (*batch, xs.shape[-2]), lengths, mask)
        cells = [cell for row in layers for cell in row]
        states = of_each_cell(name, cells, state, batch)
        count, last = math.prod(batch), []
        x = with_real_steps(xs, real, len(batch))
        x = jnp.moveaxis(jnp.reshape(x, (count, *xs.shape[-2:])), 1, 0)  # (length, count, size)
        kept = None if real is None else jnp.reshape(real, (count, xs.shape[-2])).T
        keys = key_of_each(name, key, len(layers))
        for row, layer_key in zip(layers, keys, strict=True):
            if last:
                x = self.dropout(x, key=_part(layer_key, "dropout"), inference=inference)
                x = with_real_steps(x, kept, 0)
            x, ends = self._along(row, x, states[len(last) :], kept, _part(layer_key, "cell"))
            last += ends
        if return_sequences:
            outputs = jnp.reshape(jnp.moveaxis(x, 0, 1), (*batch, xs.shape[-2], x.shape[-1]))
        else:
            outputs = jnp.concatenate([output_of(end) for end in ends], -1)
            outputs = jnp.reshape(outputs, (*batch, outputs.shape[-1]))
        return outputs, as_one(last, batch)

    def _along(
        self, row: tuple[Any, ...], x: Any, states: Sequence[Any], kept: Any, key: Any
    ) -> tuple[Array, list[Any]]:
        """The outputs of one layer, and the states in which its cells end."""
        outputs, ends = [], []
        for direction, (cell, state) in enumerate(zip(row, states, strict=False)):
            reverse = bool(direction) or self.reverse
            cell_key = None if key is None else key_at(type(self).__name__, key, direction)
            ys, end = along(cell, x, state, kept, key=cell_key, reverse=reverse, unroll=self.unroll)
            outputs.append(without_padding(ys, kept))
            ends.append(end)
        return outputs[0] if len(row) == 1 else jnp.concatenate(outputs, -1), ends


def _row(layer: str, name: str, given: Any) -> tuple[Any, ...]:
    """The cells of one direction."""
    cells = tuple(given) if isinstance(given, (tuple, list)) else (given,)
    for i, cell in enumerate(cells):
        if not callable(cell) or isinstance(cell, type):
            place = f"{name}[{i}]" if isinstance(given, (tuple, list)) else name
            message = (
                f"`{layer}` needs a cell as `{place}`, such as `LSTMCell(3, 8, key=key)`; got "
                f"{cell!r}."
            )
            raise TypeError(message)
    if not cells:
        message = f"`{layer}` needs at least one cell as `{name}`; got none."
        raise TypeError(message)
    return cells


def _part(key: Any, place: str) -> Any:
    """The key for what happens in one layer: at a place of `Keys`, or one of two."""
    if isinstance(key, Keys):
        return key[place]
    return None if key is None else jax.random.fold_in(key, place == "cell")
