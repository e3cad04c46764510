"""What the processes of a job do: `python jobs.py JOB PORT COUNT FOLDER NUMBER`.

`test_many.py` also calls `trained` and `kinds`, in one process with all of the devices.
"""

import functools
import inspect
import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

import equinox as eqx
from equinox import nn

try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import orbax.checkpoint as ocp

    from equinox.orbax import TreeRestore, TreeSave
except ModuleNotFoundError:
    ocp = None

set_mesh = jax.set_mesh if hasattr(jax, "set_mesh") else jax.sharding.use_mesh

DEVICES = 4
PLANS = ("data", "fsdp", "2x2")
ROWS = 16
STEPS = 4
STEP_TO_DIE = 5
SGD = optax.sgd(0.1, momentum=0.9)
BATCHES = np.random.default_rng(0).normal(size=(20, 2, ROWS, 8)).astype(np.float32)
"""For each step `x` and `y`, of which a process may look at its rows alone."""


def begin(port: str, count: str, number: str) -> None:
    """Join the other processes; all have four devices together."""
    timeouts = {"shutdown_timeout_seconds": 3, "heartbeat_timeout_seconds": 10}
    known = inspect.signature(jax.distributed.initialize).parameters
    options = {name: it for name, it in timeouts.items() if name in known}
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", DEVICES // int(count))
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"127.0.0.1:{port}", int(count), int(number), **options)


def mesh(**sizes: int) -> Mesh:
    return Mesh(np.array(jax.devices()[:DEVICES]).reshape(tuple(sizes.values())), tuple(sizes))


def plan_of(name: str) -> eqx.ShardingPlan:
    if name == "data":
        return eqx.ShardingPlan([eqx.data_parallel("data")], mesh(data=4))
    if name == "fsdp":
        return eqx.ShardingPlan([eqx.fsdp("data", min_size=1)], mesh(data=4))
    rules = [nn.tensor_parallel("model"), eqx.fsdp("data", min_size=1)]
    return eqx.ShardingPlan(rules, mesh(data=2, model=2))


def make(key: jax.Array) -> Any:
    return nn.MLP(8, 8, width_size=16, depth=1, key=key)


@eqx.filter_jit
def train_step(model: Any, opt: Any, x: jax.Array, y: jax.Array) -> Any:
    def loss_of(model: Any) -> jax.Array:
        return jnp.mean((jax.vmap(model)(x) - y) ** 2)

    loss, grads = eqx.filter_value_and_grad(loss_of)(model)
    model, opt = opt.update(grads, model)
    return model, opt, eqx.error_if(loss, ~jnp.isfinite(loss), "the loss is not finite")


def begun(plan: eqx.ShardingPlan) -> Any:
    """The model and the optimiser that a training begins with."""
    model = plan.init(make, jax.random.key(0))
    return model, plan.shard(eqx.Optimizer(SGD, model), of=model)


def batch(plan: eqx.ShardingPlan, step: int) -> Any:
    rows = plan.rows(ROWS)
    return plan.batch(tuple(BATCHES[step][:, rows]))


def trained(name: str) -> Any:
    """The losses of a training, and the model after it."""
    plan = plan_of(name)
    model, opt = begun(plan)
    losses = []
    for step in range(STEPS):
        model, opt, loss = train_step(model, opt, *batch(plan, step))
        losses.append(float(loss))
    return losses, model


class Kinds(eqx.Module):
    """An array of each kind that is saved in a way of its own, and what is no array."""

    keys: jax.Array
    half: jax.Array
    complex: jax.Array
    bits: jax.Array
    again: jax.Array
    stack: nn.Stacked
    host: np.ndarray
    number: float = 1.5


@functools.cache
def kinds() -> Kinds:
    ramp = np.arange(8, dtype=np.float32)
    keys = jax.random.split(jax.random.key(1), 8)
    stack = nn.Stacked(lambda key: nn.Linear(8, 8, use_bias=False, key=key), 2, key=keys[0])
    half = jnp.asarray(ramp, jnp.bfloat16)
    complex_ = jnp.asarray(ramp + 1j * ramp[::-1])
    return Kinds(keys, half, complex_, jnp.asarray(ramp > 3), half, stack, np.arange(3))


def kinds_over(mesh: Mesh) -> Kinds:
    """The same with each array on all devices; one that stands twice is one still."""
    tree = kinds()
    rows, stacked = NamedSharding(mesh, P("data")), NamedSharding(mesh, P(None, "data"))
    stack = eqx.filter_device_put(tree.stack, stacked)
    flat = tree.keys, tree.half, tree.complex, tree.bits
    keys, half, complex_, bits = eqx.filter_device_put(flat, rows)
    return Kinds(keys, half, complex_, bits, half, stack, tree.host)


