"""Draw pictures of docs that no script of examples draws. `python website/pictures.py`."""

import re
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import AbstractMesh
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

import equinox as eqx
from equinox import nn

PICTURES = Path(__file__).resolve().parents[1] / "docs" / "pictures"
READ, LEFT, OUTSIDE = "#4051b5", "#dfe3f8", "#f6c90e"


def squares(axes, colors, title):
    """Draw a table of coloured squares."""
    shown = np.array([[to_rgb(color) for color in row] for row in colors])
    rows, columns = shown.shape[:2]
    axes.imshow(shown)
    axes.set(title=title, xticks=np.arange(0.5, columns - 1), yticks=np.arange(0.5, rows - 1))
    axes.tick_params(length=0, labelbottom=False, labelleft=False)
    axes.grid(color="white", linewidth=2)
    axes.spines[:].set_visible(False)


def windows():
    """Show which inputs of an axis each output reads."""
    cases = {
        "kernel 3": {},
        "kernel 3, stride 2": {"stride": 2},
        "kernel 3, dilation 2": {"dilation": 2},
        "kernel 3, padding 1": {"padding": 1},
    }
    figure = Figure(figsize=(11, 2.6), layout="constrained")
    for axes, (title, settings) in zip(figure.subplots(1, 4), cases.items(), strict=True):
        squares(axes, read_by(9, 3, **settings), title)
        axes.set(xlabel="input", ylabel="output")
    figure.savefig(PICTURES / "windows.png", dpi=120)


