"""Train some parameters and freeze the others, with a tree of booleans from `tree_at`.

Both kinds are traced, so all of the model is compiled; only the last layer is differentiated. Run
it with

    python examples/frozen_layer.py
"""

import argparse
import functools as ft

import jax
import jax.numpy as jnp
import jax.random as jr
import optax

import equinox as eqx


def wave(key, size):
    """Points on a sine: x and y, each of shape (size, 1)."""
    x = jr.uniform(key, (size, 1), minval=-3, maxval=3)
    return x, jnp.sin(x)


def last_layer_only(model):
    """A tree like `model` with `True` at the last layer's parameters and `False` elsewhere."""
    nothing = jax.tree_util.tree_map(lambda _: False, model)
    return eqx.tree_at(
        lambda mlp: (mlp.layers[-1].weight, mlp.layers[-1].bias), nothing, replace=(True, True)
    )


def main(*, dataset_size=1000, steps=500, width=32, depth=2, seed=0):
    """Return the loss before and after training. The frozen layers are as they were."""
    data_key, model_key = jr.split(jr.key(seed))
    x, y = wave(data_key, dataset_size)
    model = eqx.nn.MLP(1, 1, width, depth, activation=jnp.tanh, key=model_key)

    # `jitf` traces every array: frozen layers too. `filter_tree` tells `value_and_grad_f` which of
    # them to differentiate; it stands for the one argument that may be differentiated, `model`.
    @ft.partial(eqx.jitf, filter_fn=eqx.is_inexact_array)
    @ft.partial(eqx.value_and_grad_f, filter_tree=last_layer_only(model))
    def loss(model, x, y):
        return jnp.mean((jax.vmap(model)(x) - y) ** 2)

    optimiser = optax.adam(1e-2)
    update = jax.jit(optimiser.update)
    before, grads = loss(model, x, y)
    state = optimiser.init(grads)  # the gradients of frozen leaves are `None`: no state for them
    trained = model
    for step in range(steps):
        value, grads = loss(trained, x, y)
        updates, state = update(grads, state)
        trained = eqx.apply_updates(trained, updates)
        if step % 100 == 0:
            print(f"step {step:4d}: loss {value:.4f}")

    after, _ = loss(trained, x, y)
    if not eqx.tree_equal(trained.layers[:-1], model.layers[:-1]):
        message = "a frozen layer has changed"
        raise RuntimeError(message)
    print(f"loss before {before:.4f}, after {after:.4f}; the frozen layers are as they were")
    return float(before), float(after)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=500, help="steps of training")
    parser.add_argument("--seed", type=int, default=0, help="of all that is random")
    main(**vars(parser.parse_args()))
