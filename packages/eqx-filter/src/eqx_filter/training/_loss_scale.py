"""`LossScale`: gradients in few bits, kept from vanishing and from overflowing."""

from __future__ import annotations

from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import jax.tree_util as jtu

from eqx_pytree import Module, field

from ..shared._predicates import at_least_float32, is_differentiable
from ._optimizer import Optimizer

_Tree = TypeVar("_Tree")


class LossScale(Module):
    """A factor of the loss that grows while gradients are finite and shrinks when they are not.

        (loss, grads) = filter_value_and_grad(lambda m: scale.up(loss_fn(m, x)))(model)
        model, opt, scale = scale.update(opt, grads, model)
        loss = scale.down(loss)    # with the scale before the update

    float16 needs it, bfloat16 does not. Micikevicius et al. (2018, "Mixed Precision Training"),
    section 3.2. `value` is the factor, a float32 of shape (); `finite_steps` counts the steps since
    it last changed, an int32 of shape ().
    """

    value: jax.Array
    finite_steps: jax.Array
    period: int = field(static=True)
    factor: float = field(static=True)
    least: float = field(static=True)

    def __init__(
        self, value: Any = 2.0**15, *, period: int = 2000, factor: float = 2.0, least: float = 1.0
    ) -> None:
        """Begin.

        **Arguments:**

        - `value`: the first factor.
        - `period`: after how many finite steps in a row it grows.
        - `factor`: by what it grows, and shrinks, above 1.
        - `least`: what it does not fall below.

        **Raises:** `ValueError` for a `value`, `period`, `factor` or `least` out of range.
        """
        is_known = not isinstance(value, jax.core.Tracer)
        if is_known and not (jnp.shape(value) == () and 0 < least <= value < float("inf")):
            message = (
                "`LossScale` takes as `value` a number from `least` on, of shape (), and a `least` "
                f"above 0; got {value!r} and {least!r}."
            )
            raise ValueError(message)
        if not factor > 1 or period < 1 or period != int(period):
            message = (
                "`LossScale` takes a `factor` above 1 and an integer from 1 on as `period`; got "
                f"{factor!r} and {period!r}."
            )
            raise ValueError(message)
        self.value = jnp.asarray(value, jnp.float32)
        self.finite_steps = jnp.zeros((), jnp.int32)
        self.period, self.factor, self.least = int(period), float(factor), float(least)

    def up(self, tree: _Tree) -> _Tree:
        """Multiply the floating and complex arrays of a PyTree, such as a loss; dtypes stay."""
        return _times(tree, self.value)

    def down(self, tree: _Tree) -> _Tree:
        """Divide the floating and complex arrays of a PyTree, such as gradients; dtypes stay."""
        return _times(tree, 1 / self.value)

    def update(
        self, opt: Optimizer, grads: Any, model: _Tree, **extra: Any
    ) -> tuple[_Tree, Optimizer, LossScale]:
        """Take one step of an optimizer, or none if a gradient is not finite.

        **Arguments:** as `Optimizer.update`, for gradients of the loss that `up` gave.

        **Returns:** the new model, optimizer and scale. Where a gradient of what is trained is
        infinite or NaN, model and optimizer are as they were, and the scale is smaller.

        **Raises:** as `Optimizer.update`.
        """
        grads = self.down(grads)
        is_finite = all_finite(opt.gradients(grads, model))
        stepped = opt.update(grads, model, **extra)
        model, opt = _chosen(is_finite, stepped, (model, opt))
        return model, opt, self.adjusted(is_finite)

    def adjusted(self, is_finite: Any) -> LossScale:
        """Give the scale after a step whose gradients were finite, or not.

        **Arguments:** `is_finite`, a boolean of shape ().
        """
        steps = self.finite_steps + 1
        grows = is_finite & (steps >= self.period)
        grown = jnp.where(grows, self.value * self.factor, self.value)
        grown = jnp.where(jnp.isfinite(grown), grown, self.value)
        shrunk = jnp.maximum(self.value / self.factor, self.least)
        new = object.__new__(type(self))
        new.__dict__.update(
            self.__dict__,
            value=jnp.where(is_finite, grown, shrunk),
            finite_steps=jnp.where(is_finite & ~grows, steps, 0),
        )
        return new


def all_finite(tree: Any) -> jax.Array:
    """Say whether all floating and complex arrays of a PyTree are finite: a boolean of shape ()."""
    finite = [jnp.all(jnp.isfinite(it)) for it in jtu.tree_leaves(tree) if is_differentiable(it)]
    return jnp.all(jnp.stack(finite)) if finite else jnp.asarray(True)


def _times(tree: _Tree, factor: Any) -> _Tree:
    """Multiplied in float32 or more, in which a large scale and its inverse are no infinities."""

    def times(it: Any) -> Any:
        if not is_differentiable(it):
            return it
        wide = at_least_float32(it.dtype)
        return (it.astype(wide) * factor.astype(wide)).astype(it.dtype)

    return jtu.tree_map(times, tree)


def _chosen(condition: Any, one: _Tree, other: _Tree) -> _Tree:
    """One PyTree or the other; what is the same object in both stays that."""

    def choose(x: Any, y: Any) -> Any:
        return x if x is y or not hasattr(x, "dtype") else jnp.where(condition, x, y)

    return jtu.tree_map(choose, one, other)
