"""Distributions and bijectors with distreqx: densities, samples, moments, divergences."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from distreqx import bijectors, distributions
from program import Program

X = jnp.array([0.5, -0.3, 0.8])
KEY = jax.random.PRNGKey(0)
MATRIX = jnp.array([[2.0, 0.3, 0.1], [0.3, 1.5, -0.2], [0.1, -0.2, 1.0]])


def told(make: Callable[[jax.Array], Any], x: jax.Array) -> Any:
    """Give samples, their densities, and moments."""
    distribution = make(x)
    sample, density = distribution.sample_and_log_prob(KEY)
    return {
        "sample": sample,
        "density of sample": density,
        "density": distribution.log_prob(jnp.full_like(sample, 0.4)),
        "mean": distribution.mean(),
        "variance": distribution.variance(),
        "entropy": distribution.entropy(),
    }


def positive(x: jax.Array) -> jax.Array:
    return jax.nn.softplus(x) + 1


DISTRIBUTIONS: dict[str, Callable[[jax.Array], Any]] = {
    "normal": lambda x: distributions.Normal(x, positive(x)),
    "beta": lambda x: distributions.Beta(positive(x), positive(-x)),
    "gamma": lambda x: distributions.Gamma(positive(x), positive(-x)),
    "uniform": lambda x: distributions.Uniform(-positive(x), positive(x)),
    "logistic": lambda x: distributions.Logistic(x, positive(x)),
    "diagonal": lambda x: distributions.MultivariateNormalDiag(x, positive(x)),
    "triangular": lambda x: distributions.MultivariateNormalTri(x, jnp.linalg.cholesky(MATRIX)),
    "independent": lambda x: distributions.Independent(distributions.Normal(x, positive(x))),
}


def discrete(x: jax.Array) -> Any:
    bernoulli, categorical = distributions.Bernoulli(x), distributions.Categorical(x)
    return {
        "bernoulli": (bernoulli.sample(KEY), bernoulli.log_prob(1), bernoulli.entropy()),
        "categorical": (categorical.sample(KEY), categorical.log_prob(2), categorical.entropy()),
        "divergence": categorical.kl_divergence(distributions.Categorical(jnp.sin(x))),
    }


def mixture(x: jax.Array) -> Any:
    components = jax.vmap(distributions.Normal)(x, positive(x))
    mixed = distributions.MixtureSameFamily(distributions.Categorical(jnp.cos(x)), components)
    return mixed.sample(KEY), mixed.log_prob(jnp.array(0.3)), mixed.mean()


def divergence(x: jax.Array) -> jax.Array:
    one = distributions.Normal(x, positive(x))
    return one.kl_divergence(distributions.Normal(jnp.sin(x), positive(-x)))


def transformed(x: jax.Array) -> Any:
    base = distributions.Normal(jnp.zeros(()), jnp.ones(()))
    chain = bijectors.Chain([bijectors.Tanh(), bijectors.ScalarAffine(x[0], positive(x[1]))])
    squashed = distributions.Transformed(base, chain)
    return squashed.sample_and_log_prob(KEY), squashed.log_prob(jnp.array(0.4))


BIJECTORS: dict[str, Callable[[jax.Array], Any]] = {
    "affine": lambda x: bijectors.UnconstrainedAffine(MATRIX, x),
    "triangular_linear": lambda x: bijectors.TriangularLinear(jnp.tril(MATRIX) + jnp.diag(x**2)),
    "diagonal_linear": lambda x: bijectors.DiagLinear(positive(x)),
    "block": lambda x: bijectors.Block(bijectors.ScalarAffine(x, positive(x)), 1),
    "sigmoid": lambda x: bijectors.Sigmoid(),
    "shift": bijectors.Shift,
}


def there_and_back(make: Callable[[jax.Array], Any], x: jax.Array) -> Any:
    bijector = make(x)
    y, forward = bijector.forward_and_log_det(0.5 * x)
    return y, forward, bijector.inverse_and_log_det(y)


PROGRAMS = {
    **{name: Program(functools.partial(told, make), X) for name, make in DISTRIBUTIONS.items()},
    "discrete": Program(discrete, X, grad=False),
    "mixture": Program(mixture, X),
    "divergence": Program(divergence, X),
    "transformed": Program(transformed, X),
    **{
        name: Program(functools.partial(there_and_back, make), X)
        for name, make in BIJECTORS.items()
    },
}
