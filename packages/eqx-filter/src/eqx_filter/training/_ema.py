"""`ema`: an exponential moving average of a model."""

from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import jax.tree_util as jtu

from ..shared._describe import describe_value
from ..shared._difference import first_difference
from ..shared._predicates import at_least_float32, is_differentiable, is_number_or_array

_Model = TypeVar("_Model")


def ema(average: _Model, model: _Model, decay: Any, *, step: Any = None) -> _Model:
    """Move an average of models towards a model: `decay * average + (1 - decay) * model`.

        average = model
        for _ in range(steps):
            model, opt = ...
            average = ema(average, model, 0.999)

    A step that is given both away (`donate`) begins with a copy, `filter_jit(lambda m: m)(model)`.

    Polyak & Juditsky (1992, "Acceleration of Stochastic Approximation by Averaging"); the
    correction is that of Kingma & Ba (2015, "Adam"), section 3.

    **Arguments:**

    - `average`: a PyTree, the average so far; to begin with, the model.
    - `model`: a PyTree of the same structure and shapes. Only its floating and complex arrays are
        averaged.
    - `decay`: a number from 0 to 1, of shape (), which may be traced.
    - `step`: how many models the average is of, 0 for none, as an array inside of a compiled
        function, which a number would be compiled into. With it the average is corrected for
        its first value: after `n` calls it is that of the `n` models, weighted by
        `decay ** (n - 1), ..., decay, 1`, whatever it began with.

    **Returns:** a PyTree: each average with the shape and dtype of that in `average`; all other
    leaves those of `model`.

    **Raises:** `ValueError` naming the leaf where structures or shapes differ, or a complex number
    has no place in a real average; and for a `decay` or a `step` at hand that is out of range.
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
    for i, (old, new) in enumerate(zip(averages, leaves, strict=True)):
        if moving[i] and not _is_alike(old, new):
            _check_pair(model, i, old, new)
    _check_numbers(decay, step)
    pairs = zip(averages, leaves, moving, strict=True)
    rows = [(old, new) for old, new, it in pairs if it]
    moved = iter(_moved(rows, decay, step))
    return structure.unflatten(
        [next(moved) if it else leaf for leaf, it in zip(leaves, moving, strict=True)]
    )


def _is_alike(average: Any, leaf: Any) -> bool:
    """Whether both are arrays of one shape and dtype: what is nearly always so, found quickly."""
    is_array = isinstance(average, jax.Array)
    return is_array and average.dtype == leaf.dtype and average.shape == leaf.shape


def _check_pair(model: Any, place: int, average: Any, leaf: Any) -> None:
    is_alike = is_differentiable(average) and jnp.shape(average) == jnp.shape(leaf)
    if is_alike and (jnp.iscomplexobj(average) or not jnp.iscomplexobj(leaf)):
        return
    path = jtu.keystr(jtu.tree_flatten_with_path(model)[0][place][0])
    message = (
        f"`ema` averages `model{path}`, {describe_value(leaf)}; `average{path}` is "
        f"{describe_value(average)}. Begin with the model as average."
    )
    raise ValueError(message)


def _check_numbers(decay: Any, step: Any) -> None:
    """Refuse what is out of range, of numbers at hand."""
    for name, value in (("decay", decay), ("step", step)):
        if value is None or (type(value) is float and 0 <= value <= 1):
            continue
        if isinstance(value, jax.core.Tracer):
            continue
        is_number = is_number_or_array(value) and jnp.shape(value) == ()
        if not is_number or value < 0 or (name == "decay" and value > 1):
            rule = "from 0 to 1" if name == "decay" else "from 0 on"
            message = f"`{name}` of `ema` must be a number {rule}, of shape (); got {value!r}."
            raise ValueError(message)


@jax.jit
def _moved(rows: list[tuple[Any, Any]], decay: Any, step: Any) -> list[Any]:
    if step is not None:
        step = jnp.asarray(step, jnp.result_type(float))
        decay = jnp.asarray(decay, step.dtype)
        weights = jnp.where(decay == 1, step + 1, (1 - decay ** (step + 1)) / (1 - decay))
        decay = 1 - 1 / weights
    with jax.numpy_dtype_promotion("standard"):  # averages may be of more digits than the model
        return [_mean(old, new, decay, step) for old, new in rows]


def _mean(old: Any, new: Any, decay: Any, step: Any) -> Any:
    """Where both are the same, so is the mean, to the last bit."""
    dtype = jnp.promote_types(at_least_float32(old.dtype), at_least_float32(new.dtype))
    share = jnp.asarray(decay, jnp.finfo(dtype).dtype)
    first, second = jnp.asarray(old, dtype), jnp.asarray(new, dtype)
    mean = jnp.where(first == second, first, share * first + (1 - share) * second)
    if step is not None:
        mean = jnp.where(step == 0, second, mean)  # whatever the average began with
    return mean.astype(old.dtype)
