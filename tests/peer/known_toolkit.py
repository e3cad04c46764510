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
    **{
        f"noinline.call[{name}]": ("beyond", "The peer's `noinline` fails with this JAX.")
        for name in (
            "jit",
            "jit twice",
            "vmap",
            "jit vmap",
            "vmap grad",
            "scan",
            "abstract_fn, jit",
        )
    },
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
}
