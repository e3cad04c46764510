"""Programs: which calls share one, and when they are freed."""

import functools
import weakref
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter import filter_grad, filter_jit, jitf
from eqx_pytree import Module, Partial, Static, field

NAN = float("nan")


class Big:
    """Something that a function holds, or is called on."""

    def __init__(self, weight=2.0):
        self.weight = weight

    def scaled(self, x):
        return self.weight * x


class Scale(Module):
    weight: Any

    def method(self, x):
        return self.weight * x

    def __call__(self, x):
        return self.weight * x


class Config(Module):
    value: Any = field(static=True)


class Held(Module):
    value: Any


def scaled_by(big, x):
    return big.weight * x


@pytest.fixture
def counted():
    """A function of one argument with a list of what it was traced with."""

    def fun(x, name="default"):
        traces.append((x, name))
        return x, name

    traces = []
    fun.traces = traces
    return fun


class TestShared:
    def test_by_every_wrap_of_a_function(self, counted):
        for _ in range(3):
            filter_jit(counted)(jnp.ones(2))
        assert len(counted.traces) == 1

    def test_not_by_wraps_with_other_options(self, counted):
        filter_jit(counted)(jnp.ones(2))
        filter_jit(counted, donate="all")(jnp.ones(2))
        filter_jit(counted, keep_unused=True)(jnp.ones(2))
        assert len(counted.traces) == 3

    def test_by_positional_keyword_and_default_arguments(self, counted):
        run, x = filter_jit(counted), jnp.ones(2)
        for call in (
            lambda: run(x),
            lambda: run(x, "default"),
            lambda: run(x, name="default"),
            lambda: run(x=x),
            lambda: run(name="default", x=x),
        ):
            assert call()[1] == "default"
        assert len(counted.traces) == 1

    def test_by_arrays_of_jax_and_numpy(self, counted):
        run = filter_jit(counted)
        run(jnp.ones(2))
        run(np.ones(2, np.float32))
        assert len(counted.traces) == 1
        for scalar in (np.float32(1), np.array(1, np.float32), jnp.float32(1)):
            run(scalar)
        assert len(counted.traces) == 2

    def test_not_by_other_shapes_and_dtypes(self, counted):
        run = filter_jit(counted)
        for x in (jnp.ones(2), jnp.ones(3), jnp.arange(2), jnp.ones(2), jnp.ones(3)):
            run(x)
        assert len(counted.traces) == 3

    def test_by_a_method_looked_up_again(self):
        traces = []

        class Traced(Module):
            weight: Any

            def method(self, x):
                traces.append(x)
                return self.weight * x

        for weight in (1.0, 2.0):
            for _ in range(2):
                assert filter_jit(Traced(jnp.array(weight)).method)(1.0) == weight
        assert len(traces) == 1

    @pytest.mark.clears_caches
    def test_after_jax_cleared_its_caches(self, counted):
        run = filter_jit(counted)
        run(jnp.ones(2))
        jax.clear_caches()
        assert run(jnp.ones(2))[1] == "default"
        assert len(counted.traces) == 2


class TestStaticValues:
    @pytest.mark.parametrize("wrap", [lambda v: v, Config, Static, lambda v: Config((v,))])
    def test_one_and_zero_of_each_type_never_share(self, counted, wrap):
        run = filter_jit(counted)
        values = [1, 1.0, True, 1 + 0j, 0, 0.0, -0.0, False, 0j]
        for _ in range(2):
            for value in values:
                out = run(wrap(value))[0]
                told = out if wrap(1) == 1 else out.value
                told = told[0] if isinstance(told, tuple) else told
                assert (type(told), str(told)) == (type(value), str(value))
        assert len(counted.traces) == len(values)

    @pytest.mark.parametrize("wrap", [lambda v: v, Config, Static])
    def test_nan_shares_with_nan(self, counted, wrap):
        for value in (NAN, float("nan"), -NAN):
            filter_jit(counted)(wrap(value))
        assert len(counted.traces) == 1

    @pytest.mark.parametrize("make", [lambda: [1, 2], lambda: {"a": [1]}, lambda: {1, 2}])
    def test_static_fields_without_hash_share_by_value(self, counted, make):
        for _ in range(2):
            assert filter_jit(counted)(Config(make()))[0].value == make()
        assert len(counted.traces) == 1

    def test_equal_ones_share(self, counted):
        for value in ("a", "b", "a", "".join(["a"]), b"a", b"a"):
            filter_jit(counted)(value)
        assert len(counted.traces) == 3

    def test_functions_share_with_themselves_alone(self, counted):
        functions = [lambda: 1, lambda: 1]
        for function in functions * 2:
            assert filter_jit(counted)(function)[0] is function
        assert len(counted.traces) == 2

    def test_keys_of_a_static_dict_are_told_apart_by_type(self):
        run = filter_jit(lambda config: [type(key) for key in config.value])
        assert [run(Config({key: "a"})) for key in (1, True, 1.0)] == [[int], [bool], [float]]

    def test_an_array_and_a_number_do_not_share(self, counted):
        for value in (1, jnp.int32(1), np.int32(1), 1):
            filter_jit(counted)(value)
        assert len(counted.traces) == 2

    def test_many_values_of_one_static_field(self):
        traces = []
        run = filter_jit(lambda config: traces.append(config.value) or config)
        for _ in range(2):
            outs = [jax.eval_shape(run, Config(i)).value for i in range(300)]
            assert outs == list(range(300))
        assert traces == list(range(300))


