"""What is measured, and what ours must reach. It imports neither JAX nor any side.

A row or a line is named here once; each side in `sides/` has a function of the same name for what
it can do, and no function where it has no such thing.
"""

from dataclasses import dataclass

SIDES = {
    "plain": "plain JAX",
    "ours": "ours",
    "peer": "equinox",
    "nnx": "Flax NNX",
    "haiku": "Haiku",
}
SCALES = {"ns": 1e9, "us": 1e6, "ms": 1e3, "B": 1.0, "MB": 1e-6, "": 1.0}


@dataclass(frozen=True)
class Row:
    """One kind of work: `limit` is what ours must reach, as a multiple of `against`."""

    title: str
    unit: str = "us"
    limit: float | None = None
    against: str = "plain"
    slow: bool = False  # one measurement takes a second or so: fewer rounds in a quick run
    full: bool = False  # of one layer or loop: left out of a quick run, and with `--core`


@dataclass(frozen=True)
class Line:
    """One cost that is followed as something grows; `each` says what it is divided by."""

    title: str
    unit: str = "us"
    each: bool = False
    memory: bool = False  # not timed, but counted in a fresh process
    flat: bool = True  # it should not grow


@dataclass(frozen=True)
class Family:
    """Lines that grow with the same thing, through the same sizes."""

    title: str
    sizes: tuple[int, ...]
    quick: int  # the largest size of a quick run
    lines: dict[str, Line]
    full: bool = False  # with `--core` too, no larger sizes than in a quick run
    slow: int | None = None  # from this size on, as few rounds as a slow row has in a quick run


def _eager_and_traced(name: str, title: str) -> dict[str, Row]:
    return {
        f"{name}_eager": Row(f"{title}, eager", "ms", limit=1.5),
        f"{name}_traced": Row(f"{title}, traced", "ms", limit=1.5),
    }


def _sequences(name: str, title: str) -> dict[str, Row]:
    rows = {}
    for batch, told in {"": "32 sequences", "_one": "one sequence"}.items():
        said, full = f"{title}, {told} of 1,000 steps of 64", bool(batch)
        rows[f"{name}_run{batch}_forward"] = Row(said, "ms", limit=1.1, full=full)
        rows[f"{name}_run{batch}_gradient"] = Row(f"gradient of {said}", "ms", limit=1.1, full=full)
    return rows


WAYS = {
    "forward_eager": "eager",
    "forward_traced": "traced",
    "forward_compiled": "compiled",
    "gradient_eager": "gradient, eager",
    "gradient_traced": "gradient, traced",
    "gradient_compiled": "gradient, compiled",
}
"""How each layer is measured."""

LAYERS = {
    "linear": "Linear",
    "mlp": "MLP of 9 layers",
    "conv": "Conv2d, 3x3, 8 to 16 channels, 16x16",
    "grouped_conv": "Conv2d of 4 groups, the same",
    "conv_transpose": "ConvTranspose2d, the same, stride 2",
    "conv_transpose_3d": "ConvTranspose3d, 3x3x3, 4 to 8 channels, 6x6x6, stride 2",
    "max_pool": "MaxPool2d, 3x3, stride 2",
    "avg_pool": "AvgPool2d, 3x3, stride 2",
    "adaptive_pool": "AdaptiveAvgPool2d, 16x16 to 5x5",
    "layer_norm": "LayerNorm of 256",
    "rms_norm": "RMSNorm of 256",
    "group_norm": "GroupNorm, 4 groups, 8x16x16",
    "batch_norm": "BatchNorm, batch of 16, 8x16x16",
    "spectral_norm": "SpectralNorm of a Linear",
    "weight_norm": "WeightNorm of a Linear",
    "attention": "MultiheadAttention, 4 heads, 64 tokens of 64",
    "rotary": "RotaryPositionalEmbedding, 64 tokens of 64",
    "embedding": "Embedding",
    "prelu": "PReLU",
    "gru": "GRUCell",
    "lstm": "LSTMCell",
    "dropout": "Dropout",
}

LOOPS = {
    "narrow": "500 steps of width 4",
    "middle": "500 steps of width 32",
    "wide": "500 steps of width 128",
    "rows": "500 steps that write 250 rows of 64",
}

