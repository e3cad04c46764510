"""What the examples that read digits share: data, batches, a report, and a target.

The data are the 1,797 scans of 8 by 8 pixels that come with scikit-learn (Alpaydin & Kaynak, 1998,
"Optical Recognition of Handwritten Digits", UCI Machine Learning Repository).
"""

import numpy as np
from command import run
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


def draw_losses(axes, losses):
    """Draw the loss of each step, and its mean over a twentieth of all steps."""
    axes.semilogy(losses, alpha=0.3, label="each batch")
    width = max(len(losses) // 20, 1)
    mean = np.convolve(losses, np.full(width, 1 / width), "valid")
    axes.semilogy(np.arange(width - 1, len(losses)), mean, label=f"mean of {width}")
    axes.set(xlabel="step", ylabel="cross-entropy", title="training loss")
    axes.legend()


def draw_confusion(axes, labels, read):
    """Draw how often each digit was read as each; what is right is on the diagonal."""
    counts = np.zeros((10, 10), int)
    np.add.at(counts, (labels, read), 1)
    wrong = counts * (1 - np.eye(10, dtype=int))
    axes.imshow(wrong, cmap="Reds", vmin=0, vmax=2 * max(wrong.max(), 1))
    for (digit, other), count in np.ndenumerate(counts):
        if count:
            color = "silver" if digit == other else "black"
            axes.text(other, digit, count, ha="center", va="center", color=color, fontsize=8)
    axes.set(xlabel="read as", ylabel="is", title="what was taken for what")
    axes.set(xticks=range(10), yticks=range(10))


def draw_worst(panel, images, labels, read, chances):
    """Draw the digits whose label was given the least chance."""
    panel.suptitle("worst digits: what they are, what was read, how surely")
    of_label = chances[np.arange(len(labels)), labels]
    for axes, i in zip(panel.subplots(4, 5).flat, np.argsort(of_label), strict=False):
        axes.imshow(images[i].reshape(8, 8), cmap="gray_r")
        told = f"{labels[i]}: {read[i]} ({chances[i, read[i]]:.0%})"
        axes.set_title(told, color="black" if read[i] == labels[i] else "red", fontsize=8, pad=2)
        axes.axis("off")


def report(path, name, losses, images, labels, logits):
    """Draw the picture, print the accuracy on the test set, and return it."""
    logits = np.asarray(logits, np.float64)  # (examples, 10)
    chances = np.exp(logits - logits.max(axis=1, keepdims=True))
    chances /= chances.sum(axis=1, keepdims=True)
    read = chances.argmax(axis=1)
    accuracy = float((read == labels).mean())
    figure = Figure(figsize=(14, 4.6), layout="constrained")
    figure.suptitle(f"{name}: {accuracy:.2%} of {len(labels)} test digits")
    left, middle, right = figure.subfigures(1, 3)
    draw_losses(left.subplots(), losses)
    draw_confusion(middle.subplots(), labels, read)
    draw_worst(right, images, labels, read, chances)
    figure.savefig(path, dpi=120)
    print(f"test accuracy: {accuracy:.2%} on {len(labels)} digits")
    print(f"picture: {path}")
    return accuracy


def command_line(main, description, target):
    """Run `main` with its keyword arguments from the command line; fail below `target`."""
    told = f"the test accuracy is below {target:.0%}"
    run(main, description, lambda accuracy: told if accuracy < target else None)
