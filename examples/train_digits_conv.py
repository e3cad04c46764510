"""Read handwritten digits with convolutions and batch norm: train, judge, draw.

Batch norm remembers statistics of what it has seen. They are a `State` beside the model, which
each step takes and returns; at inference the model uses them and leaves them as they are. Run with

    python examples/train_digits_conv.py

and look at `outputs/digits_conv.png`.
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
from equinox import nn

TARGET = 0.98


def build(key, width):
    """Two blocks of convolution, norm, rectifier and pool, and a linear layer."""
    keys = jr.split(key, 3)
    layers = [
        nn.Conv2d(1, width, 3, padding=1, key=keys[0]),  # (width, 8, 8)
        nn.BatchNorm(width, axis_name="batch", momentum=0.9, mode="batch"),
        nn.Lambda(jax.nn.relu),
        nn.MaxPool2d(2, 2),  # (width, 4, 4)
        nn.Conv2d(width, 2 * width, 3, padding=1, key=keys[1]),
        nn.BatchNorm(2 * width, axis_name="batch", momentum=0.9, mode="batch"),
        nn.Lambda(jax.nn.relu),
        nn.MaxPool2d(2, 2),  # (2 * width, 2, 2)
        nn.Lambda(jnp.ravel),
        nn.Linear(8 * width, 10, key=keys[2]),
    ]
    return nn.Sequential(layers)


def batched(model, state, images):
    """Logits of a batch, shape (batch, 10), and the new state, which is one for all of it."""
    mapped = jax.vmap(model, in_axes=(0, None), out_axes=(0, None), axis_name="batch")
    return mapped(images, state)


def loss_and_state(model, state, images, labels):
    logits, state = batched(model, state, images)
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), state


@eqx.filter_jit
def predict(model, state, images):
    """Give the logits of a batch of digits, shape (batch, 10)."""
    logits, _ = batched(nn.inference_mode(model), state, images)
    return logits


def train(model, state, examples, optimiser, steps):
    """Return the trained model, its state, and the loss of each step."""

    @eqx.filter_jit
    def step(model, state, moments, images, labels):
        differentiate = eqx.filter_value_and_grad(loss_and_state, has_aux=True)
        (loss, state), grads = differentiate(model, state, images, labels)
        updates, moments = optimiser.update(grads, moments)
        return eqx.apply_updates(model, updates), state, moments, loss

    moments = optimiser.init(eqx.filter(model, eqx.is_inexact_array))
    losses = []
    progress = tqdm(examples, total=steps, desc="training", unit="batch")
    for images, labels in progress:
        model, state, moments, loss = step(model, state, moments, images, labels)
        losses.append(loss)
        if len(losses) % 50 == 0:
            progress.set_postfix(loss=f"{loss:.4f}")
    return model, state, np.asarray(jnp.stack(losses))


def main(*, steps=600, batch_size=64, width=16, learning_rate=3e-3, seed=0, output="outputs"):
    """Train, test and draw; return the test accuracy."""
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    train_images, test_images, train_labels, test_labels = digits(1, 8, 8)

    model, state = nn.make_with_state(build)(jr.key(seed), width)
    examples = batches(seed, train_images, train_labels, batch_size, steps)
    model, state, losses = train(model, state, examples, optax.adam(learning_rate), steps)
    logits = predict(model, state, test_images)
    picture = output / "digits_conv.png"
    return report(picture, "convolutions", losses, test_images, test_labels, logits)


if __name__ == "__main__":
    command_line(main, __doc__.splitlines()[0], TARGET)
