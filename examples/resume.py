"""Train, be stopped at any moment, and go on as if nothing had happened.

Run it with

    python examples/resume.py

and stop it, or kill it; run it again, and it goes on from the last step that was saved. In the end
`outputs/resume` holds the same bits, however often it was stopped.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from command import run

import equinox as eqx

ADAM = optax.adam(3e-3)


class Classifier(eqx.Module):
    """What a training has to keep: parameters, statistics of batches, randomness."""

    first: eqx.nn.Linear
    norm: eqx.nn.BatchNorm
    dropout: eqx.nn.Dropout
    last: eqx.nn.Linear

    def __init__(self, width, *, key):
        first_key, last_key = jr.split(key)
        self.first = eqx.nn.Linear(2, width, key=first_key)
        self.norm = eqx.nn.BatchNorm(width, axis_name="batch", mode="batch")
        self.dropout = eqx.nn.Dropout(0.1)
        self.last = eqx.nn.Linear(width, 1, key=last_key)

    def __call__(self, x, state, *, key):
        """Take a point of shape (2,), give a logit of shape () and the new state."""
        hidden, state = self.norm(self.first(x), state)
        return self.last(self.dropout(jax.nn.relu(hidden), key=key))[0], state


class Shuffled:
    """Batches of data that is shuffled anew each epoch; `position` is all that there is to keep."""

    def __init__(self, size, batch_size, seed, position):
        self.size, self.batch_size, self.seed, self.position = size, batch_size, seed, position

    def next(self):
        """Give the places of the next batch, of shape (batch_size,)."""
        epoch, batch = divmod(self.position, self.size // self.batch_size)
        order = np.random.default_rng([self.seed, epoch]).permutation(self.size)
        self.position += 1
        return order[batch * self.batch_size :][: self.batch_size]


def rings(size, seed):
    """Points in a ring or inside of it: of shape (size, 2), and which, of shape (size,)."""
    random = np.random.default_rng(seed)
    inside = random.integers(0, 2, size)
    angle, radius = random.uniform(0, 2 * np.pi, size), random.normal(2 - inside, 0.2)
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return points.astype(np.float32), inside.astype(np.float32)


def loss_fn(model, norms, x, y, key):
    in_batch = jax.vmap(model, axis_name="batch", in_axes=(0, None), out_axes=(0, None))
    logits, norms = in_batch(x, norms, key=jr.split(key, len(x)))
    return optax.sigmoid_binary_cross_entropy(logits, y).mean(), norms


@eqx.filter_jit(donate="all")
def train_step(model, norms, opt, key, x, y):
    key, now = jr.split(key)
    gradient = eqx.filter_value_and_grad(loss_fn, has_aux=True)
    (loss, norms), grads = gradient(model, norms, x, y, now)
    model, opt = opt.update(grads, model)
    return model, norms, opt, key, loss


def first_state(width, seed):
    """What a training begins with, and goes on from."""
    model_key, key = jr.split(jr.key(seed))
    model, norms = eqx.nn.make_with_state(Classifier)(width, key=model_key)
    return model, norms, eqx.Optimizer(ADAM, model), key, 0


def main(*, steps=2000, batch_size=32, width=16, seed=0, output=Path("outputs")):
    """Return the loss of the last batch, however often the training was stopped before."""
    x, y = rings(1000, seed)
    with eqx.Checkpoints(output / "resume", keep=2, every=100, background=True) as ckpts:
        (*state, position), step = ckpts.restore(first_state(width, seed))
        print(f"going on from step {step}" if step else "beginning")
        data, loss = Shuffled(len(x), batch_size, seed, position), jnp.nan
        while step < steps:
            chosen = data.next()
            *state, loss = train_step(*state, jnp.asarray(x[chosen]), jnp.asarray(y[chosen]))
            step += 1
            ckpts.save(step, (*state, data.position), metrics={"loss": loss}, force=step == steps)
        final = ckpts.metrics(step)["loss"]
    print(f"loss after {step} steps: {final:.4f}")
    return final


def problem(loss):
    """What is wrong with the result."""
    return None if loss < 0.4 else f"the loss is {loss:.2f}, and was to be below 0.4"


if __name__ == "__main__":
    run(main, __doc__.splitlines()[0], problem)
