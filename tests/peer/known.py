"""The differences that are meant: for each case, the entry of the closed list that explains it.

The list is the one in docs/differences.md. Nothing is added here to make a report pass: a
difference that no entry explains is a bug of ours.
"""

from entries import each
from known_gradients import GRADIENTS
from known_layers import LAYERS
from known_toolkit import TOOLKIT

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
STRUCT = "The peer saves nothing of a shape, without a warning."
OTHER_KINDS = "One array is a JAX array and the other a NumPy array."
OTHER_STATICS = "The static values are equal by `==` and differ in type or in sign."
BFLOAT16 = "The peer takes a NumPy array of bfloat16 for one that is not inexact."
HASHED_METHOD = "The hash comes from the function, the structure and the leaves that are no arrays."
NUMPY_BOOL = "NumPy's booleans are booleans."
BUILTIN = "A function without a signature is called as it is."
NO_NODE = "The error is a ValueError that shows what `where` returned."
FORGOTTEN = "The peer forgets what was asked for inside a function of JAX."
ANY_AUX = "Auxiliary output may be anything."
WRAPPER = "The wrapper prints its own fields."
EXPLICIT = "The peer refuses or overlooks axes that are part of an array's type."
INDEX = "An index out of range counts as the nearest; one that is no integer is refused."
BAD_INDICES = ["too large", "array, too large", "float"]
ERROR_CLASS = "The peer says that its class is in `builtins`."
MISSING = "The peer's copy has an internal marker for each attribute that the wrapper has not."
SMALL_DTYPES = ["float8_e4m3fn", "float8_e5m2", "float8_e4m3b11fnuz", "int4", "uint4"]
NAMELESS = "The peer cannot read what it wrote in a dtype that NumPy has no name for."
KEY_DATA = "Typed keys are saved as their data."
UNREADABLE = "The peer writes a pickle, which it cannot read."
NO_FILE = "What is no path and no open file of bytes is refused before anything is written."

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
        "`bias=` is a parameter; `weight_init` and `bias_init` draw first values.",
    ),
    "signatures.parameters[nn.MLP]": ("beyond", "`weight_init` and `bias_init` draw first values."),
    **GRADIENTS,
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
        "equality.hash_of_module_of",
        ["list", "list of strings", "list of None", "ragged list", "empty list", "dict"],
        "beyond",
        "The hash comes from the leaves, and each has one.",
    ),
    "wrapping.static_hash": ("beyond", "The hash comes from the value, which has one."),
    "wrapping.static_of_arrays_equal": ("beyond", "Arrays held as structure are told apart."),
    "methods.hash_of_array": ("beyond", HASHED_METHOD),
    "methods.jax_jit_inside_jit": ("beyond", HASHED_METHOD),
    "grad.under_jit": ("beyond", "`jax.jit` takes a transformed function, since it has a hash."),
    "filters.filter_spec[numpy bool]": ("beyond", NUMPY_BOOL),
    "filters.filter_spec_inverse[numpy bool]": ("beyond", NUMPY_BOOL),
    "filters.partition_spec[numpy bool]": ("beyond", NUMPY_BOOL),
    "filters.hashable_partition_of_unhashable_is_hashed": ("beyond", "A set has a key by value."),
    "jit.wrapped[builtin]": ("beyond", BUILTIN),
    "jit.attributes[builtin]": ("beyond", BUILTIN),
    "jit_caching.ways_to_call": ("beyond", "Calls that say the same in other words are one."),
    "layers.mistake[GRUCell of hidden 0]": ("beyond", "An empty state is a state."),
    "layers.dropout[all]": ("beyond", "`p=1` is a probability, though an `int`."),
    "layers.dropout[scalar]": ("beyond", "A Python number is an array of shape ()."),
    "layers.sequential[numpy index]": ("beyond", "A NumPy integer is an index."),
    "module_classes.instance_check": ("beyond", "A Module class takes virtual subclasses."),
    "predicates.tracer[is_inexact_array_like]": ("beyond", "The peer's check fails on a tracer."),
    "abstract.as_text": ("beyond", "Annotations that are text, as under the future import, count."),
    "abstract.as_dotted_text": ("wrong", "The peer takes it for a field."),
    **each(
        "tools.custom",
        ["partial", "custom rule of a Module", "nested"],
        "wrong",
        FORGOTTEN,
    ),
    **each(
        "tools.pformat",
        ["partial", "custom rule of a Module", "nested"],
        "wrong",
        FORGOTTEN,
    ),
    **each(
        "rules.custom_jvp",
        ["nonarray out", "nonarray out call", "nonarray out jit"],
        "beyond",
        "What a function with a rule returns may be anything.",
    ),
    "rules.custom_jvp[fn module perturbed]": ("refused", "The leaf is named."),
    **each("jacobians.jacfwd", ["aux2"], "beyond", ANY_AUX),
    **each("jacobians.hessian", ["aux2"], "beyond", ANY_AUX),
    "jacobians.jacrev[intonly]": ("refused", "Ours says what the first argument holds."),
    **each(
        "vmap.call",
        ["in_axes dict kwargs", "in_axes dict kw var", "kwargs default", "dict self"],
        "beyond",
        "Keyword arguments, and the leaves of the function itself, have axes of their own.",
    ),
    **each(
        "vmap.call",
        ["in_axes kwargs name", "in_axes True", "unknown kw", "3"],
        "refused",
        "The peer takes it until the call, or refuses all keyword arguments.",
    ),
    "pmap.call[out_axes -1]": ("wrong", "The peer puts the devices' axis into another place."),
    **each(
        "pmap.call",
        ["keyword", "nothing has an axis", "donate all-except-first"],
        "beyond",
        "What `filter_vmap` and `filter_jit` take, `filter_pmap` takes.",
    ),
    **each(
        "pmap.call",
        [
            "in_axes on text",
            "as many as no devices",
            "static_broadcasted_argnums",
            "donate_argnums",
            "no function",
        ],
        "refused",
        "The peer takes it until the call or altogether, or shows an internal name.",
    ),
    **each(
        "sharding.outside_jit",
        ["two axes", "explicit axes", "explicit axes, module"],
        "beyond",
        EXPLICIT,
    ),
    "sharding.inside_jit[explicit axes, sharded already]": ("wrong", EXPLICIT),
    **each(
        "sharding.inside_jit",
        ["in_shardings", "out_shardings"],
        "beyond",
        "The peer refuses shardings of compiled functions.",
    ),
    **each("runtime_errors.index", BAD_INDICES, "refused", INDEX),
    **each("runtime_errors.index_known_while_tracing", BAD_INDICES, "refused", INDEX),
    "runtime_errors.index_that_passes[float]": ("refused", INDEX),
    "runtime_errors.kinds": ("beyond", "One clause catches both kinds of failed checks."),
    "runtime_errors.tree_that_fails[bfloat16, nan]": ("wrong", "The peer leaves bfloat16 alone."),
    **each(
        "runtime_errors.transformed",
        ["branches in vmap", "lowered and compiled", "typed keys"],
        "beyond",
        "Each member that failed is named, programs made ahead of time raise, keys pass.",
    ),
    "runtime_errors.transformed[vmap with nan, some fail]": (
        "wrong",
        "The peer makes NaN of the members that did not fail.",
    ),
    "runtime_errors.transformed[transposed]": ("wrong", "The peer loses the check."),
    **each(
        "enumerations.call",
        ["iterate", "contains"],
        "beyond",
        "An enumeration is a collection of its items.",
    ),
    **each(
        "enumerations.call",
        ["item that is a number", "item that is a function"],
        "refused",
        "The value is named.",
    ),
    **each(
        "enumerations.call",
        [
            "error_if fails",
            "error_if fails, jitted",
            "error_if of a choice",
            "error_if known while tracing",
        ],
        "private",
        ERROR_CLASS,
    ),
    **each("debugging.backward_nan", ["NaN", "NaN, jitted"], "private", ERROR_CLASS),
    **each(
        "signatures.parameters",
        ["tree_deserialise_leaves", "tree_serialise_leaves"],
        "beyond",
        "`progress` is told how far it is.",
    ),
    **each(
        "signatures.parameters",
        [
            "filter_grad",
            "filter_hessian",
            "filter_jacfwd",
            "filter_jacrev",
            "filter_value_and_grad",
        ],
        "beyond",
        "`wrt` chooses what is differentiated.",
    ),
    "signatures.parameters[field]": ("beyond", "`trainable` says whether it is a parameter."),
    "tree_at.replace_by_pair[takes two]": ("beyond", "A function of a path and a node selects."),
    "tree_at.replace_fn[takes two]": ("beyond", "A function of a path and a node selects."),
    "tree_at.numpy_leaf_by_index": ("beyond", "A part of a leaf is replaced."),
    "tree_at.jax_leaf_by_index": ("beyond", "A part of a leaf is replaced."),
    "signatures.public_methods[nn.GRUCell]": ("beyond", "`RNN` asks for its first state."),
    "signatures.public_methods[nn.LSTMCell]": ("beyond", "`RNN` asks for its first state."),
    "tree_at.where_not_callable": ("beyond", "It is a path, and selects."),
    "signatures.call[filter_custom_jvp]": ("private", "A keyword may be called `self`."),
    "debugging.store_dce_of_parts": ("wrong", "The peer's array loses its weak type."),
    "debugging.traces[no function]": ("refused", "It is refused when it is wrapped."),
    "debugging.clear_caches": ("beyond", "Ours forgets compiled programs, and JAX's own caches."),
    **each(
        "abstract_evaluation.callback",
        ["vectorized", "vectorized vmap", "vectorized F vmap"],
        "beyond",
        "`vectorized` is the older spelling of `vmap_method`.",
    ),
    "abstract_evaluation.callback[both]": ("refused", "The two may contradict each other."),
    "equality.tree_equal_of_several[none]": ("refused", "The peer reads past the end of a tuple."),
    "grad.result[large int]": ("refused", "No integer has a gradient, whatever its size."),
    "grad.wraps_a_number": ("refused", "What cannot be called is refused when it is wrapped."),
    "jit.donation_twice": ("refused", "The peer shows the error of the compiled program."),
    **each(
        "layers.mistake",
        [
            "negative out_features",
            "Linear to scalar of columns",
            "MLP of depth -1",
            "MLP of scalar width",
        ],
        "refused",
        "The peer shows a compiler's error or an assertion, or builds a layer that cannot run.",
    ),
    "tree_at.replace_by_seven[dict]": ("refused", NO_NODE),
    "tree_at.none_is_leaf[dict]": ("refused", NO_NODE),
    "tree_at.method": ("refused", NO_NODE),
    "layers.layer[Linear of numpy sizes]": ("quiet", "A NumPy integer is kept as an `int`."),
    "jit.wrapper_leaves": ("private", "The peer holds the function's name beside it, as a leaf."),
    **each("reprs.repr_of_transformed", ["jit", "grad", "value"], "private", WRAPPER),
    "wrapping.update_is_a_tree[filter_jit]": ("private", WRAPPER),
    **each(
        "wrapping.update_is_a_tree",
        ["builtin", "partial", "Module", "wrapper", "number"],
        "wrong",
        MISSING,
    ),
    **each("serialisation.round_trip", SMALL_DTYPES, "beyond", NAMELESS),
    **each("serialisation.shapes_alone", SMALL_DTYPES, "beyond", NAMELESS),
    "serialisation.round_trip[numpy bfloat16]": ("beyond", NAMELESS),
    "serialisation.bytes[typed key]": ("beyond", KEY_DATA),
    "serialisation.round_trip[typed key]": ("beyond", KEY_DATA),
    "serialisation.shapes_alone[typed key]": ("beyond", KEY_DATA),
    **each("serialisation.bytes", ["numpy objects", "huge int"], "wrong", UNREADABLE),
    "serialisation.place[saving]": ("wrong", UNREADABLE),
    "serialisation.bytes[numpy masked]": ("wrong", "The peer drops the mask."),
    "serialisation.round_trip[numpy masked]": ("refused", "It is refused when it is saved."),
    **each(
        "serialisation.as_another",
        [
            "int as bool",
            "float as numpy int32 scalar",
            "float as bool",
            "float as int",
            "complex as bool",
        ],
        "wrong",
        "The peer gives another number than was saved.",
    ),
    "serialisation.bytes[struct]": ("wrong", STRUCT),
    "serialisation.round_trip[struct]": ("wrong", STRUCT),
    "serialisation.shapes_alone[struct]": ("wrong", STRUCT),
    **each(
        "serialisation.as_another",
        ["struct as float32", "scalar struct as float32"],
        "wrong",
        STRUCT,
    ),
    "serialisation.wide[int]": ("wrong", "The peer drops the upper 32 bits."),
    "serialisation.damaged[an npz]": ("refused", "It is no stream of leaves."),
    "serialisation.path[own path]": ("beyond", "It is a path like any other."),
    **each("serialisation.path", ["bytes", "none", "number"], "refused", NO_FILE),
    **each("serialisation.odd_file", ["text", "closed"], "refused", NO_FILE),
    "serialisation.file_that_only_reads": ("beyond", "Nothing but `read` is needed."),
    **each(
        "serialisation.path_that_goes_on",
        ["bytes", "an array"],
        "wrong",
        "The peer ignores what follows the last leaf.",
    ),
    **each(
        "serialisation.spec",
        ["no function", "no function inside"],
        "refused",
        "What `filter_spec` holds is looked at before anything is written.",
    ),
    **each(
        "serialisation.returned",
        ["a list", "none"],
        "refused",
        "It is a leaf of another type; the peer's error is of the structure.",
    ),
    **LAYERS,
    **TOOLKIT,
}
