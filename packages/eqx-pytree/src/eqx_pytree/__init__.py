"""Callable PyTrees for JAX: `Module`, and what makes a class data that JAX can read."""

from typing import Any

from ._abstract import AbstractClassVar, AbstractVar, StrictConfig
from ._container import ContainerMeta
from ._documentation import doc_remove_args, doc_repr
from ._equality import tree_equal
from ._fields import field, static_field
from ._keys import is_own_key, static_key
from ._methods import BoundMethod
from ._module import Module, is_abstract_module, under_construction
from ._printing import TreeWLCustom, tree_pformat, tree_pprint
from ._static import Static
from ._wrapping import Partial, module_update_wrapper

__all__ = [
    "AbstractClassVar",
    "AbstractVar",
    "BoundMethod",
    "ContainerMeta",
    "Module",
    "Partial",
    "Static",
    "StrictConfig",
    "TreeWLCustom",
    "doc_remove_args",
    "doc_repr",
    "field",
    "is_abstract_module",
    "is_own_key",
    "module_update_wrapper",
    "static_field",
    "static_key",
    "tree_equal",
    "tree_pformat",
    "tree_pprint",
    "under_construction",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("eqx-pytree")
    message = f"module `{__name__}` has no attribute `{name}`"
    raise AttributeError(message)
