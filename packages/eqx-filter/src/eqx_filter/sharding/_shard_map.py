"""`filter_shard_map`: a function that each device runs on its own part of the arrays."""

from collections.abc import Callable
from typing import Any

import jax
import jax.tree_util as jtu
from jax.sharding import PartitionSpec

from eqx_pytree import field

from ..shared._packed import Packed, pack
from ..shared._predicates import is_array
from ..shared._shardings import Shardings, of_leaves
from ..shared._wrapper import Wrapper, as_tree, check_keywords, wrap
from ._blame import name_arrays

_KNOWN = ("axis_names", "check_vma")


class ShardMapWrapper(Wrapper):
    """A callable that runs on each device."""

    mesh: Any = field(static=True)
    in_specs: Shardings = field(static=True)
    out_specs: Shardings = field(static=True)
    options: dict[str, Any] = field(static=True)

    def __call__(self, /, *args: Any) -> Any:
        packed = pack((self.fun, args))
        specs = _specs_of_arrays("in_specs", None, self.fun)
        specs += _specs_of_arrays("in_specs", self.in_specs, args)
        layouts: list[Any] = []  # of the output; None as long as the function runs
        out_specs: list[PartitionSpec] = []  # filled in by the function; JAX looks at it last

        def of_arrays(arrays: list[Any]) -> list[Any]:
            layouts[:] = [None]
            fun, args = Packed(packed.layout, arrays).unpack()
            out = fun(*args)
            out_specs[:] = _specs_of_arrays("out_specs", self.out_specs, out)
            packed_out = pack(out)
            layouts[:] = [packed_out.layout]
            return list(packed_out.arrays)

        run = jax.shard_map(
            of_arrays,
            mesh=self.mesh,
            in_specs=(specs,),
            out_specs=out_specs,
            **self.options,
        )
        try:
            arrays = run(list(packed.arrays))
        except ValueError as error:
            if layouts != [None]:
                name_arrays(error, self.fun, packed.layout, layouts)
            raise
        return layouts[0].rebuild(arrays)


def filter_shard_map(
    fun: Callable[..., Any] | None = None,
    *,
    mesh: Any = None,
    in_specs: Shardings,
    out_specs: Shardings,
    **options: Any,
) -> Callable[..., Any]:
    """Make each device run a function on its own part of the arrays: `jax.shard_map`.

    **Arguments:**

    - `fun`: a pure function; its arguments and its result are any PyTrees. Without it, a decorator
        is returned. The arrays of a callable PyTree are whole on each device.
    - `mesh`: the mesh of devices; None for the one that is set.
    - `in_specs`: a PyTree prefix of the tuple of arguments, with a `PartitionSpec` for each array;
        None stands for `PartitionSpec()`, an array that is whole on each device, and for leaves
        that are no arrays.
    - `out_specs`: the same for the output.
    - `options`: other arguments of `jax.shard_map`, such as `axis_names` and `check_vma`.

    **Returns:** a callable that takes the arguments of `fun` by position. Leaves that are no arrays
    are passed in and out as they are.

    **Raises:** `TypeError` if `fun` cannot be called, or for an unknown keyword. At a call:
    `ValueError` naming the place where specs are no prefix, `TypeError` naming what is no spec.
    """
    check_keywords("filter_shard_map", options, _KNOWN)

    def make(fun: Any) -> ShardMapWrapper:
        return ShardMapWrapper(as_tree(fun), mesh, in_specs, out_specs, options)

    return wrap("filter_shard_map", make, fun)


def _specs_of_arrays(name: str, specs: Shardings, tree: Any) -> list[PartitionSpec]:
    pairs = zip(of_leaves(name, specs, tree), jtu.tree_leaves(tree), strict=True)
    return [PartitionSpec() if spec is None else spec for spec, leaf in pairs if is_array(leaf)]
