"""What a step needs on each device as devices grow, beside the formulas of papers.

    python benchmarks/growth.py [--quick] [--only PART]

Devices are those of the CPU: programs are compiled for 1 to 8 of them, one for 64, and what they
need is read by `ShardingPlan.check`; for more, `ShardingPlan.table` tells of a mesh that is not
there. Bytes sent are by device and step, an all-reduce as a ring does it: `2 (n - 1) / n` times its
result. The cost of a call is what the calling thread computes, the least of the rounds.
"""

import argparse
import functools
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding, PartitionSpec

import equinox as eqx
from equinox import nn

COUNTS = (1, 2, 4, 8)
PAPER = (64, 512, 4_096)
LARGE = 64
SIZE, HEADS, DEPTH, BATCH, LENGTH = 64, 8, 2, 16, 32
LONG, RING_HEADS, RING_SIZE = 8_192, 8, 64
PIPE_SIZE, PIPE_DEPTH, PIPE_BATCH, PIPE_LENGTH, MICRO_BATCHES = 128, 8, 32, 64, 8
RULES = {
    "data_parallel": eqx.data_parallel,
    "fsdp": functools.partial(eqx.fsdp, min_size=1),
    "tensor_parallel": nn.tensor_parallel,
}
Row = Sequence[Any]


class Blocks(eqx.Module):
    """Blocks in a tuple, of whose arrays each is sent by itself."""

    blocks: tuple[nn.TransformerBlock, ...]

    def __init__(self, key: Any) -> None:
        keys = jax.random.split(key, DEPTH)
        self.blocks = tuple(nn.TransformerBlock(SIZE, HEADS, key=it) for it in keys)

    def __call__(self, x: Any) -> Any:
        for block in self.blocks:
            x = block(x)
        return x


