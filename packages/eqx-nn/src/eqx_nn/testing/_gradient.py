"""The check of derivatives: forward and reverse mode against central differences, leaf by leaf.

Only the layer is compiled; all else is computed by NumPy.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

import eqx_filter as eqx

from ._case import Case

_STEP = 3e-4  # of central differences: wide enough for layers that round to float32 inside
_ONE_SIDED = 0.1  # how far one-sided differences may be apart, where there is no kink
_NO_SUCH_MODE = ("forward-mode autodiff", "Reverse-mode differentiation does not work")


def check_gradient(case: Case) -> None:
    """Raise `AssertionError` at the first leaf of layer or inputs with another derivative."""
    with _double_precision():
        floats, rest = eqx.partition(_widened((case.layer, case.inputs)), eqx.is_inexact_array)
        places, structure = jtu.tree_flatten_with_path(floats)
        leaves = [np.asarray(leaf) for _, leaf in places]

        def outputs(leaves: list[Any]) -> list[Any]:
            layer, inputs = eqx.combine(structure.unflatten(leaves), rest)
            out = case.call(layer, *inputs)
            return [leaf for leaf in jax.tree.leaves(out) if eqx.is_inexact_array(leaf)]

        run = jax.jit(outputs)
        forward = jax.jit(lambda at, along: jax.jvp(outputs, (at,), (along,))[1])
        backward = jax.jit(lambda at, weights: jax.vjp(outputs, at)[1](weights)[0])
        at_rest = run(leaves)
        for i, (path, _) in enumerate(places):
            where = _name(path)
            along = [np.zeros_like(it) for it in leaves]
            along[i] = _drawn(leaves[i], 2 * i)
            slopes, is_smooth = _differences(run, leaves, along, at_rest)
            tangents = _or_none(forward, leaves, along)
            if tangents is not None:
                _compare_tangents(where, tangents, slopes, is_smooth, case.rtol)
            weights = [
                np.where(smooth, _drawn(slope, 2 * j + 1), np.zeros_like(slope))
                for j, (slope, smooth) in enumerate(zip(slopes, is_smooth, strict=True))
            ]
            cotangents = _or_none(backward, leaves, weights)
            if cotangents is not None:
                there = _product(along[i], cotangents[i])
                here = np.concatenate([[0.0], *map(_product, weights, slopes)])
                _compare_dots(where, there, here, case.rtol)


@contextlib.contextmanager
def _double_precision() -> Iterator[None]:
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    try:
        yield
    finally:
        jax.config.update("jax_enable_x64", before)


def _widened(tree: Any) -> Any:
    """Give the floating-point arrays of a tree in float64, the complex ones in complex128."""

    def widened(leaf: Any) -> Any:
        if not hasattr(leaf, "dtype") or not jnp.issubdtype(leaf.dtype, jnp.inexact):
            return leaf
        is_complex = jnp.issubdtype(leaf.dtype, jnp.complexfloating)
        return jnp.asarray(np.asarray(leaf).astype(np.complex128 if is_complex else np.float64))

    return jax.tree.map(widened, tree)


def _name(path: Any) -> str:
    head, *rest = path
    return ("layer" if head.idx == 0 else "inputs") + jtu.keystr(tuple(rest))


def _drawn(like: np.ndarray, seed: int) -> np.ndarray:
    """Draw normally distributed numbers in its shape and dtype."""
    drawn = np.random.default_rng(seed).standard_normal((2, *like.shape))
    values = (drawn[0] + 1j * drawn[1]) / np.sqrt(2) if np.iscomplexobj(like) else drawn[0]
    return np.asarray(values).astype(like.dtype)


def _differences(
    run: Callable[[list[Any]], list[Any]], at: list[Any], along: list[Any], at_rest: list[Any]
) -> tuple[list[Any], list[Any]]:
    """Give the central difference of each output, and where the one-sided ones agree."""
    ahead, behind = (
        run([x + step * d for x, d in zip(at, along, strict=True)]) for step in (_STEP, -_STEP)
    )
    slopes, is_smooth = [], []
    for values in zip(ahead, at_rest, behind, strict=True):
        a, x, b = map(np.asarray, values)
        with np.errstate(all="ignore"):  # of infinities
            slope, kink = (a - b) / (2 * _STEP), np.abs(a - 2 * x + b) / _STEP
        smooth = np.isfinite(slope) & (kink <= _ONE_SIDED * (np.abs(slope) + _ONE_SIDED))
        slopes.append(np.where(smooth, slope, np.zeros_like(slope)))
        is_smooth.append(smooth)
    return slopes, is_smooth


def _or_none(derivative: Callable[..., Any], *arguments: Any) -> Any:
    """Give a derivative, or None where the layer has none of that mode."""
    try:
        return derivative(*arguments)
    except (TypeError, ValueError) as error:
        if any(phrase in str(error) for phrase in _NO_SUCH_MODE):
            return None
        raise


def _compare_tangents(
    where: str, tangents: list[Any], slopes: list[Any], is_smooth: list[Any], rtol: float
) -> None:
    for tangent, slope, smooth in zip(tangents, slopes, is_smooth, strict=True):
        error = np.where(smooth, np.abs(np.asarray(tangent) - slope), 0)
        allowed = rtol * (np.max(np.abs(slope), initial=0.0) + rtol)
        if not np.max(error, initial=0.0) <= allowed:
            message = (
                f"forward mode and central differences along `{where}` differ by up to "
                f"{np.max(error):.3g}, where {allowed:.3g} is allowed."
            )
            raise AssertionError(message)


def _product(xs: Any, ys: Any) -> np.ndarray:
    """Give the product of each pair, as JAX pairs tangents and cotangents."""
    return np.ravel(np.real(np.asarray(xs) * np.asarray(ys)))


def _compare_dots(where: str, there: np.ndarray, here: np.ndarray, rtol: float) -> None:
    x, y = np.sum(there), np.sum(here)
    allowed = rtol * (np.sqrt(np.sum(here**2)) + rtol)
    if not abs(x - y) <= allowed:
        message = (
            f"reverse mode gives {x:.6g} along `{where}`, central differences {y:.6g}, where a "
            f"difference of {allowed:.3g} is allowed."
        )
        raise AssertionError(message)
