"""`while_loop`, `scan`, buffers: each kind, argument, derivative and mistake."""

import jax
import jax.numpy as jnp
import numpy as np
from marks import over, rounded

import equinox as eqx
import equinox.internal as eqxi

X = jnp.array([0.3, 1.2])
OPTIONS = {
    "lax": {"kind": "lax"},
    "lax, max_steps": {"kind": "lax", "max_steps": 3},
    "bounded": {"kind": "bounded", "max_steps": 20},
    "bounded, base": {"kind": "bounded", "max_steps": 20, "base": 3},
    "bounded, max_steps": {"kind": "bounded", "max_steps": 3},
    "checkpointed": {"kind": "checkpointed", "max_steps": 20},
    "checkpointed, max_steps": {"kind": "checkpointed", "max_steps": 3},
    "checkpoints": {"kind": "checkpointed", "checkpoints": 2},
}


def loop(x, a=1.1, steps=5, **options):
    def body(state):
        i, x = state
        return i + 1, jnp.sin(x * a) + 0.1 * i

    return eqxi.while_loop(lambda state: state[0] < steps, body, (jnp.array(0), x), **options)


def total(x, a=1.1, steps=5, **options):
    return (loop(x, a, steps, **options)[1] ** 2).sum()


USES = {
    "call": lambda **o: loop(X, **o),
    "no step": lambda **o: loop(X, steps=0, **o),
    "under jit": lambda **o: jax.jit(lambda x: loop(x, **o))(X),
    "under vmap": lambda **o: jax.vmap(lambda x, n: loop(x, steps=n, **o))(
        jnp.stack([X, -X, X]), jnp.array([0, 2, 9])
    ),
    "under vmap of the state": lambda **o: jax.vmap(lambda x: loop(x, **o))(jnp.stack([X, -X])),
    "jvp": lambda **o: jax.jvp(lambda x: loop(x, **o)[1], (X,), (X,)),
    "grad": lambda **o: jax.grad(lambda x, a: total(x, a, **o), (0, 1))(X, 1.1),
    "grad of no step": lambda **o: jax.grad(lambda x: total(x, steps=0, **o))(X),
    "vmap of grad": lambda **o: jax.vmap(jax.grad(lambda x, n: total(x, steps=n, **o)))(
        jnp.stack([X, -X, X]), jnp.array([0, 2, 9])
    ),
    "grad of vmap": lambda **o: jax.grad(lambda xs: jax.vmap(lambda x: total(x, **o))(xs).sum())(
        jnp.stack([X, -X])
    ),
    "jvp of grad": lambda **o: jax.jvp(jax.grad(lambda x: total(x, **o)), (X,), (X,)),
    "grad of grad": lambda **o: jax.grad(lambda x: jax.grad(lambda x: total(x, **o))(x).sum())(X),
    "linearize": lambda **o: jax.linearize(lambda x: loop(x, **o)[1], X)[1](X),
    "complex": lambda **o: jax.grad(lambda x: jnp.abs(loop(x * (1 + 2j), **o)[1]).sum())(X),
    "a typed key": lambda **o: eqxi.while_loop(
        lambda s: s[0] < 3,
        lambda s: (s[0] + 1, jax.random.split(s[1])[0], s[2] + jax.random.normal(s[1])),
        (jnp.array(0), jax.random.key(0), X),
        **o,
    )[2],
    "a time that must not be differentiated": lambda **o: jax.grad(
        lambda x: eqxi.while_loop(
            lambda s: s[0] < 3,
            lambda s: (eqxi.nondifferentiable(s[0]) + 1, s[1] * 2 + s[0]),
            (jnp.array(0.0), x),
            **o,
        )[1].sum()
    )(X),
    "nested": lambda **o: jax.grad(
        lambda x: eqxi.while_loop(
            lambda s: s[0] < 2, lambda s: (s[0] + 1, loop(s[1], **o)[1]), (jnp.array(0), x), **o
        )[1].sum()
    )(X),
    "a Module": lambda **o: eqxi.while_loop(
        lambda s: s[0] < 2,
        lambda s: (s[0] + 1, jax.tree.map(lambda x: 2 * x, s[1])),
        (0, eqx.nn.LayerNorm(2)),
        **o,
    ),
    "None": lambda **o: eqxi.while_loop(
        lambda s: s[0] < 2, lambda s: (s[0] + 1, None), (0, None), **o
    ),
    "numbers": lambda **o: eqxi.while_loop(
        lambda s: s[0] < 2, lambda s: (s[0] + 1, s[1] * 2), (0, 1.0), **o
    ),
    "numpy": lambda **o: eqxi.while_loop(
        lambda s: s[0] < 2,
        lambda s: (s[0] + 1, s[1] * 2),
        (np.array(0), np.ones(2, np.float32)),
        **o,
    ),
    "empty": lambda **o: eqxi.while_loop(lambda s: False, lambda s: s, (), **o),
    "always": lambda **o: eqxi.while_loop(lambda s: s < 100, lambda s: s + 1, 98, **o),
    "float16": lambda **o: loop(X.astype(jnp.float16), jnp.float16(1), **o),
    "text": lambda **o: eqxi.while_loop(lambda s: False, lambda s: s, (0, "x"), **o),
    "function": lambda **o: eqxi.while_loop(lambda s: False, lambda s: s, (0, jnp.sin), **o),
    "another structure": lambda **o: eqxi.while_loop(lambda s: True, lambda s: s[:1], (0, 1), **o),
    "another shape": lambda **o: eqxi.while_loop(lambda s: True, lambda s: X, 0.0, **o),
    "another dtype": lambda **o: eqxi.while_loop(lambda s: True, lambda s: 1, 0.0, **o),
    "a number as condition": lambda **o: eqxi.while_loop(lambda s: 1, lambda s: s, 0, **o),
    "a vector as condition": lambda **o: eqxi.while_loop(lambda s: X > 0, lambda s: s, 0, **o),
}