LOOP_WAYS = {
    "forward": "run",
    "forward_batch": "batch of 8",
    "forward_compile": "traced and compiled",
    "gradient": "gradient",
    "gradient_batch": "gradient, batch of 8",
    "gradient_compile": "gradient, traced and compiled",
}


def _loops() -> dict[str, Row]:
    rows = {}
    for loop, title in LOOPS.items():
        for kind in ("lax", "bounded", "checkpointed"):
            for way, how in LOOP_WAYS.items():
                if kind != "lax" or way.startswith("forward"):
                    name, said = f"{loop}_{kind}_{way}", f"loop {kind}, {title}, {how}"
                    rows[name] = Row(said, "ms", limit=1.0, against="peer", full=True)
    return rows


# By topic, as the modules of each side are; a new row needs an entry here and a function there.
TOPICS: dict[str, dict[str, Row]] = {
    "trees": {
        "flatten": Row("flatten a 9-layer MLP", limit=2.0),
        "unflatten": Row("unflatten it", limit=3.6),
        "paths": Row("tree_paths of it", limit=2.0),
    },
    "calls": {
        "jit_array_out": Row("jit call, model in, array out", limit=1.7),
        "jit_model_out": Row("jit call, model in, model out", limit=1.3),
        "training_step": Row("training step (gradient, Adam, update)", limit=1.15),
        "trace_and_lower": Row(
            "trace and lower a 100-layer MLP's gradient", "ms", limit=1.15, slow=True
        ),
        "checked_call": Row("jit call with a check, waited for", limit=1.3),
        "checked_trace": Row("trace and lower 20 checks", "ms", limit=1.0, against="peer"),
        "blocked_share": Row(
            "share of the work for which a jitted call blocks",
            "",
            limit=0.1,
            against="",
            slow=True,
        ),
    },
    "objects": {
        "build": Row("build a 2-field Module with its own `__init__`", limit=8.0),
        "method": Row("look a method up and call it", limit=12.0),
        "import_time": Row(
            "import, over `import jax`", "ms", limit=0.35, against="peer", slow=True
        ),
        "import_filter": Row(
            "import eqx_filter alone", "ms", limit=0.25, against="peer", slow=True
        ),
    },
    "files": {
        "save": Row("save 200 MB in 20 arrays", "ms", limit=1.0, slow=True),
        "save_fast": Row(
            "save them, not waiting for the disk", "ms", limit=1.0, against="peer", slow=True
        ),
        "save_named": Row("save 200 MB in 2,000 arrays by names", "ms", limit=1.15, slow=True),
        "load_named": Row("load them as JAX arrays", "ms", limit=1.2, slow=True),
        "save_background": Row("begin to save them in the background", "ms", 2.0, slow=True),
    },
    "training": {
        "optimizer_step": Row("training step by `Optimizer`", limit=1.2),
        "averages": Row("average of a 9-layer MLP", limit=2.0),
        "accumulated": Row("gradient of it, a batch in 8 parts", limit=1.15),
        "in_half": Row("gradient of it, in bfloat16", limit=1.2),
    },
    "attention": {
        "decode": Row("128 tokens one by one, attention with 1,024 in its cache", "ms", limit=1.1),
        "attention_compile": Row(
            "compile the gradient of attention, 4,096 tokens", "ms", limit=2.0, slow=True
        ),
    },
    "stacked": {
        "stacked_compile": Row(
            "trace, lower and compile 100 stacked blocks, over 2 of them", "", 1.5, "", slow=True
        ),
        "stacked_gradient": Row("gradient of 12 stacked blocks, over a tuple's", "", 1.1, ""),
    },
    "adapters": {
        "lora_forward": Row("LoRA of rank 8, Linear of 1,024, 64 vectors", limit=1.15),
        "lora_over": Row("that, over the Linear alone", "", 1.5, ""),
        "quantised_forward": Row("int8 Linear of 1,024, 64 vectors", limit=1.15),
        "quantised_over": Row("that, over float32", "", 1.5, ""),
        "quantised_one_over": Row("of one vector, over float32", "", None, ""),
        "quantised_bytes": Row("bytes of that int8 Linear, over float32", "", 0.26, ""),
    },
    "recurrent": {
        **_sequences("lstm", "LSTM"),
        **_sequences("gru", "GRU"),
        "masked_run_gradient": Row(
            "gradient of an LSTM, 32 sequences of 500 to 1,000 steps", "ms", limit=1.1
        ),
        "lstm_compile": Row("compile the gradient of an LSTM, 1,000 steps", "ms", limit=1.5),
        "lru_forward": Row("LRU, 10,000 steps of 64", "ms", limit=1.0),
        "lru_gradient": Row("gradient of an LRU, 10,000 steps of 64", "ms", limit=1.0),
    },
    "images": {
        f"last_{name}": Row(f"{title} with channels last, over first", "", 1.5, "", full=True)
        for name, title in {
            "conv": "Conv2d, 32 to 64 channels, 16 images of 32x32",
            "conv_gradient": "gradient of that Conv2d",
            "pool": "MaxPool2d, 2x2, 32 channels",
            "pool_gradient": "gradient of that MaxPool2d",
            "norm": "GroupNorm, 8 groups of 4",
            "norm_gradient": "gradient of that GroupNorm",
        }.items()
    },
    "transforms": {
        **_eager_and_traced("grad", "grad of a 9-layer MLP"),
        **_eager_and_traced("vmap", "vmap of it"),
        **_eager_and_traced("jvp", "jvp of it"),
        **_eager_and_traced("vjp", "vjp of it"),
        **_eager_and_traced("scan", "scan with it as the carry"),
    },
    "layers": {
        f"{layer}_{way}": Row(f"layer {title}, {how}", limit=1.0, against="peer", full=True)
        for layer, title in LAYERS.items()
        for way, how in WAYS.items()
    },
    "loops": _loops(),
    "filters": {
        "partition": Row("partition", limit=1 / 3, against="peer"),
        "combine": Row("combine", limit=1 / 3, against="peer"),
        "tree_at": Row("tree_at", limit=1 / 3, against="peer"),
        "tree_at_lambda": Row("tree_at of 9 biases, by a function", limit=1 / 3, against="peer"),
        "tree_at_path": Row("tree_at of 9 biases, by a path", limit=2 / 3, against="peer"),
        "tree_equal": Row("tree_equal", limit=1 / 3, against="peer"),
        "apply_updates": Row("apply_updates", limit=1.15),
    },
}
ROWS = {name: row for rows in TOPICS.values() for name, row in rows.items()}

