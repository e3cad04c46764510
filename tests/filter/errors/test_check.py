"""`error_if` and `branched_error_if`: under every transformation, in every mode."""

import pickle
import subprocess
import sys
import textwrap
import threading
import traceback
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from eqx_filter import (
    EquinoxRuntimeError,
    EquinoxTracetimeError,
    branched_error_if,
    error_if,
    filter_checkpoint,
    filter_custom_vjp,
    filter_grad,
    filter_jit,
    filter_pmap,
    filter_vmap,
    tree_equal,
)

X, V = jnp.array(1.0), jnp.arange(4.0)
NAMES = ["zero", "one", "two"]


def positive(x):
    return error_if(x, x > 0, "positive")


def raises(text):
    return pytest.raises(EquinoxRuntimeError, match=text)


class TestCondition:
    @pytest.mark.parametrize("wrap", [filter_jit, lambda fun: fun], ids=["jit", "eager"])
    @pytest.mark.parametrize(
        "pred",
        [jnp.array(True), jnp.array([False, True]), jnp.array(2), np.True_, np.array([True]), X],
        ids=["array", "vector", "integer", "numpy scalar", "numpy", "float"],
    )
    def test_raises_where_it_holds(self, wrap, pred):
        with raises("^bad"):
            wrap(lambda x: error_if(x, pred, "bad"))(X)

    @pytest.mark.parametrize("wrap", [filter_jit, lambda fun: fun], ids=["jit", "eager"])
    @pytest.mark.parametrize(
        "pred",
        [False, 0, jnp.array(False), jnp.zeros(3), np.False_, jnp.zeros((0,), bool)],
        ids=["bool", "zero", "array", "vector", "numpy scalar", "empty"],
    )
    def test_passes_where_it_does_not(self, wrap, pred):
        tree = {"a": X, "b": 3, "c": None, "d": jax.random.key(0)}
        assert tree_equal(wrap(lambda tree: error_if(tree, pred, "bad"))(tree), tree)

    @pytest.mark.parametrize("pred", [True, 1, 0.5])
    def test_known_while_tracing_raises_then(self, pred):
        with pytest.raises(EquinoxTracetimeError, match=r"^bad"):
            filter_jit(lambda x: error_if(x, pred, "bad")).lower(X)

    def test_the_next_call_is_right(self):
        run = filter_jit(positive)
        for _ in range(3):
            with raises("positive"):
                run(X)
            assert run(-X) == -1

    @settings(deadline=None, max_examples=20)
    @given(st.lists(st.booleans(), min_size=1, max_size=5))
    def test_any_is_enough(self, flags):
        def check():
            return filter_jit(lambda x, flags: error_if(x, flags, "bad"))(X, jnp.array(flags))

        if any(flags):
            with raises("bad"):
                check()
        else:
            assert check() == 1


class TestBranches:
    @pytest.mark.parametrize(
        ("index", "name"), [(0, "zero"), (2, "two"), (7, "two"), (-1, "two"), (-9, "zero")]
    )
    @pytest.mark.parametrize("as_array", [jnp.asarray, int], ids=["array", "number"])
    def test_the_message_is_that_of_the_index(self, index, name, as_array):
        run = filter_jit(lambda x, i: branched_error_if(x, x > 0, i, NAMES))
        with raises(f"^{name}\n"):
            run(X, as_array(index))

    def test_of_several_the_largest_index_that_failed(self):
        run = filter_jit(lambda x, i: branched_error_if(x, i < 2, i, NAMES))
        with raises("^one\n"):
            run(X, jnp.arange(3))

    def test_known_while_tracing(self):
        with pytest.raises(EquinoxTracetimeError, match=r"^one$"):
            branched_error_if(X, True, 1, NAMES)
        with raises("^one\n"):
            branched_error_if(X, True, jnp.array(1), NAMES)


