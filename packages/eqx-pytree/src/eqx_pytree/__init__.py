"""Callable PyTrees for JAX: `Module`, and what makes a class data that JAX can read."""

from typing import TYPE_CHECKING

from ._abstract import AbstractClassVar, AbstractVar, StrictConfig
from ._container import ContainerMeta
from ._documentation import doc_remove_args, doc_repr
from ._equality import tree_equal
from ._fields import field, static_field
from ._keys import is_own_key, static_key
from ._lazy import load_on_use
from ._methods import BoundMethod
from ._module import Module, is_abstract_module, under_construction
from ._printing import TreeWLCustom, tree_pformat, tree_pprint
from ._static import Static
from ._wrapping import Partial, module_update_wrapper

if TYPE_CHECKING:
    from ._warning import warn_user

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
    "load_on_use",
    "module_update_wrapper",
    "static_field",
    "static_key",
    "tree_equal",
    "tree_pformat",
    "tree_pprint",
    "under_construction",
    "warn_user",
]


__getattr__, __dir__ = load_on_use(__name__, {"._warning": "warn_user"}, distribution="eqx-pytree")
