"""`error_if`, `branched_error_if`, `assert_dce`: what is raised, and what is returned."""

import jax
import jax.numpy as jnp
import numpy as np
from marks import over

import equinox as eqx
import equinox.internal as eqxi

X, V = jnp.array(1.0), jnp.arange(4.0)
J, E, B = eqx.filter_jit, eqx.error_if, eqx.branched_error_if
NAMES = ["zero", "one", "two"]


def told(call):
    """What is returned, or the kind of the error with the lines that name a message of ours."""
    try:
        return jax.block_until_ready(call())
    except Exception as error:
        known = ("message", *NAMES)
        words = {word for line in str(error).splitlines() for word in [line.rpartition(": ")[2]]}
        return type(error).__name__, sorted(words & set(known))


def check(x):
    return E(x, x > 0, "message")


MODES = ["raise", "nan", "off", "default"]
PREDICATES = {
    "True": True,
    "False": False,
    "1": 1,
    "0": 0,
    "0.5": 0.5,
    "numpy True": np.True_,
    "numpy False": np.False_,
    "numpy array": np.array([False, True]),
    "numpy zeros": np.zeros(2),
    "array": jnp.array(True),
    "array False": jnp.array(False),
    "vector": jnp.array([False, True]),
    "integers": jnp.array([0, 2]),
    "float": X,
    "empty": jnp.zeros((0,), bool),
    "text": "a",
    "None": None,
    "list": [True],
}
TREES = {
    "array": X,
    "vector": V,
    "tuple": (X, 3, "a", None),
    "dict": {"a": X, "b": np.ones(2)},
    "numpy": np.ones(2),
    "numpy scalar": np.float32(1),
    "text": "a",
    "number": 1.0,
    "None": None,
    "empty": (),
    "integers": jnp.arange(3),
    "bool": jnp.array(False),
    "complex": X + 1j,
    "bfloat16": V.astype(jnp.bfloat16),
    "uint8": jnp.arange(3, dtype=jnp.uint8),
    "function and array": (jnp.sin, X),
    "layer": eqx.nn.Linear(1, 1, key=jax.random.key(0)),
}


@over(
    {f"{name}, {how}": (pred, how) for name, pred in PREDICATES.items() for how in ("jit", "not")}
)
def case_predicate(argument):
    pred, how = argument
    wrap = J if how == "jit" else lambda fun: fun
    return told(lambda: wrap(lambda x: E(x, pred, "message"))(X))


@over({f"{name}, {mode}": (tree, mode) for name, tree in TREES.items() for mode in MODES})
def case_tree_that_fails(argument):
    tree, mode = argument
    return told(lambda: J(lambda x, tree: E(tree, x > 0, "message", on_error=mode))(X, tree))


@over(TREES)
def case_tree_that_passes(tree):
    return told(lambda: J(lambda x, tree: E(tree, x < 0, "message"))(X, tree))


@over(TREES)
def case_tree_not_jitted(tree):
    return told(lambda: E(tree, X > 0, "message"))


@over({mode: mode for mode in [*MODES, "foo", None]})
def case_mode_known_while_tracing(mode):
    return told(lambda: J(lambda x: E(x, True, "message", on_error=mode))(X))


INDICES = {
    **{str(i): i for i in (0, 1, 2, -1)},
    **{f"array {i}": jnp.array(i) for i in (0, 1, 2, -1)},
    "too large": 7,
    "array, too large": jnp.array(7),
    "vector": jnp.array([0, 1]),
    "float": jnp.array(1.0),
    "numpy": np.array(1),
    "numpy scalar": np.int64(2),
    "text": "a",
}


@over(INDICES)
def case_index(index):
    return told(lambda: J(lambda x: B(x, x > 0, index, NAMES))(X))


@over(INDICES)
def case_index_known_while_tracing(index):
    return told(lambda: J(lambda x: B(x, True, index, NAMES))(X))


@over(INDICES)
def case_index_that_passes(index):
    return told(lambda: J(lambda x: B(x, x < 0, index, NAMES))(X))


