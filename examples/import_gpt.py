"""Read weights by GPT-2's names in PyTorch from a safetensors file, and write with them.

Run it with

    python examples/import_gpt.py

It makes a file of random weights, `outputs/gpt.safetensors`, of a small model; neither PyTorch nor
the package `safetensors` is needed. A file of the real model has the same names, and is read alike.

The model is that of Radford et al. (2019, "Language Models are Unsupervised Multitask Learners"):
norms before attention and perceptron, learned positions, GELU by its formula with a hyperbolic
tangent, and one weight for embedding and head.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from command import run
from language_model import LanguageModel
from sampling import generate

import equinox as eqx
from equinox import nn
from equinox.migrations import copy, drop, migrate, rename, transpose

HEAD_SIZE = 64
"""Of every GPT-2: a model of size 768 has 12 heads."""

KINDS = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": jnp.bfloat16}


def write_tensors(path: Path, tensors: Mapping[str, np.ndarray]) -> None:
    """Write a safetensors file: 8 bytes of a header's length, the header, and all arrays' bytes."""
    names, header, end = {np.dtype(kind): name for name, kind in KINDS.items()}, {}, 0
    for name, array in tensors.items():
        place = [end, end + array.nbytes]
        header[name] = {
            "dtype": names[array.dtype], "shape": array.shape, "data_offsets": place,
        }  # fmt: skip
        end += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for array in tensors.values():
            file.write(np.ascontiguousarray(array).tobytes())


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """Read a safetensors file of floating arrays.

    **Raises:** `ValueError` naming the file if it ends too early, and an array of another dtype.
    """
    data, tensors = path.read_bytes(), {}
    first = 8 + int.from_bytes(data[:8], "little")
    is_whole = 8 < first <= len(data)
    header = json.loads(data[8:first]) if is_whole else {}
    header.pop("__metadata__", None)
    ends = [first + told["data_offsets"][1] for told in header.values()]
    if not is_whole or max(ends, default=first) > len(data):
        message = f"`{path}` is no safetensors file, or only a part of one. Fetch it again."
        raise ValueError(message)
    for name, told in header.items():
        if told["dtype"] not in KINDS:
            known = ", ".join(KINDS)
            message = f"`{name}` of `{path}` is of dtype {told['dtype']}; what is read is {known}."
            raise ValueError(message)
        start, end = (first + place for place in told["data_offsets"])
        array = np.frombuffer(data[start:end], KINDS[told["dtype"]])
        tensors[name] = array.reshape(told["shape"])
    return tensors


def random_weights(
    seed: int, vocabulary: int, length: int, size: int, depth: int
) -> dict[str, np.ndarray]:
    """Give weights by GPT-2's names, float32; its matrices have a row for each input."""
    rng = np.random.default_rng(seed)

    def normal(*shape: int, mean: float = 0.0, deviation: float = 0.1) -> np.ndarray:
        return rng.normal(mean, deviation, shape).astype(np.float32)

    def norm(name: str) -> dict[str, np.ndarray]:
        return {f"{name}.weight": normal(size, mean=1.0), f"{name}.bias": normal(size)}

    def linear(name: str, rows: int, columns: int) -> dict[str, np.ndarray]:
        weight = normal(rows, columns, deviation=rows**-0.5)
        return {f"{name}.weight": weight, f"{name}.bias": normal(columns)}

    weights = {
        "transformer.wte.weight": normal(vocabulary, size),
        "transformer.wpe.weight": normal(length, size),
    }
    for i in range(depth):
        block = f"transformer.h.{i}"
        weights |= norm(f"{block}.ln_1") | norm(f"{block}.ln_2")
        weights |= linear(f"{block}.attn.c_attn", size, 3 * size)
        weights |= linear(f"{block}.attn.c_proj", size, size)
        weights |= linear(f"{block}.mlp.c_fc", size, 4 * size)
        weights |= linear(f"{block}.mlp.c_proj", 4 * size, size)
    return weights | norm("transformer.ln_f")