class TestTransformations:
    @pytest.mark.parametrize("jit", [filter_jit, lambda fun: fun], ids=["jit", "eager"])
    @pytest.mark.parametrize("vmap", [jax.vmap, filter_vmap])
    def test_vmap_names_each_member(self, jit, vmap):
        text = r"^Batch index \(2,\) had error:\nlarge\n\nBatch index \(3,\) had error:\nlarge\n\n"
        with raises(text):
            jit(vmap(lambda x: error_if(x, x > 1, "large")))(V)
        assert tree_equal(jit(vmap(lambda x: error_if(x, x > 9, "large")))(V), V)

    def test_vmap_in_vmap(self):
        run = jax.vmap(jax.vmap(lambda x, i: branched_error_if(x, x > 1, i, NAMES)), (0, None))
        text = r"^Batch index \(1, 0\) had error:\nzero\n\nBatch index \(1, 1\) had error:\ntwo\n"
        with raises(text):
            filter_jit(run)(V.reshape(2, 2), jnp.array([0, 2]))

    def test_a_condition_that_is_the_same_for_all(self):
        run = filter_jit(lambda v, x: jax.vmap(lambda y: error_if(y, x > 0, "bad"))(v))
        with raises("^bad"):
            run(V, X)

    @pytest.mark.parametrize("axis", [0, 1])
    def test_axes_are_kept(self, axis):
        matrix = jnp.arange(6.0).reshape(2, 3)
        run = jax.vmap(lambda x: error_if(x, x < 0, "bad"), axis, axis)
        assert tree_equal(filter_jit(run)(matrix), matrix)

    def test_forward_mode(self):
        run = filter_jit(lambda x: jax.jvp(positive, (x,), (x,)))
        assert run(-X) == (-1, -1)
        with raises("positive"):
            run(X)

    def test_reverse_mode(self):
        run = filter_jit(filter_grad(lambda x: positive(x) ** 2))
        assert run(-X) == -2
        with raises("positive"):
            run(X)

    def test_transposition(self):
        run = filter_jit(
            lambda x: jax.linear_transpose(lambda y: error_if(y, x > 0, "bad"), x)(x)[0]
        )
        assert run(-X) == -1
        with raises("bad"):
            run(X)

    def test_second_derivatives(self):
        assert filter_jit(jax.hessian(lambda x: positive(x) ** 3))(-X) == -6

    def test_scan(self):
        def step(carry, x):
            return error_if(carry + x, carry + x > 2, "over"), carry

        run = filter_jit(lambda x: jax.lax.scan(step, x, jnp.ones(3))[0])
        assert run(X - 3) == 1
        with raises("over"):
            run(X)

    def test_an_endless_loop_is_ended(self):
        run = filter_jit(lambda x: jax.lax.while_loop(lambda _: True, positive, x))
        with raises("positive"):
            run(X)

    def test_only_the_branch_that_is_taken(self):
        run = filter_jit(
            lambda x: jax.lax.cond(x > 0, lambda x: error_if(x, x > -9, "bad"), jnp.cos, x)
        )
        assert run(-X) == jnp.cos(1.0)
        with raises("bad"):
            run(X)

    def test_checkpoint(self):
        run = filter_jit(filter_grad(filter_checkpoint(lambda x: jnp.sin(positive(x)))))
        assert run(-X) == jnp.cos(1.0)
        with raises("positive"):
            run(X)

    def test_custom_rules(self):
        @filter_custom_vjp
        def rule(x):
            return positive(x)

        rule.def_fwd(lambda perturbed, x: (positive(x), None))
        rule.def_bwd(lambda residuals, gradient, perturbed, x: gradient * 3)
        run = filter_jit(filter_grad(lambda x: rule(x) ** 2))
        assert run(-X) == -6
        with raises("positive"):
            run(X)

    def test_a_function_that_was_traced_before(self):
        inner = jax.jit(positive)
        assert inner(-X) == -1
        with raises("positive"):
            filter_jit(lambda x: inner(x) * 2)(X)

    def test_ahead_of_time(self):
        compiled = filter_jit(positive).lower(X).compile()
        assert compiled(-X) == -1
        with raises("positive"):
            compiled(X)

    def test_donation(self):
        assert filter_jit(positive, donate="all")(-X) == -1

    def test_without_jit(self):
        with jax.disable_jit(), raises("positive"):
            filter_jit(positive)(X)

    def test_under_plain_jit_the_text_is_there(self):
        with pytest.raises((jax.errors.JaxRuntimeError, ValueError), match=r"positive"):
            jax.block_until_ready(jax.jit(positive)(X))

    def test_a_check_whose_result_is_unused_is_removed(self):
        assert filter_jit(lambda x: (positive(x), x)[1])(X) == 1

    @pytest.mark.parametrize("value", [0.0, jnp.nan, 0, 1, True, False])
    def test_constants_do_not_make_it_superfluous(self, value):
        with raises("bad"):
            filter_jit(lambda x: error_if(jnp.array(value), x > 0, "bad"))(X)

    def test_one_array_that_is_used_is_enough(self):
        with raises("bad"):
            filter_jit(lambda x: error_if((x, 2 * x), x > 0, "bad")[1])(X)