def together(folder: Path) -> dict[str, Any]:
    """Train by each plan; print, compare, save and load what is not all on this host."""
    told: dict[str, Any] = {"losses": {}, "rows": {}, "equal": {}, "shown": {}}
    for name in PLANS:
        plan = plan_of(name)
        told["losses"][name], model = trained(name)
        told["rows"][name] = plan.rows(ROWS).tolist()
        told["shown"][name] = [str(eqx.summary(model)), eqx.tree_pformat(model), repr(model)]
        eqx.save(folder / f"many-{name}", model, checksum=name == "fsdp")
        like = eqx.filter_eval_shape(make, jax.random.key(0))
        load = functools.partial(eqx.load, like=like, sharding=plan.shardings(like))
        again, theirs = load(folder / f"many-{name}"), load(folder / f"one-{name}")
        other = eqx.tree_at(lambda it: it.layers[1].bias, model, replace_fn=lambda it: it + 1)
        told["equal"][name] = [
            bool(eqx.tree_equal(model, again)),
            bool(eqx.tree_equal(model, theirs, rtol=1e-4, atol=1e-5)),
            bool(eqx.tree_equal(model, other)),
            bool(eqx.tree_equal(model, eqx.load(folder / f"many-{name}", like))),
            all(map(lie_alike, arrays(model), arrays(again))),
        ]
    spread = kinds_over(mesh(data=4))
    eqx.save(folder / "many-kinds", spread)
    again = eqx.load(folder / "many-kinds", spread)
    told["kinds"] = [
        bool(eqx.tree_equal(again, spread)),
        all(map(lie_alike, arrays(again), arrays(spread))),
    ]
    with set_mesh(mesh(data=4)):
        told["under a mesh"] = raised(eqx.save, folder / "many-mesh", spread)
    told |= {"errors": errors(folder), "steps": steps(folder), "checks": checks()}
    return {**told, "orbax": orbax(folder)}


def lie_alike(x: Any, y: Any) -> bool:
    return isinstance(x, np.ndarray) or x.sharding.is_equivalent_to(y.sharding, x.ndim)


def arrays(tree: Any) -> list[Any]:
    return jax.tree.leaves(eqx.filter(tree, eqx.is_array))


def raised(fn: Any, *args: Any, **kwargs: Any) -> list[str]:
    """The kind and the text of what is raised."""
    try:
        fn(*args, **kwargs)
    except Exception as error:
        return [type(error).__name__, str(error)]
    return ["nothing", ""]


def errors(folder: Path) -> dict[str, Any]:
    """What is raised where the process that writes cannot, or is alone; then all go on."""
    from eqx_filter.checkpoints import _atomic
    from eqx_filter.shared import _processes

    tree = {"a": jnp.zeros(8), "b": jnp.zeros(8)}
    tree = jax.device_put(tree, NamedSharding(mesh(data=4), P("data")))
    told = {"no folder": raised(eqx.save, folder / "none" / "it", tree)}
    write = _atomic.PartFile.write
    if jax.process_index() == 0:
        _atomic.PartFile.write = refuse
    told["full disk"] = raised(eqx.save, folder / "full", tree)
    _atomic.PartFile.write = write
    _processes.LONGEST = 0.5
    if jax.process_index() == 0:
        told["alone"] = raised(eqx.save, folder / "alone", tree)
    else:
        time.sleep(0.8)
    _processes.LONGEST = 60
    told["after"] = raised(eqx.save, folder / "after", tree)
    told["left"] = sorted(it.name for it in folder.iterdir() if it.name.endswith(".part"))
    return told


def refuse(file: Any, data: Any) -> None:
    raise OSError(28, "No space left on device")


def steps(folder: Path) -> dict[str, Any]:
    """Steps that all save, of which one process writes the files; and what is restored."""
    from eqx_filter.checkpoints import _checkpoints, _together

    if jax.process_index():  # which is to write nothing
        _together.replacing = _checkpoints.make_folder = None
    told: dict[str, Any] = {}
    for name, options in {"now": {}, "later": {"background": True}}.items():
        plan = plan_of("fsdp")
        state = begun(plan)
        with eqx.Checkpoints(folder / name, keep=2, best="loss", **options) as ckpts:
            first = ckpts.restore(state)[1]
            for step in range(1, 5):
                *state, loss = train_step(*state, *batch(plan, step))
                ckpts.save(step, tuple(state), metrics={"loss": abs(2 - step) + 0 * loss})
            ckpts.wait()
            restored, last = ckpts.restore(tuple(state))
            early = raised(ckpts.save, 1, tuple(state), metrics={"loss": 0.0})
            unknown = raised(ckpts.restore, tuple(state), 7)
            best = ckpts.restore(tuple(state), "best")[1]
            equal = bool(eqx.tree_equal(restored, tuple(state)))
        told[name] = [first, last, best, equal, early, unknown]
    return told


