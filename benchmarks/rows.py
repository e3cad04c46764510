"""What is measured: for each row a function to time, in plain JAX and with an `equinox`.

The same code runs under our `equinox` and under the peer's, each in an environment of its own. Run
as a script, it answers each line `side: row` on standard input with seconds, where the side is
`plain` or `equinox`. One process answers for both, so that both have its luck with the machine.
"""

import gc
import subprocess
import sys
import time
import types
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import optax

WIDTH, DEPTH = 8, 8  # nine layers: eighteen arrays and two functions
KEY = jax.random.PRNGKey(0)
X, BATCH = jnp.ones(WIDTH), jnp.ones((4, WIDTH))
OPTIMISER = optax.adam(1e-3)

Row = tuple[Callable[[], Any], int]
"""A function, and how often it is called for one measurement."""


def plain_layers(depth: int) -> list[dict[str, jax.Array]]:
    keys = jax.random.split(KEY, depth + 1)
    return [
        {"weight": jax.random.normal(key, (WIDTH, WIDTH)) / 3, "bias": jnp.zeros(WIDTH)}
        for key in keys
    ]


def plain_forward(layers: list[dict[str, jax.Array]], x: jax.Array) -> jax.Array:
    for layer in layers[:-1]:
        x = jax.nn.relu(layer["weight"] @ x + layer["bias"])
    return layers[-1]["weight"] @ x + layers[-1]["bias"]


def plain_loss(layers: Any, x: jax.Array, y: jax.Array) -> jax.Array:
    return jnp.mean((jax.vmap(lambda one: plain_forward(layers, one))(x) - y) ** 2)


class Bare:
    def __init__(self, a: Any, b: Any) -> None:
        self.a = a
        self.b = b

    def method(self, x: Any) -> Any:
        return x


def heavy(x: jax.Array) -> jax.Array:
    for _ in range(6):
        x = jnp.tanh(x @ x)
    return x