HELD, KEPT, PROGRAMS = "held", "kept", "programs"  # what is counted where `memory` is set


def _memory(thing: str) -> dict[str, Line]:
    return {
        HELD: Line(f"Python memory, for each {thing}", "B", memory=True),
        KEPT: Line("Python memory kept, for each that was dropped", "B", memory=True),
        PROGRAMS: Line("programs kept, for each that was dropped", "", memory=True),
    }


FAMILIES = {
    "leaves": Family(
        "leaves of a model",
        (10, 100, 1_000, 10_000),
        1_000,
        {
            "flatten": Line("flatten, for each leaf", "ns", each=True),
            "partition": Line("partition, for each leaf", "ns", each=True),
            "jit": Line("jit call, model in, array out, for each leaf", "ns", each=True),
        },
    ),
    "variants": Family(
        "variants of one static field, each compiled",
        (1, 10, 100, 1_000),
        100,
        {
            "one": Line("call the newest"),
            "turn": Line("call them in turn"),
            **_memory("variant"),
        },
    ),
    "functions": Family(
        "wrapped functions, each compiled",
        (1, 10, 100, 1_000),
        100,
        {
            "wrap": Line("wrap one more"),
            "one": Line("call the newest"),
            "turn": Line("call them in turn"),
            **_memory("function"),
        },
    ),
    "tokens": Family(
        "tokens of attention, 8 heads of 64",
        (128, 1_024, 4_096, 16_384),
        1_024,
        {
            "forward": Line("attention, forward", "ms", flat=False),
            "gradient": Line("attention, gradient", "ms", flat=False),
            "causal": Line("causal attention, gradient", "ms", flat=False),
            "temporary": Line("temporary memory of attention's gradient", "MB", flat=False),
        },
        full=True,
        slow=4_096,
    ),
}
