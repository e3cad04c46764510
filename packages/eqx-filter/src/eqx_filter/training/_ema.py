"""`ema`: an exponential moving average of a model."""

from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import jax.tree_util as jtu

from ..shared._difference import first_difference
from ..shared._predicates import is_differentiable

_Model = TypeVar("_Model")


def ema(average: _Model, model: _Model, decay: Any, *, step: Any = None) -> _Model:
    """Move an average of models towards a model: `decay * average + (1 - decay) * model`.

        average = model
        for step in range(steps):
            model, opt = ...
            average = ema(average, model, 0.999)

    Polyak & Juditsky (1992, "Acceleration of Stochastic Approximation by Averaging"); the
    correction is that of Kingma & Ba (2015, "Adam"), section 3.

    **Arguments:**

    - `average`: a PyTree, the average so far; to begin with, the model.
    - `model`: a PyTree of the same structure and shapes. Only its floating and complex arrays are
        averaged.
    - `decay`: a number from 0 to 1, which may be traced.
    - `step`: how many models the average is of, 0 for none. With it the average is corrected for
        its first value: after `n` calls it is that of the `n` models, weighted by
        `decay ** (n - 1), ..., decay, 1`, whatever it began with.

    **Returns:** a PyTree: each average with the shape and dtype of that in `average`; all other
    leaves those of `model`.

    **Raises:** `ValueError` naming the leaf where structures or shapes differ.
    """
    leaves, structure = jtu.tree_flatten(model)
    try:
        averages = structure.flatten_up_to(average)
    except ValueError:
        path, told = first_difference(model, average, prefix=True)
        message = (
            "`average` and `model` of `ema` must have one structure; at "
            f"`model{jtu.keystr(path)}`: {told} in `average`. Begin with the model as average."
        )
        raise ValueError(message) from None
    moving = [is_differentiable(leaf) for leaf in leaves]
    for i in [i for i, it in enumerate(moving) if it]:
        if jnp.shape(averages[i]) != jnp.shape(leaves[i]) or not is_differentiable(averages[i]):
            path = jtu.keystr(jtu.tree_flatten_with_path(model)[0][i][0])
            message = (
                f"`ema` averages `model{path}`, of shape {jnp.shape(leaves[i])}; `average{path}` "
                f"is of shape {jnp.shape(averages[i])}, or no floating array."
            )
            raise ValueError(message)
    pairs = zip(averages, leaves, moving, strict=True)
    rows = [(old, new) for old, new, it in pairs if it]
    moved = iter(_moved(rows, decay, step))
    return structure.unflatten(
        [next(moved) if it else leaf for leaf, it in zip(leaves, moving, strict=True)]
    )


@jax.jit
def _moved(rows: list[tuple[Any, Any]], decay: Any, step: Any) -> list[Any]:
    if step is not None:
        step = jnp.asarray(step, jnp.result_type(float))
        decay = jnp.asarray(decay, step.dtype)
        decay = decay * (1 - decay**step) / (1 - decay ** (step + 1))
    with jax.numpy_dtype_promotion("standard"):  # averages may be of more digits than the model
        return [_mean(old, new, decay, step) for old, new in rows]


def _mean(old: Any, new: Any, decay: Any, step: Any) -> Any:
    """Where both are the same, so is the mean, to the last bit."""
    dtype = jnp.result_type(old.dtype, new.dtype, jnp.float32)
    move = 1 - jnp.asarray(decay, jnp.finfo(dtype).dtype)
    first, second = jnp.asarray(old, dtype), jnp.asarray(new, dtype)
    mean = first + move * (second - first)
    if step is not None:
        mean = jnp.where(step == 0, second, mean)  # whatever the average began with
    return mean.astype(old.dtype)