def fresh(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function as a new object, which nothing has been traced for yet."""
    return types.FunctionType(
        function.__code__, function.__globals__, function.__name__, None, function.__closure__
    )


def blocked_share(call: Callable[[jax.Array], jax.Array]) -> float:
    """The share of the work for which the call itself holds up its caller."""
    big = jnp.ones((700, 700)) / 700
    call(big).block_until_ready()
    start = time.perf_counter()
    out = call(big)
    returned = time.perf_counter()
    out.block_until_ready()
    return (returned - start) / (time.perf_counter() - start)


def import_seconds(module: str) -> float:
    """Seconds that importing a module adds to `import jax`, in a fresh interpreter."""
    code = (
        "import time, jax; start = time.perf_counter(); "
        f"import {module}; print(time.perf_counter() - start)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(ran.stdout)


def plain_rows() -> dict[str, Row]:
    layers = plain_layers(DEPTH)
    tree = {"layers": layers, "activation": jax.nn.relu, "final_activation": jax.nn.tanh}
    leaves, structure = jtu.tree_flatten(tree)
    array_out = jax.jit(plain_forward)
    model_out = jax.jit(lambda layers, x: layers)

    @jax.jit
    def step(layers: Any, state: Any, x: jax.Array, y: jax.Array) -> Any:
        loss, gradients = jax.value_and_grad(plain_loss)(layers, x, y)
        updates, state = OPTIMISER.update(gradients, state, layers)
        return optax.apply_updates(layers, updates), state, loss

    state = OPTIMISER.init(layers)  # pyright: ignore[reportArgumentType]
    deep = plain_layers(99)
    bare = Bare(X, X)
    blocking = jax.jit(heavy)
    return {
        "flatten a 9-layer MLP": (lambda: jtu.tree_flatten(tree), 2000),
        "unflatten it": (lambda: jtu.tree_unflatten(structure, leaves), 2000),
        "jit call, model in, array out": (lambda: array_out(layers, X), 300),
        "jit call, model in, model out": (lambda: model_out(layers, X), 200),
        "training step": (lambda: step(layers, state, BATCH, BATCH), 60),
        "trace and lower a 100-layer MLP's gradient": (
            lambda: jax.jit(jax.grad(fresh(plain_loss))).lower(deep, BATCH, BATCH),
            1,
        ),
        "build a 2-field Module with its own `__init__`": (lambda: Bare(X, X), 5000),
        "look a method up and call it": (lambda: bare.method(1), 5000),
        "share of the work for which a jitted call blocks": (lambda: blocked_share(blocking), 0),
        "apply_updates": (lambda: [leaf + leaf for leaf in jtu.tree_leaves(layers)], 50),
    }


def equinox_rows() -> dict[str, Row]:
    import equinox as eqx

    class Two(eqx.Module):
        a: Any
        b: Any

        def __init__(self, a: Any, b: Any) -> None:
            self.a = a
            self.b = b

        def method(self, x: Any) -> Any:
            return x

    def make(depth: int) -> Any:
        return eqx.nn.MLP(WIDTH, WIDTH, WIDTH, depth, key=KEY)

    def loss(model: Any, x: jax.Array, y: jax.Array) -> jax.Array:
        return jnp.mean((jax.vmap(model)(x) - y) ** 2)

    model, other, deep, two = make(DEPTH), make(DEPTH), make(99), Two(X, X)
    leaves, structure = jtu.tree_flatten(model)
    array_out = eqx.filter_jit(lambda model, x: model(x))
    model_out = eqx.filter_jit(lambda model, x: model)

    @eqx.filter_jit
    def step(model: Any, state: Any, x: jax.Array, y: jax.Array) -> Any:
        value, gradients = eqx.filter_value_and_grad(loss)(model, x, y)
        updates, state = OPTIMISER.update(gradients, state, model)
        return eqx.apply_updates(model, updates), state, value

    arrays, static = eqx.partition(model, eqx.is_array)
    state = OPTIMISER.init(arrays)
    blocking = eqx.filter_jit(heavy)
    return {
        "flatten a 9-layer MLP": (lambda: jtu.tree_flatten(model), 2000),
        "unflatten it": (lambda: jtu.tree_unflatten(structure, leaves), 2000),
        "jit call, model in, array out": (lambda: array_out(model, X), 300),
        "jit call, model in, model out": (lambda: model_out(model, X), 200),
        "training step": (lambda: step(model, state, BATCH, BATCH), 60),
        "trace and lower a 100-layer MLP's gradient": (
            lambda: eqx.filter_jit(eqx.filter_grad(fresh(loss))).lower(deep, BATCH, BATCH),
            1,
        ),
        "build a 2-field Module with its own `__init__`": (lambda: Two(X, X), 5000),
        "look a method up and call it": (lambda: two.method(1), 5000),
        "import, over `import jax`": (lambda: import_seconds("equinox"), 0),
        "share of the work for which a jitted call blocks": (lambda: blocked_share(blocking), 0),
        "partition": (lambda: eqx.partition(model, eqx.is_array), 200),
        "combine": (lambda: eqx.combine(arrays, static), 200),
        "tree_at": (lambda: eqx.tree_at(lambda m: m.layers[0].weight, model, X), 200),
        "tree_equal": (lambda: eqx.tree_equal(model, other), 50),
        "apply_updates": (lambda: eqx.apply_updates(model, arrays), 50),
    }


def measure(row: Row) -> float:
    """Seconds for one call, or what the function itself measures where it is called 0 times."""
    function, times = row
    if not times:
        return function()
    gc.collect()
    start = time.perf_counter()
    for _ in range(times):
        function()
    return (time.perf_counter() - start) / times


def answer(sides: dict[str, dict[str, Row]]) -> None:
    for rows in sides.values():
        for function, times in rows.values():
            if times:
                function()  # compiled before it is timed
    print(f"jax {jax.__version__}", flush=True)
    for line in sys.stdin:
        side, name = line.strip().split(": ", 1)
        rows = sides[side]
        print(measure(rows[name]) if name in rows else "nan", flush=True)


if __name__ == "__main__":
    answer({"plain": plain_rows(), "equinox": equinox_rows()})
