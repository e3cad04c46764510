"""Tell clockwise from anticlockwise spirals with a recurrent network and `jax.lax.scan`.

The cell is a PyTree like any other, so JAX's own scan takes it as it is. Run it with

    python examples/train_rnn.py
"""

import argparse

import jax
import jax.numpy as jnp
import jax.random as jr
import optax

import equinox as eqx


def spirals(key, size, length=16):
    """Noisy spirals, shape (size, length, 2), and 1 for those that turn anticlockwise."""
    angle_key, turn_key, noise_key = jr.split(key, 3)
    t = jnp.linspace(0, 2 * jnp.pi, length)
    start = jr.uniform(angle_key, (size, 1), maxval=2 * jnp.pi)
    anticlockwise = jr.bernoulli(turn_key, 0.5, (size,))
    angle = start + jnp.where(anticlockwise, 1, -1)[:, None] * t
    radius = 1 - t / (3 * jnp.pi)
    points = radius[:, None] * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1)
    points += 0.1 * jr.normal(noise_key, points.shape)
    return points, anticlockwise.astype(points.dtype)


class RNN(eqx.Module):
    cell: eqx.nn.GRUCell
    linear: eqx.nn.Linear

    def __init__(self, in_size, hidden_size, key):
        cell_key, linear_key = jr.split(key)
        self.cell = eqx.nn.GRUCell(in_size, hidden_size, key=cell_key)
        self.linear = eqx.nn.Linear(hidden_size, "scalar", key=linear_key)

    def __call__(self, xs):
        """Read a sequence, shape (length, in_size); return a logit, shape ()."""

        def step(hidden, x):
            return self.cell(x, hidden), None

        hidden, _ = jax.lax.scan(step, jnp.zeros(self.cell.hidden_size), xs)
        return self.linear(hidden)


@eqx.filter_jit
@eqx.filter_value_and_grad
def loss(model, xs, y):
    return optax.sigmoid_binary_cross_entropy(jax.vmap(model)(xs), y).mean()


def main(*, dataset_size=2000, batch_size=64, steps=200, hidden_size=16, seed=0):
    """Return the share of new spirals whose turn is told rightly."""
    train_key, test_key, model_key, batch_key = jr.split(jr.key(seed), 4)
    xs, y = spirals(train_key, dataset_size)
    model = RNN(2, hidden_size, model_key)

    optimiser = optax.adam(1e-2)
    update = jax.jit(optimiser.update)
    state = optimiser.init(model)  # every leaf of this model is an array
    for step in range(steps):
        chosen = jr.randint(jr.fold_in(batch_key, step), (batch_size,), 0, dataset_size)
        value, grads = loss(model, xs[chosen], y[chosen])
        updates, state = update(grads, state)
        model = eqx.apply_updates(model, updates)
        if step % 20 == 0:
            print(f"step {step:3d}: loss {value:.4f}")

    xs, y = spirals(test_key, dataset_size)
    accuracy = float(jnp.mean((jax.vmap(model)(xs) > 0) == (y == 1)))
    print(f"accuracy on new spirals: {accuracy:.1%}")
    return accuracy


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=200, help="batches to train on")
    parser.add_argument("--seed", type=int, default=0, help="of all that is random")
    main(**vars(parser.parse_args()))
