"""Recurrent layers that PyTorch has too, over packed sequences and over whole ones."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

KEY = jax.random.PRNGKey(0)
LENGTHS = [5, 2, 3]


class Sequences(NamedTuple):
    """How both libraries build and call the layer, and the shapes of its inputs."""

    theirs: Callable[[Any], Any]
    ours: Callable[[Any], Any]
    shapes: tuple[tuple[int, ...], ...]
    call_theirs: Callable[..., Any]
    call_ours: Callable[..., Any]


def recurrent(
    name: str, *, layers: int = 1, both: bool = False, bias: bool = True, packed: bool = True
) -> Sequences:
    """A layer of hidden size 3, over sequences of vectors of size 4, from given states on.

    Outputs are those of all steps, and the last states in PyTorch's layout.
    """

    def cell(nn: Any, size: int) -> Any:
        return nn.RNNCell(size, 3, use_bias=bias, key=KEY)

    def ours(nn: Any) -> Any:
        if name == "RNN":
            rows = [[cell(nn, 3 * (1 + both) if i else 4) for i in range(layers)]] * (1 + both)
            return nn.RNN(*rows)
        return getattr(nn, name)(4, 3, layers, bias, bidirectional=both, key=KEY)

    def call_theirs(module: Any, xs: Any, *states: Any) -> Any:
        from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

        state = states if name == "LSTM" else states[0]
        if not packed:
            ys, last = module(xs, state)
        else:
            many = pack_padded_sequence(xs, LENGTHS, batch_first=True, enforce_sorted=False)
            ys, last = module(many, state)
            ys, _ = pad_packed_sequence(ys, batch_first=True)
        return (ys, *last) if name == "LSTM" else (ys, last)

    def call_ours(model: Any, xs: Any, *states: Any) -> Any:
        moved = tuple(jnp.moveaxis(x, 0, 1) for x in states)
        state = moved if name == "LSTM" else moved[0]
        ys, last = model(xs, state, lengths=jnp.array(LENGTHS) if packed else None)
        return ys, jax.tree.map(lambda x: jnp.moveaxis(x, 1, 0), last)

    states = ((layers * (1 + both), 3, 3),) * (2 if name == "LSTM" else 1)
    return Sequences(
        lambda nn: getattr(nn, name)(4, 3, layers, bias=bias, bidirectional=both, batch_first=True),
        ours,
        ((3, 5, 4), *states),
        call_theirs,
        call_ours,
    )


def sequences() -> dict[str, Sequences]:
    cases = {}
    for name in ("RNN", "LSTM", "GRU"):
        cases[f"{name} over packed sequences"] = recurrent(name)
        cases[f"{name} over packed sequences, 2 layers, both directions"] = recurrent(
            name, layers=2, both=True
        )
        cases[f"{name} over sequences, 2 layers, without bias"] = recurrent(
            name, layers=2, bias=False, packed=False
        )
    return cases
