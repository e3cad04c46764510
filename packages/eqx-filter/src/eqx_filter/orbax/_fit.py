"""How what is saved fits the PyTree that it is to become, and how Orbax is to read it."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from ..checkpoints._fits import (
    Castable,
    Unfit,
    check_dtype,
    check_fits_sharding,
    check_is_array,
    check_is_of_jax,
    check_keys,
    check_number,
    is_saved,
    key_form,
)
from ..checkpoints._named import number_of, static_texts
from ..checkpoints._refusals import WaysOut, does_not_fit, told_of_both, told_of_static
from ..checkpoints._versions import versions_of
from ..paths._nodes import Node, nodes_of

Described = Mapping[str, tuple[tuple[int, ...], Any]]
"""Shapes and dtypes by name."""


class Fit:
    """Gathers, leaf by leaf, how each is read, and what is wrong."""

    def __init__(self, args: Any, saved: Described, texts: Mapping[str, Any]) -> None:
        self.args, self.saved, self.texts = args, saved, texts
        self.faults: list[str] = []
        self.is_castable = False
        self.missing: list[str] = []
        self.found: dict[str, Any] = {}

    def plan(self, name: str, leaf: Any, sharding: Any) -> Any:
        """How Orbax is to read a leaf; None for one that it does not read."""
        numbers = self.texts["numbers"]
        if not is_saved(leaf):
            return None
        try:
            if name in numbers:
                self.found[name] = number_of(*numbers[name])
                check_number(self.found[name], leaf)
            elif name in self.saved:
                return self._array(name, leaf, sharding)
            else:
                self.missing.append(name)
        except Unfit as fault:
            self.is_castable |= isinstance(fault, Castable)
            self.faults.append(f"`{name}` is {fault}.")
        return None

    def _array(self, name: str, leaf: Any, sharding: Any) -> Any:
        """How Orbax is to read an array.

        **Raises:** `Unfit`.
        """
        check_is_array(leaf)
        (shape, dtype), impl = self.saved[name], self.texts["keys"].get(name)
        if impl is not None or key_form(leaf)[0] is not None:
            check_keys(impl, shape, dtype, leaf)
            wanted = dtype
        else:
            wanted = np.dtype(leaf.dtype)
            if leaf.shape != shape:
                told = f"of shape {leaf.shape} in `like`, and of {shape} in the file"
                raise Unfit(told)
            check_dtype(dtype, wanted, may_cast=self.args.cast)
            check_is_of_jax(wanted, leaf)
        is_numpy = isinstance(leaf, (np.ndarray, np.generic))
        if sharding is not None and not is_numpy:
            check_fits_sharding(leaf.shape, sharding)
        if name in self.texts["empty"]:
            self.found[name] = np.empty(shape, wanted)
            return None
        if is_numpy:
            return ocp.RestoreArgs(restore_type=np.ndarray, dtype=wanted)
        to = sharding or getattr(leaf, "sharding", None) or _default()
        return ocp.ArrayRestoreArgs(sharding=to, global_shape=shape, dtype=wanted)

    def refuse(self, directory: Any, own: Mapping[str, Any]) -> None:
        """Raise what does not fit.

        **Raises:** `RuntimeError` that names the leaves.
        """
        args, differing = self.args, list[str]()
        left = [name for name in (*self.saved, *self.texts["numbers"]) if name not in own]
        nodes = nodes_of(args.like)
        names = told_of_both(self.missing, left, left, args.strict)
        if args.static == "compare":
            here, there = static_texts(nodes), self.texts["static"]
            both = [name for name in here if name in there and here[name] != there[name]]
            differing = [told_of_static(name, there[name], here[name]) for name in both]
        refused = [*self.faults, *names, *differing]
        if refused:
            ways = WaysOut(bool(names), self.is_castable, bool(differing))
            raise does_not_fit(directory, refused, ways, _told_of_steps(nodes))

    def finished(self, own: Mapping[str, Any], read: Mapping[str, Any]) -> dict[str, Any]:
        """The leaves by name, each as `like` has it."""
        found = {**self.found, **read}
        return {name: self._as_in(own[name], name, it) for name, it in found.items()}

    def _as_in(self, leaf: Any, name: str, found: Any) -> Any:
        if name in self.texts["keys"]:
            impl = self.texts["keys"][name]
            return jax.random.wrap_key_data(jnp.asarray(found), impl=impl)
        if isinstance(leaf, np.generic):
            return found[()]
        is_of_jax = isinstance(found, np.ndarray) and not isinstance(leaf, np.ndarray)
        return jnp.asarray(found) if is_of_jax else found


def _told_of_steps(nodes: Sequence[Node]) -> str:
    """Tell of the classes whose `__migrations__` are for files of `save` alone."""
    versions = versions_of(nodes)
    classes = {type(it.value).__qualname__ for it in nodes if it.path in versions}
    if not classes:
        return ""
    told = ", ".join(f"`{name}`" for name in sorted(classes))
    return (
        f" The `__migrations__` of {told} are not applied to what Orbax saved: restore into dicts "
        "of the old names, `save` these, and `load` that file, for which they are."
    )


def _default() -> Any:
    [device, *_] = jax.local_devices()
    return jax.sharding.SingleDeviceSharding(jax.config.jax_default_device or device)
