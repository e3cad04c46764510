"""The differences that are meant: for each case, the entry of the closed list that explains it.

The list is the one in docs/architecture.md. Nothing is added here to make a report pass: a
difference that no entry explains is a bug of ours.
"""

ENTRIES = {
    "tree_equal": "`tree_equal` holds JAX and NumPy arrays unequal by default",
    "inexact": "`is_inexact_array` is False for NumPy arrays and scalars",
    "array_like": "`is_array_like` answers whether `jnp.array` accepts the value",
    "spelling": "`bias=` and `deterministic=` are accepted without a warning",
    "static": "static values are told apart by type and value",
    "quiet": "a NumPy scalar in a static field warns of nothing",
    "wrong": "where the peer is silently wrong, ours is right",
}

PHRASES = [
    "was not initialized.",
    "Cannot assign methods in __init__",
    "A JAX array is being set as static!",
    "Possibly assigning a JAX-transformed callable as an attribute",
    "`__init__` method and a `__post_init__`",
    "deprecated",
    "abstract method",
    "abstract attributes",
    "abstract class attributes",
    "unsubscripted",
    "cannot have value",
    "Functions wrapped with",
    "can only be traced",
    "Error at leaf with path",
    "Deserialised leaf at path",
    "Every node being shared together",
]


def each(topic: str, names: list[str], entry: str, why: str) -> dict[str, tuple[str, str]]:
    """Explain several cases of a topic by one entry and one sentence."""
    return {f"{topic}[{name}]": (entry, why) for name in names}


STATIC_MODULES = [
    "Modules of static 1 and 1.0",
    "Modules of static 1 and True",
    "Modules of static 0.0 and -0.0",
]
NUMPY_INEXACT = [
    f"numpy {name}"
    for name in [
        "float64",
        "float32",
        "complex64",
        "float32 scalar",
        "float64 scalar",
        "complex64 scalar",
    ]
]
NUMPY_SCALARS = [
    f"numpy {kind} scalar" for kind in ["float32", "float64", "int32", "bool", "complex64"]
]
OTHER_KINDS = "One array is a JAX array and the other a NumPy array."
OTHER_STATICS = "The static values are equal by `==` and differ in type or in sign."
BFLOAT16 = "The peer takes a NumPy array of bfloat16 for one that is not inexact."
MISSING = "The peer's copy has an internal marker for each attribute that the wrapper has not."

KNOWN: dict[str, tuple[str, str]] = {
    **each(
        "equality.tree_equal",
        ["jax and numpy", "numpy and jax", "numpy scalar and jax array"],
        "tree_equal",
        OTHER_KINDS,
    ),
    **each(
        "equality.tree_equal",
        ["numpy bool and jax bool", "Modules, JAX and NumPy"],
        "tree_equal",
        OTHER_KINDS,
    ),
    "equality.operators[Modules, JAX and NumPy]": ("tree_equal", OTHER_KINDS),
    "equality.tree_equal_of_tracer_and_numpy": ("tree_equal", OTHER_KINDS),
    "signatures.parameters[tree_equal]": ("tree_equal", "The default of `typematch` is `None`."),
    **each("equality.tree_equal", STATIC_MODULES, "static", OTHER_STATICS),
    **each("equality.tree_equal_typematch", STATIC_MODULES, "static", OTHER_STATICS),
    **each("equality.tree_equal_no_typematch", STATIC_MODULES, "static", OTHER_STATICS),
    **each("equality.tree_equal_atol", STATIC_MODULES, "static", OTHER_STATICS),
    **each("equality.tree_equal_rtol", STATIC_MODULES, "static", OTHER_STATICS),
    **each("equality.operators", STATIC_MODULES, "static", OTHER_STATICS),
    "equality.treedef_of_other_static": ("static", OTHER_STATICS),
    "wrapping.static_equal[float]": ("static", OTHER_STATICS),
    **each(
        "jit_caching.traces",
        [
            "float and int",
            "int and bool",
            "zeros",
            "Modules of static 1 and 1.0",
            "Modules of static zeros",
            "Modules of static tuple",
        ],
        "static",
        OTHER_STATICS,
    ),
    **each(
        "jit_caching.traces", ["nan", "Modules of static nan"], "static", "NaN shares with NaN."
    ),
    "jit_caching.result_of_statics": ("static", "The peer gives the first one's result for all."),
    "jit_caching.result_of_leaves": ("static", "The peer gives the first one's result for all."),
    **each(
        "predicates.is_array_like",
        ["range", "list", "list of arrays", "empty list", "tuple"],
        "array_like",
        "`jnp.array` accepts it.",
    ),
    **each(
        "predicates.is_array_like",
        ["numpy string", "numpy object", "large int"],
        "array_like",
        "`jnp.array` refuses it.",
    ),
    **each("predicates.is_inexact_array", NUMPY_INEXACT, "inexact", "It is of NumPy."),
    "predicates.array_subclass[is_inexact_array]": ("inexact", "Both are of NumPy."),
    "predicates.is_inexact_array_like[numpy bfloat16]": ("wrong", BFLOAT16),
    "filters.partition_and_combine_leaf[numpy bfloat16]": ("wrong", BFLOAT16),
    "grad.of_leaf[numpy bfloat16]": ("wrong", BFLOAT16),
    "grad.of_leaf_alone[numpy bfloat16]": ("wrong", BFLOAT16),
    "grad.of_leaf_squared[numpy bfloat16]": ("wrong", BFLOAT16),
    **each(
        "signatures.parameters",
        ["nn.GRUCell", "nn.LSTMCell", "nn.Linear"],
        "spelling",
        "`bias=` is a parameter.",
    ),
    "layers.dropout[deterministic]": ("spelling", "The peer warns."),
    "layers.dropout[deterministic at call]": ("spelling", "The peer warns."),
    "layers.dropout[p of 2]": ("wrong", "The peer takes 2 for a probability."),
    "jit.compiled_with_another_static": ("wrong", "The peer gives the old static value's result."),
    "jit.compiled_with_another_structure": ("wrong", "The peer runs it on another structure."),
    **each("module_instances.static_leaf", NUMPY_SCALARS, "quiet", "It has a hash."),
    **each("module_instances.static_leaf_flattened", NUMPY_SCALARS, "quiet", "It has a hash."),
    "module_classes.slots": ("wrong", "The peer loses the leaf."),
    "module_instances.deletion": ("wrong", "The peer deletes a field of a frozen instance."),
    **each(
        "wrapping.update_is_a_tree",
        ["builtin", "partial", "Module", "wrapper", "number"],
        "wrong",
        MISSING,
    ),
}
