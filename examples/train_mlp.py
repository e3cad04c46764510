"""Train a multi-layer perceptron: `jitf` and `gradf` select the parameters.

A model is a PyTree that holds more than parameters: here also its activation functions. A filter
says which leaves to trace, and which to differentiate. Run it with

    python examples/train_mlp.py
"""

import argparse

import jax
import jax.numpy as jnp
import jax.random as jr
import optax

import equinox as eqx


def parabola(key, size):
    """Points on y = 5 x^2 - 2 x + 1 with noise: x and y, each of shape (size, 1)."""
    x_key, noise_key = jr.split(key)
    x = jr.uniform(x_key, (size, 1), minval=-1, maxval=1)
    y = 5 * x**2 - 2 * x + 1 + 0.1 * jr.normal(noise_key, x.shape)
    return x, y


def mean_squared_error(model, x, y):
    return jnp.mean((jax.vmap(model)(x) - y) ** 2)


# `gradf` differentiates the leaves of its first argument that the filter picks, the floating-point
# JAX arrays; the others, such as the activation functions in `model`, get the gradient `None`.
# `jitf` traces the leaves of every argument that the filter picks; the others are static.
gradient = eqx.gradf(mean_squared_error, filter_fn=eqx.is_inexact_array)
gradient = eqx.jitf(gradient, filter_fn=eqx.is_inexact_array)
loss = eqx.jitf(mean_squared_error, filter_fn=eqx.is_inexact_array)


def main(*, dataset_size=2000, batch_size=128, steps=1000, width=16, depth=1, seed=0):
    """Return the mean squared error after training; the noise alone makes it 0.01."""
    data_key, model_key, batch_key = jr.split(jr.key(seed), 3)
    x, y = parabola(data_key, dataset_size)
    model = eqx.nn.MLP(1, 1, width, depth, activation=jnp.tanh, key=model_key)

    optimiser = optax.adam(1e-2)
    update = jax.jit(optimiser.update)  # gradients are all arrays: nothing to filter
    state = optimiser.init(eqx.filter(model, eqx.is_inexact_array))
    for step in range(steps):
        chosen = jr.randint(jr.fold_in(batch_key, step), (batch_size,), 0, dataset_size)
        grads = gradient(model, x[chosen], y[chosen])
        updates, state = update(grads, state)
        model = eqx.apply_updates(model, updates)  # updates where they are not `None`
        if step % 100 == 0:
            print(f"step {step:4d}: loss {loss(model, x, y):.4f}")

    final = float(loss(model, x, y))
    print(f"loss after training: {final:.4f}")
    return final


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1000, help="batches to train on")
    parser.add_argument("--seed", type=int, default=0, help="of all that is random")
    main(**vars(parser.parse_args()))