def checks() -> dict[str, Any]:
    """What is raised where a check fails, by what one process alone has; then all go on."""
    over_rows = mesh(data=4)
    x = jax.device_put(np.ones(8, np.float32), NamedSharding(over_rows, P("data")))
    last = jax.make_array_from_callback(
        (8,), x.sharding, lambda at: np.arange(8, dtype=np.float32)[at]
    )

    @eqx.filter_jit
    def of_all(x: jax.Array) -> jax.Array:
        return eqx.error_if(x, x > 6, "one is above six")

    @eqx.filter_jit
    def of_parts(x: jax.Array) -> jax.Array:
        def check(x: jax.Array) -> jax.Array:
            return eqx.error_if(x, x > 6, "one here is above six")

        return eqx.filter_shard_map(check, mesh=over_rows, in_specs=P("data"), out_specs=P("data"))(
            x
        )

    found = {}
    for name, fn in {"all": of_all, "parts": of_parts}.items():
        found[name] = [raised(fn, x), raised(fn, last), raised(fn, x), raised(fn, last)]
    return found


def uncaught(folder: Path) -> None:
    """A check fails, by the rows of the last process, and nobody catches it."""
    plan = plan_of("fsdp")
    state = begun(plan)
    *state, _ = train_step(*state, *batch(plan, 0))
    rows = np.ones((len(plan.rows(ROWS)), 8), np.float32)
    if jax.process_index() == jax.process_count() - 1:
        rows[0] = np.nan
    train_step(*state, *plan.batch((rows, rows)))


def train(folder: Path) -> list[float]:
    """Go on from the last step that was saved; one process dies if a file says so."""
    plan = plan_of("fsdp")
    ckpts = eqx.Checkpoints(folder / "run", keep=2)
    state, step = ckpts.restore(begun(plan))
    losses = []
    while step < 2 * STEP_TO_DIE:
        if step == STEP_TO_DIE and (folder / "die").exists():
            victim = int((folder / "die").read_text())
            if victim == jax.process_index():
                os.kill(os.getpid(), 9)
        *state, loss = train_step(*state, *batch(plan, step))
        step += 1
        losses.append(float(loss))
        ckpts.save(step, tuple(state))
    return losses


def memory(folder: Path) -> float:
    """How many of its twelve arrays memory grows by as a tree is saved."""
    size = 2**22
    spread = NamedSharding(mesh(data=4), P("data"))
    part = np.ones(size // DEVICES, np.float32)
    tree = [jax.make_array_from_callback((size,), spread, lambda _: part) for _ in range(12)]
    eqx.save(folder / "first", tree[0])
    before = most_memory()
    eqx.save(folder / "all", tree, durable=False)
    return (most_memory() - before) / (4 * size)


def most_memory() -> int:
    import resource  # not on Windows

    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def save_by_orbax(folder: Path) -> None:
    """Save a model and an optimiser; each process writes its own parts."""
    if ocp is not None:
        with warnings.catch_warnings(), ocp.CheckpointManager(folder) as manager:
            warnings.simplefilter("ignore")
            manager.save(1, args=TreeSave(begun(plan_of("fsdp"))))
            manager.wait_until_finished()


def restored_by_orbax(folder: Path) -> bool:
    """Whether they are restored as they were, and where they lay."""
    plan = plan_of("fsdp")
    state = begun(plan)
    shapes = eqx.filter_eval_shape(lambda: state)
    shardings = plan.shardings(shapes[0]), plan.shardings(shapes[1], of=shapes[0])
    with ocp.CheckpointManager(folder) as manager:
        found = manager.restore(1, args=TreeRestore(shapes, sharding=shardings))
    equal = bool(eqx.tree_equal(found, state, rtol=1e-4, atol=1e-5))
    return equal and all(map(lie_alike, arrays(found), arrays(state)))


def orbax(folder: Path) -> list[bool]:
    """Save by parts; restore those, and what one process has saved."""
    if ocp is None:
        return []
    save_by_orbax(folder / "orbax-many")
    return [restored_by_orbax(folder / f"orbax-{it}") for it in ("many", "one")]


if __name__ == "__main__":
    from launcher import tell

    job, port, count, folder, number = sys.argv[1:]
    begin(port, count, number)
    tell(globals()[job](Path(folder)))
