"""Train in several processes, as on several hosts, and go on after one of them is killed.

Run it with

    python examples/train_many.py --processes 4 --plan fsdp

which starts four processes on this machine. They have four devices together, however many they
are, and give the numbers that one process gives. Kill one of them: the others end within seconds.
Run it again, with as many processes or with others, and it goes on from the last step that was
saved. On a cluster, start it on each host with `--number` and `--coordinator`.
"""

import socket
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from command import run
from jax.sharding import Mesh
from resume import problem, rings

import equinox as eqx

DEVICES = 4
ADAM = optax.adam(3e-3)
PLANS = {
    "data": ([eqx.data_parallel("data")], {"data": 4}),
    "fsdp": ([eqx.fsdp("data", min_size=64)], {"data": 4}),
    "2x2": (
        [eqx.nn.tensor_parallel("model"), eqx.fsdp("data", min_size=64)],
        {"data": 2, "model": 2},
    ),
}


def start(processes):
    """Start this script in so many processes, and wait for them; fail if one of them does."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        coordinator = f"127.0.0.1:{free.getsockname()[1]}"
    command = [sys.executable, *sys.argv, "--coordinator", coordinator, "--number"]
    started = [subprocess.Popen([*command, str(number)]) for number in range(processes)]
    codes = [process.wait() for process in started]
    if any(codes):
        sys.exit(f"Processes ended with the codes {codes}. Run it again, and it goes on.")


def join(coordinator, processes, number):
    """Join the other processes; without one of them they end in seconds, not in five minutes."""
    jax.config.update("jax_num_cpu_devices", DEVICES // processes)
    if processes > 1:
        jax.distributed.initialize(
            coordinator,
            processes,
            number,
            heartbeat_timeout_seconds=10,
            shutdown_timeout_seconds=5,
        )


def make_plan(name):
    """Where arrays lie, on a mesh of all devices of all processes."""
    rules, sizes = PLANS[name]
    devices = np.array(jax.devices()).reshape(*sizes.values())
    return eqx.ShardingPlan(rules, Mesh(devices, tuple(sizes)))


def make_model(width, seed):
    return eqx.nn.MLP(2, 2, width_size=width, depth=3, key=jr.key(seed))


@eqx.filter_jit(donate="all")
def train_step(model, opt, x, y):
    def loss_fn(model):
        logits = jax.vmap(model)(x)
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

    loss, grads = eqx.filter_value_and_grad(loss_fn)(model)
    loss = eqx.error_if(loss, ~jnp.isfinite(loss), "the loss is not finite")
    model, opt = opt.update(grads, model)
    return model, opt, loss


def train(plan, *, steps, batch_size, width, seed, output):
    """Give the loss of the last batch; each process has its rows of each batch alone."""
    x, y = rings(1000, seed)
    model = plan.init(make_model, width, seed)
    opt = plan.shard(eqx.Optimizer(ADAM, model), of=model)
    with eqx.Checkpoints(output / "train_many", keep=2, every=50, background=True) as ckpts:
        (model, opt), step = ckpts.restore((model, opt))
        if jax.process_index() == 0:
            print(plan.table(model))
            print(f"going on from step {step}" if step else "beginning", flush=True)
        loss = jnp.nan
        while step < steps:
            chosen = np.random.default_rng([seed, step]).integers(0, len(x), batch_size)
            chosen = chosen[plan.rows(batch_size)]
            batch = plan.batch((x[chosen], y[chosen].astype(np.int32)))
            model, opt, loss = train_step(model, opt, *batch)
            step += 1
            ckpts.save(step, (model, opt), metrics={"loss": loss}, force=step == steps)
    return ckpts.metrics(step)["loss"]


def main(
    *,
    processes=2,
    plan="fsdp",
    steps=200,
    batch_size=64,
    width=64,
    seed=0,
    output=Path("outputs"),
    number=0,
    coordinator="",
):
    """Return the loss of the last batch, however often the training was stopped before."""
    if processes > 1 and not coordinator:
        start(processes)
        return eqx.Checkpoints(output / "train_many").metrics(steps)["loss"]
    join(coordinator, processes, number)
    settings = {"steps": steps, "batch_size": batch_size, "width": width, "seed": seed}
    loss = train(make_plan(plan), **settings, output=output)
    if number == 0:
        print(f"loss after {steps} steps: {loss:.4f}")
    return loss


if __name__ == "__main__":
    run(main, __doc__.splitlines()[0], problem)