@pytest.mark.skipif(jax.device_count() < 4, reason="needs four devices")
class TestDevices:
    @pytest.fixture
    def mesh(self):
        return jax.make_mesh((4,), ("d",), axis_types=(AxisType.Auto,))

    @pytest.mark.parametrize("limit", [-1, 1, 2], ids=["all fail", "two fail", "one fails"])
    def test_shard_map(self, mesh, limit):
        def part(x):
            return jax.lax.psum(error_if(x, x > limit, "large"), "d")

        run = filter_jit(jax.shard_map(part, mesh=mesh, in_specs=P("d"), out_specs=P()))
        for _ in range(2):
            with raises("^large"):
                run(V)
            assert run(V - 9) == -30

    def test_arrays_on_several_devices(self, mesh):
        array = jax.device_put(V, NamedSharding(mesh, P("d")))
        run = filter_jit(lambda x: error_if(x, x > 2, "large").sum())
        for _ in range(2):
            with raises("^large"):
                run(array)
            assert run(array - 9) == -30

    def test_compiled_ahead(self, mesh):
        array = jax.device_put(V, NamedSharding(mesh, P("d")))
        run = filter_jit(lambda x: error_if(x, x > 2, "large").sum()).lower(array).compile()
        for _ in range(2):
            with raises("^large"):
                run(array)
            assert run(array - 9) == -30

    def test_plain_jit_prints_it(self, mesh, capfd):
        array = jax.device_put(V, NamedSharding(mesh, P("d")))
        run = jax.jit(lambda x: error_if(x, x > 2, "large").sum())
        assert np.isnan(run(array))
        told = capfd.readouterr().err
        assert told.startswith("EquinoxRuntimeError: large\n")
        assert "Under `jax.jit` on several devices it cannot be raised" in told
        assert run(array - 9) == -30
        assert not capfd.readouterr().err

    def test_pmap(self):
        with raises("^large"):
            filter_pmap(lambda x: error_if(x, x > 2, "large"))(V)

    def test_threads(self, mesh):
        array = jax.device_put(V, NamedSharding(mesh, P("d")))
        run = filter_jit(lambda x, i: branched_error_if(x, x > 2, i, NAMES))
        assert messages_of_threads(lambda i: run(array, jnp.array(i)), 3) == NAMES


