"""How often `filter_jit` traces: which calls share a program, and which do not."""

import jax
import jax.numpy as jnp
import numpy as np
from marks import over
from zoo import LEAVES, Pair

import equinox as eqx


def traces(calls, *, wrap=eqx.filter_jit):
    """Count the traces of one function over calls with these arguments."""
    count = 0

    def function(*args, **kwargs):
        nonlocal count
        count += 1
        return 1

    wrapper = wrap(function)
    counts = []
    for call in calls:
        wrapper(*call)
        counts.append(count)
    return counts


def make(x):
    return lambda: x


KEY = jax.random.PRNGKey
ARGUMENTS = {
    "same array": [jnp.ones(2), jnp.ones(2), jnp.zeros(2)],
    "shapes": [jnp.ones(2), jnp.ones(3), jnp.ones(2)],
    "dtypes": [jnp.ones(2), jnp.ones(2, jnp.int32), jnp.ones(2, jnp.bfloat16)],
    "weak types": [jnp.asarray(1.0), jnp.asarray(1.0, jnp.float32)],
    "floats": [1.0, 2.0, 1.0],
    "ints": [1, 2, 1],
    "bools": [True, False, True],
    "complexes": [1j, 2j],
    "float and int": [2.0, 2],
    "int and bool": [1, True],
    "zeros": [0.0, -0.0],
    "nan": [float("nan"), float("nan")],
    "strings": ["a", "b", "a"],
    "equal strings": ["ab", "".join(["a", "b"])],
    "functions": [len, max, len],
    "lambdas": [make(1), make(1)],
    "None": [None, None],
    "None and leaf": [None, 1],
    "numpy and jax": [np.ones(2, np.float32), jnp.ones(2), np.ones(2, np.float32)],
    "numpy dtypes": [np.ones(2, np.float32), np.ones(2, np.float64)],
    "numpy scalars": [np.float32(1), np.float32(2)],
    "numpy scalar and array": [np.float32(1), np.array(1, np.float32)],
    "numpy scalar and jax": [np.float32(1), jnp.float32(1)],
    "numpy bool scalars": [np.bool_(True), np.bool_(False)],
    "numpy ints": [np.int64(1), np.int32(1)],
    "numpy and list": [np.ones(1), [1.0]],
    "containers": [[1.0], (1.0,), [1.0]],
    "key order": [{"a": 1, "b": 2}, {"b": 2, "a": 1}],
    "keys": [{"a": 1}, {"b": 1}],
    "lengths": [[jnp.ones(1)], [jnp.ones(1)] * 2],
    "Modules": [Pair(jnp.ones(2)), Pair(jnp.zeros(2))],
    "Modules of other statics": [Pair(1, "a"), Pair(1, "b"), Pair(1, "a")],
    "Modules of static 1 and 1.0": [Pair(1, 1), Pair(1, 1.0), Pair(1, True)],
    "Modules of static zeros": [Pair(1, 0.0), Pair(1, -0.0)],
    "Modules of static nan": [Pair(1, float("nan")), Pair(1, float("nan"))],
    "Modules of static tuple": [Pair(1, (1, 2)), Pair(1, (1, 2)), Pair(1, (1, 2.0))],
    "Modules of static function": [Pair(1, len), Pair(1, len), Pair(1, max)],
    "Modules of static dict": [Pair(1, {"a": 1}), Pair(1, {"a": 1})],
    "methods": [Pair(jnp.ones(2)).method, Pair(jnp.zeros(2)).method],
    "partials": [eqx.Partial(max, jnp.ones(1)), eqx.Partial(max, jnp.zeros(1))],
    "keys of random numbers": [jax.random.key(0), jax.random.key(1)],
    "key and raw key": [jax.random.key(0), KEY(0)],
    "layers": [eqx.nn.Linear(2, 2, key=KEY(0)), eqx.nn.Linear(2, 2, key=KEY(1))],
    "mlps": [eqx.nn.MLP(2, 2, 2, 1, key=KEY(0)), eqx.nn.MLP(2, 2, 2, 1, key=KEY(1))],
    "dropouts": [eqx.nn.Dropout(0.1), eqx.nn.Dropout(0.2)],
    "inference": [eqx.nn.Dropout(), eqx.nn.Dropout(inference=True)],
    "dtype classes": [jnp.float32, jnp.float32, jnp.float16],
    "structs": [jax.ShapeDtypeStruct((1,), jnp.float32)] * 2,
    "frozensets": [frozenset({1}), frozenset({1})],
    "ranges": [range(3), range(3)],
    "large ints": [2**70, 2**70, 2**71],
}


