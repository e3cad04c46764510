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
    predicted = np.asarray(predict(model, test_pixels))

    save(output / "digits.npz", model)
    loaded = load(output / "digits.npz", like=eqx.nn.MLP(64, 10, width, depth, key=other_key))
    if not np.array_equal(predict(loaded, test_pixels), predicted):
        message = f"the model loaded from {output / 'digits.npz'} predicts otherwise"
        raise RuntimeError(message)

    accuracy = report(output / "digits.png", losses, test_pixels, test_labels, predicted)
    print(f"model:   {output / 'digits.npz'} (loaded back: equal predictions)")
    return accuracy


if __name__ == "__main__":
    command_line(main, __doc__.splitlines()[0], TARGET)