def messages_of_threads(call, count, rounds=5):
    """Call at once from several threads, and give for each the message that it always got."""
    seen = [set() for _ in range(count)]

    def work(i):
        for _ in range(rounds):
            try:
                call(i)
            except EquinoxRuntimeError as error:
                seen[i].add(str(error).partition("\n")[0])
            else:
                seen[i].add("no error")

    threads = [threading.Thread(target=work, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(len(messages) == 1 for messages in seen), seen
    return [messages.pop() for messages in seen]


class TestThreads:
    def test_each_of_eight_gets_its_own_message(self):
        names = [f"thread {i}" for i in range(8)]
        run = filter_jit(lambda x, i: branched_error_if(x, x > 0, i, names))
        assert messages_of_threads(lambda i: run(X, jnp.array(i)), 8) == names

    def test_programs_of_their_own(self):
        runs = [filter_jit(lambda x, i=i: error_if(x, x > 0, f"thread {i}")) for i in range(8)]
        assert messages_of_threads(lambda i: runs[i](X), 8) == [f"thread {i}" for i in range(8)]


class TestModes:
    def test_nan_takes_the_place_of_arrays(self):
        tree = (X, jnp.array(3), jnp.array(True), X + 1j, np.arange(2), "a", jnp.uint8(1))
        out = filter_jit(lambda x, tree: error_if(tree, x > 0, "bad", on_error="nan"))(X, tree)
        assert jnp.isnan(out[0])
        assert jnp.isnan(out[3])
        largest = np.iinfo(np.int32).max
        assert tree_equal(out[1:3], (jnp.array(largest), jnp.array(True)))
        assert tree_equal(out[4:], (jnp.array([largest] * 2), "a", jnp.uint8(255)))

    def test_nan_is_for_those_that_failed(self):
        run = filter_jit(jax.vmap(lambda x: error_if(x, x > 1, "bad", on_error="nan")))
        assert np.isnan(run(V)).tolist() == [False, False, True, True]

    def test_nan_where_it_is_known_while_tracing_warns(self):
        with pytest.warns(UserWarning, match=r"fails for any inputs; NaN .*: bad"):
            assert jnp.isnan(error_if(X, True, "bad", on_error="nan"))

    def test_off(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert filter_jit(lambda x: error_if(x, True, "bad", on_error="off"))(X) == 1
            assert filter_jit(lambda x: error_if(x, x > 0, "bad", on_error="off"))(X) == 1

    def test_by_the_environment(self, monkeypatch):
        monkeypatch.setenv("EQX_ON_ERROR", "nan")
        assert jnp.isnan(error_if(X, X > 0, "bad"))
        monkeypatch.setenv("EQX_ON_ERROR", "off")
        assert error_if(X, X > 0, "bad") == 1
        with raises("bad"):
            error_if(X, X > 0, "bad", on_error="raise")

    def test_breakpoint(self):
        code = """
            import jax.numpy as jnp
            from eqx_filter import error_if, filter_jit

            def positive(x):
                secret = "here"
                return error_if(x, x > 0, "positive", on_error="breakpoint")

            print(filter_jit(positive)(jnp.array(1.0)))
        """
        ran = run_code(code, stdin="u\n" * 4 + "p secret\nc\n", EQX_ON_ERROR_BREAKPOINT_FRAMES="1")
        assert "here" in ran.stdout
        assert "`error_if`: positive" in ran.stdout
        assert ran.stdout.endswith("nan\n")

    def test_breakpoint_in_a_batch(self):
        run = filter_jit(jax.vmap(lambda x: error_if(x, x > 9, "bad", on_error="breakpoint")))
        assert tree_equal(run(V), V)


class TestErrors:
    @pytest.mark.parametrize(
        ("call", "kind", "text"),
        [
            (
                lambda: error_if("a", X > 0, "m"),
                ValueError,
                "No arrays to thread error on to. Pass",
            ),
            (lambda: error_if(1.0, X > 0, "m"), ValueError, "No arrays to thread error on to"),
            (lambda: error_if(X, "a", "m"), TypeError, "`pred` must be a bool .* is a `str`"),
            (lambda: error_if(X, None, "m"), TypeError, "`pred` must be a bool .* `NoneType`"),
            (lambda: error_if(X, [True], "m"), TypeError, "`pred` must .* is a `list` of 1"),
            (
                lambda: branched_error_if(X, X > 0, 1.0, NAMES),
                TypeError,
                "`index` must be an integer .* is a `float`",
            ),
            (lambda: branched_error_if(X, X > 0, 0, []), ValueError, "`msgs` must hold a message"),
            (
                lambda: error_if(X, X > 0, "m", on_error="stop"),
                RuntimeError,
                'Unrecognised value for `on_error`: \'stop\'. Valid values are "default", "raise"',
            ),
        ],
        ids=["text", "number", "pred", "None", "list", "index", "no messages", "mode"],
    )
    def test_errors(self, call, kind, text):
        with pytest.raises(kind, match=text):
            call()

    def test_of_the_environment(self, monkeypatch):
        monkeypatch.setenv("EQX_ON_ERROR", "stop")
        with pytest.raises(ValueError, match=r"`EQX_ON_ERROR`: 'stop'. Valid values are `EQX_ON"):
            error_if(X, X > 0, "bad")
        monkeypatch.setenv("EQX_ON_ERROR_BREAKPOINT_FRAMES", "many")
        with pytest.raises(ValueError, match=r"must be a positive integer, not 'many'"):
            error_if(X, X > 0, "bad", on_error="breakpoint")


class TestReport:
    def test_the_traceback_ends_at_the_line_of_the_check(self):
        run = filter_jit(positive)
        for _ in range(2):
            with raises("positive") as caught:
                run(X)
            first, *_, last = traceback.extract_tb(caught.tb)
            assert first.filename == last.filename == __file__
            assert (last.name, last.line) == ("positive", 'return error_if(x, x > 0, "positive")')

    def test_says_where_and_how_to_look_around(self):
        with raises(r"\(positive\)\. To look around there, set .* `EQX_ON_ERROR=breakpoint`") as it:
            filter_jit(positive)(X)
        assert f"{Path(__file__).name}:" in str(it.value)

    def test_has_no_cause_in_jax(self):
        with raises("positive") as caught:
            filter_jit(positive)(X)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__

    def test_can_be_pickled(self):
        with raises("positive") as caught:
            filter_jit(positive)(X)
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)

    def test_the_interpreter_exits_cleanly_and_quietly(self):
        code = """
            import jax.numpy as jnp
            from eqx_filter import error_if, filter_jit

            run = filter_jit(lambda x: error_if(x, x > 0, "positive"))
            try:
                run(jnp.array(1.0))
            except RuntimeError:
                print(run(jnp.array(-1.0)))
        """
        ran = run_code(code)
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "-1.0\n", "")


class TestBlocking:
    def test_a_program_without_checks_does_not_wait(self, monkeypatch):
        monkeypatch.setattr(jax, "block_until_ready", None)
        run = filter_jit(lambda x: x + 1)
        assert run(X) == 2
        assert run(X) == 2

    def test_nor_one_whose_check_is_known_to_pass(self, monkeypatch):
        monkeypatch.setattr(jax, "block_until_ready", None)
        assert filter_jit(lambda x: error_if(x, False, "bad"))(X) == 1


def run_code(code, stdin="", **environment):
    import os

    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        input=stdin,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_one_clause_catches_what_is_raised_while_tracing_and_while_running():
    for run in (lambda x: error_if(x, True, "mine"), lambda x: error_if(x, x > 0, "mine")):
        with pytest.raises(EquinoxRuntimeError, match="mine"):
            filter_jit(run)(jnp.ones(()))
    assert issubclass(EquinoxTracetimeError, EquinoxRuntimeError)