def read_by(size, kernel, stride=1, dilation=1, padding=0):
    """Give a row for each output: the inputs that it reads, and the padding beside them."""
    count = (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    plain = [OUTSIDE] * padding + [LEFT] * size + [OUTSIDE] * padding
    rows = []
    for output in range(count):
        places = [output * stride + dilation * k for k in range(kernel)]
        rows.append([READ if place in places else color for place, color in enumerate(plain)])
    return rows


def norms():
    """Show what is averaged together with the first channel of the first example."""
    examples, channels = 4, 6
    together = {
        "LayerNorm, RMSNorm": lambda example, channel: example == 0,
        "GroupNorm, 2 groups": lambda example, channel: example == 0 and channel < channels // 2,
        "BatchNorm": lambda example, channel: channel == 0,
    }
    figure = Figure(figsize=(10, 2.6), layout="constrained")
    for axes, (title, is_read) in zip(figure.subplots(1, 3), together.items(), strict=True):
        table = [
            [READ if is_read(i, j) else LEFT for j in range(channels)] for i in range(examples)
        ]
        squares(axes, table, title)
        axes.set(xlabel="channel", ylabel="example")
    figure.savefig(PICTURES / "norms.png", dpi=120)


def rotary(size=16, theta=10_000, length=64):
    """Show by which angle each pair is turned at each position."""
    angles = np.outer(theta ** (-np.arange(0, size, 2) / size), np.arange(length))
    figure = Figure(figsize=(8, 2.4), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(np.sin(angles), cmap="RdBu", aspect="auto", interpolation="nearest")
    axes.set(xlabel="position", ylabel="pair", title="sine of the angle, size 16")
    figure.colorbar(image)
    figure.savefig(PICTURES / "rotary.png", dpi=120)


INITIALIZERS = {
    "default": (None, None),
    "he_normal": (jax.nn.initializers.he_normal(), jax.nn.initializers.zeros),
    "glorot_normal": (jax.nn.initializers.glorot_normal(), jax.nn.initializers.zeros),
    "lecun_normal": (jax.nn.initializers.lecun_normal(), jax.nn.initializers.zeros),
}
"""For weights and for biases."""


def first_values(depth=30, width=256):
    """Show the mean square of what goes from layer to layer, before anything is learned."""
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    plain, residual = figure.subplots(1, 2)
    for name, style in zip(INITIALIZERS, ("-C0", "-C1", "-C2", "--C3"), strict=True):
        outputs = through_layers(width, depth, *INITIALIZERS[name])
        plain.semilogy([np.mean(it**2) for it in outputs], style, label=name)
        if name == "default":
            label = "default, variance of inputs"
            plain.semilogy([np.mean(np.var(it, 0)) for it in outputs], ":C0", label=label)
    for name, zeros in {"default": False, "he_normal": False, "he_normal, zero ends": True}.items():
        outputs = through_blocks(width, depth, *INITIALIZERS[name.split(",")[0]], zeros)
        residual.semilogy([np.mean(it**2) for it in outputs], label=name)
    plain.set(title="linear(relu(x))", xlabel="layer", ylabel="mean square of the output")
    plain.set_ylim(top=1e9)
    residual.set(title="x + linear(relu(linear(x)))", xlabel="block")
    for axes in (plain, residual):
        axes.legend(loc="upper left", fontsize="small", ncols=2 if axes is plain else 1)
        axes.grid(alpha=0.3)
    figure.savefig(PICTURES / "first_values.png", dpi=120)


def through_layers(width, depth, weight, bias):
    """Give a batch of inputs, and the outputs of each layer."""
    drawn = {"weight_init": weight, "bias_init": bias}
    outputs = [jax.random.normal(jax.random.key(1), (256, width))]
    for i, key in enumerate(jax.random.split(jax.random.key(0), depth)):
        x = jax.nn.relu(outputs[-1]) if i else outputs[-1]
        outputs.append(jax.vmap(nn.Linear(width, width, **drawn, key=key))(x))
    return outputs


def through_blocks(width, depth, weight, bias, zeros):
    """Give a batch of inputs, and the outputs of each residual block."""
    drawn, key = {"weight_init": weight, "bias_init": bias}, jax.random.key(0)
    blocks = nn.Stacked(
        lambda key: nn.MLP(width, width, width, 1, **drawn, key=key), depth, key=key
    )
    if zeros:
        blocks = nn.reinit(blocks, {"block.layers.1.weight": jax.nn.initializers.zeros}, key)
    outputs = [jax.random.normal(jax.random.key(1), (256, width))]
    for block in blocks:
        outputs.append(outputs[-1] + jax.vmap(block)(outputs[-1]))
    return outputs


def adapters(size=64, steps=150):
    """Show what is left of a loss by the rank of an update, and errors of rounded weights."""
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    tuned, rounded = figure.subplots(1, 2)
    for rank in (1, 2, 4, 8):
        tuned.semilogy(losses(size, rank, steps), label=f"rank {rank}")
    tuned.set(title="W + B A towards W + a matrix of rank 4", xlabel="step", ylabel="loss")
    spreads = np.linspace(0, 3, 13)
    for bits, style in {8: "C0", 4: "C1"}.items():
        errors = np.array([errors_of(256, spread, bits) for spread in spreads]).T
        rounded.semilogy(spreads, errors[0], f"-{style}", label=f"{bits} bits")
        rounded.semilogy(spreads, errors[1], f":{style}", label=f"{bits} bits, one scale for all")
    rounded.set(title="error of W, whose rows differ in size", ylabel="|W - scale Q| / |W|")
    rounded.set(xlabel="standard deviation of the logarithm of their sizes")
    rounded.set_ylim(top=4)
    for axes in (tuned, rounded):
        axes.legend(fontsize="small", ncols=1 if axes is tuned else 2)
        axes.grid(alpha=0.3)
    figure.savefig(PICTURES / "adapters.png", dpi=120)


def losses(size, rank, steps):
    """Give the loss after each step of training an update of a layer."""
    keys = jax.random.split(jax.random.key(0), 5)
    linear = nn.Linear(size, size, key=keys[0])
    left, right = (jax.random.normal(key, (size, 4)) / size**0.5 for key in keys[1:3])
    x = jax.random.normal(keys[3], (512, size))
    y = jax.vmap(linear)(x) + x @ right @ left.T
    model = nn.lora(linear, "weight", rank, key=keys[4])
    optimizer = eqx.Optimizer(optax.adam(1e-2), model, wrt=nn.LoRA)

    def loss(model):
        return jnp.mean((jax.vmap(model)(x) - y) ** 2)

    def step(carry, _):
        model, optimizer = carry
        value, grads = eqx.filter_value_and_grad(loss, wrt=nn.LoRA)(model)
        return optimizer.update(grads, model), value

    return eqx.filter_jit(eqx.filter_scan)(step, (model, optimizer), length=steps)[1]


def errors_of(size, spread, bits):
    """Give the error of rows of such sizes, and that with one scale for all of them."""
    one, other = jax.random.split(jax.random.key(0))
    sizes = jnp.exp(spread * jax.random.normal(one, (size, 1)))
    weight = sizes * jax.random.normal(other, (size, size))
    both = nn.Embedding(weight=weight), nn.Embedding(weight=jnp.reshape(weight, (1, -1)))
    return [float(it.weight.error) for it in nn.quantise(both, "**", bits)]


def recurrent(size=64, lengths=(16, 64, 256, 1_024, 4_096, 16_384)):
    """Show how long a sequence takes by its length, forward and with the gradient."""
    key, layers = jax.random.key(0), (nn.LSTM, nn.GRU, nn.LRU)
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    forward, gradient = figure.subplots(1, 2)
    for layer in layers:
        model = layer(size, size, key=key)
        loss = eqx.filter_jit(lambda model, xs: jnp.sum(model(xs)[0] ** 2))
        grad = eqx.filter_jit(eqx.filter_grad(loss))
        sequences = [jax.random.normal(key, (length, size)) for length in lengths]
        for axes, function in ((forward, loss), (gradient, grad)):
            taken = [1e3 * seconds(function, model, xs) for xs in sequences]
            axes.loglog(lengths, taken, "o-", label=layer.__name__)
    forward.set(title=f"one sequence of vectors of {size}", xlabel="steps", ylabel="milliseconds")
    gradient.set(title="its gradient", xlabel="steps")
    for axes in (forward, gradient):
        axes.legend()
        axes.grid(alpha=0.3)
    figure.savefig(PICTURES / "recurrent.png", dpi=120)


def seconds(function, *args, rounds=15):
    """Give the least of several calls, after one that compiles."""
    jax.block_until_ready(function(*args))
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        jax.block_until_ready(function(*args))
        taken.append(time.perf_counter() - start)
    return min(taken)


PLANS = {
    "tensor_parallel, fsdp on 2 data x 2 model": (
        [nn.tensor_parallel("model"), eqx.fsdp("data", min_size=1)],
        {"data": 2, "model": 2},
    ),
    "pipeline_parallel, fsdp on 2 stage x 2 data": (
        [eqx.pipeline_parallel("stage"), eqx.fsdp("data", min_size=1)],
        {"stage": 2, "data": 2},
    ),
}


def plans(size=8, depth=2):
    """Show which part of each array of two blocks every device holds, by two plans."""

    def make(key):
        block = lambda key: nn.TransformerBlock(size, 2, width_size=2 * size, key=key)  # noqa: E731
        return nn.Stacked(block, depth, key=key)

    like = eqx.filter_eval_shape(make, jax.random.key(0))
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    for part, (title, (rules, axes)) in zip(figure.subfigures(1, 2), PLANS.items(), strict=True):
        mesh = AbstractMesh(tuple(axes.values()), tuple(axes))
        rows = eqx.ShardingPlan(rules, mesh).table(like).rows
        rows = [row for row in rows if len(row.shape) == 3 and not re.search("key|value", row.path)]
        part.suptitle(title, fontsize="medium")
        heights = [row.shape[1] + 1 for row in rows]
        table = part.subplots(len(rows), mesh.size, squeeze=False, height_ratios=heights)
        for row, cells in zip(rows, table, strict=True):
            for device, cell in enumerate(cells):
                held(cell, row, axes, device, color=f"C{device}")
            name = row.path.removeprefix("block.").removesuffix(".weight")
            cells[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize="small")
        for device, cell in enumerate(table[0]):
            places = np.unravel_index(device, tuple(axes.values()))
            told = ", ".join(f"{name} {i}" for name, i in zip(axes, places, strict=True))
            cell.set_title(f"device {device}\n{told}", fontsize="small")
    figure.savefig(PICTURES / "plans.png", dpi=120)


def held(axes, row, sizes, device, color):
    """Draw each layer of an array, and the part of it that a device holds."""
    places = dict(zip(sizes, np.unravel_index(device, tuple(sizes.values())), strict=True))
    whole, spec = np.zeros(row.shape, bool), [*row.spec, *[None] * len(row.shape)]
    index = []
    for local, name in zip(row.local_shape, spec, strict=False):
        start = local * places.get(name, 0)
        index.append(slice(start, start + local))
    whole[tuple(index)] = True
    apart = [np.pad(it.astype(int), ((0, 0), (0, 1)), constant_values=2) for it in whole]
    palette = np.array([to_rgb(it) for it in (LEFT, color, "white")])
    axes.imshow(palette[np.concatenate(apart, axis=1)], interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


if __name__ == "__main__":
    windows()
    norms()
    rotary()
    first_values()
    adapters()
    recurrent()
    plans()
