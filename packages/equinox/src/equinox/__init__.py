"""Equinox: callable PyTrees and filtered transformations for JAX, under one name.

The layers are loaded when `nn` is first used: solvers are built on this package and need none.
"""

from typing import TYPE_CHECKING, Any

from eqx_filter import (
    Enumeration,
    EquinoxRuntimeError,
    EquinoxTracetimeError,
    apply_updates,
    branched_error_if,
    clear_caches,
    combine,
    default_deserialise_filter_spec,
    default_serialise_filter_spec,
    error_if,
    filter,
    filter_checkpoint,
    filter_closure_convert,
    filter_cond,
    filter_custom_jvp,
    filter_custom_vjp,
    filter_device_put,
    filter_eval_shape,
    filter_fori_loop,
    filter_grad,
    filter_hessian,
    filter_jacfwd,
    filter_jacrev,
    filter_jit,
    filter_jvp,
    filter_make_jaxpr,
    filter_map,
    filter_pmap,
    filter_pure_callback,
    filter_scan,
    filter_shard,
    filter_shard_map,
    filter_switch,
    filter_value_and_grad,
    filter_vjp,
    filter_vmap,
    filter_while_loop,
    gradf,
    if_array,
    is_array,
    is_array_like,
    is_inexact_array,
    is_inexact_array_like,
    jitf,
    partition,
    tree_at,
    tree_check,
    tree_deserialise_leaves,
    tree_equal,
    tree_flatten_one_level,
    tree_serialise_leaves,
    value_and_grad_f,
)
from eqx_pytree import (
    AbstractClassVar,
    AbstractVar,
    Module,
    Partial,
    StrictConfig,
    field,
    module_update_wrapper,
    static_field,
    tree_pformat,
    tree_pprint,
)

from . import _private, debug, internal

if TYPE_CHECKING:
    from . import nn
    from .nn import inference_mode as tree_inference

__all__ = [
    "AbstractClassVar",
    "AbstractVar",
    "Enumeration",
    "EquinoxRuntimeError",
    "EquinoxTracetimeError",
    "Module",
    "Partial",
    "StrictConfig",
    "apply_updates",
    "branched_error_if",
    "clear_caches",
    "combine",
    "debug",
    "default_deserialise_filter_spec",
    "default_serialise_filter_spec",
    "error_if",
    "field",
    "filter",
    "filter_checkpoint",
    "filter_closure_convert",
    "filter_cond",
    "filter_custom_jvp",
    "filter_custom_vjp",
    "filter_device_put",
    "filter_eval_shape",
    "filter_fori_loop",
    "filter_grad",
    "filter_hessian",
    "filter_jacfwd",
    "filter_jacrev",
    "filter_jit",
    "filter_jvp",
    "filter_make_jaxpr",
    "filter_map",
    "filter_pmap",
    "filter_pure_callback",
    "filter_scan",
    "filter_shard",
    "filter_shard_map",
    "filter_switch",
    "filter_value_and_grad",
    "filter_vjp",
    "filter_vmap",
    "filter_while_loop",
    "gradf",
    "if_array",
    "internal",
    "is_array",
    "is_array_like",
    "is_inexact_array",
    "is_inexact_array_like",
    "jitf",
    "module_update_wrapper",
    "nn",
    "partition",
    "static_field",
    "tree_at",
    "tree_check",
    "tree_deserialise_leaves",
    "tree_equal",
    "tree_flatten_one_level",
    "tree_inference",
    "tree_pformat",
    "tree_pprint",
    "tree_serialise_leaves",
    "value_and_grad_f",
]


def __getattr__(name: str) -> Any:
    if name == "nn":
        from importlib import import_module

        return import_module("equinox.nn")
    if name == "tree_inference":
        from .nn import inference_mode

        return inference_mode
    if name == "__version__":
        from importlib.metadata import version

        return version("equinox")
    return _private.attribute(__name__, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