@rounded
@over({f"{use}: {name}": (use, name) for use in USES for name in OPTIONS})
def case_while(entry):
    use, name = entry
    return USES[use](**OPTIONS[name])


MISTAKES = {
    "no kind": {},
    "another kind": {"kind": "foo"},
    "bounded without max_steps": {"kind": "bounded"},
    "bounded by -1": {"kind": "bounded", "max_steps": -1},
    "bounded by 0": {"kind": "bounded", "max_steps": 0},
    "bounded by an array": {"kind": "bounded", "max_steps": jnp.array(3)},
    "lax by 0": {"kind": "lax", "max_steps": 0},
    "lax by an array": {"kind": "lax", "max_steps": jnp.array(3)},
    "checkpointed without either": {"kind": "checkpointed"},
    "no checkpoints": {"kind": "checkpointed", "checkpoints": 0},
    "more checkpoints than steps": {"kind": "checkpointed", "checkpoints": 9, "max_steps": 2},
}


@rounded
@over(MISTAKES)
def case_options(options):
    return loop(X, **options)


def filled(x, steps, **options):
    def body(state):
        i, buffer = state
        last = jnp.where(i == 0, 1.0, buffer[jnp.maximum(i - 1, 0)])
        return i + 1, buffer.at[i].set(x * last)

    start = (jnp.array(0), jnp.zeros(6))
    return eqxi.while_loop(lambda s: s[0] < steps, body, start, buffers=lambda s: s[1], **options)[
        1
    ]


BUFFERS = {
    "call": lambda **o: filled(2.0, 4, **o),
    "vmap": lambda **o: jax.vmap(lambda x, n: filled(x, n, **o))(
        jnp.array([1.0, 2.0]), jnp.array([0, 3])
    ),
    "grad": lambda **o: jax.grad(lambda x: (filled(x, 3, **o) * jnp.arange(6.0)).sum())(1.5),
    "vmap of grad": lambda **o: jax.vmap(jax.grad(lambda x, n: filled(x, n, **o).sum()))(
        jnp.array([1.0, 2.0]), jnp.array([0, 3])
    ),
    "no buffer comes back": lambda **o: eqxi.while_loop(
        lambda s: True, lambda s: X, X, buffers=lambda s: s, **o
    ),
    "pred": lambda **o: eqxi.while_loop(
        lambda s: s[0] < 4,
        lambda s: (s[0] + 1, eqxi.buffer_at_set(s[1], s[0], 1.0, pred=s[0] % 2 == 0)),
        (jnp.array(0), jnp.zeros(6)),
        buffers=lambda s: s[1],
        **o,
    ),
}


