"""Flax NNX: `nnx.RNN` of its optimised LSTM cell, and of its GRU cell."""

from flax import nnx

from sides.nnx import side
from sides.settings import HIDDEN, enter_sequences

CELLS = {"lstm": nnx.OptimizedLSTMCell, "gru": nnx.GRUCell}


def parts(kind):
    model = nnx.RNN(CELLS[kind](HIDDEN, HIDDEN, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(0))
    return nnx.split(model, nnx.Param, ...)


def weights(kind):
    return parts(kind)[1]


def model(kind, weights):
    graph, _, rest = parts(kind)  # its counter of random numbers is changed where it was made
    return nnx.merge(graph, weights, rest)


def run(kind, weights, xs):
    return model(kind, weights)(xs)


def last(kind, weights, xs, lengths):
    (_, h), _ = model(kind, weights)(xs, seq_lengths=lengths, return_carry=True)
    return h


enter_sequences(side, run, last, weights)
