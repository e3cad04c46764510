"""What each public name takes: names, kinds and plain defaults of its parameters, and fields."""

import dataclasses
import inspect

from marks import over

import equinox as eqx
import equinox.internal as eqxi

NAMES = [
    "Enumeration",
    "EquinoxRuntimeError",
    "Module",
    "Partial",
    "apply_updates",
    "branched_error_if",
    "clear_caches",
    "combine",
    "default_deserialise_filter_spec",
    "default_serialise_filter_spec",
    "error_if",
    "field",
    "filter",
    "filter_checkpoint",
    "filter_closure_convert",
    "filter_custom_jvp",
    "filter_custom_vjp",
    "filter_eval_shape",
    "filter_grad",
    "filter_hessian",
    "filter_jacfwd",
    "filter_jacrev",
    "filter_jit",
    "filter_jvp",
    "filter_make_jaxpr",
    "filter_pmap",
    "filter_pure_callback",
    "filter_shard",
    "filter_value_and_grad",
    "filter_vjp",
    "filter_vmap",
    "if_array",
    "is_array",
    "is_array_like",
    "is_inexact_array",
    "is_inexact_array_like",
    "module_update_wrapper",
    "partition",
    "static_field",
    "tree_at",
    "tree_check",
    "tree_deserialise_leaves",
    "tree_equal",
    "tree_flatten_one_level",
    "tree_pformat",
    "tree_pprint",
    "tree_serialise_leaves",
]
LAYERS = [
    "Dropout",
    "GRUCell",
    "Identity",
    "LSTMCell",
    "Lambda",
    "Linear",
    "MLP",
    "Sequential",
    "inference_mode",
]
INTERNAL = ["Static", "hashable_combine", "hashable_partition"]
DEBUG = [
    "announce_transform",
    "assert_max_traces",
    "backward_nan",
    "breakpoint_if",
    "get_num_traces",
    "inspect_dce",
    "store_dce",
]
PUBLIC = {
    **{name: (eqx, name) for name in NAMES},
    **{f"nn.{name}": (eqx.nn, name) for name in LAYERS},
    **{f"debug.{name}": (eqx.debug, name) for name in DEBUG},
    **{f"internal.{name}": (eqxi, name) for name in INTERNAL},
}
PLAIN = (bool, int, float, str, tuple)


def default(parameter):
    """A plain default, or whether there is one: `None` and private sentinels are not told apart."""
    if isinstance(parameter.default, PLAIN):
        return parameter.default
    return "required" if parameter.default is parameter.empty else "optional"


def parameters(function):
    signature = inspect.signature(function)
    return [(p.name, p.kind.name, default(p)) for p in signature.parameters.values()]


@over(PUBLIC)
def case_parameters(entry):
    return parameters(getattr(*entry))


CLASSES = {
    name: getattr(*entry) for name, entry in PUBLIC.items() if isinstance(getattr(*entry), type)
}


@over(CLASSES)
def case_fields(cls):
    fields = [field for field in dataclasses.fields(cls) if not field.name.startswith("_")]
    return [(field.name, bool(field.metadata.get("static"))) for field in fields]


@over(CLASSES)
def case_call(cls):
    return parameters(cls.__call__) if inspect.isfunction(cls.__call__) else None


@over(CLASSES)
def case_public_methods(cls):
    return sorted(name for name in vars(cls) if not name.startswith("_"))
