"""Gaussian processes with gpjax: posteriors, likelihoods and a few steps of fitting."""

import functools
from typing import Any

import gpjax as gpx
import jax
import jax.numpy as jnp
import optax
from program import Program

X = jnp.array([0.5, 1.3])
KEY = jax.random.key(0)
PLACES = jnp.linspace(-2.0, 2.0, 10)[:, None]
DATA = gpx.Dataset(PLACES, jnp.sin(2 * PLACES) + 0.1 * jnp.cos(9 * PLACES))
NEW = jnp.array([[-0.5], [0.7]])
KERNELS = ("RBF", "Matern32")


def model(kernel: str, x: jax.Array) -> Any:
    prior = gpx.Prior(getattr(gpx.kernels, kernel)(lengthscale=x[0], variance=x[1]), constant())
    return gpx.construct_model(prior, gpx.likelihoods.Gaussian(obs_stddev=0.2))


def constant() -> Any:
    return gpx.mean_functions.Constant(0.1)


def posterior(kernel: str, x: jax.Array) -> Any:
    predicted = model(kernel, x).condition(DATA).predict(NEW)
    return predicted.mean, predicted.variance


def marginal_likelihood(x: jax.Array) -> Any:
    conjugate = model("RBF", x)
    return (
        gpx.objectives.conjugate_mll(conjugate, DATA),
        gpx.objectives.conjugate_loocv(conjugate, DATA),
    )


def samples(x: jax.Array) -> jax.Array:
    prior = gpx.Prior(gpx.kernels.RBF(lengthscale=x[0], variance=x[1]), constant())
    return prior.predict(NEW).sample(KEY, (3,))


def sums_and_products(x: jax.Array) -> jax.Array:
    one, other = gpx.kernels.Matern52(lengthscale=x[0]), gpx.kernels.Linear(variance=x[1])
    periodic = gpx.kernels.Periodic(lengthscale=x[0], period=x[1])
    return (one * periodic + other).gram(PLACES).as_matrix()


def fitted(x: jax.Array) -> Any:
    def loss(model: Any, data: gpx.Dataset) -> jax.Array:
        return -gpx.objectives.conjugate_mll(model, data)

    optimiser = optax.adam(1e-2)
    found, losses = gpx.fit(
        model=model("RBF", x),
        objective=loss,
        train_data=DATA,
        optim=optimiser,
        num_iters=5,
        key=KEY,
        verbose=False,
        safe=False,
    )
    return losses, found.condition(DATA).predict(NEW).mean


PROGRAMS = {
    **{f"posterior_{name}": Program(functools.partial(posterior, name), X) for name in KERNELS},
    "marginal_likelihood": Program(marginal_likelihood, X),
    "samples": Program(samples, X),
    "sums_and_products": Program(sums_and_products, X),
    "fitted": Program(fitted, X),
}