class TestCallablesOfOneFunction:
    """A partial, a class or a decorated function has defaults of its own."""

    def test_partials_with_other_keywords(self):
        def add(x, y):
            return x + y

        outs = [
            filter_jit(functools.partial(add, y=value))(x=jnp.array(0.0)) for value in (5.0, 6.0)
        ]
        assert outs == [5, 6]

    def test_partials_that_bind_other_arguments(self):
        def add(x, y=1, z=2):
            return x + 10 * y + 100 * z

        assert filter_jit(functools.partial(add, 10.0))() == 220
        assert filter_jit(functools.partial(add, y=5))(1.0) == 251

    def test_gradients_of_partials(self):
        def product(x, y):
            return x * y

        gradients = [
            filter_jit(filter_grad(functools.partial(product, y=value)))(jnp.array(1.0))
            for value in (5.0, 6.0)
        ]
        assert gradients == [5, 6]

    def test_our_partials(self):
        def add(x, y=1):
            return x + 10 * y

        assert [filter_jit(Partial(add, y=y))(jnp.array(1.0)) for y in (5, 6)] == [51, 61]

    def test_classes(self):
        class One(Module):
            x: Any
            y: Any = 1

        class Two(Module):
            x: Any
            y: Any = 2

        built = [filter_jit(cls)(x=jnp.array(0.0)) for cls in (One, Two)]
        assert [(type(out), out.y) for out in built] == [(One, 1), (Two, 2)]


