"""The differences of `equinox.internal` that are meant, as in known.py."""

from entries import each

CLASS = "The class of a run-time error has its own place and text."
ASSERTED = "A mistake is named, where the peer asserts or shows an internal error."

TOOLKIT: dict[str, tuple[str, str]] = {
    **each(
        "barriers.use",
        [
            "nondifferentiable_backward by value, grad",
            "nondifferentiable_backward by value, grad scan",
            "nonbatchable but constant, vmap",
            "nonbatchable but constant, filter_jit vmap",
        ],
        "private",
        CLASS,
    ),
    "filtered_primitives.bind[jit]": ("refused", ASSERTED),
    "vprims.call[grad vmap shared]": ("beyond", "The peer stumbles over its own batching."),
    "vprims.call[no transpose]": ("refused", ASSERTED),
    "noinline.call[abstract_fn, jit]": ("beyond", "A function may hold a NumPy array."),
    "noinline.call[static outputs, jit]": (
        "beyond",
        "In programs, the peer's `noinline` returns arrays alone.",
    ),
    "finalise.text[weak types]": ("wrong", "The peer loses the weak types of inner programs."),
    "finalise.text[noinline]": ("wrong", "The peer leaves primitives of its own within others."),
    "finalise.call[eval few]": ("refused", ASSERTED),
    "finalise.call[as_fn open]": ("refused", ASSERTED),
    **each(
        "loops.while",
        [
            f"a {what} as condition: {kind}"
            for what in ("number", "vector")
            for kind in (
                "lax",
                "lax, max_steps",
                "checkpointed",
                "checkpointed, max_steps",
                "checkpoints",
            )
        ],
        "refused",
        ASSERTED,
    ),
    **each(
        "omega.with_another_thing",
        ["numpy array", "numpy scalar", "numpy integer"],
        "beyond",
        "NumPy's arrays and scalars are operands.",
    ),
    **each(
        "omega.updated_with_another_thing",
        ["numpy array", "numpy scalar", "numpy integer"],
        "beyond",
        "NumPy's arrays and scalars are operands.",
    ),
    **each(
        "omega.omega",
        ["wrapped numpy array", "wrapped numpy scalar"],
        "beyond",
        "NumPy does not take them apart first.",
    ),
    **each("numerics.nextafter", ["bool"], "refused", ASSERTED),
    **each("numerics.prevbefore", ["bool"], "refused", ASSERTED),
    **each("numerics.left_broadcast_to", ["float", "nested list"], "beyond", "It is an array."),
    "numerics.left_broadcast_to[None]": ("refused", ASSERTED),
    **{
        f"numerics.{name}[{what}]": ("beyond", "What is no array stays as it is.")
        for name in ("eval_empty", "eval_zero")
        for what in ("number result", "text result", "number argument")
    },
    "numerics.str2jax[equal]": ("beyond", "Equal texts are equal, and share programs."),
    **{
        f"progress.{meter}[grad]": ("beyond", "A meter has no derivative, and needs none.")
        for meter in ("text", "text_of_few", "bar")
    },
    **each("progress.text_of", ["float16", "integers", "vector"], "beyond", "They are progress."),
    "progress.text_of[None]": ("refused", ASSERTED),
}
