"""The differences of layers that are meant, as in known.py."""

from entries import each

SIZE = "A size is an integer that is not negative, and named where it is not."
NUMPY_SIZE = "A NumPy integer is a size like any other, and kept as an `int`."
SHAPE = "The shape is compared with the one that the layer has."
INTEGERS = "The peer rounds the normalised values back to integers."
SPATIAL = "A number for an axis that is out of range is refused by name when the layer is built."
PAIRS = "A pair for one axis and a number for another are paddings, and lists are tuples."
ZERO_AXES = "Without spatial axes, a layer acts on channels alone."
NO_BIAS = "A bias that was set to None is left out."
IMAGINARY = "The mean square of complex numbers is that of their absolute values."
NARROW = "Statistics are computed in float32, and kept in the dtype of the layer."
REAL = "Lengths and variances of complex numbers are real, and promoted by the layer itself."
REMAINDER = "The peer leaves out the remainder of a division without a warning."
REMAINDERS = ["heads that do not divide", "more heads than sizes"]
DRAWN = "A norm takes a key, for a weight or a bias that is drawn."
FLOAT_MASK = "The peer inverts a mask that was made to be added, without a warning."

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
            **each(topic, of(BOTH_NORMS, ["key"]), "beyond", DRAWN),
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
    **{
        key: entry
        for topic in ("layer", "result", "result_under_jit_and_vmap", "gradients")
        for key, entry in each(f"attention.{topic}", REMAINDERS, "wrong", REMAINDER).items()
    },
    "attention.call[float mask]": ("wrong", FLOAT_MASK),
    **each(
        "strict_promotion.dtype",
        [f"{it}, float32 of int32" for it in [*BOTH_NORMS, "GroupNorm"]],
        "wrong",
        INTEGERS,
    ),
    **each(
        "strict_promotion.dtype",
        [f"{it}, complex64 of complex64" for it in ["LayerNorm", "GroupNorm", "WeightNorm"]],
        "beyond",
        REAL,
    ),
    **each(
        "strict_promotion.dtype",
        [f"BatchNorm, {it}, float32 of {of}" for it in BOTH_MODES for of in ["bfloat16", "int32"]],
        "beyond",
        NARROW,
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
    **each(
        "attention.mistake",
        [
            "negative heads",
            "dropout_p of 2",
            "output_size of -1",
            "qk_size of -1",
            "vo_size of -1",
        ],
        "refused",
        "A size or a probability out of range is refused by name.",
    ),
    "attention.mistake[no keys]": ("beyond", "Queries without keys have zeros as results."),
    "embeddings.mistake[rotary of 2.0]": ("refused", SIZE),
    "embeddings.rotation[two thetas]": (
        "wrong",
        "The peer keeps the angles of the first `theta` for all that have the same size.",
    ),
    **each(
        "conv.mistake",
        [
            "num_spatial_dims of -1",
            "out_channels of -2",
            "kernel_size of 0",
            "kernel_size of -1",
            "stride of 0",
            "dilation of 0",
            "groups of 0",
        ],
        "refused",
        SPATIAL,
    ),
    **each("conv.mistake", ["kernel_size of NumPy", "padding of NumPy"], "quiet", NUMPY_SIZE),
    **each("conv.mistake", ["padding of pair and number", "padding of lists"], "beyond", PAIRS),
    "conv.mistake[in_channels of 0]": ("beyond", "An empty input is an input."),
    "conv.mistake[bias taken away]": ("beyond", NO_BIAS),
    **each(
        "conv_transpose.mistake",
        [
            "num_spatial_dims of -1",
            "out_channels of -2",
            "kernel_size of 0",
            "kernel_size of -1",
            "dilation of 0",
            "groups of 3",
            "groups of 0",
            "padding of triples",
        ],
        "refused",
        SPATIAL,
    ),
    **each(
        "conv_transpose.mistake", ["kernel_size of NumPy", "padding of NumPy"], "quiet", NUMPY_SIZE
    ),
    **each(
        "conv_transpose.mistake",
        ["padding of pair and number", "padding of lists"],
        "beyond",
        PAIRS,
    ),
    "conv_transpose.mistake[in_channels of 0]": ("beyond", "An empty input is an input."),
    "conv_transpose.mistake[bias taken away]": ("beyond", NO_BIAS),
    **{
        f"conv_transpose.{topic}[ConvTranspose in 0 dimensions]": ("beyond", ZERO_AXES)
        for topic in ("result", "gradient", "compiled_and_mapped")
    },
    **{
        f"pool.{topic}[AdaptivePool in 0 dimensions]": ("beyond", ZERO_AXES)
        for topic in ("result", "forward_derivative")
    },
    **each(
        "pool.mistake",
        [
            "num_spatial_dims of -1",
            "kernel_size of 0",
            "kernel_size of -1",
            "kernel_size of one",
            "stride of 0",
            "stride of -1",
            "stride of one",
            "target_shape of 0",
            "target_shape of -1",
        ],
        "refused",
        SPATIAL,
    ),
    **each("pool.mistake", ["kernel_size of NumPy", "target_shape of NumPy"], "quiet", NUMPY_SIZE),
    **each(
        "pool.mistake", ["padding of pair and number", "target_shape of a list"], "beyond", PAIRS
    ),
    **each(
        "pool.mistake",
        ["adaptive operation of first", "adaptive operation of deviation"],
        "wrong",
        "The peer applies the operation a second time to what it gave.",
    ),
}
