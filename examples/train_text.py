"""Write as Python's documentation does, byte by byte: train a small transformer, and sample it.

Run it with

    python examples/train_text.py

and look into `outputs/`: a picture of its training, and of what one head of its attention looks at.

The text comes with every Python: what `help("if")` and the like print, in `pydoc_data.topics`, from
the reference manual of the version that runs. Topics repeat each other, so each paragraph is taken
once, and tables are left out: some 350,000 bytes. The last tenth is for validation.
"""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from command import run
from language_model import LanguageModel
from matplotlib.figure import Figure
from sampling import generate
from tqdm import tqdm

import equinox as eqx
from equinox import nn
from eqx_nn import dot_product_attention_weights

BYTES = 256
MARGIN = 0.5
PROMPT = "The "
PHRASE = "Return the number of items in the dictionary *d*."


def text() -> tuple[np.ndarray, np.ndarray]:
    """Bytes to train on, and bytes for validation: uint8 of shape (n,)."""
    paragraphs = (it.strip("\n") for name in sorted(topics) for it in topics[name].split("\n\n"))
    is_table = lambda paragraph: paragraph.lstrip().startswith(("+", "|"))  # noqa: E731
    once = "\n\n".join(dict.fromkeys(it for it in paragraphs if it and not is_table(it)))
    data = np.frombuffer(once.encode(), np.uint8)
    first = len(data) * 9 // 10
    return data[:first], data[first:]


def bigram_loss(seen: np.ndarray, unseen: np.ndarray, added: float = 0.1) -> float:
    """Cross-entropy, in nats a byte, of a model that knows which byte follows which how often.

    `added` is what each pair is counted more often than it was seen.
    """
    counts = np.full((BYTES, BYTES), added)
    np.add.at(counts, (seen[:-1], seen[1:]), 1)
    chances = counts / counts.sum(axis=1, keepdims=True)
    return float(-np.log(chances[unseen[:-1], unseen[1:]]).mean())


def windows(data: np.ndarray, context: int) -> np.ndarray:
    """Cut into rows of shape (context + 1,), each of which begins with the last byte before it."""
    starts = np.arange(0, len(data) - context, context)
    return data[starts[:, None] + np.arange(context + 1)]


def batches(
    seed: int, data: np.ndarray, context: int, batch_size: int, steps: int
) -> Iterator[np.ndarray]:
    """Draw rows from anywhere, uint8 of shape (batch_size, context + 1)."""
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        starts = rng.integers(len(data) - context, size=(batch_size, 1))
        yield data[starts + np.arange(context + 1)]


def transformer(
    size: int, depth: int, num_heads: int, context: int, *, key: jax.Array
) -> LanguageModel:
    """A model over bytes, each of which sees as many before it as there are in a row."""
    first, *keys = jr.split(key, 1 + depth)
    options: dict[str, Any] = {
        "width_size": 8 * size // 3,
        "norm": nn.RMSNorm,
        "activation": jax.nn.silu,
        "is_gated": True,
        "is_causal": True,
        "window": (context - 1, 0),
        "rotary": nn.RotaryPositionalEmbedding(size // num_heads),
        "use_bias": False,
    }
    blocks = [nn.TransformerBlock(size, num_heads, **options, key=key) for key in keys]
    return LanguageModel(BYTES, blocks, nn.RMSNorm(size), key=first)


def cross_entropy(model: LanguageModel, rows: jax.Array) -> jax.Array:
    """In nats a byte, over rows of shape (batch, context + 1)."""
    logits = jax.vmap(model)(rows[:, :-1])  # (batch, context, 256)
    targets = rows[:, 1:].astype(jnp.int32)
    return optax.softmax_cross_entropy_with_integer_labels(logits, targets).mean()


@eqx.filter_jit
def validate(model: LanguageModel, rows: jax.Array) -> jax.Array:
    return jax.lax.map(lambda row: cross_entropy(model, row[None]), rows, batch_size=16).mean()


def optimizer(model: LanguageModel, learning_rate: float, steps: int) -> eqx.Optimizer:
    """AdamW whose rate rises for a tenth of the steps, and falls as a cosine to a tenth of it."""
    rate = optax.warmup_cosine_decay_schedule(
        0, learning_rate, steps // 10, steps, learning_rate / 10
    )
    tx = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(rate, b2=0.99, weight_decay=0.1))
    return eqx.Optimizer(tx, model)