class Language(eqx.Module):
    """A model of language of ten billion parameters, unless told otherwise."""

    embedding: nn.Embedding
    blocks: nn.Stacked[nn.TransformerBlock]
    head: nn.Linear

    def __init__(self, size: int = 5_120, depth: int = 32, words: int = 32_000, *, key: Any):
        one, two, three = jax.random.split(key, 3)

        def block(key: Any) -> nn.TransformerBlock:
            return nn.TransformerBlock(size, size // 128, is_causal=True, key=key)

        self.embedding = nn.Embedding(words, size, key=one)
        self.blocks = nn.Stacked(block, depth, remat="full", key=two)
        self.head = nn.Linear(size, words, use_bias=False, key=three)

    def __call__(self, tokens: Any) -> Any:
        return jax.vmap(self.head)(self.blocks(jax.vmap(self.embedding)(tokens)))


def step_of(loss: Callable[..., Any]) -> Callable[..., Any]:
    """A step of training by Adam."""

    def step(model: Any, opt: Any, *batch: Any) -> Any:
        value, grads = eqx.filter_value_and_grad(loss)(model, *batch)
        return *opt.update(grads, model), value

    return step


def square(model: Any, x: Any) -> Any:
    return jnp.mean(jax.vmap(model)(x) ** 2)


def entropy(model: Any, tokens: Any) -> Any:
    logits, labels = jax.vmap(model)(tokens[:, :-1]), tokens[:, 1:]
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def adam(model: Any) -> Any:
    return eqx.filter_eval_shape(lambda it: eqx.Optimizer(optax.adam(1e-3), it), model)


def mesh_of(axis: str, count: int) -> Mesh:
    devices = jax.devices()[:count]
    return jax.make_mesh((count,), (axis,), axis_types=(AxisType.Auto,), devices=devices)


def bytes_of(tree: Any) -> int:
    return sum(it.size * it.dtype.itemsize for it in jax.tree.leaves(tree) if hasattr(it, "dtype"))


def sent(collectives: Mapping[str, tuple[int, int]], count: int) -> float:
    """Bytes that a device sends, by the sizes of results on one device."""
    share = (count - 1) / count
    times = {
        "all-reduce": 2 * share,
        "all-gather": share,
        "reduce-scatter": count - 1,
        "all-to-all": share,
        "collective-permute": 1,
    }
    return sum(times[kind] * size for kind, (_, size) in collectives.items())


def formula(rule: str, count: int, parameters: int) -> float:
    """Bytes that papers have a device send.

    Rajbhandari et al. (2020), section 7: twice the parameters where each device has a copy, and
    three times where they are split. Shoeybi et al. (2019), section 3: four all-reduces of a
    layer, two of them backwards, of `batch * length * size` numbers.
    """
    share = (count - 1) / count
    if rule == "tensor_parallel":
        return 4 * DEPTH * 2 * share * BATCH * LENGTH * SIZE * 4
    return {"data_parallel": 2, "fsdp": 3}[rule] * share * parameters


def steps(counts: Iterable[int]) -> tuple[Row, list[Row]]:
    """A step of a small transformer by each rule, read from its program."""
    like = eqx.filter_eval_shape(Blocks, jax.random.key(0))
    parameters, opt, rows = bytes_of(like), adam(like), []
    for name, rule in RULES.items():
        for count in counts:
            plan = eqx.ShardingPlan([rule("data")], mesh_of("data", count))
            x = jax.ShapeDtypeStruct((BATCH, LENGTH, SIZE), jnp.float32)
            whole = jax.ShapeDtypeStruct(
                x.shape, x.dtype, sharding=NamedSharding(plan.mesh, PartitionSpec())
            )
            batch = plan.batch(x) if plan.batch_axes else whole
            args = plan.structs(like), plan.structs(opt, of=like), batch
            told = plan.check(step_of(square), *args)
            kinds = ", ".join(told.collectives) or "none"
            figures = sent(told.collectives, count), formula(name, count, parameters)
            rows.append((name, count, told.arguments, told.temporaries, *figures, kinds))
    head = ("rule", "devices", "arguments", "temporaries", "sent", "sent, by formula", "by")
    return head, rows


def parts(counts: Iterable[int]) -> tuple[Row, list[Row]]:
    """The gradient of `ring_attention`, and a step of a `pipeline`.

    In a ring a part of keys and values is sent to all others, and backwards once more, with
    cotangents that come home: Liu et al. (2023), section 3. A stage sends a micro-batch in each
    tick, and as much backwards: Huang et al. (2019), section 2.3. What the last stage gives, and
    the gradient of the input if there is one, is all-reduced.
    """
    rows: list[Row] = []
    part = 4 * LONG * RING_HEADS * RING_SIZE
    batch = 4 * PIPE_BATCH * PIPE_LENGTH * PIPE_SIZE
    for count in counts:
        share = (count - 1) / count
        expected = part * (2 * share + 4 * share + 2 / count * (count > 1))
        rows.append(("ring_attention", count, *told_of(ring(count), count), expected))
    for count in counts:
        share = (count - 1) / count
        ticks = (MICRO_BATCHES + count - 1) / MICRO_BATCHES
        expected = batch * (2 * ticks * (count > 1) + 2 * share)
        rows.append(("pipeline", count, *told_of(pipe(count), count), expected))
    return ("what", "devices", "arguments", "temporaries", "sent", "sent, by formula"), rows


def told_of(check: Any, count: int) -> tuple[Any, Any, float]:
    return check.arguments, check.temporaries, sent(check.collectives, count)


def ring(count: int) -> Any:
    """The gradient of causal attention."""
    plan = eqx.ShardingPlan([eqx.data_parallel("sequence")], mesh_of("sequence", count))
    attend = functools.partial(nn.ring_attention, axis="sequence", is_causal=True)
    spec = PartitionSpec("sequence")
    split = eqx.filter_shard_map(attend, mesh=plan.mesh, in_specs=spec, out_specs=spec)
    struct = plan.batch(jax.ShapeDtypeStruct((LONG, RING_HEADS, RING_SIZE), jnp.float32))
    gradient = jax.grad(lambda *it: jnp.sum(split(*it) ** 2), (0, 1, 2))
    return plan.check(gradient, struct, struct, struct)


def pipe(count: int) -> Any:
    """A step of Adam, which keeps of each micro-batch the input of a stage."""
    mesh = mesh_of("stage", count)
    plan = eqx.ShardingPlan([eqx.pipeline_parallel("stage")], mesh)

    def make(key: Any) -> Any:
        def block(key: Any) -> nn.TransformerBlock:
            return nn.TransformerBlock(PIPE_SIZE, HEADS, key=key)

        return nn.Stacked(block, PIPE_DEPTH, remat=PIPE_DEPTH // count, key=key)

    def loss(model: Any, x: Any) -> Any:
        return jnp.mean(nn.pipeline(model, mesh, micro_batches=MICRO_BATCHES)(x) ** 2)

    like = eqx.filter_eval_shape(make, jax.random.key(0))
    place = NamedSharding(mesh, PartitionSpec())
    shape = PIPE_BATCH, PIPE_LENGTH, PIPE_SIZE
    x = jax.ShapeDtypeStruct(shape, jnp.float32, sharding=place)
    return plan.check(step_of(loss), plan.structs(like), plan.structs(adam(like), of=like), x)


def paper() -> tuple[Row, list[Row]]:
    """Parameters of a model of ten billion on each of many devices, by `plan.table`."""
    like = eqx.filter_eval_shape(Language, key=jax.random.key(0))
    split, parted = eqx.fsdp("data"), nn.tensor_parallel("model")
    rows = []
    for count in PAPER:
        for rules, axes in (
            ([split], {"data": count}),
            ([parted, split], {"data": count // 8, "model": 8}),
            (
                [eqx.pipeline_parallel(), parted, split],
                {"stage": 4, "data": count // 32, "model": 8},
            ),
        ):
            mesh = AbstractMesh(tuple(axes.values()), tuple(axes))
            table = eqx.ShardingPlan(rules, mesh).table(like)
            told = " x ".join(f"{size:,} {name}" for name, size in axes.items())
            rows.append((told, count, table.per_device, table.total / count))
    return ("mesh", "devices", "on each", "in even parts"), rows


def calls(counts: Iterable[int], rounds: int) -> tuple[Row, list[Row]]:
    """Microseconds of a call, on arrays that lie on so many devices."""
    ways: dict[int, tuple[Callable[[], Any], Callable[[], Any]]] = {}
    for count in counts:
        place = NamedSharding(mesh_of("data", count), PartitionSpec())
        model = eqx.filter_device_put(nn.MLP(8, 8, 8, 8, key=jax.random.key(0)), place)
        leaves = {
            str(i): it for i, it in enumerate(jax.tree.leaves(eqx.filter(model, eqx.is_array)))
        }
        plain = jax.jit(lambda leaves: {name: it + 1 for name, it in leaves.items()})
        ours = eqx.filter_jit(bumped)
        ways[count] = functools.partial(plain, leaves), functools.partial(ours, model)
    best = {count: [float("inf")] * 2 for count in ways}
    for _ in range(rounds):
        for count, pair in ways.items():
            for i, call in enumerate(pair):
                best[count][i] = min(best[count][i], seconds_of(call))
    rows = [
        (count, 1e6 * plain, 1e6 * ours, 1e6 * (ours - plain))
        for count, (plain, ours) in best.items()
    ]
    return ("devices", "jax.jit, us", "filter_jit, us", "more"), rows


def bumped(model: Any) -> Any:
    return jax.tree.map(lambda it: it + 1 if eqx.is_array(it) else it, model)


def seconds_of(call: Callable[[], Any], calls: int = 20) -> float:
    """Seconds of one call that is not waited for."""
    jax.block_until_ready(call())
    start = time.thread_time()  # what devices do in threads of theirs is not the host's
    results = [call() for _ in range(calls)]
    seconds = (time.thread_time() - start) / calls
    jax.block_until_ready(results)
    return seconds


def large() -> tuple[Row, list[Row]]:
    """A step of ten billion parameters on 64 devices, 8 by 8, compiled for structs."""
    start = time.perf_counter()
    mesh = jax.make_mesh((8, 8), ("data", "model"), axis_types=(AxisType.Auto,) * 2)
    plan = eqx.ShardingPlan([nn.tensor_parallel("model"), eqx.fsdp("data")], mesh)
    like = eqx.filter_eval_shape(Language, key=jax.random.key(0))
    tokens = plan.batch(jax.ShapeDtypeStruct((64, 2_049), jnp.int32))
    args = plan.structs(like), plan.structs(adam(like), of=like), tokens
    told = plan.check(step_of(entropy), *args)
    seconds = time.perf_counter() - start
    count = bytes_of(like) / 4e9
    even = 12e9 * count / LARGE
    row = (
        f"{count:.1f} billion",
        LARGE,
        told.arguments,
        even,
        told.temporaries,
        f"{seconds:.1f} s",
    )
    head = ("parameters", "devices", "arguments", "in even parts", "temporaries", "planned in")
    return head, [row]


def asked_large() -> tuple[Row, list[Row]]:
    """The same, in a process that has so many devices."""
    command = [sys.executable, __file__, "--large"]
    ran = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    head, rows = json.loads(ran.stdout.splitlines()[-1])
    return head, rows


def shown(value: Any) -> str:
    """A cell of a table: numbers of bytes and microseconds in three digits."""
    if isinstance(value, str) or value is None:
        return value or "?"
    if value in (*COUNTS, *PAPER):
        return f"{value:,}"
    for unit in ("", " k", " M", " G"):
        if abs(value) < 1000:
            return f"{value:.3g}{unit}"
        value /= 1000
    return f"{value:.3g} T"


def table(title: str, head: Row, rows: Iterable[Row]) -> str:
    lines = [f"## {title}", "", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(map(shown, row))} |" for row in rows), ""])


def show(only: str, counts: Sequence[int], rounds: int) -> None:
    """Measure, and print the tables whose titles hold `only`."""
    topics = {
        "a step, bytes on a device": lambda: steps(counts),
        "parts of layers and sequences, bytes on a device": lambda: parts(counts),
        "ten billion parameters on paper, bytes": paper,
        "ten billion parameters, planned": asked_large,
        "a call from the host": lambda: calls(counts, rounds),
    }
    for title, measure in topics.items():
        if only in title:
            print(table(title, *measure()), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="1 and 2 devices, fewer rounds")
    parser.add_argument("--only", default="", metavar="PART", help="titles that hold this")
    parser.add_argument("--large", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    jax.config.update("jax_num_cpu_devices", LARGE if arguments.large else max(COUNTS))
    if arguments.large:
        print(json.dumps(large()))
    elif arguments.quick:
        show(arguments.only, COUNTS[:2], 5)
    else:
        show(arguments.only, COUNTS, 200)


if __name__ == "__main__":
    main()