@over(ARGUMENTS)
def case_traces(arguments):
    return traces([(argument,) for argument in arguments])


@over(LEAVES)
def case_traces_of_same_leaf(leaf):
    return traces([(leaf,), (leaf,), ([leaf],)])


def counted():
    calls = []

    def function(x, y=1, *, k=2):
        calls.append(1)
        return x

    return function, calls


def case_wrapped_twice():
    function, calls = counted()
    eqx.filter_jit(function)(1)
    eqx.filter_jit(function)(1)
    return len(calls)


def case_wrapped_with_other_options():
    function, calls = counted()
    eqx.filter_jit(function)(jnp.ones(1))
    eqx.filter_jit(function, donate="all")(jnp.ones(1))
    eqx.filter_jit(function, inline=True)(jnp.ones(1))
    return len(calls)


def case_ways_to_call():
    function, calls = counted()
    wrapper, one, counts = eqx.filter_jit(function), jnp.ones(2), []
    for args, kwargs in [
        ((one, 1), {}),
        ((one,), {"y": 1}),
        ((one,), {}),
        ((), {"x": one, "y": 1}),
    ]:
        wrapper(*args, **kwargs)
        counts.append(len(calls))
    for kwargs in [{"k": 2}, {"k": 3}, {"y": 1, "k": 2}, {"k": 2, "y": 1}]:
        wrapper(one, **kwargs)
        counts.append(len(calls))
    return counts


def case_partials_share():
    function, calls = counted()
    for i in range(3):
        eqx.filter_jit(eqx.Partial(function, jnp.full(2, i)))()
    return len(calls)


def case_functools_partials():
    import functools

    function, calls = counted()
    for i in range(3):
        eqx.filter_jit(functools.partial(function, jnp.full(2, i)))()
    return len(calls)


def case_bound_methods_share():
    calls = []

    class Model(eqx.Module):
        x: object

        @eqx.filter_jit
        def jitted(self):
            calls.append(1)
            return self.x

        def method(self):
            calls.append(1)
            return self.x

    counts = []
    for i in range(3):
        Model(jnp.full(2, i)).jitted()
        eqx.filter_jit(Model(jnp.full(2, i)).method)()
        counts.append(len(calls))
    return counts


def case_traced_again_after_an_error():
    calls = []

    @eqx.filter_jit
    def fails_once(x):
        calls.append(1)
        if len(calls) == 1:
            raise ValueError
        return x

    for _ in range(3):
        try:
            fails_once(1)
        except ValueError:
            calls.append("failed")
    return calls


def case_inside_another_jit():
    function, calls = counted()
    outer = eqx.filter_jit(lambda x: (eqx.filter_jit(function)(x), 1))
    outer(1.0)
    outer(2.0)
    jax.jit(eqx.filter_jit(function))(jnp.ones(3))
    return len(calls)


def case_under_vmap_and_grad():
    function, calls = counted()
    wrapper = eqx.filter_jit(function)
    wrapper(1.0)
    jax.grad(wrapper)(1.0)
    jax.vmap(wrapper)(jnp.ones(3))
    jax.vmap(wrapper)(jnp.ones(4))
    return len(calls)


def case_x64_is_another_program():
    function, calls = counted()
    wrapper = eqx.filter_jit(function)
    wrapper(np.ones(1))
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    try:
        wrapper(np.ones(1))
    finally:
        jax.config.update("jax_enable_x64", before)
    return len(calls)


def case_default_matmul_precision_is_another_program():
    function, calls = counted()
    wrapper = eqx.filter_jit(function)
    wrapper(jnp.ones(1))
    with jax.default_matmul_precision("highest"):
        wrapper(jnp.ones(1))
    return len(calls)


def case_clear_caches():
    function, calls = counted()
    wrapper = eqx.filter_jit(function)
    wrapper(jnp.ones(1))
    jax.clear_caches()
    wrapper(jnp.ones(1))
    return len(calls)


def case_result_of_statics():
    wrapper = eqx.filter_jit(lambda m: m.tag)
    return [wrapper(Pair(1, tag)) for tag in (1, 1.0, True, 0.0, -0.0, False, 0)]


def case_result_of_leaves():
    wrapper = eqx.filter_jit(lambda x: x)
    return [wrapper(x) for x in (1, 1.0, True, 0.0, -0.0, False, 0, "a", 1j)]
