"""Learn the digits 0 to 4, freeze all but the head, and learn 5 to 9 with what was learned.

Run it with

    python examples/finetune_digits.py

and look into `outputs/`: a picture of what the frozen part makes of digits that it never saw.
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

TARGET = 0.95


class Reader(eqx.Module):
    """A body that looks, and a head that decides."""

    body: eqx.nn.Sequential
    norm: eqx.nn.LayerNorm
    head: eqx.nn.MLP

    def __init__(self, width, *, key):
        body_key, head_key = jr.split(key)
        look = eqx.nn.Linear(64, width, key=body_key)
        self.body = eqx.nn.Sequential([look, eqx.nn.Lambda(jax.nn.relu)])
        self.norm = eqx.nn.LayerNorm(width)
        self.head = eqx.nn.MLP(width, 10, width, 1, key=head_key)

    def __call__(self, pixels):
        """Take pixels of shape (64,), give logits of shape (10,)."""
        return self.head(self.norm(self.body(pixels)))


def cross_entropy(model, pixels, labels):
    logits = jax.vmap(model)(pixels).astype(jnp.float32)  # (batch, 10)
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def optimizer(model, learning_rate, wrt):
    """AdamW that decays matrices alone; biases learn ten times as fast."""
    labels = eqx.tree_label(model, {"**.bias": "fast"}, default="slow")
    matrices = eqx.by(lambda path, leaf: getattr(leaf, "ndim", 0) == 2)
    rates = {
        "slow": optax.adamw(learning_rate, weight_decay=1e-2, mask=matrices),
        "fast": optax.adam(10 * learning_rate),
    }
    return eqx.Optimizer(optax.multi_transform(rates, labels), model, wrt=wrt)


def train(model, examples, opt, steps, what, wrt=eqx.trainable):
    """Return the trained model, its average over the last steps, and the loss of each step."""
    in_half = eqx.Precision(compute=jnp.bfloat16)(cross_entropy)

    @eqx.filter_jit
    def step(model, average, opt, pixels, labels, i):
        loss, grads = eqx.filter_value_and_grad(in_half, wrt=wrt)(model, pixels, labels)
        model, opt = opt.update(grads, model)
        return model, eqx.ema(average, model, 0.99, step=i), opt, loss

    average, losses = model, []
    progress = tqdm(examples, total=steps, desc=what, unit="batch")
    for i, (pixels, labels) in enumerate(progress):
        model, average, opt, loss = step(model, average, opt, pixels, labels, jnp.asarray(i))
        losses.append(loss)
        if i % 100 == 99:
            progress.set_postfix(loss=f"{loss:.4f}")
    return average, np.asarray(jnp.stack(losses))


def accuracy(logits, labels):
    return float((logits.argmax(axis=-1) == labels).mean())


def in_the_plane(points):
    """The two directions in which points of shape (n, size) differ most, shape (n, 2)."""
    centred = points - points.mean(axis=0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    return centred @ directions[:2].T


def draw(path, losses, activations, labels, told):
    """Draw both losses, and the activations of each layer as points, a colour for each digit."""
    figure = Figure(figsize=(5 * (1 + len(activations)), 4.6), layout="constrained")
    figure.suptitle(told)
    axes = figure.subplots(1, 1 + len(activations))
    draw_losses(axes[0], losses)
    for panel, (name, values) in zip(axes[1:], activations.items(), strict=True):
        x, y = in_the_plane(np.asarray(values, np.float32)).T
        for digit in np.unique(labels):
            panel.scatter(x[labels == digit], y[labels == digit], s=12, label=str(digit))
        panel.set(xticks=[], yticks=[], title=f"activations of `{name}`")
    axes[-1].legend(title="digit")
    figure.savefig(path, dpi=120)


def main(*, steps=800, batch_size=64, width=256, learning_rate=1e-3, seed=0, output="outputs"):
    """Train twice, judge, draw; return the accuracy on the test digits from 5 to 9."""
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    train_pixels, test_pixels, train_labels, test_labels = digits(64)

    def of(first, last, pixels, labels):
        chosen = (first <= labels) & (labels <= last)
        return pixels[chosen], labels[chosen]

    model = Reader(width, key=jr.key(seed))
    print(eqx.summary(model, jax.ShapeDtypeStruct((64,), jnp.float32)))
    old = batches(seed, *of(0, 4, train_pixels, train_labels), batch_size, steps)
    opt = optimizer(model, learning_rate, eqx.trainable)
    first, first_losses = train(model, old, opt, steps, "0 to 4")

    head = eqx.by("head")
    new = batches(seed, *of(5, 9, train_pixels, train_labels), batch_size, steps)
    second, losses = train(first, new, optimizer(first, learning_rate, head), steps, "5 to 9", head)
    if not eqx.tree_equal((second.body, second.norm), (first.body, first.norm)):
        message = "a frozen layer has changed"
        raise RuntimeError(message)

    pixels, labels = of(5, 9, test_pixels, test_labels)
    seen = eqx.by("body") | "head.layers.0"
    logits, activations = eqx.capture(eqx.filter_vmap(second), seen)(pixels)
    found = accuracy(np.asarray(logits), labels)
    told = f"frozen but for its head: {found:.2%} of {len(labels)} test digits from 5 to 9"
    picture = output / "finetune_digits.png"
    draw(picture, np.concatenate([first_losses, losses]), activations, labels, told)
    print(f"test accuracy: {found:.2%} on {len(labels)} digits from 5 to 9")
    print(f"picture: {picture}")
    return found


if __name__ == "__main__":
    command_line(main, __doc__.splitlines()[0], TARGET)
