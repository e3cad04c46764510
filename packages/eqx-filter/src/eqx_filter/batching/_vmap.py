"""`filter_vmap`: a function over a batch, where each leaf may have an axis of its own."""

import inspect
from collections.abc import Callable, Hashable
from typing import Any

import jax
import jax.tree_util as jtu

from eqx_pytree import field

from ..shared._naming import (
    callable_names,
    function_name,
    leaf_names,
    named_arguments,
    parameter_name,
)
from ..shared._predicates import is_array_like
from ..shared._wrapper import Wrapper, as_tree, check_keywords, wrap
from ._axes import ARRAYS_FIRST, Axes, common_size, resolve

_KEYWORDS = ("spmd_axis_name", "sum_match")
_KNOWN = [name for name in _KEYWORDS if name in inspect.signature(jax.vmap).parameters]


class VmapWrapper(Wrapper):
    """A callable that acts on a batch."""

    in_axes: Axes = field(static=True)
    out_axes: Axes = field(static=True)
    axis_name: Hashable = field(static=True)
    axis_size: int | None = field(static=True)
    vmapkwargs: dict[str, Any] = field(static=True)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        tree = self.fun, args, kwargs
        axes = call_axes(self.fun, self.in_axes, args, kwargs)
        leaves, structure = jtu.tree_flatten(tree)
        names = [*callable_names(self.fun), *leaf_names(self.fun, args, kwargs)]
        size = common_size(names, leaves, axes, self.axis_size)
        output = Output(self.fun, self.out_axes)

        def of_mapped(mapped: list[Any]) -> list[Any]:
            remaining = iter(mapped)
            merged = [
                leaf if axis is None else next(remaining)
                for leaf, axis in zip(leaves, axes, strict=True)
            ]
            fun, args, kwargs = structure.unflatten(merged)
            return output.take(fun(*args, **kwargs))

        if size is None:
            return output.unbatched(of_mapped([]))
        pairs = [
            (x, axis % x.ndim) for x, axis in zip(leaves, axes, strict=True) if axis is not None
        ]
        run = self.mapped(of_mapped, [axis for _, axis in pairs], output.axes, size)
        return output.rebuild(run([x for x, _ in pairs]))

    def mapped(self, function: Any, in_axes: Any, out_axes: Any, size: int) -> Any:
        """A function of a list of arrays, over an axis of each; `out_axes` is filled in by it."""
        return jax.vmap(
            function,
            in_axes=(in_axes,),
            out_axes=out_axes,
            axis_name=self.axis_name,
            axis_size=size,
            **self.vmapkwargs,
        )


class Output:
    """What a batched function returns: leaves with an axis, and others that are the same for all.

    `axes` is given to JAX before the function runs, and is filled in when it has: `out_axes` may
    ask each leaf, and JAX looks at it last.
    """

    def __init__(self, fun: Callable[..., Any], out_axes: Axes) -> None:
        self.fun = fun
        self.out_axes = out_axes
        self.axes: list[int | None] = []

    def take(self, out: Any) -> list[Any]:
        """Take the output apart; what JAX is to return."""
        self.leaves, self.structure = jtu.tree_flatten(out)
        axes = resolve("out_axes", self.out_axes, out)
        paths = [jtu.keystr(path) for path, _ in jtu.tree_flatten_with_path(out)[0]]
        self.places = []
        for place, (path, leaf, axis) in enumerate(zip(paths, self.leaves, axes, strict=True)):
            if axis is not None and not is_array_like(leaf):
                message = (
                    f"`out_axes` gives `out{path}` of `{function_name(self.fun)}` the axis {axis}, "
                    f"and it is a `{type(leaf).__name__}`. Give None for it, or `if_array`."
                )
                raise TypeError(message)
            if axis is not None or isinstance(leaf, jax.core.Tracer):
                self.places.append(place)
        self.axes[:] = [axes[place] for place in self.places]
        arrays = [self.leaves[place] for place in self.places]
        for place in self.places:
            self.leaves[place] = None  # or this would hold tracers for longer than their trace
        return arrays

    def rebuild(self, returned: list[Any]) -> Any:
        """Put together what JAX returned and the leaves that it was not given."""
        leaves = list(self.leaves)
        for place, leaf in zip(self.places, returned, strict=True):
            leaves[place] = leaf
        return self.structure.unflatten(leaves)

    def unbatched(self, returned: list[Any]) -> Any:
        """Put together what a function returned where nothing has a batch axis."""
        if any(axis is not None for axis in self.axes):
            message = (
                "Cannot resolve batch dimension: no argument of "
                f"`{function_name(self.fun)}` has a batch axis, and `out_axes` asks for one. "
                "Non-`None` `out_axes` requires either `in_axes` or `axis_size` to be not `None`."
            )
            raise ValueError(message)
        return self.rebuild(returned)