class TestFreed:
    """What is wrapped dies with its last reference, and so do its programs and weights."""

    def test_a_function_and_what_it_holds(self, assert_freed):
        def make():
            big, constant = Big(), jnp.ones(100)

            def fun(x, name="a"):
                return x + constant + big.weight, name

            run = filter_jit(fun)
            run(jnp.ones(100))
            run(1.0, "b")
            return map(weakref.ref, (fun, big, constant, run))

        assert_freed(*make())

    @pytest.mark.parametrize("get", [lambda m: m, lambda m: m.method], ids=["module", "method"])
    def test_a_module_and_its_weights(self, assert_freed, get):
        def make():
            model = Scale(jnp.ones(3))
            run = filter_jit(get(model))
            run(2.0)
            run(jnp.ones(3))
            return map(weakref.ref, (model, model.weight, run))

        assert_freed(*make())

    def test_a_class_that_is_called(self, assert_freed):
        def make():
            class Local:
                def __new__(cls, x):
                    return x + 1

            filter_jit(Local)(jnp.ones(3))
            return [weakref.ref(Local)]

        assert_freed(*make())

    def test_the_instance_of_a_method_that_is_no_pytree(self, assert_freed):
        def make():
            big = Big()
            filter_jit(big.scaled)(jnp.ones(3))
            return [weakref.ref(big)]

        assert_freed(*make())

    def test_what_a_partial_of_a_lasting_function_holds(self, assert_freed):
        def make():
            big = Big()
            filter_jit(functools.partial(scaled_by, big))(jnp.ones(3))
            return [weakref.ref(big)]

        assert_freed(*make())

    def test_a_partial_of_a_function_made_in_passing(self, assert_freed):
        def make():
            big = Big()

            def fun(x, y):
                return x + y + big.weight

            run = filter_jit(Partial(fun, jnp.ones(2)))
            run(1.0)
            return map(weakref.ref, (fun, big, run))

        assert_freed(*make())

    def test_a_gradient(self, assert_freed):
        def make():
            big = Big()

            def fun(x):
                return x * big.weight

            run = filter_jit(filter_grad(fun))
            run(jnp.array(2.0))
            return map(weakref.ref, (fun, big, run))

        assert_freed(*make())

    def test_arguments_of_a_function_made_in_passing(self, assert_freed):
        def make():
            model, big = Scale(jnp.ones(3)), Big()

            def fun(x):
                return x + big.weight

            run = filter_jit(lambda model, fun, x: model(fun(x)))
            run(model, fun, 2.0)
            return map(weakref.ref, (model, model.weight, fun, big, run))

        assert_freed(*make())

    def test_arrays_passed_to_a_lasting_function(self, assert_freed):
        run = filter_jit(lambda model, x: model(x))

        def make():
            model, x = Scale(jnp.ones(3)), jnp.ones(3)
            out = run(model, x)
            return map(weakref.ref, (model, model.weight, x, out))

        assert_freed(*make())

    def test_static_arguments_of_a_lasting_function_when_others_came(
        self, assert_freed, monkeypatch
    ):
        monkeypatch.setattr("eqx_filter.compiled._tables._MOST", 3)
        run = filter_jit(lambda big, x: big.weight + x)

        def make():
            big = Big()
            run(big, jnp.ones(3))
            return [weakref.ref(big)]

        first = make()
        for _ in range(3):
            make()
        assert_freed(*first)

    def test_a_function_that_was_donated_to(self, assert_freed):
        def make():
            big = Big()

            def fun(x):
                return x + big.weight

            run = filter_jit(fun, donate="all")
            run(jnp.ones(2))
            return map(weakref.ref, (fun, big, run))

        assert_freed(*make())

    def test_a_function_with_an_explicit_filter(self, assert_freed):
        def make():
            big = Big()

            def fun(x):
                return x + big.weight

            run = jitf(fun, filter_fn=lambda leaf: True)
            run(2.0)
            return map(weakref.ref, (fun, big, run))

        assert_freed(*make())

    def test_a_lowered_and_a_compiled_program(self, assert_freed):
        def make():
            big = Big()

            def fun(x):
                return x + big.weight

            lowered = filter_jit(fun).lower(jnp.ones(2))
            compiled = lowered.compile()
            compiled(jnp.ones(2))
            return map(weakref.ref, (fun, big, lowered, compiled))

        assert_freed(*make())

    def test_a_function_that_failed(self, assert_freed):
        def make():
            big = Big()

            def fun(x):
                raise ValueError(str(big.weight))

            run = filter_jit(fun)
            with pytest.raises(ValueError, match=r"2\.0"):
                run(jnp.ones(2))
            return map(weakref.ref, (fun, run))

        assert_freed(*make())


@pytest.mark.filterwarnings("ignore:A JAX array is being set as static")
@pytest.mark.parametrize("held", [np.ones(2), [1.0], {0: 1.0}], ids=["array", "list", "dict"])
def test_a_static_value_that_is_changed_in_place_is_seen(held):
    config, run = Config(held), filter_jit(lambda config, x: x * config.value[0])
    assert run(config, jnp.float32(2)) == 2
    held[0] = 10.0
    assert run(config, jnp.float32(2)) == 20
    held[0] = 1.0
    assert run(config, jnp.float32(2)) == 2


@pytest.mark.filterwarnings("ignore:A JAX array is being set as static")
@pytest.mark.parametrize("jit", [filter_jit, jax.jit])
@pytest.mark.parametrize("dtype", [float, int, np.float32])
@pytest.mark.parametrize(
    "held",
    [lambda it: it, lambda it: (1, [it]), lambda it: {"a": it}, lambda it: {"a": it[:]}, Held],
    ids=["array", "list", "dict", "view", "Module"],
)
def test_an_array_that_is_changed_in_place_is_seen_where_jax_narrows_it(held, dtype, jit):
    array = np.ones(2, dtype)
    config, run = Config(held(array)), jit(lambda config, x: x * first_array(config.value))
    assert run(config, jnp.float32(2)).tolist() == [2, 2]
    array[:] = 10
    assert run(config, jnp.float32(2)).tolist() == [20, 20]


def first_array(held):
    return next(it for it in jax.tree.leaves(held) if isinstance(it, np.ndarray))
