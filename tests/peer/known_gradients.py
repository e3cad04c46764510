"""Gradients by what cannot be differentiated: ours warns, since all of them are None."""

from entries import each

WHY = "The peer's gradient is None everywhere, without a warning."

ALWAYS = [
    "jax int32",
    "jax uint8",
    "jax bool",
    "jax int4",
    "jax key",
    "jax raw key",
    "numpy int64",
    "numpy bool",
    "numpy float0",
    "numpy string",
    "numpy object",
    "numpy int32 scalar",
    "numpy bool scalar",
    "float",
    "nan",
    "int",
    "bool",
    "complex",
    "string",
    "bytes",
    "function",
    "class",
    "dtype class",
    "dtype",
    "ellipsis",
    "range",
    "set",
    "list",
    "list of strings",
    "ragged list",
    "tuple",
    "struct",
    "convertible",
    "opaque",
]
"""What is not differentiated by, wherever it is."""

BESIDE_A_NUMBER = [
    "jax float32",
    "jax complex64",
    "jax bfloat16",
    "jax float16",
    "jax float8",
    "jax empty",
    "numpy float64",
    "numpy float32",
    "numpy complex64",
    "numpy bfloat16",
    "numpy float32 scalar",
    "numpy float64 scalar",
    "numpy complex64 scalar",
    "None",
    "list of arrays",
    "list of None",
    "empty list",
    "dict",
    "module",
    "method",
]
"""And these, where a Python number is what one would differentiate by."""

BESIDES = {
    "grad.aux": [*BESIDE_A_NUMBER, "large int"],
    "grad.of_leaf": [
        "large int",
        "None",
        "list of None",
        "empty list",
        "dict",
    ],
    "grad.of_leaf_alone": [
        "large int",
    ],
    "grad.of_leaf_squared": [
        "large int",
    ],
    "grad.result": [*BESIDE_A_NUMBER],
    "grad.second_argument": [*BESIDE_A_NUMBER, "large int"],
}

ALONE = [
    "grad.allow_int",
    "grad.keywords",
    "grad.has_aux_decorator",
    "grad.module_that_is_called",
    "grad.under_filter_jit",
    "grad.second_order",
    "grad.int_input",
]

GRADIENTS = dict.fromkeys(ALONE, ("wrong", WHY))
for topic, names in BESIDES.items():
    GRADIENTS |= each(topic, [*ALWAYS, *names], "wrong", WHY)
