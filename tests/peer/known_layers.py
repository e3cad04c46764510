"""The differences of layers that are meant, as in known.py."""

from entries import each

SIZE = "A size is an integer that is not negative, and named where it is not."
NUMPY_SIZE = "A NumPy integer is a size like any other, and kept as an `int`."
SHAPE = "The shape is compared with the one that the layer has."
INTEGERS = "The peer rounds the normalised values back to integers."
IMAGINARY = "The mean square of complex numbers is that of their absolute values."
NARROW = "Statistics are computed in float32, and kept in the dtype of the layer."

BOTH_NORMS = ["LayerNorm", "RMSNorm"]
BOTH_MODES = ["ema", "batch"]


def of(groups: list[str], names: list[str]) -> list[str]:
    """The names of several groups of cases."""
    return [f"{group}: {name}" for group in groups for name in names]


LAYERS: dict[str, tuple[str, str]] = {
    **{
        key: entry
        for topic in ("norms.build", "norms.repr")
        for key, entry in {
            **each(topic, of(BOTH_NORMS, ["numpy size"]), "beyond", NUMPY_SIZE),
            **each(topic, of(BOTH_NORMS, ["negative"]), "refused", SIZE),
            **each(
                topic,
                of(["GroupNorm"], ["no groups", "negative groups", "groups of 2.0"]),
                "refused",
                SIZE,
            ),
            **each(topic, ["GroupNorm: numpy sizes"], "quiet", NUMPY_SIZE),
        }.items()
    },
    **each("norms.call", of([*BOTH_NORMS, "GroupNorm"], ["int"]), "wrong", INTEGERS),
    **each(
        "norms.call",
        of(BOTH_NORMS, ["numpy float64"]),
        "quiet",
        "Nothing is asked for that 32-bit mode does not have.",
    ),
    **each("norms.call", of([*BOTH_NORMS, "GroupNorm"], ["number"]), "refused", SHAPE),
    **each(
        "norms.call", of(BOTH_NORMS, ["number for shape ()"]), "beyond", "A number has shape ()."
    ),
    "norms.call[RMSNorm: imaginary]": ("wrong", IMAGINARY),
    **each(
        "norms.call",
        of(["GroupNorm"], ["too few", "indivisible without affine"]),
        "refused",
        SHAPE,
    ),
    "stateful.state[update by old]": ("refused", "The peer shows an internal name."),
    "stateful.state[abstract]": ("private", "`__call__` is an abstract method here."),
    "stateful.sequential[no state]": ("refused", "The layer that needs a state is named."),
    **each("stateful.batch_norm", of(BOTH_MODES, ["no channels"]), "refused", SHAPE),
    **each(
        "stateful.batch_norm",
        of(
            BOTH_MODES,
            [
                "float16 layer of bfloat16",
                "float16 layer of float32",
                "bfloat16 layer of float16",
                "bfloat16 layer of bfloat16",
                "bfloat16 layer of float32",
                "float32 layer of float16",
                "float32 layer of bfloat16",
                "complex64 layer of float16",
                "complex64 layer of bfloat16",
            ],
        ),
        "beyond",
        NARROW,
    ),
    "stateful.batch_norm[ema: complex64 layer of float32]": (
        "beyond",
        "Real inputs are normalised as complex ones.",
    ),
    "stateful.build[BatchNorm: negative size]": ("refused", SIZE),
    "stateful.build[BatchNorm: numpy size]": ("quiet", NUMPY_SIZE),
    **each(
        "stateful.spectral_norm",
        ["negative iterations", "iterations of 1.5", "no outputs"],
        "refused",
        SIZE,
    ),
    "stateful.spectral_norm[complex64]": (
        "wrong",
        "The power iteration of a complex matrix needs its conjugate.",
    ),
    "stateful.weight_norm[equality]": ("beyond", "Equal arguments make equal layers."),
}