def call_axes(fun: Any, in_axes: Axes, args: Any, kwargs: Any) -> list[int | None]:
    """The axis of each leaf of `(fun, args, kwargs)`."""
    if type(in_axes) is not dict:
        found = [None] * len(jtu.tree_leaves(fun))
        found += resolve("in_axes", in_axes, args)
        return found + resolve("in_axes", ARRAYS_FIRST, kwargs)
    unused = set(in_axes)
    if jtu.all_leaves([fun]):
        found: list[int | None] = [None]
    else:
        found = resolve("in_axes['self']", in_axes.get("self"), fun)
        unused.discard("self")
    for name, argument in named_arguments(fun, args, kwargs):
        key = parameter_name(name)
        found += resolve(f"in_axes[{key!r}]", in_axes.get(key, ARRAYS_FIRST), argument)
        unused.discard(key)
    if unused:
        known = ", ".join(f"`{parameter_name(n)}`" for n, _ in named_arguments(fun, args, kwargs))
        message = (
            "The following `in_axes` did not correspond to any argument: "
            f"{tuple(sorted(unused))}. `{function_name(fun)}` was given {known or 'none'}."
        )
        raise ValueError(message)
    return found


def filter_vmap(
    fun: Callable[..., Any] | None = None,
    *,
    in_axes: Axes = ARRAYS_FIRST,
    out_axes: Axes = ARRAYS_FIRST,
    axis_name: Hashable = None,
    axis_size: int | None = None,
    **vmapkwargs: Any,
) -> Callable[..., Any]:
    """Make a function act on a batch: over an axis of each array among its arguments.

    **Arguments:**

    - `fun`: a pure function; its arguments and its result are any PyTrees. Without it, a decorator
        is returned.
    - `in_axes`: the axis of each array: a PyTree prefix of the tuple of positional arguments, whose
        leaves are integers, None for what is the same for the whole batch, or functions
        `leaf -> int | None` such as `if_array`. Or a dict by the names of parameters, keyword
        arguments too; those not named have axis 0 of each array. The leaves of a callable PyTree
        are the same for the whole batch unless the dict has `"self"`.
    - `out_axes`: where the axis is in the output: a PyTree prefix of it, as above.
    - `axis_name`: a name for collective operations, such as `jax.lax.psum`.
    - `axis_size`: the size of the batch; needed where no argument has an axis.
    - `vmapkwargs`: other arguments of `jax.vmap`, such as `spmd_axis_name`.

    **Returns:** a callable with the signature of `fun`. What is no array is passed in and out as it
    is; so a model can be made in a batch, an ensemble: `filter_vmap(make)(keys)`.

    **Raises:** `TypeError` if `fun` cannot be called, or for an unknown keyword. At a call:
    `ValueError` naming the leaf whose axis is not there or has another size than the others, the
    name in `in_axes` that no argument has, or the place where axes are no prefix; `TypeError` for
    an axis of what is no array.
    """
    check_keywords("filter_vmap", vmapkwargs, _KNOWN)

    def make(fun: Any) -> VmapWrapper:
        return VmapWrapper(as_tree(fun), in_axes, out_axes, axis_name, axis_size, vmapkwargs)

    return wrap("filter_vmap", make, fun)
