"""Train a hundred equal blocks, as one by `Stacked` and as a tuple, and see what each costs.

Both are the same model, and take the same steps. The tuple is traced, lowered and compiled block
by block. Run it with

    python examples/deep.py

and look at `outputs/deep.png`.
"""

import time
from pathlib import Path

import jax
import jax.random as jr
import numpy as np
import optax
from command import run
from digits import batches, digits
from matplotlib.figure import Figure

import equinox as eqx
from equinox import nn

DEPTHS = 2, 10, 30, 100
STAGES = "trace and lower", "compile", "a step"


class Block(eqx.Module):
    """What a gated perceptron makes of what is normed, added."""

    norm: nn.RMSNorm
    mlp: nn.GatedMLP

    def __init__(self, size, *, key):
        self.norm = nn.RMSNorm(size)
        self.mlp = nn.GatedMLP(size, 2 * size, key=key)

    def __call__(self, x):
        return x + self.mlp(self.norm(x))


class Deep(eqx.Module):
    """Blocks between a layer that reads 64 pixels and one that names a digit."""

    first: nn.Linear
    blocks: nn.Stacked | tuple
    last: nn.Linear

    def __init__(self, size, depth, *, key):
        first_key, blocks_key, last_key = jr.split(key, 3)
        self.first = nn.Linear(64, size, key=first_key)
        self.blocks = nn.Stacked(lambda key: Block(size, key=key), depth, key=blocks_key)
        self.last = nn.Linear(size, 10, key=last_key)

    def __call__(self, pixels):
        """Logits, shape (10,), of pixels of shape (64,)."""
        x = self.first(pixels)
        for block in self.blocks if isinstance(self.blocks, tuple) else [self.blocks]:
            x = block(x)
        return self.last(x)


def as_tuple(model):
    """The same model, its blocks one by one."""
    return eqx.tree_at(lambda it: it.blocks, model, replace_fn=tuple)


def cross_entropy(model, pixels, labels):
    logits = jax.vmap(model)(pixels)  # (batch, 10)
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def train(model, opt, examples):
    """Train on each batch; return the loss of each, and the seconds of each stage."""

    @eqx.filter_jit
    def step(model, opt, pixels, labels):
        loss, grads = eqx.filter_value_and_grad(cross_entropy)(model, pixels, labels)
        return *opt.update(grads, model), loss

    times = [time.perf_counter()]
    lowered = step.lower(model, opt, *examples[0])
    times.append(time.perf_counter())
    compiled = lowered.compile()
    times.append(time.perf_counter())
    losses, taken = [], []
    for pixels, labels in examples:
        start = time.perf_counter()
        model, opt, loss = compiled(model, opt, pixels, labels)
        losses.append(float(loss))
        taken.append(time.perf_counter() - start)
    return np.array(losses), dict(zip(STAGES, [*np.diff(times), np.median(taken)], strict=True))


def draw(path, depths, times):
    """Draw the seconds of each stage against the number of blocks."""
    figure = Figure(figsize=(12, 3.8), layout="constrained")
    figure.suptitle("blocks as one, and one by one")
    for axes, stage in zip(figure.subplots(1, len(STAGES)), STAGES, strict=True):
        for name, its in times.items():
            axes.semilogx(depths, [each[stage] for each in its], "o-", label=name)
        axes.set(title=stage, xlabel="blocks", ylabel="seconds")
        axes.set_ylim(bottom=0)
        axes.set_xticks(depths, labels=map(str, depths))
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=120)


def main(*, steps=20, batch_size=64, width=64, learning_rate=1e-3, seed=0, output="outputs"):
    """Train each model in both forms, tell the times; return the worst difference of a loss."""
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    pixels, _, labels, _ = digits(64)
    examples = list(batches(seed, pixels, labels, batch_size, steps))

    def both(depth):
        model = Deep(width, depth, key=jr.key(seed))
        forms = {"Stacked": model, "tuple": as_tuple(model)}
        opt = lambda it: eqx.Optimizer(optax.adam(learning_rate), it)  # noqa: E731
        return {name: train(it, opt(it), examples) for name, it in forms.items()}

    both(1)  # what takes time once in a process is not of the first model
    times, worst = {"Stacked": [], "tuple": []}, 0.0
    for depth in DEPTHS:
        found = both(depth)
        for name, (losses, taken) in found.items():
            times[name].append(taken)
            told = ", ".join(f"{stage} {seconds:.3g} s" for stage, seconds in taken.items())
            print(f"{depth:4} blocks, {name}: {told}; loss {losses[0]:.3f} to {losses[-1]:.3f}")
        one, other = (losses for losses, _ in found.values())
        worst = max(worst, np.max(np.abs(one / other - 1)))

    picture = output / "deep.png"
    draw(picture, DEPTHS, times)
    print(f"losses of both: alike to {worst:.1g}")
    print(f"picture: {picture}")
    return float(worst)


def problem(worst):
    """Say whether both were the same model."""
    return f"the losses of both differ by {worst:.1%}" if worst > 0.01 else None


if __name__ == "__main__":
    run(main, __doc__.splitlines()[0], problem)
