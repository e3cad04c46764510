"""Recurrent cells: one step of a recurrence. `RNN`, `LSTM` and `GRU` run them along sequences."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, ArrayLike, Inexact, PRNGKeyArray, Shaped

from eqx_pytree import Module, field

from .._activation import TANH, activate, given, per_neuron
from .._init import checked_size, refuse_two_biases
from .._initial import Initializer, Layout, first_bias, first_weight
from .._pickling import from_state, to_state
from .._random import split_key
from .._shapes import columns, describe, shape_of, wrong_shape


class RNNCell(Module):
    """One step of a simple recurrent network.

        h' = activation(W x + U h + b)

    From Elman (1990, "Finding Structure in Time"). `weight_ih` is `W`, `weight_hh` is `U`; all are
    drawn from U(-1/sqrt(hidden_size), 1/sqrt(hidden_size)).

        hidden = cell(x, hidden)  # one step
        hs, last = RNN(cell)(xs)  # a sequence of them
    """

    weight_ih: Inexact[Array, "hidden_size input_size"]
    weight_hh: Inexact[Array, "hidden_size hidden_size"]
    bias: Inexact[Array, " hidden_size"] | None
    activation: Callable[..., Any]
    input_size: int = field(static=True)
    hidden_size: int = field(static=True)
    use_bias: bool = field(static=True)

    __weight_layouts__: ClassVar[Mapping[str, Layout]] = {
        "weight_ih": Layout(2, 1),
        "weight_hh": Layout(2, 1),
        "bias": Layout(1, 0),
    }

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        use_bias: bool = True,
        activation: Callable[..., Any] = TANH,
        *,
        dtype: DTypeLike | None = None,
        weight_init: Initializer | None = None,
        bias_init: Initializer | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Draw the first weights.

        **Arguments:**

        - `input_size`, `hidden_size`: sizes of the input and of the hidden state.
        - `use_bias`: whether to add the bias.
        - `activation`: a function of one unit; a Module with arrays gets a copy for each unit.
        - `dtype`: of weights and bias; float32 unless given (float64 in JAX's 64-bit mode).
        - `weight_init`, `bias_init`: functions `(key, shape, dtype) -> array`, any of
            `jax.nn.initializers`; the first draws both weights.
        - `key`: a PRNG key for the first weights.

        **Raises:** `TypeError` for a size that is no integer, `ValueError` for a negative one and
        for a `dtype` that is neither floating nor complex.
        """
        self.input_size = checked_size("RNNCell", "input_size", input_size)
        self.hidden_size = checked_size("RNNCell", "hidden_size", hidden_size)
        self.use_bias = use_bias
        rows, limit = self.hidden_size, _limit(self.hidden_size)
        ih_key, hh_key, bias_key = split_key("RNNCell", key, 3)
        shape = (rows, self.input_size)
        self.weight_ih = first_weight("RNNCell", weight_init, ih_key, shape, dtype, limit)
        self.weight_hh = first_weight("RNNCell", weight_init, hh_key, (rows, rows), dtype, limit)
        self.bias = None
        if use_bias:
            self.bias = first_bias("RNNCell", bias_init, bias_key, (rows,), dtype, limit)
        self.activation = per_neuron(given(activation), rows)

    @jax.named_scope("eqx.nn.RNNCell")
    def __call__(
        self,
        input: Shaped[ArrayLike, " input_size"],
        hidden: Shaped[ArrayLike, " hidden_size"],
        *,
        key: Any = None,
    ) -> Inexact[Array, " hidden_size"]:
        """Return the next hidden state, of shape `(hidden_size,)`.

        `input` has shape `(input_size,)` and `hidden` has shape `(hidden_size,)`. `key` is
        ignored. **Raises** `TypeError` or `ValueError` for other shapes.
        """
        from_input, from_hidden = _products(self, input, hidden)
        z = from_input + from_hidden
        return activate(self.activation, z if self.bias is None else z + self.bias)

    def initial_state(self) -> Inexact[Array, " hidden_size"]:
        """Zeros, in the dtype of the weights."""
        return _zeros(self)

    def __getstate__(self) -> dict[str, Any]:
        """The fields, with JAX's functions in a form that can be pickled."""
        return to_state(vars(self))

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Put the fields back."""
        vars(self).update(from_state(state))


class GRUCell(Module):
    """One step of a gated recurrent unit.

    With `x` the input, `h` the hidden state and `*` the elementwise product:

        r = sigmoid(W_r x + b_r + U_r h)
        z = sigmoid(W_z x + b_z + U_z h)
        n = tanh(W_n x + b_n + r * (U_n h + c_n))
        h' = (1 - z) * n + z * h

    These are the equations of Cho et al. (2014, "Learning Phrase Representations using RNN
    Encoder-Decoder for Statistical Machine Translation"), with the reset gate `r` applied after
    the product with `U_n`, as in the first version of that paper and in cuDNN. `weight_ih` stacks
    `W_r, W_z, W_n`, `weight_hh` stacks `U_r, U_z, U_n`, `bias` stacks `b_r, b_z, b_n`, and `bias_n`
    is `c_n`. All are drawn from U(-1/sqrt(hidden_size), 1/sqrt(hidden_size)).

        hidden = cell(x, hidden)  # one step
        hs, last = RNN(cell)(xs)  # a sequence of them
    """

    weight_ih: Inexact[Array, "3*hidden_size input_size"]
    weight_hh: Inexact[Array, "3*hidden_size hidden_size"]
    bias: Inexact[Array, " 3*hidden_size"] | None
    bias_n: Inexact[Array, " hidden_size"] | None
    input_size: int = field(static=True)
    hidden_size: int = field(static=True)
    use_bias: bool = field(static=True)

    __weight_layouts__: ClassVar[Mapping[str, Layout]] = {
        "weight_ih": Layout(2, 3),
        "weight_hh": Layout(2, 3),
        "bias": Layout(1, 0),
        "bias_n": Layout(1, 0),
    }

    @refuse_two_biases
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        use_bias: bool = True,
        dtype: DTypeLike | None = None,
        *,
        bias: bool | None = None,
        weight_init: Initializer | None = None,
        bias_init: Initializer | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Draw the first weights.

        **Arguments:**

        - `input_size`, `hidden_size`: sizes of the input and of the hidden state.
        - `use_bias`: whether to add the biases; may also be spelled `bias`.
        - `dtype`: of weights and biases; float32 unless given (float64 in JAX's 64-bit mode).
        - `weight_init`, `bias_init`: functions `(key, shape, dtype) -> array`, any of
            `jax.nn.initializers`. The first draws the matrix of each gate in both weights, in the
            shape that these expect, `(input_size or hidden_size, hidden_size)`; the other a bias.
        - `key`: a PRNG key for the first weights.

        **Raises:** `TypeError` for a size that is no integer, `ValueError` for a negative one, for
        a `dtype` that is neither floating nor complex, and if `use_bias` and `bias` differ.
        """
        self.input_size = checked_size("GRUCell", "input_size", input_size)
        self.hidden_size = checked_size("GRUCell", "hidden_size", hidden_size)
        self.use_bias = use_bias if bias is None else bias
        rows, limit = 3 * self.hidden_size, _limit(self.hidden_size)
        ih_key, hh_key, bias_key, bias_n_key = split_key("GRUCell", key, 4)
        self.weight_ih = first_weight(
            "GRUCell", weight_init, ih_key, (rows, self.input_size), dtype, limit, 3
        )
        self.weight_hh = first_weight(
            "GRUCell", weight_init, hh_key, (rows, self.hidden_size), dtype, limit, 3
        )
        self.bias = self.bias_n = None
        if self.use_bias:
            self.bias = first_bias("GRUCell", bias_init, bias_key, (rows,), dtype, limit)
            shape = (self.hidden_size,)
            self.bias_n = first_bias("GRUCell", bias_init, bias_n_key, shape, dtype, limit)

    @jax.named_scope("eqx.nn.GRUCell")
    def __call__(
        self,
        input: Shaped[ArrayLike, " input_size"],
        hidden: Shaped[ArrayLike, " hidden_size"],
        *,
        key: Any = None,
    ) -> Inexact[Array, " hidden_size"]:
        """Return the next hidden state, of shape `(hidden_size,)`.

        `input` has shape `(input_size,)` and `hidden` has shape `(hidden_size,)`. `key` is
        ignored. **Raises** `TypeError` or `ValueError` for other shapes.
        """
        from_input, from_hidden = _products(self, input, hidden)  # (3 * hidden_size,), twice
        if self.bias is not None:
            from_input = from_input + self.bias
        input_r, input_z, input_n = _rows(from_input, 3)
        hidden_r, hidden_z, hidden_n = _rows(from_hidden, 3)
        if self.bias_n is not None:
            hidden_n = hidden_n + self.bias_n
        reset = jax.nn.sigmoid(input_r + hidden_r)
        update = jax.nn.sigmoid(input_z + hidden_z)
        new = jnp.tanh(input_n + reset * hidden_n)
        return new + update * (hidden - new)

    def initial_state(self) -> Inexact[Array, " hidden_size"]:
        """Zeros, in the dtype of the weights."""
        return _zeros(self)


class LSTMCell(Module):
    """One step of a long short-term memory unit.

    With `x` the input, `(h, c)` the state and `*` the elementwise product:

        i = sigmoid(W_i x + U_i h + b_i)
        f = sigmoid(W_f x + U_f h + b_f)
        g = tanh(W_g x + U_g h + b_g)
        o = sigmoid(W_o x + U_o h + b_o)
        c' = f * c + i * g
        h' = o * tanh(c')

    The unit is that of Hochreiter & Schmidhuber (1997, "Long Short-Term Memory") with the forget
    gate `f` of Gers, Schmidhuber & Cummins (2000, "Learning to Forget: Continual Prediction with
    LSTM"), without peepholes. `weight_ih`, `weight_hh` and `bias` stack the four rows of `W`, `U`
    and `b` in the order `i, f, g, o`. All are drawn from
    U(-1/sqrt(hidden_size), 1/sqrt(hidden_size)).

        h, c = cell(x, (h, c))  # one step
        hs, (h, c) = RNN(cell)(xs)  # a sequence of them
    """

    weight_ih: Inexact[Array, "4*hidden_size input_size"]
    weight_hh: Inexact[Array, "4*hidden_size hidden_size"]
    bias: Inexact[Array, " 4*hidden_size"] | None
    input_size: int = field(static=True)
    hidden_size: int = field(static=True)
    use_bias: bool = field(static=True)

    __weight_layouts__: ClassVar[Mapping[str, Layout]] = {
        "weight_ih": Layout(2, 4),
        "weight_hh": Layout(2, 4),
        "bias": Layout(1, 0),
    }

    @refuse_two_biases
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        use_bias: bool = True,
        dtype: DTypeLike | None = None,
        *,
        bias: bool | None = None,
        weight_init: Initializer | None = None,
        bias_init: Initializer | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Draw the first weights.

        **Arguments:**

        - `input_size`, `hidden_size`: sizes of the input and of the two states.
        - `use_bias`: whether to add the bias; may also be spelled `bias`.
        - `dtype`: of weights and bias; float32 unless given (float64 in JAX's 64-bit mode).
        - `weight_init`, `bias_init`: functions `(key, shape, dtype) -> array`, any of
            `jax.nn.initializers`. The first draws the matrix of each gate in both weights, in the
            shape that these expect, `(input_size or hidden_size, hidden_size)`; the other a bias.
        - `key`: a PRNG key for the first weights.

        **Raises:** `TypeError` for a size that is no integer, `ValueError` for a negative one, for
        a `dtype` that is neither floating nor complex, and if `use_bias` and `bias` differ.
        """
        self.input_size = checked_size("LSTMCell", "input_size", input_size)
        self.hidden_size = checked_size("LSTMCell", "hidden_size", hidden_size)
        self.use_bias = use_bias if bias is None else bias
        rows, limit = 4 * self.hidden_size, _limit(self.hidden_size)
        ih_key, hh_key, bias_key = split_key("LSTMCell", key, 3)
        self.weight_ih = first_weight(
            "LSTMCell", weight_init, ih_key, (rows, self.input_size), dtype, limit, 4
        )
        self.weight_hh = first_weight(
            "LSTMCell", weight_init, hh_key, (rows, self.hidden_size), dtype, limit, 4
        )
        self.bias = None
        if self.use_bias:
            self.bias = first_bias("LSTMCell", bias_init, bias_key, (rows,), dtype, limit)

    @jax.named_scope("eqx.nn.LSTMCell")
    def __call__(
        self,
        input: Shaped[ArrayLike, " input_size"],
        hidden: Sequence[Shaped[ArrayLike, " hidden_size"]],
        *,
        key: Any = None,
    ) -> tuple[Inexact[Array, " hidden_size"], Inexact[Array, " hidden_size"]]:
        """Return the next `(h, c)`, each of shape `(hidden_size,)`.

        `input` has shape `(input_size,)`; `hidden` is the pair `(h, c)`, each of shape
        `(hidden_size,)`. `key` is ignored. **Raises** `TypeError` or `ValueError` for other
        shapes, and for a `hidden` that is no pair.
        """
        h, c = _pair(hidden)
        from_input, from_hidden = _products(self, input, h)  # (4 * hidden_size,), twice
        gates = from_input + from_hidden
        if self.bias is not None:
            gates = gates + self.bias
        in_gate, forget, new, out = _rows(gates, 4)
        if shape_of(c) not in (new.shape, (1,), ()):
            raise TypeError(describe("LSTMCell", "hidden[1]", c, new.shape))
        c = jax.nn.sigmoid(forget) * c + jax.nn.sigmoid(in_gate) * jnp.tanh(new)
        return jax.nn.sigmoid(out) * jnp.tanh(c), c

    def initial_state(self) -> tuple[Inexact[Array, " hidden_size"], ...]:
        """`(h, c)`: zeros, in the dtype of the weights."""
        zeros = _zeros(self)
        return zeros, zeros


_SEQUENCE = (
    "There is one hidden state. If the first axis of the input is time, the cell is called at each "
    "step: `RNN(cell)(xs)`, or `jax.lax.scan(step, hidden, xs)`. If it is a batch, each example "
    "has a hidden state of its own."
)


def _limit(hidden_size: int) -> float:
    return math.sqrt(1 / hidden_size) if hidden_size else 1.0


def _zeros(cell: RNNCell | GRUCell | LSTMCell) -> Array:
    """A hidden state of zeros; whatever stands for the weights, they have a dtype together."""
    dtypes = [x.dtype for x in jax.tree.leaves(cell) if hasattr(x, "dtype")]
    inexact = [dtype for dtype in dtypes if jnp.issubdtype(dtype, jnp.inexact)]
    return jnp.zeros(cell.hidden_size, jnp.result_type(*inexact))


def _rows(stacked: Array, count: int) -> Sequence[Array]:
    """Take apart what stacks `count` arrays of equal size."""
    return lax.split(stacked, (stacked.shape[0] // count,) * count)


def _pair(hidden: Any) -> tuple[Any, Any]:
    try:
        h, c = hidden
    except (TypeError, ValueError) as error:
        message = f"`LSTMCell` expects `hidden` to be the pair `(h, c)` of its last result: {error}"
        raise type(error)(message) from None
    return h, c


def _products(cell: RNNCell | GRUCell | LSTMCell, x: Any, h: Any) -> tuple[Any, Any]:
    """The stacked `W x` and `U h`; the errors of both say which input is wrong."""
    name, of_h = type(cell).__name__, "hidden[0]" if isinstance(cell, LSTMCell) else "hidden"
    inputs = {"input": (x, columns(cell.weight_ih)), of_h: (h, columns(cell.weight_hh))}
    try:
        from_input, from_hidden = cell.weight_ih @ x, cell.weight_hh @ h
        if (from_input.ndim > 1 and cell.bias is not None) or from_input.shape != from_hidden.shape:
            message = "matrices of columns cannot be added to a bias or to a vector"
            raise ValueError(message)
    except (TypeError, ValueError) as error:
        error = wrong_shape(name, error, inputs)
        if len(shape_of(x) or ()) == 2 and shape_of(h) == columns(cell.weight_hh):
            error.add_note(_SEQUENCE)
        raise error from None
    return from_input, from_hidden