TRANSFORMED = {
    "plain jit fails": lambda: jax.jit(check)(X),
    "plain jit passes": lambda: jax.jit(check)(-X),
    "vmap passes": lambda: J(jax.vmap(check))(-V),
    "vmap fails": lambda: J(jax.vmap(check))(V),
    "vmap, not jitted": lambda: jax.vmap(check)(V),
    "vmap of vmap": lambda: J(jax.vmap(jax.vmap(check)))(V.reshape(2, 2)),
    "vmap, condition the same for all": lambda: J(
        lambda v, x: jax.vmap(lambda y: E(y, x > 0, "message"))(v)
    )(V, X),
    "vmap with nan passes": lambda: J(jax.vmap(lambda x: E(x, x < 0, "message", on_error="nan")))(
        V
    ),
    "vmap with nan, some fail": lambda: J(
        jax.vmap(lambda x: E(x, x > 1, "message", on_error="nan"))
    )(V),
    "branches in vmap": lambda: J(jax.vmap(lambda x, i: B(x, x > 2, i, NAMES)))(
        V, jnp.array([0, 1, 2, 1])
    ),
    "jvp": lambda: J(lambda x: jax.jvp(check, (x,), (x,)))(X),
    "jvp passes": lambda: J(lambda x: jax.jvp(check, (x,), (x,)))(-X),
    "grad of the check alone": lambda: J(jax.grad(check))(X),
    "grad": lambda: J(jax.grad(lambda x: check(x) ** 2))(X),
    "grad passes": lambda: J(jax.grad(lambda x: check(x) ** 2))(-X),
    "hessian": lambda: J(jax.hessian(lambda x: check(x) ** 3))(-X),
    "transposed": lambda: J(lambda x: jax.linear_transpose(lambda y: E(y, x > 0, "message"), x)(x))(
        X
    ),
    "transposed, passes": lambda: J(
        lambda x: jax.linear_transpose(lambda y: E(y, x > 0, "message"), x)(x)
    )(-X),
    "scan": lambda: J(lambda x: jax.lax.scan(lambda c, s: (check(c + s), c), x, V))(X),
    "scan passes": lambda: J(lambda x: jax.lax.scan(lambda c, s: (check(c - s), c), x, V))(-X),
    "endless loop": lambda: J(lambda x: jax.lax.while_loop(lambda c: c > -9, check, x))(X),
    "loop passes": lambda: J(
        lambda x: jax.lax.while_loop(lambda c: c > -9, lambda c: check(c - 1), x)
    )(X * 0),
    "branch taken": lambda: J(lambda x: jax.lax.cond(x > 0, check, jnp.sin, x))(X),
    "branch not taken": lambda: J(lambda x: jax.lax.cond(x < 0, check, jnp.sin, x))(X),
    "checkpoint": lambda: J(jax.grad(jax.checkpoint(lambda x: jnp.sin(check(x)))))(X),
    "inner jit": lambda: J(lambda x: jax.jit(check)(x) * 2)(X),
    "inner filter_jit": lambda: J(lambda x: J(check)(x) * 2)(X),
    "unused": lambda: J(lambda x: (check(x), x)[1])(X),
    "one of two used": lambda: J(lambda x: E((x, 2 * x), x > 0, "message")[1])(X),
    "constant": lambda: J(lambda x: E(jnp.zeros(2), x > 0, "message"))(X),
    "lowered and compiled": lambda: J(check).lower(X).compile()(X),
    "eval_shape": lambda: eqx.filter_eval_shape(check, X),
    "eval_shape of a constant": lambda: eqx.filter_eval_shape(lambda x: E(x, True, "message"), X),
    "by keywords": lambda: E(x=X, pred=X > 0, msg="message"),
    "message that is no text": lambda: E(X, True, 3),
    "typed keys": lambda: J(lambda k: E(k, jax.random.uniform(k) < 0, "message"))(
        jax.random.key(0)
    ),
    "assert_dce used": lambda: J(lambda x: eqxi.assert_dce(x, "message"))(X),
    "assert_dce unused": lambda: J(lambda x: (eqxi.assert_dce(x, "message"), x)[1])(X),
    "assert_dce not jitted": lambda: eqxi.assert_dce(X, "message"),
    "assert_dce off": lambda: J(lambda x: eqxi.assert_dce(x, "message", on_error="off"))(X),
    "assert_dce of what is no array": lambda: J(lambda x: eqxi.assert_dce((x, 3), "message")[1])(X),
}


@over(TRANSFORMED)
def case_transformed(call):
    return told(call)


def case_the_next_call():
    run = J(check)
    return [told(lambda x=x: run(x)) for x in (X, -X, X, -X)]


def case_kinds():
    return [
        [base.__name__ for base in kind.__mro__]
        for kind in (eqx.EquinoxRuntimeError, eqx.EquinoxTracetimeError)
    ]


def case_internal_names():
    return eqxi.error_if is eqx.error_if, eqxi.branched_error_if is eqx.branched_error_if
