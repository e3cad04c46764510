"""Read handwritten digits with a multi-layer perceptron: train, judge, show, save, load.

Run it with

    python examples/train_digits.py

and look into `outputs/`: the trained model, and a picture of its training and its predictions.
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

TARGET = 0.96


def cross_entropy(model, pixels, labels):
    logits = jax.vmap(model)(pixels)  # (batch, 10)
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


@eqx.filter_jit
def predict(model, pixels):
    """Give the logits of a batch of digits, shape (batch, 10)."""
    return jax.vmap(model)(pixels)


def train(model, examples, optimiser, steps):
    """Return the trained model and the loss of each step."""

    @eqx.filter_jit
    def step(model, state, pixels, labels):
        loss, grads = eqx.filter_value_and_grad(cross_entropy)(model, pixels, labels)
        updates, state = optimiser.update(grads, state)
        return eqx.apply_updates(model, updates), state, loss

    state = optimiser.init(eqx.filter(model, eqx.is_inexact_array))
    losses = []
    progress = tqdm(examples, total=steps, desc="training", unit="batch")
    for pixels, labels in progress:
        model, state, loss = step(model, state, pixels, labels)
        losses.append(loss)
        if len(losses) % 100 == 0:
            progress.set_postfix(loss=f"{loss:.4f}")
    return model, np.asarray(jnp.stack(losses))


def main(
    *, steps=2000, batch_size=64, width=256, depth=1, learning_rate=1e-3, seed=0, output="outputs"
):
    """Train, test, draw, save and load; return the test accuracy."""
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    model_key, other_key = jr.split(jr.key(seed))
    train_pixels, test_pixels, train_labels, test_labels = digits(64)

    model = eqx.nn.MLP(64, 10, width, depth, key=model_key)
    examples = batches(seed, train_pixels, train_labels, batch_size, steps)
    model, losses = train(model, examples, optax.adam(learning_rate), steps)
    logits = predict(model, test_pixels)

    saved = output / "digits.eqx"
    eqx.tree_serialise_leaves(saved, model)
    like = eqx.nn.MLP(64, 10, width, depth, key=other_key)
    loaded = eqx.tree_deserialise_leaves(saved, like)
    if not np.array_equal(predict(loaded, test_pixels), logits):
        message = f"the model loaded from {saved} predicts otherwise"
        raise RuntimeError(message)

    picture = output / "digits.png"
    accuracy = report(picture, "multi-layer perceptron", losses, test_pixels, test_labels, logits)
    print(f"model:   {saved} (loaded back: equal predictions)")
    return accuracy


if __name__ == "__main__":
    command_line(main, __doc__.splitlines()[0], TARGET)
