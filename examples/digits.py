"""What the examples that read digits share: data, batches, a report, and a command line.

The data are the 1,797 scans of 8 by 8 pixels that come with scikit-learn (Alpaydin & Kaynak, 1998,
"Optical Recognition of Handwritten Digits", UCI Machine Learning Repository).
"""

import argparse
import inspect
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split


def digits(*shape):
    """Pixels between 0 and 1, shape (examples, *shape), and labels: a training and a test set."""
    data = load_digits()
    pixels = (data.data / 16).astype(np.float32).reshape(-1, *shape)
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


def report(path, losses, pixels, labels, predicted):
    """Draw the picture, print the accuracy on the test set, and return it."""
    accuracy = float((predicted == labels).mean())
    draw(path, losses, pixels, labels, predicted)
    print(f"test accuracy: {accuracy:.2%} on {len(labels)} digits")
    print(f"picture: {path}")
    return accuracy


HELP = {
    "steps": "batches to train on",
    "batch_size": "digits in a batch",
    "width": "size of a hidden layer, or channels of the first convolution",
    "depth": "how many hidden layers",
    "hidden_size": "size of the cell's state",
    "learning_rate": "Adam's",
    "seed": "of all that is random",
    "output": "folder to write to",
}


def command_line(main, description, target):
    """Run `main` with its keyword arguments from the command line; fail below `target`."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    for name, parameter in inspect.signature(main).parameters.items():
        kind = Path if name == "output" else type(parameter.default)
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=kind, default=parameter.default, help=HELP[name])
    if main(**vars(parser.parse_args())) < target:
        sys.exit(f"the test accuracy is below {target:.0%}")
