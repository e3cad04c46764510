"""Read handwritten digits row by row with a recurrent network: train, judge, draw.

A cell is one step of the recurrence and a PyTree, so `jax.lax.scan` takes it as it is. Run with

    python examples/train_digits_rnn.py

and look at `outputs/digits_rnn.png`.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import jax.random as jr
import optax
from digits import batches, command_line, digits, report
from train_digits import predict, train

import equinox as eqx

TARGET = 0.95


class Reader(eqx.Module):
    """A cell that goes down the rows of a digit, and a layer that names it at the end."""

    cell: eqx.nn.LSTMCell
    norm: eqx.nn.LayerNorm
    out: eqx.nn.Linear

    def __init__(self, hidden_size, *, key):
        cell_key, out_key = jr.split(key)
        self.cell = eqx.nn.LSTMCell(8, hidden_size, key=cell_key)
        self.norm = eqx.nn.LayerNorm(hidden_size)
        self.out = eqx.nn.Linear(hidden_size, 10, key=out_key)

    def __call__(self, rows):
        """Logits, shape (10,), of rows of shape (8, 8)."""
        zeros = jnp.zeros(self.cell.hidden_size)
        (hidden, _), _ = jax.lax.scan(
            lambda state, row: (self.cell(row, state), None), (zeros, zeros), rows
        )
        return self.out(self.norm(hidden))


def main(*, steps=800, batch_size=64, hidden_size=64, learning_rate=3e-3, seed=0, output="outputs"):
    """Train, test and draw; return the test accuracy."""
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    train_images, test_images, train_labels, test_labels = digits(8, 8)

    model = Reader(hidden_size, key=jr.key(seed))
    examples = batches(seed, train_images, train_labels, batch_size, steps)
    model, losses = train(model, examples, optax.adam(learning_rate), steps)
    logits = predict(model, test_images)
    picture = output / "digits_rnn.png"
    return report(picture, "row by row", losses, test_images, test_labels, logits)


if __name__ == "__main__":
    command_line(main, __doc__.splitlines()[0], TARGET)
