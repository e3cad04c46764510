"""`Enumeration`: items, messages, choice, inheritance."""

import copy
import pickle

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from marks import over

import equinox as eqx
import equinox.internal as eqxi


class C(eqx.Enumeration):
    red = "Red"
    green = "Green"


class D(C):
    blue = "Blue"


class F(eqx.Enumeration):
    bell = "Bell"
    green = "Green"


class G(C, F):
    dark = ""


class H(D):
    """Documented."""

    last = "Last"


X = jnp.array(1.0)
BATCH = jnp.array([True, False])


def choose(pred):
    return C.where(pred, C.red, C.green)


def new(name="E", bases=(eqx.Enumeration,), **items):
    return type(eqx.Enumeration)(name, bases, items)


def messages(enumeration):
    return {
        name: enumeration[getattr(enumeration, name)]
        for name in NAMES
        if hasattr(enumeration, name)
    }


NAMES = ["red", "green", "blue", "bell", "dark", "last"]
CALLS = {
    "repr": lambda: repr(C.red),
    "str": lambda: str(D.red),
    "tree_pformat": lambda: eqx.tree_pformat((C.red, {"a": D.blue})),
    "in a module": lambda: repr(type("M", (eqx.Module,), {"__annotations__": {"c": C}})(C.red)),
    "traced repr": lambda: eqx.filter_jit(repr)(C.green),
    "batched repr": lambda: repr(jax.vmap(choose)(BATCH)),
    "leaves": lambda: [jtu.tree_leaves(getattr(D, n)) for n in ("red", "green", "blue")],
    "leaves of two bases": lambda: [
        jtu.tree_leaves(getattr(G, n)) for n in ("red", "bell", "dark")
    ],
    "length": lambda: [len(each) for each in (C, D, F, G, H)],
    "messages": lambda: [messages(each) for each in (C, D, F, G, H)],
    "message by text": lambda: C["red"],
    "message by number": lambda: C[0],
    "message of another's": lambda: C[D.red],
    "message of a base's": lambda: D[C.red],
    "message while tracing": lambda: eqx.filter_jit(lambda c: C[c])(C.green),
    "message of a batch": lambda: C[jax.vmap(choose)(BATCH)],
    "equal": lambda: (C.red == C.red, C.red == C.green),
    "unequal": lambda: (C.red != C.red, C.red != C.green),
    "equal, batched": lambda: jax.vmap(choose)(BATCH) == C.red,
    "equal, traced": lambda: jax.jit(lambda c: c == C.red)(C.green),
    "equal to another's": lambda: D.red == C.red,
    "equal to a number": lambda: C.red == 0,
    "unequal to a number": lambda: C.red != 0,
    "equal to None": lambda: C.red == None,  # noqa: E711
    "hash": lambda: hash(C.red),
    "truth": lambda: bool(C.red),
    "isinstance": lambda: [isinstance(i, k) for i in (C.red, D.red, F.bell) for k in (C, D, F)],
    "isinstance of a number": lambda: isinstance(3, C),
    "is_traced": lambda: C.red.is_traced(),
    "is_traced, traced": lambda: eqx.filter_jit(lambda c: c.is_traced())(C.red),
    "attribute that is not there": lambda: C.black,
    "attribute set on an item": lambda: setattr(C.red, "x", 3),
    "iterate": lambda: len(list(C)),
    "contains": lambda: C.red in C,
    "where True": lambda: choose(True),
    "where False": lambda: choose(False),
    "where numpy": lambda: choose(np.True_),
    "where numpy array": lambda: choose(np.array(False)),
    "where array": lambda: choose(jnp.array(True)),
    "where traced": lambda: jax.jit(lambda x: choose(x > 0))(X),
    "where batched": lambda: jax.vmap(choose)(BATCH),
    "where vector": lambda: choose(BATCH),
    "where integer": lambda: choose(1),
    "where integer array": lambda: choose(jnp.array(1)),
    "where of another's": lambda: C.where(True, C.red, D.green),
    "where of a base's": lambda: D.where(True, C.red, D.blue),
    "where of numbers": lambda: C.where(True, 1, 2),
    "where keeps integers": lambda: jtu.tree_leaves(choose(True))[0].dtype,
    "promote": lambda: [
        D.promote(C.green),
        G.promote(F.bell),
        G.promote(F.green),
        H.promote(C.red),
    ],
    "promote is equal": lambda: (D.promote(C.green) == D.green, G.promote(F.green) == G.green),
    "promote while tracing": lambda: eqx.filter_jit(lambda x: D.promote(choose(x > 0)))(X),
    "promote to a base": lambda: C.promote(D.red),
    "promote to its own": lambda: C.promote(C.red),
    "promote a number": lambda: C.promote(0),
    "promote from no relation": lambda: C.promote(F.bell),
    "copy": lambda: copy.deepcopy(C.green) == C.green,
    "pickle": lambda: pickle.loads(pickle.dumps(C.green)),
    "tree_map": lambda: jtu.tree_map(lambda x: x, C.green),
    "cond": lambda: jax.lax.cond(True, lambda: C.red, lambda: C.green),
    "cond of two enumerations": lambda: jax.lax.cond(True, lambda: C.red, lambda: D.red),
    "cond after promote": lambda: jax.lax.cond(True, lambda: D.red, lambda: D.promote(C.green)),
    "scan": lambda: jax.lax.scan(
        lambda c, x: (C.where(x > 1, C.green, c), None), C.red, jnp.arange(3)
    )[0],
    "jit argument": lambda: eqx.filter_jit(lambda c: c)(C.green),
    "is a PyTree with an array": lambda: eqx.is_array(jtu.tree_leaves(C.red)[0]),
    "empty": lambda: len(new()),
    "item that is a number": lambda: new(a=3),
    "item that is a function": lambda: new(a=len),
    "item called where": lambda: new(where="m"),
    "item called promote": lambda: new(promote="m"),
    "two messages of one name": lambda: messages(new(bases=(C,), red="Other")),
    "inherits and adds nothing": lambda: messages(new(bases=(C,))),
    "item with an underscore": lambda: len(new(_a="m", b="n")),
    "message of lines": lambda: (lambda e: e[e.a])(new(a="one\ntwo")),
    "documented": lambda: H.__doc__,
    "error_if fails": lambda: C.red.error_if(X, X > 0),
    "error_if fails, jitted": lambda: eqx.filter_jit(lambda x: C.red.error_if(x, x > 0))(X),
    "error_if passes": lambda: eqx.filter_jit(lambda x: C.red.error_if(x, x < 0))(X),
    "error_if of a choice": lambda: eqx.filter_jit(lambda x: choose(x > 0).error_if(x, x > 0))(X),
    "error_if known while tracing": lambda: C.red.error_if(X, True),
    "error_if without arrays": lambda: C.red.error_if("a", X > 0),
    "internal name": lambda: eqxi.Enumeration is eqx.Enumeration,
}


@over(CALLS)
def case_call(call):
    return call()
