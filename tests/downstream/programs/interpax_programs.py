"""Interpolation with interpax: in one, two and three dimensions, splines and their derivatives."""

import functools
from typing import Any

import interpax
import jax
import jax.numpy as jnp
from program import Program

GRID = jnp.linspace(0.0, 1.0, 12)
PLACES = jnp.array([0.1, 0.42, 0.77])
METHODS = ("nearest", "cubic", "catmull-rom", "monotonic", "akima")


def values(x: jax.Array) -> jax.Array:
    return jnp.sin(4 * GRID * x[0]) + x[1] * GRID**2


def line(method: str, x: jax.Array) -> Any:
    f = values(x)
    return [interpax.interp1d(x, GRID, f, method, derivative=order) for order in (0, 1)]


def outside(x: jax.Array) -> Any:
    f = values(x)
    beyond = jnp.array([-0.2, 0.5, 1.3])
    return (
        interpax.interp1d(beyond, GRID, f, "cubic", extrap=True),
        interpax.interp1d(beyond, GRID, f, "linear", extrap=(0.0, 1.0)),
        interpax.interp1d(beyond, GRID, f, "cubic2", period=1.0),
    )


def plane(x: jax.Array) -> Any:
    f = jnp.outer(values(x), jnp.cos(GRID))
    derivative = interpax.interp2d(x, x, GRID, GRID, f, "cubic", derivative=(1, 0))
    return interpax.interp2d(x, x, GRID, GRID, f, "cubic"), derivative


def volume(x: jax.Array) -> jax.Array:
    f = values(x)[:, None, None] * jnp.cos(GRID)[:, None] * GRID[:5]
    return interpax.interp3d(x, x, x / 4, GRID, GRID, GRID[:5], f, "linear")


def interpolator(x: jax.Array) -> Any:
    """A Module that keeps the derivatives at the knots."""
    spline = interpax.Interpolator1D(GRID, values(x), "cubic2")
    return spline(x), spline(x, dx=1)


def splines(x: jax.Array) -> Any:
    cubic = interpax.CubicSpline(GRID, values(x), bc_type="natural", check=False)
    akima = interpax.Akima1DInterpolator(GRID, values(x), check=False)
    return cubic(x), cubic.derivative()(x), cubic.antiderivative()(x), akima(x)


def fourier(x: jax.Array) -> jax.Array:
    return interpax.fft_interp1d(values(x)[:8], 16)


PROGRAMS = {
    **{f"line_{name}": Program(functools.partial(line, name), PLACES) for name in METHODS},
    "outside": Program(outside, PLACES),
    "plane": Program(plane, PLACES),
    "volume": Program(volume, PLACES),
    "interpolator": Program(interpolator, PLACES),
    "splines": Program(splines, PLACES),
    "fourier": Program(fourier, PLACES),
}
