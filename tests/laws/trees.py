"""Random PyTrees: containers, named tuples, None, Modules of random classes, and shared nodes."""

from collections import OrderedDict, defaultdict
from collections.abc import Callable
from typing import Any

import jax
import jax.tree_util as jtu
from hypothesis import strategies as st

from eqx_pytree import Module, Partial, Static, module_update_wrapper

from . import values
from .classes import arguments, module_classes
from .nodes import Box, Pair, double, first

CONTAINERS = ["dict", "ordered", "default", "list", "tuple", "named", "box"]
CALLABLES = ["partial", "jax partial", "method"]
MODULES = ["module"] * 6 + ["static"]
EVERYTHING = [*CONTAINERS, *CALLABLES, *MODULES, "none", "wrapper", "unfinished", "again", "again"]


class _Wrapper(Module):
    """A Module that can carry a function's name and docstring."""

    held: Any

    @property
    def __wrapped__(self) -> Any:
        return double


class _Grower:
    """Grows one tree: draws nodes, and remembers them to use some twice."""

    def __init__(
        self, draw: Any, leaves: Any, statics: Any, classes: list[type[Module]], kinds: list[str]
    ) -> None:
        self.draw = draw
        self.leaves = leaves
        self.statics = statics
        self.classes = classes
        self.kinds = kinds
        self.made: list[Any] = []

    def tree(self, depth: int) -> Any:
        kinds = ["leaf", "leaf", *self.kinds] if depth else ["leaf", "leaf", "leaf", "none"]
        kind = self.draw(st.sampled_from(kinds))
        return self.draw(self.leaves) if kind == "leaf" else self.node(kind, depth)

    def node(self, kind: str, depth: int) -> Any:
        if kind == "again":
            return self.draw(st.sampled_from(self.made)) if self.made else None
        self.made.append(BUILD[kind](self, depth - 1))
        return self.made[-1]

    def several(self, depth: int) -> list[Any]:
        return [self.tree(depth) for _ in range(self.draw(st.sampled_from([2, 1, 0, 3])))]

    def named(self, depth: int) -> dict[str, Any]:
        keys = self.draw(st.sampled_from([("b", "a"), ("a",), (), ("a", "é", "b")]))
        return {key: self.tree(depth) for key in keys}

    def module(self, depth: int) -> Any:
        cls = self.draw(st.sampled_from(self.classes))
        return cls(**self.values(cls, depth))

    def values(self, cls: type[Module], depth: int) -> dict[str, Any]:
        """Arguments for a constructor, in any order."""
        given = {}
        for name, (static, needed) in self.draw(st.permutations(list(arguments(cls).items()))):
            if needed or self.draw(st.booleans()):
                given[name] = self.draw(self.statics) if static else self.tree(depth)
        return given

    def unfinished(self, depth: int) -> Any:
        """What an instance is while its `__init__` runs: some fields are not there yet."""
        whole = self.module(depth)
        instance = object.__new__(type(whole))
        for name, value in vars(whole).items():
            if self.draw(st.booleans()):
                vars(instance)[name] = value
        return instance


BUILD: dict[str, Callable[[_Grower, int], Any]] = {
    "none": lambda grower, depth: None,
    "dict": lambda grower, depth: grower.named(depth),
    "ordered": lambda grower, depth: OrderedDict(grower.named(depth)),
    "default": lambda grower, depth: defaultdict(list, grower.named(depth)),
    "list": lambda grower, depth: grower.several(depth),
    "tuple": lambda grower, depth: tuple(grower.several(depth)),
    "named": lambda grower, depth: Pair(grower.tree(depth), grower.tree(depth)),
    "box": lambda grower, depth: Box(grower.tree(depth)),
    "partial": lambda grower, depth: Partial(first, *grower.several(depth), **grower.named(depth)),
    "jax partial": lambda grower, depth: jtu.Partial(
        first, *grower.several(depth), **grower.named(depth)
    ),
    "module": lambda grower, depth: grower.module(depth),
    "method": lambda grower, depth: grower.module(depth).everything,
    "static": lambda grower, depth: Static(grower.draw(grower.statics)),
    "wrapper": lambda grower, depth: module_update_wrapper(_Wrapper(grower.tree(depth))),
    "unfinished": lambda grower, depth: grower.unfinished(depth),
}


@st.composite
def trees(
    draw: Any,
    leaves: Any = None,
    statics: Any = None,
    kinds: list[str] = EVERYTHING,
    depth: int = 3,
) -> Any:
    """A PyTree that is no leaf, with Modules of one or two classes made for it."""
    classes = draw(st.lists(module_classes(), min_size=1, max_size=2))
    leaves = values.leaves() if leaves is None else leaves
    statics = values.statics() if statics is None else statics
    grower = _Grower(draw, leaves, statics, classes, kinds)
    root = draw(st.sampled_from([kind for kind in kinds if kind not in ("again", "none")]))
    return grower.node(root, depth)


def portable_trees(**options: Any) -> Any:
    """Trees without JAX's functions with custom rules, which no copy and no pickle keeps as one."""

    def is_portable(value: Any) -> bool:
        return not isinstance(value, jax.custom_jvp)

    return trees(
        leaves=values.jit_leaves().filter(is_portable),
        statics=values.statics().filter(is_portable),
        **options,
    )


@st.composite
def constructions(draw: Any) -> tuple[type[Module], dict[str, Any]]:
    """A class, and arguments for its constructor."""
    cls = draw(module_classes())
    grower = _Grower(draw, values.leaves(), values.statics(), [cls], EVERYTHING)
    return cls, grower.values(cls, 2)
