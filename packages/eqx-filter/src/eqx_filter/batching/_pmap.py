"""`filter_pmap`: a function over a batch of which each device has one element."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec

from ..compiled._jit import JitWrapper
from ..compiled._options import filter_jit_options
from ..shared._naming import function_name
from ..shared._wrapper import as_tree, check_keywords, wrap
from ._axes import ARRAYS_FIRST, Axes
from ._vmap import VmapWrapper

_KEYWORDS = ("backend", "devices")
_UNNAMED = "filter_pmap"


class PmapWrapper(VmapWrapper):
    """A callable that acts on a batch, one element on each device."""

    def mapped(
        self, function: Callable[..., Any], in_axes: list[int], out_axes: Any, size: int
    ) -> Callable[..., Any]:
        """As on one device, where each device drops the axes of its part and adds them again."""
        name = _UNNAMED if self.axis_name is None else self.axis_name
        out_specs: list[PartitionSpec] = []  # filled in by the function; JAX looks at it last

        def on_device(parts: list[Any]) -> list[Any]:
            out = function([jnp.squeeze(x, axis) for x, axis in zip(parts, in_axes, strict=True)])
            pairs = [
                (x, axis if axis is None else axis % (jnp.ndim(x) + 1))
                for x, axis in zip(out, out_axes, strict=True)
            ]
            out_specs[:] = [_spec(axis, name) for _, axis in pairs]
            return [x if axis is None else jnp.expand_dims(x, axis) for x, axis in pairs]

        return jax.shard_map(
            on_device,
            mesh=Mesh(self._devices(size), (name,)),
            in_specs=([_spec(axis, name) for axis in in_axes],),
            out_specs=out_specs,
            check_vma=False,
        )

    def _devices(self, size: int) -> Sequence[jax.Device]:
        devices = self.vmapkwargs.get("devices")
        if devices is None:
            devices = jax.local_devices(backend=self.vmapkwargs.get("backend"))
        if size > len(devices):
            message = (
                f"`{function_name(self.fun)}` was given a batch of {size}, and `filter_pmap` puts "
                f"each element on a device of its own; there are {len(devices)}. Use `filter_vmap` "
                "for the elements of one device, inside or instead."
            )
            raise ValueError(message)
        return devices[:size]


def _spec(axis: int | None, name: Hashable) -> PartitionSpec:
    """Say that an axis lies over the devices, or that the whole array is on each."""
    return PartitionSpec() if axis is None else PartitionSpec(*[None] * axis, name)


def filter_pmap(
    fun: Callable[..., Any] | None = None,
    *,
    in_axes: Axes = ARRAYS_FIRST,
    out_axes: Axes = ARRAYS_FIRST,
    axis_name: Hashable = None,
    axis_size: int | None = None,
    donate: str = "none",
    **pmapkwargs: Any,
) -> Callable[..., Any]:
    """Compile a function and run it on several devices, each with one element of a batch.

    A jitted `jax.shard_map` over one mesh axis, which is what `jax.pmap` has become. For new code
    `filter_shard_map` and the shardings of `filter_jit` say more.

    **Arguments:**

    - `fun`, `in_axes`, `out_axes`, `axis_name`, `axis_size`: as for `filter_vmap`. An output
        without an axis is that of the first device.
    - `donate`: whose memory may be reused, as for `filter_jit`.
    - `pmapkwargs`: `devices`, a sequence of those to use, or `backend`, the name of whose to use;
        else the first local ones are used.

    **Returns:** a callable with the signature of `fun`, and `lower`.

    **Raises:** what `filter_vmap` and `filter_jit` raise; `ValueError` at a call if there
    are fewer devices than elements.
    """
    check_keywords("filter_pmap", pmapkwargs, _KEYWORDS)
    options = filter_jit_options(donate, {}, fill_defaults=False)

    def make(fun: Any) -> PmapWrapper:
        return PmapWrapper(as_tree(fun), in_axes, out_axes, axis_name, axis_size, pmapkwargs)

    def make_jitted(fun: Any) -> JitWrapper:
        return JitWrapper(wrap("filter_pmap", make, fun), options)

    return wrap("filter_pmap", make_jitted, fun)
