"""Read handwritten digits row by row with a recurrent network: train, judge, draw.

A cell is one step of the recurrence and a PyTree, so `jax.lax.scan` takes it as it is. Run with

    python examples/train_digits_rnn.py

and look at `outputs/digits_rnn.png`.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from digits import batches, command_line, digits, report
from tqdm import tqdm

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


def cross_entropy(model, images, labels):
    logits = jax.vmap(model)(images)  # (batch, 10)
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


@eqx.filter_jit
def predict(model, images):
    return jnp.argmax(jax.vmap(model)(images), axis=-1)


def train(model, examples, optimiser, steps):
    """Return the trained model and the loss of each step."""

    @eqx.filter_jit
    def step(model, moments, images, labels):
        loss, grads = eqx.filter_value_and_grad(cross_entropy)(model, images, labels)
        updates, moments = optimiser.update(grads, moments)
        return eqx.apply_updates(model, updates), moments, loss

    moments = optimiser.init(eqx.filter(model, eqx.is_inexact_array))
    losses = []
    progress = tqdm(examples, total=steps, desc="training", unit="batch")
    for images, labels in progress:
        model, moments, loss = step(model, moments, images, labels)
        losses.append(loss)
        if len(losses) % 50 == 0:
            progress.set_postfix(loss=f"{loss:.4f}")
    return model, np.asarray(jnp.stack(losses))


def main(*, steps=800, batch_size=64, hidden_size=64, learning_rate=3e-3, seed=0, output="outputs"):
    """Train, test and draw; return the test accuracy."""
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    train_images, test_images, train_labels, test_labels = digits(8, 8)

    model = Reader(hidden_size, key=jr.key(seed))
    examples = batches(seed, train_images, train_labels, batch_size, steps)
    model, losses = train(model, examples, optax.adam(learning_rate), steps)
    predicted = np.asarray(predict(model, test_images))
    return report(output / "digits_rnn.png", losses, test_images, test_labels, predicted)


if __name__ == "__main__":
    command_line(main, __doc__.splitlines()[0], TARGET)
