"""Read handwritten digits of which some rows are missing: sequences of different lengths.

Of each digit a part of 4 to 8 rows is left. A batch of them is padded to 8 rows, and an LSTM that
reads in both directions is told how long each is. Run it with

    python examples/train_sequences.py

and look at `outputs/sequences.png`.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from digits import batches, command_line, digits, draw_losses
from matplotlib.figure import Figure
from tqdm import tqdm

import equinox as eqx
from equinox import nn

TARGET = 0.92
LENGTHS = range(4, 9)


class Reader(eqx.Module):
    """Down the rows and up again, and a layer that names the digit from where both end."""

    lstm: nn.LSTM
    head: nn.Sequential

    def __init__(self, hidden_size, *, key):
        lstm_key, head_key = jr.split(key)
        self.lstm = nn.LSTM(8, hidden_size, bidirectional=True, key=lstm_key)
        layers = nn.LayerNorm(2 * hidden_size), nn.Linear(2 * hidden_size, 10, key=head_key)
        self.head = nn.Sequential(layers)

    def __call__(self, rows, lengths):
        """Logits, shape (batch, 10), of rows (batch, 8, 8), as many of each as `lengths` says."""
        ends, _ = self.lstm(rows, lengths=lengths, return_sequences=False)
        return jax.vmap(self.head)(ends)


def cut(images, lengths, rng):
    """Keep so many rows of each image, from a random one on; zeros follow them."""
    first = rng.integers(0, 8 - lengths, endpoint=True)
    rows = first[:, None] + np.arange(8)  # (batch, 8)
    left = np.take_along_axis(images, np.minimum(rows, 7)[..., None], axis=1)
    return np.where((np.arange(8) < lengths[:, None])[..., None], left, 0)


def cut_at_random(images, rng):
    lengths = rng.integers(min(LENGTHS), max(LENGTHS), size=len(images), endpoint=True)
    return cut(images, lengths, rng), lengths


def cross_entropy(model, rows, lengths, labels):
    logits = model(rows, lengths)
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


@eqx.filter_jit
def predict(model, rows, lengths):
    return model(rows, lengths)


def train(model, examples, opt, steps, rng):
    """Return the trained model and the loss of each step; each image is cut anew each time."""

    @eqx.filter_jit
    def step(model, opt, rows, lengths, labels):
        loss, grads = eqx.filter_value_and_grad(cross_entropy)(model, rows, lengths, labels)
        return *opt.update(grads, model), loss

    losses = []
    for images, labels in tqdm(examples, total=steps, desc="training", unit="batch"):
        model, opt, loss = step(model, opt, *cut_at_random(images, rng), labels)
        losses.append(loss)
    return model, np.asarray(jnp.stack(losses))


def check_padding(model, rows, lengths, logits, rng):
    """Whatever stands in the padding, the logits are what they were."""
    noise = rng.normal(size=rows.shape).astype(rows.dtype)
    is_there = (np.arange(8) < lengths[:, None])[..., None]
    if not np.array_equal(predict(model, np.where(is_there, rows, noise), lengths), logits):
        message = "noise in the padding has changed what is predicted"
        raise RuntimeError(message)


def draw_lengths(axes, found):
    """Draw which share of the digits is read rightly, by how many rows are left of each."""
    bars = axes.bar(list(found), list(found.values()))
    axes.bar_label(bars, fmt="{:.1%}")
    axes.set(xlabel="rows that are left", ylabel="read rightly", title="test digits by length")
    axes.set(ylim=(min(0.5, *found.values()), 1.02), xticks=list(found))


def draw_worst(panel, rows, lengths, labels, logits):
    """Draw the digits whose label was given the least chance, without their padding."""
    panel.suptitle("worst digits: what they are, what was read")
    chances = np.asarray(jax.nn.log_softmax(logits))
    order = np.argsort(chances[np.arange(len(labels)), labels])
    for axes, i in zip(panel.subplots(3, 5).flat, order, strict=False):
        place = (0, 8, lengths[i], 0)
        axes.imshow(rows[i, : lengths[i]], cmap="gray_r", vmin=0, vmax=1, extent=place)
        axes.set(ylim=(8, 0), xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        read = logits[i].argmax()
        color = "black" if labels[i] == read else "red"
        axes.set_title(f"{labels[i]}: {read}", color=color, fontsize=8, pad=2)


def draw(path, told, losses, found, worst):
    """Draw losses, accuracies by length, and the worst digits."""
    figure = Figure(figsize=(14, 4.6), layout="constrained")
    figure.suptitle(told)
    left, middle, right = figure.subfigures(1, 3)
    draw_losses(left.subplots(), losses)
    draw_lengths(middle.subplots(), found)
    draw_worst(right, *worst)
    figure.savefig(path, dpi=120)


def main(
    *, steps=4000, batch_size=64, hidden_size=64, learning_rate=3e-3, seed=0, output="outputs"
):
    """Train, test and draw; return the accuracy on test digits that were cut at random."""
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    train_images, test_images, train_labels, test_labels = digits(8, 8)

    model = Reader(hidden_size, key=jr.key(seed))
    rate = optax.cosine_decay_schedule(learning_rate, steps)
    opt = eqx.Optimizer(optax.adam(rate), model)
    examples = batches(seed, train_images, train_labels, batch_size, steps)
    model, losses = train(model, examples, opt, steps, rng)

    def share(logits):
        return float((np.asarray(logits).argmax(axis=-1) == test_labels).mean())

    rows, lengths = cut_at_random(test_images, rng)
    logits = np.asarray(predict(model, rows, lengths))
    check_padding(model, rows, lengths, logits, rng)
    found = {}
    for length in LENGTHS:
        same = np.full(len(test_images), length)
        found[length] = share(predict(model, cut(test_images, same, rng), same))

    accuracy, picture = share(logits), output / "sequences.png"
    told = f"4 to 8 rows: {accuracy:.2%} of {len(test_labels)} test digits"
    draw(picture, told, losses, found, (rows, lengths, test_labels, logits))
    print(f"test accuracy: {accuracy:.2%} on {len(test_labels)} digits of 4 to 8 rows")
    print("noise in the padding: equal predictions")
    print(f"picture: {picture}")
    return accuracy


if __name__ == "__main__":
    command_line(main, __doc__.splitlines()[0], TARGET)
