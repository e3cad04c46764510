"""`accumulate`: the gradient of a batch from those of its parts, one after another."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import jax.tree_util as jtu

from eqx_pytree import Module, field

from ..batching._axes import ARRAYS_FIRST, Axes, resolve
from ..control_flow import filter_scan
from ..shared._describe import describe_value
from ..shared._naming import function_name, leaf_names
from ..shared._predicates import at_least_float32, is_inexact
from ..shared._wrapper import Wrapper, wrap
from ..tracing import filter_eval_shape
from ..trees import combine


def accumulate(
    grad_fn: Callable[..., Any], steps: int, *, in_axes: tuple[Axes, ...] | None = None
) -> Callable[..., Any]:
    """Make a function that gives the mean of what `grad_fn` gives for the parts of a batch.

        grad_fn = accumulate(filter_value_and_grad(loss), 8)
        value, grads = grad_fn(model, x, y)    # as for the whole of x and y

    Where the loss is a mean over the batch, value and gradient are those of the whole batch, up to
    rounding; the memory is that of one part. The parts are gone through by `jax.lax.scan`; sums are
    kept in float32, or more where an output has more.

    **Arguments:**

    - `grad_fn`: a function whose outputs are floating or complex arrays alone, such as what
        `filter_value_and_grad` makes.
    - `steps`: the number of parts.
    - `in_axes`: what is cut into parts: a tuple with, for each positional argument, 0 or None, or a
        prefix of it with those. By default every array of all arguments but the first; pass None
        for a PRNG key, or an array of keys, one for each example.

    **Returns:** a callable with the signature of `grad_fn`. Keyword arguments are not cut.

    **Raises:** `TypeError` if `grad_fn` cannot be called, or `steps` is no integer; `ValueError` if
    it is below 1. At a call: `ValueError` naming the array that cannot be cut in so many equal
    parts, or whose first axis differs from others'; `TypeError` naming an output that has no mean.
    """
    if isinstance(steps, bool) or not hasattr(steps, "__index__"):
        message = f"`steps` of `accumulate` must be an integer; got {steps!r}."
        raise TypeError(message)
    if steps < 1:
        message = f"`accumulate` takes a number of parts from 1 on as `steps`; got {steps}."
        raise ValueError(message)
    return wrap("accumulate", _Accumulated, grad_fn, int(steps), in_axes)


class _Accumulated(Wrapper):
    """A callable that is called on parts of a batch and gives the mean."""

    steps: int = field(static=True)
    in_axes: Any

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        if not args:
            message = "What `accumulate` returns takes at least one argument by position."
            raise TypeError(message)
        default = (None, *[ARRAYS_FIRST] * (len(args) - 1))
        axes = resolve("in_axes", default if self.in_axes is None else self.in_axes, args)
        leaves, structure = jtu.tree_flatten(args)
        self._check(args, leaves, axes)
        pairs = list(zip(leaves, axes, strict=True))
        whole = structure.unflatten([it if at is None else None for it, at in pairs])
        rows = structure.unflatten([None if at is None else self._cut(it) for it, at in pairs])
        of_part = _OfPart(self.fun, whole, kwargs)
        like = filter_eval_shape(of_part, jtu.tree_map(lambda it: it[0], rows))
        total, _ = filter_scan(_Added(of_part), self._zeros(like), rows, self.steps)
        return jtu.tree_map(lambda it, out: (it / self.steps).astype(out.dtype), total, like)

    def _check(self, args: Any, leaves: list[Any], axes: list[int | None]) -> None:
        """Refuse what cannot be cut in equal parts."""
        sizes: dict[int, str] = {}
        names = leaf_names(self.__wrapped__, args, {})
        for name, leaf, axis in zip(names, leaves, axes, strict=True):
            if axis is None:
                continue
            shape = jnp.shape(leaf)
            if axis != 0 or not shape or shape[0] % self.steps:
                message = (
                    f"`accumulate` cuts the first axis of `{name}` into {self.steps} equal parts; "
                    f"its shape is {shape}, and its axis {axis}. Pass a batch of another size, or "
                    "None for it in `in_axes`."
                )
                raise ValueError(message)
            sizes.setdefault(shape[0], name)
        if not sizes:
            message = (
                f"`accumulate` cuts no array of this call into {self.steps} parts: only arguments "
                "by position are cut, and by default all but the first. Pass the batch by position."
            )
            raise ValueError(message)
        if len(sizes) > 1:
            (one, first), (other, second), *_ = sizes.items()
            message = (
                f"`accumulate` cuts all arrays alike; `{first}` has {one} rows and `{second}` "
                f"{other}. Pass None in `in_axes` for what belongs to no example."
            )
            raise ValueError(message)

    def _cut(self, x: Any) -> Any:
        return jnp.reshape(x, (self.steps, x.shape[0] // self.steps, *x.shape[1:]))

    def _zeros(self, like: Any) -> Any:
        """Zeros for the sums of what a part gives."""
        for path, leaf in jtu.tree_flatten_with_path(like)[0]:
            if not hasattr(leaf, "dtype") or not is_inexact(leaf.dtype):
                message = (
                    f"`accumulate` gives means; `out{jtu.keystr(path)}` of "
                    f"`{function_name(self.fun)}` is {describe_value(leaf)}, which has none. "
                    "Return nothing but floating arrays."
                )
                raise TypeError(message)
        return jtu.tree_map(lambda it: jnp.zeros(it.shape, at_least_float32(it.dtype)), like)


class _OfPart(Module):
    """The function on one part of the batch."""

    fun: Callable[..., Any]
    whole: Any
    kwargs: dict[str, Any]

    def __call__(self, part: Any) -> Any:
        args = combine(part, self.whole)
        return self.fun(*args, **self.kwargs)


class _Added(Module):
    """One step: the sum goes on by what a part gives."""

    of_part: _OfPart

    def __call__(self, total: Any, part: Any) -> tuple[Any, None]:
        out = self.of_part(part)
        return jtu.tree_map(lambda it, more: it + more.astype(it.dtype), total, out), None
