"""Eight threads at once define classes, build, flatten, trace, call, differentiate and collect."""

import gc
import sys
import threading
import time
import weakref

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import pytest

from eqx_filter import filter_grad, filter_jit, is_array, partition, tree_at, tree_equal
from eqx_filter.compiled._cache import programs_of
from eqx_pytree import Module, field

from .rounds import ROUNDS

THREADS = 8
X = jnp.arange(3.0)


@pytest.fixture(autouse=True)
def switching_often():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def rush(work):
    """Call `work(i)` in as many threads, started at once; give the results, or raise an error."""
    start = threading.Barrier(THREADS)
    results, errors = [None] * THREADS, []

    def run(i):
        try:
            start.wait()
            results[i] = work(i)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


class Shared(Module):
    """A class that all threads use, with static values of a type that depends on the thread."""

    weight: jax.Array
    kind: object = field(static=True)

    def scaled(self, x):
        return self.weight * x

    def __call__(self, x):
        return jnp.sum(self.weight * x)


def kind(i):
    """Values that Python holds equal, two by two."""
    return [0, False, 0.0, -0.0, 1, True, 1.0, "1"][i % THREADS]


def new_class(i):
    """A class of the same name in each thread, with other fields."""

    class Local(Module):
        weight: jax.Array
        rest: list
        name: str = field(static=True, default=f"thread {i}")
        size: int = field(converter=lambda size: size + i, default=0, kw_only=True)

        def __check_init__(self):
            assert self.size >= i

        def total(self, x):
            return jnp.sum(self.weight * x) + sum(self.rest)

    for _ in range(i):

        class Local(Local):
            more: object = None

    return Local


def test_classes_and_instances_are_each_threads_own():
    def work(i):
        for n in range(ROUNDS):
            cls = new_class(i)
            instance = cls(X * i, [1.0] * i, size=n)
            leaves, structure = jtu.tree_flatten(instance)
            assert len(leaves) == 1 + i + 1
            assert instance.size == n + i
            rebuilt = structure.unflatten(leaves)
            assert type(rebuilt) is cls
            assert rebuilt.name == f"thread {i}"
            assert tree_equal(rebuilt, instance)
            with pytest.raises(AttributeError, match="cannot assign to field 'weight'"):
                instance.weight = X
            changed = tree_at(lambda tree: tree.weight, rebuilt, X)
            assert changed.weight is X
            assert float(instance.total(X)) == 5 * i + i

    rush(work)


@pytest.mark.parametrize("repetition", range(max(3, ROUNDS // 20)))
def test_a_function_that_was_traced_is_not_traced_again(repetition):
    """Threads that are the first to call it at once may each trace it, as under `jax.jit`."""
    traces = []

    @filter_jit
    def run(model, x):
        traces.append(threading.get_ident())
        time.sleep(0.001)  # so that the others come while this one traces
        return model.scaled(x), model.kind

    model = Shared(X, "static")
    for out, told in rush(lambda i: run(model, X + i)):
        assert told == "static"
        assert out.shape == X.shape
    first = len(traces)
    assert 1 <= first <= THREADS
    assert len(programs_of(run.fun, run.options).all()) == 1
    rush(lambda i: run(model, X))
    assert len(traces) == first


def test_each_static_value_has_one_program():
    traces = []

    @filter_jit
    def run(value, x):
        traces.append(value)
        return x + 1

    rush(lambda i: [run(kind(i + n), X) for n in range(THREADS)])
    assert len(programs_of(run.fun, run.options).all()) == THREADS
    first = len(traces)
    rush(lambda i: [run(kind(i + n), X) for n in range(THREADS)])
    assert len(traces) == first


def test_programs_for_other_static_values_are_not_mixed_up():
    @filter_jit
    def run(model, value, x):
        return model.scaled(x), model.kind, value

    def work(i):
        for n in range(ROUNDS):
            model = Shared(X + i, kind(i))
            out, of_model, of_call = run(model, kind(i), X * n)
            np.testing.assert_array_equal(out, (X + i) * (X * n))
            for told in (of_model, of_call):
                assert (type(told), str(told)) == (type(kind(i)), str(kind(i)))

    rush(work)


def test_shapes_that_are_traced_at_once_give_their_own_outputs():
    """The static part of what is returned depends on the shape."""
    for _ in range(max(3, ROUNDS // 10)):

        @filter_jit
        def run(x):
            time.sleep(0.001)
            return {"x": x + 1, f"of {x.size}": x.size}

        def work(i, run=run):
            for _ in range(3):
                out = run(jnp.zeros(i))
                assert out[f"of {i}"] == i
                assert out["x"].shape == (i,)
                assert len(out) == 2

        rush(work)


def test_each_thread_traces_differentiates_and_drops_its_own():
    def work(i):
        freed = []
        for n in range(max(2, ROUNDS // 10)):
            model = new_class(i)(X, [float(i)] * i)

            def loss(model, x):
                return model.total(x) ** 2

            value = filter_jit(loss)(model, X)
            gradient = filter_jit(filter_grad(loss))(model, X)
            expected = 5.0 + i * i
            np.testing.assert_allclose(value, expected**2)
            np.testing.assert_allclose(gradient.weight, 2 * expected * X)
            arrays, rest = partition(model, is_array)
            assert rest.rest == [float(i)] * i
            assert arrays.rest == [None] * i
            freed += [weakref.ref(model), weakref.ref(loss)]
            del model, loss, gradient, arrays, rest
            if (n + i) % 2:
                gc.collect()
        return freed

    references = [reference for freed in rush(work) for reference in freed]
    gc.collect()
    gc.collect()
    assert [reference() for reference in references if reference() is not None] == []


def test_methods_of_one_instance_are_called_and_jitted_at_once():
    model = Shared(X, 1)
    jitted = filter_jit(model.scaled)

    def work(i):
        for n in range(ROUNDS):
            np.testing.assert_array_equal(jitted(X + n), X * (X + n))
            np.testing.assert_array_equal(filter_jit(model.scaled)(X + i), X * (X + i))
            assert model.scaled == model.scaled

    rush(work)