def gpt(
    vocabulary: int, length: int, size: int, depth: int, num_heads: int, *, key: jax.Array
) -> LanguageModel:
    """GPT-2's model, of at most `length` tokens."""
    first, second, *keys = jr.split(key, 2 + depth)
    blocks = [nn.TransformerBlock(size, num_heads, is_causal=True, key=key) for key in keys]
    positions = nn.LearnedPositions(length, size, key=first)
    return LanguageModel(vocabulary, blocks, nn.LayerNorm(size), positions, key=second)


RULES = (
    rename("transformer", "", optional=True),
    drop("h.*.attn.*bias", optional=True),  # what a query may look at, in some files
    transpose("h.*.*.c_*"),
    rename("h.*.ln_*", "blocks.*.norm*"),
    rename("h.*.attn.c_attn.*", "blocks.*.self_attn.in_proj_*"),
    rename("h.*.attn.c_proj", "blocks.*.self_attn.out_proj"),
    rename("h.*.mlp.c_fc", "blocks.*.linear1"),
    rename("h.*.mlp.c_proj", "blocks.*.linear2"),
    rename("wte", "tied.0"),
    rename("wpe", "positions"),
    rename("ln_f", "norm"),
    rename("lm_head", "tied.1", optional=True),
    copy("tied.0", "tied.1"),
)
"""From GPT-2's names and layouts to those that `from_torch` has for `gpt`."""


def import_gpt(weights: Mapping[str, np.ndarray], num_heads: int | None = None) -> LanguageModel:
    """Make the model of weights by GPT-2's names.

    Sizes are those of the arrays, which do not tell `num_heads`: one for every 64 of the size
    unless given.

    **Raises:** `ValueError` naming, as rules and `from_torch` do, weights that are missing,
    unexpected, or of another shape; and without `num_heads` for a size that is no multiple of 64.
    """
    entries = migrate(weights, RULES)
    vocabulary, size = entries["tied.0.weight"].shape
    length = len(entries["positions.weight"])
    depth = len({name.split(".")[1] for name in entries if name.startswith("blocks.")})
    if num_heads is None and size % HEAD_SIZE:
        message = f"Heads are not of size {HEAD_SIZE} in a model of size {size}. Pass `num_heads`."
        raise ValueError(message)
    heads = num_heads or size // HEAD_SIZE
    model = gpt(vocabulary, length, size, depth, heads, key=jr.key(0))
    return nn.from_torch(model, entries)[0]


def main(
    *,
    file: str = "",
    size: int = 128,
    depth: int = 2,
    length: int = 40,
    seed: int = 0,
    output: str | Path = "outputs",
) -> bool:
    """Make a file unless there is one, read it, and write; return whether the cache is true."""
    path = Path(file)
    if not file:
        path = Path(output) / "gpt.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_tensors(path, random_weights(seed, 256, 64, size, depth))
    weights = read_tensors(path)
    model = import_gpt(weights)
    print(f"{path}: {len(weights)} arrays, {sum(map(np.size, weights.values())):,} weights")

    prompt = jnp.array([1, 2, 3])
    caches = model.init_cache(len(prompt) + length)
    tokens = generate(model.step, caches, prompt, length=length, temperature=0)
    print(f"after {prompt.tolist()} most likely: {tokens.tolist()}")
    at_once = eqx.filter_jit(model)(jnp.concatenate([prompt, tokens[:-1]]))[len(prompt) - 1 :]
    is_true = bool((at_once.argmax(axis=-1) == tokens).all())
    print(f"without a cache, of all tokens at once: {'the same' if is_true else 'others'}")
    return is_true


def problem(is_true: bool) -> str | None:
    return None if is_true else "tokens that are written with a cache are not the most likely ones"


if __name__ == "__main__":
    run(main, str(__doc__).splitlines()[0], problem)
