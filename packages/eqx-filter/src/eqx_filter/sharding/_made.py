"""A model whose arrays are made where they lie, also where the axes of a mesh are explicit."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
from jax.sharding import AxisType, Mesh, NamedSharding

from ..compiled import filter_jit
from ..shared._jax import set_mesh
from ..shared._shardings import lay_out


def made(
    make: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], shardings: Any
) -> Any:
    """What `make` makes, laid out by a tree of shardings.

    A function on a mesh of explicit axes would have to say how each of its results is split, and
    what it does not say each device would make whole. So the compiler is asked to split them, as on
    the same mesh without such axes; in a trace, which has a mesh of its own, it is not.
    """
    is_traced = isinstance(jnp.zeros(()), jax.core.Tracer)
    explicit = [it for it in jtu.tree_leaves(shardings) if _is_explicit(it)]
    if is_traced or not explicit:
        return filter_jit(make, out_shardings=shardings)(*args, **kwargs)
    alike = jtu.tree_map(_by_compiler, shardings)
    args, kwargs = jtu.tree_map(_moved, (args, kwargs))
    with set_mesh(_alike(explicit[0].mesh)):
        found = filter_jit(make, out_shardings=alike)(*args, **kwargs)
    return lay_out("made", found, shardings)


def _is_explicit(sharding: Any) -> bool:
    kinds = getattr(getattr(sharding, "mesh", None), "axis_types", None) or ()
    return AxisType.Explicit in kinds


def _alike(mesh: Any) -> Mesh:
    """The same devices along axes of which an array's type says nothing."""
    return Mesh(mesh.devices, mesh.axis_names, axis_types=(AxisType.Auto,) * len(mesh.axis_names))


def _by_compiler(sharding: Any) -> NamedSharding:
    return NamedSharding(_alike(sharding.mesh), sharding.spec)


def _moved(leaf: Any) -> Any:
    sharding = getattr(leaf, "sharding", None)
    return jax.device_put(leaf, _by_compiler(sharding)) if _is_explicit(sharding) else leaf