def train(
    model: LanguageModel, rows: Iterable[np.ndarray], opt: eqx.Optimizer, steps: int, unseen: Any
) -> tuple[LanguageModel, np.ndarray, dict[int, float]]:
    """Return the trained model, the loss of each step, and the validation loss after some.

    The memory of the model and optimizer that are given is reused, so they are gone.
    """

    @eqx.filter_jit(donate="all")
    def step(model: Any, opt: Any, rows: Any) -> tuple[Any, Any, jax.Array]:
        loss, grads = eqx.filter_value_and_grad(cross_entropy)(model, rows)
        return *opt.update(grads, model), loss

    losses, validation = [], {}
    progress = tqdm(rows, total=steps, desc="training", unit="batch")
    for i, batch in enumerate(progress, start=1):
        model, opt, loss = step(model, opt, jnp.asarray(batch))
        losses.append(loss)
        if i % max(steps // 8, 1) == 0 or i == steps:
            validation[i] = float(validate(model, unseen))
            progress.set_postfix(validation=f"{validation[i]:.3f}")
    return model, np.asarray(jnp.stack(losses)), validation


@eqx.filter_jit
def attention_weights(model: LanguageModel, tokens: jax.Array, place: int) -> jax.Array:
    """How much each byte looks at each, in each head of a block: (heads, length, length)."""
    name = f"blocks.{place}.attention_norm"
    _, inside = eqx.capture(model, name)(tokens)
    block: Any = model.blocks[place]
    layer, rotary = block.attention, block.rotary
    query, key = (
        jax.vmap(project)(inside[name]).reshape(len(tokens), layer.num_heads, -1).swapaxes(0, 1)
        for project in (layer.query_proj, layer.key_proj)
    )
    row = jnp.arange(len(tokens))
    distance, (left, _) = row[:, None] - row, block.window
    seen = (distance >= 0) & (distance <= left)
    return jax.vmap(
        lambda query, key: dot_product_attention_weights(rotary(query), rotary(key), seen)
    )(query, key)


def draw(path: Path, losses: Any, validation: Any, bigram: float, weights: Any) -> None:
    """Draw the losses, and how much each byte of `PHRASE` looks at each, (heads, length, length).

    Of the heads, the one that looks farthest on average.
    """
    place = np.arange(len(PHRASE))
    distances = (weights * (place[:, None] - place)).sum(axis=-1).mean(axis=-1)
    head = int(distances.argmax())
    figure = Figure(figsize=(14, 6.4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.1))
    left.plot(range(1, len(losses) + 1), losses, alpha=0.35, label="training, each batch")
    left.plot(list(validation), list(validation.values()), "o-", color="black", label="validation")
    left.axhline(bigram, color="tab:red", linestyle="--", label="validation, bigram model")
    left.set(xlabel="step", ylabel="cross-entropy in nats a byte", title="loss")
    left.legend()
    seen = np.where(place[:, None] >= place, weights[head], np.nan)
    image = right.imshow(seen, cmap="Blues", vmin=0, vmax=1)
    letters = PHRASE.replace(" ", "\u2423")
    for axis in (right.xaxis, right.yaxis):
        axis.set_ticks(place, letters, family="monospace", fontsize=8)
    title = (
        f"attention of head {head + 1} of {len(weights)} in the last block:\n"
        f"it looks back {distances[head]:.1f} bytes on average"
    )
    right.set(xlabel="byte that is looked at", ylabel="byte that looks", title=title)
    figure.colorbar(image, label="weight of attention", shrink=0.8)
    figure.savefig(path, dpi=120)


def write(model: LanguageModel, context: int, length: int, key: jax.Array) -> float:
    """Print `length` bytes that the model writes; return how many it wrote in a second."""
    prompt = np.frombuffer(PROMPT.encode(), np.uint8)
    caches = model.init_cache(context + len(prompt), ring=True)
    options: dict[str, Any] = {"length": length, "temperature": 0.8, "top_p": 0.95}

    def tokens() -> np.ndarray:
        return np.asarray(generate(model.step, caches, prompt, key, **options))

    tokens()  # now it is compiled
    start = time.perf_counter()
    written = bytes(tokens().astype(np.uint8)).decode(errors="replace")
    seconds = time.perf_counter() - start
    print(f"{PROMPT}{written}\n{'-' * 80}")
    print(f"written with a cache: {length / seconds:,.0f} tokens a second, of one byte each")
    return length / seconds


def main(
    *,
    steps: int = 1000,
    batch_size: int = 16,
    context: int = 64,
    size: int = 64,
    depth: int = 2,
    num_heads: int = 4,
    learning_rate: float = 1.5e-2,
    length: int = 600,
    seed: int = 0,
    output: str | Path = "outputs",
) -> tuple[float, float]:
    """Train, judge, draw and write; return the validation losses of the model and of bigrams."""
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    seen, unseen = text()
    bigram = bigram_loss(seen, unseen)
    model_key, sample_key = jr.split(jr.key(seed))
    model = transformer(size, depth, num_heads, context, key=model_key)
    rows = batches(seed, seen, context, batch_size, steps)
    opt = optimizer(model, learning_rate, steps)
    model, losses, validation = train(model, rows, opt, steps, windows(unseen, context))

    phrase = jnp.array(list(PHRASE.encode()))
    weights = attention_weights(model, phrase, depth - 1)
    picture = output / "text.png"
    draw(picture, losses, validation, bigram, np.asarray(weights))
    write(model, context, length, sample_key)
    loss = validation[steps]
    print(f"validation loss: {loss:.3f} nats a byte; of the bigram model {bigram:.3f}")
    print(f"picture: {picture}")
    return loss, bigram


def problem(losses: tuple[float, float]) -> str | None:
    loss, bigram = losses
    if loss < bigram - MARGIN:
        return None
    return f"the validation loss is not {MARGIN} nats below that of the bigram model"


if __name__ == "__main__":
    run(main, str(__doc__).splitlines()[0], problem)
