"""Recurrent layers: cells, which take one step, and what runs them along sequences."""

from ._cells import GRUCell, LSTMCell, RNNCell
from ._layers import RNN
from ._linear_recurrence import linear_recurrence
from ._lru import LRU
from ._lstm_gru import GRU, LSTM

__all__ = ["GRU", "LRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNCell", "linear_recurrence"]
