"""Normalising flows with flowjax: densities, samples, and a few steps of training."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
import paramax
from flowjax import bijections, distributions, flows
from flowjax.train import fit_to_data
from flowjax.train.losses import MaximumLikelihoodLoss
from program import Program

import equinox as eqx

KEY = jax.random.key(0)
X = jnp.array([0.5, -0.3])
SMALL: dict[str, Any] = {"flow_layers": 2, "nn_width": 8}


def base() -> distributions.AbstractDistribution:
    return distributions.Normal(jnp.zeros(2))


FLOWS: dict[str, Callable[[], distributions.AbstractDistribution]] = {
    "coupling": lambda: flows.coupling_flow(KEY, base_dist=base(), **SMALL),
    "splines": lambda: flows.coupling_flow(
        KEY,
        base_dist=base(),
        transformer=bijections.RationalQuadraticSpline(knots=4, interval=3),
        **SMALL,
    ),
    "autoregressive": lambda: flows.masked_autoregressive_flow(KEY, base_dist=base(), **SMALL),
    "planar": lambda: flows.planar_flow(
        KEY, base_dist=base(), flow_layers=2, width_size=8, depth=1, negative_slope=0.1
    ),
    "triangular_spline": lambda: flows.triangular_spline_flow(
        KEY, base_dist=base(), flow_layers=2, knots=4
    ),
}


@functools.cache
def made(name: str) -> distributions.AbstractDistribution:
    """Make a flow outside of all transformations, which a spline needs."""
    return FLOWS[name]()


def density(name: str, x: jax.Array) -> jax.Array:
    return made(name).log_prob(x)


def samples(x: jax.Array) -> Any:
    flow = flows.coupling_flow(KEY, base_dist=distributions.Normal(x), **SMALL)
    return flow.sample(KEY, (3,)), flow.sample_and_log_prob(KEY, (2,))


def block_autoregressive(x: jax.Array) -> jax.Array:
    """Inverted by search, with a rule for the gradient."""
    flow = flows.block_neural_autoregressive_flow(KEY, base_dist=base(), nn_block_dim=2)
    return flow.log_prob(x)


def conditional(x: jax.Array) -> jax.Array:
    flow = flows.masked_autoregressive_flow(KEY, base_dist=base(), cond_dim=2, **SMALL)
    return flow.log_prob(jnp.ones((3, 2)), condition=x)


def training_steps(x: jax.Array) -> Any:
    """Five steps of maximum likelihood, as a scan."""
    data = jax.random.normal(KEY, (16, 2)) * 2 + x
    flow = FLOWS["autoregressive"]()
    params, static = eqx.partition(
        flow,
        eqx.is_inexact_array,
        is_leaf=lambda leaf: isinstance(leaf, paramax.NonTrainable),
    )
    optimiser, loss = optax.adam(1e-2), MaximumLikelihoodLoss()

    def step(carry: Any, _: None) -> Any:
        params, state = carry
        value, gradients = eqx.filter_value_and_grad(loss)(params, static, data)
        updates, state = optimiser.update(gradients, state, params)
        return (eqx.apply_updates(params, updates), state), value

    (params, _), losses = jax.lax.scan(step, (params, optimiser.init(params)), length=5)
    return losses, eqx.combine(params, static).log_prob(x)


@functools.cache
def fit() -> Any:
    """The package's own loop, which runs once, outside of all transformations."""
    data = jax.random.normal(KEY, (40, 2))
    flow = FLOWS["coupling"]()
    return fit_to_data(KEY, flow, data, max_epochs=3, batch_size=10, show_progress=False)


def fitted(x: jax.Array) -> Any:
    flow, losses = fit()
    return flow.log_prob(x), losses


def bijection(x: jax.Array) -> Any:
    chain = bijections.Chain([bijections.Affine(x, jnp.exp(x)), bijections.Tanh((2,))])
    y, forward = chain.transform_and_log_det(0.3 * x)
    return y, forward, chain.inverse_and_log_det(y)


PROGRAMS = {
    **{f"density_{name}": Program(functools.partial(density, name), X) for name in FLOWS},
    "samples": Program(samples, X),
    "block_autoregressive": Program(block_autoregressive, X),
    "conditional": Program(conditional, X),
    "training_steps": Program(training_steps, X),
    "fitted": Program(fitted, X),
    "bijection": Program(bijection, X),
}
