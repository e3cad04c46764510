"""Donated inputs: the modes, an array passed twice, and the warning."""

import threading
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from eqx_filter import filter_jit
from eqx_pytree import Module


class Scale(Module):
    weight: Any

    def __call__(self, x):
        return self.weight + x


def both(x, y):
    return x + 1, y + 1


class TestModes:
    @pytest.mark.parametrize(
        ("donate", "deleted"),
        [
            ("none", [False, False]),
            ("all", [True, True]),
            ("warn", [True, True]),
            ("all-except-first", [False, True]),
            ("warn-except-first", [False, True]),
        ],
    )
    def test_say_which_arguments_are_gone(self, donate, deleted):
        run = filter_jit(both, donate=donate)
        for call in (run, lambda x, y: run(x, y=y), lambda x, y: run(y=y, x=x)):
            x, y = jnp.ones(3), jnp.ones(4)
            call(x, y)
            assert [x.is_deleted(), y.is_deleted()] == deleted

    @pytest.mark.parametrize("donate", ["all", "all-except-first"])
    def test_a_module_that_is_called_is_an_input_but_no_argument(self, donate):
        model, x = Scale(jnp.ones(3)), jnp.ones(3)
        filter_jit(model, donate=donate)(x)
        assert model.weight.is_deleted()
        assert x.is_deleted() is False or donate == "all"

    def test_the_instance_is_the_first_argument_of_a_decorated_method(self):
        class Decorated(Module):
            weight: Any

            @filter_jit(donate="all-except-first")
            def step(self, x):
                return self.weight + x, x

        model, x = Decorated(jnp.ones(3)), jnp.ones(3)
        model.step(x)
        assert (model.weight.is_deleted(), x.is_deleted()) == (False, True)

    def test_static_leaves_are_never_donated(self):
        x = jnp.ones(3)
        assert filter_jit(lambda x, s: (x, s), donate="all")(x, "a")[1] == "a"
        assert x.is_deleted()


class TestTwice:
    def test_both_paths_are_named(self):
        x = jnp.ones(3)
        expected = r"`x\['a'\]` and `y\[0\]` are one array, and it is donated"
        with pytest.raises(ValueError, match=expected):
            filter_jit(lambda x, y: x["a"] + y[0], donate="all")({"a": x}, [x])
        assert not x.is_deleted()

    def test_of_a_module_and_its_argument(self):
        x = jnp.ones(3)
        with pytest.raises(ValueError, match=r"Scale\.weight` and `x` are one array.*donated"):
            filter_jit(Scale(x), donate="all")(x)

    def test_once_donated_and_once_not(self):
        x = jnp.ones(3)
        with pytest.raises(ValueError, match="`x` and `y` are one array, and it is donated"):
            filter_jit(both, donate="all-except-first")(x, x)

    def test_without_donation_is_allowed(self):
        x = jnp.ones(3)
        assert filter_jit(both, donate="none")(x, x)[0].shape == (3,)

    def test_twice_in_the_argument_that_is_kept(self):
        x = jnp.ones(3)
        run = filter_jit(lambda kept, y: (kept[0] + kept[1], y + 1), donate="all-except-first")
        assert run([x, x], jnp.ones(4))[0].shape == (3,)

    def test_tracers_may_repeat(self):
        assert jax.jit(lambda x: filter_jit(both, donate="all")(x, x))(jnp.array(1.0)) == (2, 2)


class TestWarning:
    MATCH = "Some donated buffers were not usable"

    @pytest.mark.parametrize("donate", ["warn", "warn-except-first"])
    def test_tells_of_a_buffer_of_no_use(self, donate):
        with pytest.warns(UserWarning, match=self.MATCH):
            filter_jit(lambda x, y: y.sum(), donate=donate)(jnp.ones(2), jnp.ones((3, 4)))

    @pytest.mark.parametrize("donate", ["all", "all-except-first"])
    def test_is_kept_quiet(self, donate):
        run = filter_jit(lambda x, y: y.sum(), donate=donate)
        for size in (3, 4):
            assert run(jnp.ones(2), jnp.ones((size, 4))) == 4 * size

    def test_is_kept_quiet_around_another_donating_function(self):
        inner = filter_jit(lambda x: x.sum(), donate="all")
        outer = filter_jit(lambda x, y: inner(2 * y), donate="all")
        assert outer(jnp.ones((5, 2)), jnp.ones((3, 4))) == 24

    def test_other_warnings_are_heard(self):
        def warns(x):
            warnings.warn("heard", UserWarning, stacklevel=1)
            return x

        with pytest.warns(UserWarning, match="heard"):
            filter_jit(warns, donate="all")(jnp.ones(2))


class TestWarningFilters:
    """Keeping quiet must leave the warning filters of the process as they were."""

    def test_after_a_call(self):
        before = list(warnings.filters)
        filter_jit(lambda x: x.sum(), donate="all")(jnp.ones((3, 4)))
        assert warnings.filters == before

    def test_after_an_error(self):
        @filter_jit(donate="all")
        def fail(x):
            message = "inside"
            raise RuntimeError(message)

        before = list(warnings.filters)
        with pytest.raises(RuntimeError, match="inside"):
            fail(jnp.ones(2))
        assert warnings.filters == before

    @pytest.mark.parametrize(
        "trace",
        [
            lambda run, x: run.lower(x),
            lambda run, x: run.lower(x).compile(),
            jax.eval_shape,
            lambda run, x: jax.jit(run)(x),
        ],
        ids=["lower", "compile", "eval_shape", "jit"],
    )
    def test_after_a_trace_without_a_call(self, trace):
        with warnings.catch_warnings():
            before = list(warnings.filters)
            trace(filter_jit(lambda x: x + 1, donate="all"), jnp.ones((3, 4)))
            assert warnings.filters == before

    def test_after_two_threads_compile_at_the_same_time(self):
        both_trace, first_done = threading.Barrier(2), threading.Event()

        def first(x):
            both_trace.wait(10)
            return x + 1

        def second(x):
            both_trace.wait(10)
            first_done.wait(10)
            return x + 2

        def call_first():
            filter_jit(first, donate="all")(jnp.ones(3))
            first_done.set()

        with warnings.catch_warnings():
            before = list(warnings.filters)
            threads = [
                threading.Thread(target=call_first),
                threading.Thread(target=lambda: filter_jit(second, donate="all")(jnp.ones(3))),
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert warnings.filters == before

    def test_after_a_trace_with_nothing_to_donate(self):
        before = list(warnings.filters)
        filter_jit(lambda x: x, donate="all")("static")
        assert warnings.filters == before