def nested(x, counts, **options):
    """A loop that writes rows of the buffer of the one around it."""

    def fill(state):
        i, held = state

        def write(inner):
            j, held = inner
            return j + 1, eqxi.buffer_at_set(held, (i, j), x * (j + 1), pred=j != 1)

        start = (jnp.array(0), held)
        inner = eqxi.while_loop(
            lambda s: s[0] < counts[i], write, start, buffers=lambda s: s[1], **options
        )
        return i + 1, inner[1]

    start = (jnp.array(0), jnp.zeros((3, 4)))
    return eqxi.while_loop(lambda s: s[0] < 3, fill, start, buffers=lambda s: s[1], **options)[1]


COUNTS = jnp.array([[0, 2, 3], [3, 1, 0]])
BUFFERS |= {
    "nested": lambda **o: nested(2.0, COUNTS[0], **o),
    "nested, vmap": lambda **o: jax.vmap(lambda n: nested(2.0, n, **o))(COUNTS),
    "nested, vmap of grad": lambda **o: jax.vmap(
        jax.grad(lambda x, n: (nested(x, n, **o) ** 2).sum()), (None, 0)
    )(2.0, COUNTS),
}


@rounded
@over({f"{use}: {name}": (use, name) for use in BUFFERS for name in OPTIONS})
def case_buffers(entry):
    use, name = entry
    return BUFFERS[use](**OPTIONS[name])


SCANS = {
    "lax": {"kind": "lax"},
    "bounded": {"kind": "bounded"},
    "checkpointed": {"kind": "checkpointed"},
    "checkpoints": {"kind": "checkpointed", "checkpoints": 2},
    "all": {"kind": "checkpointed", "checkpoints": "all"},
}


def scanned(w, init, xs, length=None, **options):
    def f(carry, x):
        carry = jnp.sin(carry * w) + (0 if x is None else x)
        return carry, carry * 2

    return eqxi.scan(f, init, xs, length, **options)


def scan_total(*args, **options):
    carry, ys = scanned(*args, **options)
    return carry.sum() + (ys**2).sum()


SCAN_USES = {
    "call": lambda **o: scanned(1.1, X, jnp.arange(4.0), **o),
    "length": lambda **o: scanned(1.1, X, None, 3, **o),
    "wrong length": lambda **o: scanned(1.1, X, jnp.arange(4.0), 3, **o),
    "under vmap": lambda **o: jax.vmap(lambda x: scanned(1.1, x, jnp.arange(4.0), **o))(
        jnp.stack([X, -X])
    ),
    "grad": lambda **o: jax.grad(lambda *a: scan_total(*a, **o), (0, 1, 2))(
        1.1, X, jnp.arange(4.0)
    ),
    "a buffer": lambda **o: eqxi.scan(
        lambda c, x: ((c[0] + 1, c[1].at[c[0]].set(x)), None),
        (jnp.array(0), jnp.zeros(4)),
        jnp.arange(4.0),
        buffers=lambda c: c[1],
        **o,
    ),
}


@rounded
@over({f"{use}: {name}": (use, name) for use in SCAN_USES for name in SCANS})
def case_scan(entry):
    use, name = entry
    return SCAN_USES[use](**SCANS[name])


OTHERS = {
    "buffer_at_set": lambda: eqxi.buffer_at_set(jnp.zeros(3), 1, 2.0),
    "buffer_at_set, pred": lambda: [
        eqxi.buffer_at_set(jnp.zeros(3), 1, 2.0, pred=p) for p in (True, False, jnp.array(True))
    ],
    "buffer_at_set, mode": lambda: eqxi.buffer_at_set(jnp.zeros(3), 9, 2.0, mode="drop"),
    "scan_trick": lambda: eqxi.scan_trick(lambda x: x + 1, [lambda x: x * 2, lambda x: x - 3], 5.0),
    "scan_trick of none": lambda: eqxi.scan_trick(lambda x: x + 1, [], 5.0),
    "grad of scan_trick": lambda: jax.grad(
        lambda x: eqxi.scan_trick(jnp.sin, [lambda x: x * 2, lambda x: x - 3], x)
    )(0.5),
    "primitives": lambda: [
        (p.name, p.multiple_results) for p in (eqxi.maybe_set_p, eqxi.select_if_vmap_p)
    ],
    "MaybeBuffer": lambda: eqxi.MaybeBuffer[jax.Array] is not None,
}


@rounded
@over(OTHERS)
def case_other(make):
    return make()
