"""`LSTM` and `GRU`: layers of one kind of cell, made from sizes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jax.typing import DTypeLike
from jaxtyping import PRNGKeyArray

from .._dropout import Flag
from .._init import checked_size, refuse_two_biases
from .._initial import Initializer
from .._random import split_key
from ._cells import GRUCell, LSTMCell
from ._layers import RNN


class LSTM(RNN):
    """Layers of `LSTMCell` along sequences, in one direction or in both.

        lstm = LSTM(3, 8, num_layers=2, bidirectional=True, key=key)
        hs, (h, c) = lstm(xs, lengths=lengths)  # (batch, length, 16), twice (batch, 4, 8)

    The equations are those of `LSTMCell`, how it is called is told at `RNN`. `to_torch` and
    `from_torch` know it as PyTorch's `nn.LSTM`.
    """

    @refuse_two_biases
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        use_bias: bool = True,
        *,
        bidirectional: bool = False,
        dropout: Any = 0.0,
        inference: Flag = False,
        reverse: bool = False,
        unroll: int = 1,
        dtype: DTypeLike | None = None,
        bias: bool | None = None,
        weight_init: Initializer | None = None,
        bias_init: Initializer | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Make the cells.

        **Arguments:**

        - `input_size`, `hidden_size`: sizes of the input and of the hidden state.
        - `num_layers`: how many layers there are, each on the outputs of the one before.
        - `use_bias`: whether the cells have biases; may also be spelled `bias`.
        - `bidirectional`: whether each layer has a second cell, which reads from the end.
        - `dropout`: the probability with which an output of a layer is dropped before the next.
        - `inference`: of that `Dropout`.
        - `reverse`: whether the cells read from the end.
        - `unroll`: how many steps a turn of the loop has.
        - `dtype`, `weight_init`, `bias_init`: of the cells.
        - `key`: a PRNG key, split into one for each cell.

        **Raises:** `TypeError` for a size that is no integer; `ValueError` for a negative one, for
        no layer, for `reverse` with both directions, and what the cells raise.
        """
        of_cells = {"use_bias": use_bias if bias is None else bias, "dtype": dtype}
        of_cells |= {"weight_init": weight_init, "bias_init": bias_init}
        sizes = input_size, hidden_size, num_layers
        cells = cells_of_sizes("LSTM", LSTMCell, sizes, of_cells, both=bool(bidirectional), key=key)
        super().__init__(
            *cells, dropout=dropout, inference=inference, reverse=reverse, unroll=unroll
        )


class GRU(RNN):
    """Layers of `GRUCell` along sequences, in one direction or in both.

        gru = GRU(3, 8, num_layers=2, bidirectional=True, key=key)
        hs, last = gru(xs, lengths=lengths)  # (batch, length, 16), (batch, 4, 8)

    The equations are those of `GRUCell`, how it is called is told at `RNN`. `to_torch` and
    `from_torch` know it as PyTorch's `nn.GRU`.
    """

    @refuse_two_biases
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        use_bias: bool = True,
        *,
        bidirectional: bool = False,
        dropout: Any = 0.0,
        inference: Flag = False,
        reverse: bool = False,
        unroll: int = 1,
        dtype: DTypeLike | None = None,
        bias: bool | None = None,
        weight_init: Initializer | None = None,
        bias_init: Initializer | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Make the cells; **Arguments** and **Raises** are those of `LSTM`."""
        of_cells = {"use_bias": use_bias if bias is None else bias, "dtype": dtype}
        of_cells |= {"weight_init": weight_init, "bias_init": bias_init}
        sizes = input_size, hidden_size, num_layers
        cells = cells_of_sizes("GRU", GRUCell, sizes, of_cells, both=bool(bidirectional), key=key)
        super().__init__(
            *cells, dropout=dropout, inference=inference, reverse=reverse, unroll=unroll
        )


def cells_of_sizes(
    layer: str,
    kind: Any,
    sizes: tuple[int, int, int],
    of_cells: Mapping[str, Any],
    *,
    both: bool,
    key: PRNGKeyArray,
) -> list[tuple[Any, ...]]:
    """Make a row of cells for each direction; `sizes` are of input and hidden state, and layers.

    **Raises:** `ValueError` for no layer, and what the cells raise.
    """
    input_size, hidden_size, num_layers = sizes
    num_layers = checked_size(layer, "num_layers", num_layers)
    if num_layers < 1:
        message = f"`{layer}` has at least one layer; got `num_layers={num_layers}`."
        raise ValueError(message)
    directions = 1 + both
    keys = iter(split_key(layer, key, num_layers * directions))
    size, layers = input_size, []
    for _ in range(num_layers):
        layers.append(
            [kind(size, hidden_size, **of_cells, key=next(keys)) for _ in range(directions)]
        )
        size = directions * hidden_size
    return list(zip(*layers, strict=True))
