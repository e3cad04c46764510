"""Read handwritten digits with a multi-layer perceptron: train, judge, show, save, load.

The data are the 1,797 scans of 8 by 8 pixels that come with scikit-learn (Alpaydin & Kaynak, 1998,
"Optical Recognition of Handwritten Digits", UCI Machine Learning Repository). Run it with

    python examples/train_digits.py

and look into `outputs/`: the trained model, and a picture of its training and its predictions.
"""

import argparse
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import tqdm

import equinox as eqx

TARGET = 0.96


def digits():
    """Pixels between 0 and 1, shape (examples, 64), and labels: a training and a test set."""
    data = load_digits()
    pixels = (data.data / 16).astype(np.float32)
    labels = data.target.astype(np.int32)
    return train_test_split(pixels, labels, test_size=0.25, stratify=labels, random_state=0)


def batches(seed, pixels, labels, batch_size, steps):
    """Draw batches without replacement, over and over."""
    rng = np.random.default_rng(seed)
    order = np.array([], dtype=int)
    for _ in range(steps):
        while len(order) < batch_size:
            order = np.concatenate([order, rng.permutation(len(labels))])
        chosen, order = order[:batch_size], order[batch_size:]
        yield pixels[chosen], labels[chosen]


def cross_entropy(model, pixels, labels):
    logits = jax.vmap(model)(pixels)  # (batch, 10)
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


@eqx.filter_jit
def predict(model, pixels):
    return jnp.argmax(jax.vmap(model)(pixels), axis=-1)


def train(model, examples, optimiser, steps):
    """Return the trained model and the loss of each step."""

    @eqx.filter_jit
    def step(model, state, pixels, labels):
        loss, grads = eqx.filter_value_and_grad(cross_entropy)(model, pixels, labels)
        updates, state = optimiser.update(grads, state, eqx.filter(model, eqx.is_array))
        return eqx.apply_updates(model, updates), state, loss

    state = optimiser.init(eqx.filter(model, eqx.is_array))
    losses = []
    progress = tqdm(examples, total=steps, desc="training", unit="batch")
    for pixels, labels in progress:
        model, state, loss = step(model, state, pixels, labels)
        losses.append(loss)
        if len(losses) % 100 == 0:
            progress.set_postfix(loss=f"{loss:.4f}")
    return model, np.asarray(jnp.stack(losses))


def save(path, model):
    """Write each array of the model under its path in the tree."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(eqx.filter(model, eqx.is_array))
    np.savez(path, **{jax.tree_util.keystr(where): leaf for where, leaf in leaves})


def load(path, like):
    """Read a model back. `like` has its structure, and all that is no array."""
    arrays, rest = eqx.partition(like, eqx.is_array)
    leaves, structure = jax.tree_util.tree_flatten_with_path(arrays)
    expected = {jax.tree_util.keystr(where): leaf for where, leaf in leaves}
    with np.load(path) as saved:
        read = {name: jnp.asarray(saved[name]) for name in saved.files}
    described = [
        {name: (leaf.shape, leaf.dtype) for name, leaf in tree.items()} for tree in (read, expected)
    ]
    if described[0] != described[1]:
        message = f"{path} holds another model: {described[0]}, expected {described[1]}"
        raise ValueError(message)
    return eqx.combine(structure.unflatten(read[name] for name in expected), rest)


def draw(path, losses, pixels, labels, predicted):
    """Draw the loss curve, and the first test digits with what the model reads in them."""
    figure = Figure(figsize=(11, 5), layout="constrained")
    left, right = figure.subfigures(1, 2)
    axes = left.subplots()
    axes.semilogy(losses, alpha=0.3, label="each batch")
    width = max(len(losses) // 20, 1)
    axes.semilogy(
        np.arange(width - 1, len(losses)),
        np.convolve(losses, np.full(width, 1 / width), "valid"),
        label=f"mean of {width}",
    )
    axes.set(xlabel="step", ylabel="cross-entropy", title="Training loss")
    axes.legend()
    right.suptitle("Test digits as they are read (red: wrong)")
    for axes, image, label, read in zip(
        right.subplots(5, 8).flat, pixels, labels, predicted, strict=False
    ):
        axes.imshow(image.reshape(8, 8), cmap="gray_r")
        axes.set_title(read, color="black" if read == label else "red", fontsize=9, pad=2)
        axes.axis("off")
    figure.savefig(path, dpi=120)


def main(
    *, steps=2000, batch_size=64, width=256, depth=1, learning_rate=1e-3, seed=0, output="outputs"
):
    """Train, test, draw, save and load; return the test accuracy."""
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    model_key, other_key = jr.split(jr.key(seed))
    train_pixels, test_pixels, train_labels, test_labels = digits()

    model = eqx.nn.MLP(64, 10, width, depth, key=model_key)
    examples = batches(seed, train_pixels, train_labels, batch_size, steps)
    model, losses = train(model, examples, optax.adam(learning_rate), steps)
    predicted = np.asarray(predict(model, test_pixels))
    accuracy = float((predicted == test_labels).mean())

    draw(output / "digits.png", losses, test_pixels, test_labels, predicted)
    save(output / "digits.npz", model)
    loaded = load(output / "digits.npz", like=eqx.nn.MLP(64, 10, width, depth, key=other_key))
    if not np.array_equal(predict(loaded, test_pixels), predicted):
        message = f"the model loaded from {output / 'digits.npz'} predicts otherwise"
        raise RuntimeError(message)

    print(f"test accuracy: {accuracy:.2%} on {len(test_labels)} digits")
    print(f"picture: {output / 'digits.png'}")
    print(f"model:   {output / 'digits.npz'} (loaded back: equal predictions)")
    return accuracy


def command_line():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=2000, help="batches to train on")
    parser.add_argument("--batch-size", type=int, default=64, help="digits in a batch")
    parser.add_argument("--width", type=int, default=256, help="size of each hidden layer")
    parser.add_argument("--depth", type=int, default=1, help="how many hidden layers")
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="Adam's")
    parser.add_argument("--seed", type=int, default=0, help="of all that is random")
    parser.add_argument("--output", type=Path, default=Path("outputs"), help="folder to write to")
    accuracy = main(**vars(parser.parse_args()))
    if accuracy < TARGET:
        sys.exit(f"the test accuracy is below {TARGET:.0%}")


if __name__ == "__main__":
    command_line()
