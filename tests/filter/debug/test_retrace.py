"""`explain_retrace`: why a function is traced again."""

import os
import re
import subprocess
import sys
import textwrap
import threading
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eqx_filter import filter_jit
from eqx_filter.compiled import _programs
from eqx_filter.debug import explain_retrace
from eqx_pytree import Module, field

X = jnp.ones(3)


class Model(Module):
    weight: Any
    activation: Any = None
    name: str = field(static=True, default="model")


def jitted():
    @filter_jit
    def step(model, x, scale=1.0):
        return model.weight * x * scale

    return step


def explained(first, *others):
    """What is said of calls of one function, after a first one."""
    step, told = jitted(), []
    step(*first)
    with explain_retrace(report=told.append):
        for arguments in others:
            step(*arguments)
    return told


class TestExplanations:
    @pytest.mark.parametrize(
        ("other", "text"),
        [
            ((Model(X), jnp.ones((2, 3))), r"`x` has shape \(2, 3\) instead of \(3,\); pad"),
            (
                (Model(X.astype(jnp.int32)), X),
                r"`model.weight` has dtype int32 .* float32; convert",
            ),
            ((Model(jnp.ones(())), X), r"`model.weight` has shape \(\) instead of \(3,\)"),
            ((Model(X), X, 2.0), r"`scale` has the static value `2.0` instead of `1.0`; pass"),
            ((Model(X), X, True), r"`scale` has the static value `True` instead of `1.0`"),
            ((Model(X), X, jnp.array(1.0)), r"`scale` is a traced array .* instead of the static"),
            (
                (Model(X, name="b"), X),
                r"`model.name` has the static value `'b'` instead of `'model'`",
            ),
            ((Model(X, jnp.tanh), X), r"`model.activation` is the static `.*` instead of None"),
            ((Model(X), 3.0), r"`x` is the static `3.0` instead of a traced array of shape \(3,\)"),
        ],
    )
    def test_name_the_place_and_the_way_out(self, other, text):
        [told] = explained((Model(X), X), other)
        assert told.startswith("`step` is traced again. It differs from the earlier call:\n  ")
        assert re.search(text, told), told

    def test_weak_type(self):
        [told] = explained((Model(jnp.array(1.0)), X), (Model(jnp.ones(())), X))
        assert "`model.weight` has a type that is not weak instead of weak" in told
        assert "jnp.asarray(x, dtype)" in told

    def test_structure(self):
        told = []
        function = filter_jit(lambda tree: 0)
        function({"a": [X]})
        with explain_retrace(report=told.append):
            function({"a": (X,)})
            function({"a": [X], "b": X})
        assert "`tree['a']` is a `tuple` with 1 child instead of a `list` with 1 child" in told[0]
        assert "`tree` is a `dict` with 2 children instead of a `dict` with 1 child" in told[1]

    def test_a_new_function_with_the_same_code(self):
        def make():
            return lambda x: x

        [told] = explained((Model(X, make()), X), (Model(X, make()), X))
        assert "`model.activation` has a new function object with the code of the one" in told
        assert "test_retrace.py:" in told
        assert "make it once" in told

    def test_against_the_nearest_earlier_call(self):
        *_, told = explained(
            (Model(X), X), (Model(X, name="b"), jnp.ones(())), (Model(X, name="b"), X, 2.0)
        )
        assert "the nearest of 2 earlier calls" in told
        assert told.count("\n") == 2

    def test_settings(self):
        step, told = jitted(), []
        step(Model(X), X)
        with explain_retrace(report=told.append), jax.default_matmul_precision("highest"):
            step(Model(X), X)
        assert "JAX's settings have changed" in told[0]

    def test_of_a_module_as_the_function(self):
        class Layer(Module):
            weight: Any

            def __call__(self, x):
                return self.weight * x

        told = []
        filter_jit(Layer(X))(X)
        with explain_retrace(report=told.append):
            filter_jit(Layer(jnp.ones(())))(X)
        assert "Layer.weight` has shape () instead of (3,)" in told[0]


class TestSilence:
    def test_of_a_first_trace_and_of_calls_that_need_none(self):
        step, told = jitted(), []
        with explain_retrace(report=told.append):
            for _ in range(3):
                step(Model(X), X)
                step(Model(np.ones(3, np.float32)), X)
        assert told == []

    def test_of_calls_known_from_before(self):
        step, told = jitted(), []
        shapes = jnp.ones(3), jnp.ones(())
        for x in shapes:
            step(Model(X), x)
        with explain_retrace(report=told.append):
            for x in shapes * 2:
                step(Model(X), x)
        assert told == []

    def test_once_it_is_over(self):
        step, told = jitted(), []
        with explain_retrace(report=told.append):
            step(Model(X), X)
        step(Model(X), jnp.ones(()))
        assert told == []
        assert _programs.listener is None

    def test_in_other_threads(self):
        step, told = jitted(), []
        step(Model(X), X)
        with explain_retrace(report=told.append):
            thread = threading.Thread(target=step, args=(Model(X), jnp.ones(())))
            thread.start()
            thread.join()
        assert told == []


class TestForms:
    def test_of_one_function(self):
        told = []
        step, other = explain_retrace(jitted(), report=told.append), jitted()
        for function in (step, other):
            function(Model(X), X)
            function(Model(X), jnp.ones(()))
        assert len(told) == 1
        assert explain_retrace(step, report=None) is step
        step(Model(X), jnp.ones((4, 3)))
        assert len(told) == 1
        assert _programs.listener is None

    def test_asking_twice_is_ended_at_once(self):
        step, told = jitted(), []
        for _ in range(2):
            explain_retrace(step, report=told.append)
        explain_retrace(step, report=None)
        assert _programs.listener is None

    def test_prints_to_standard_error(self, capsys):
        step = jitted()
        step(Model(X), X)
        with explain_retrace():
            step(Model(X), jnp.ones(()))
        assert "`step` is traced again." in capsys.readouterr().err

    @pytest.mark.parametrize(("value", "count"), [("1", 1), ("0", 0)])
    def test_by_the_environment(self, value, count):
        code = """
            import eqx_filter, jax.numpy as jnp
            step = eqx_filter.filter_jit(lambda x: x)
            step(jnp.ones(2))
            step(jnp.ones(3))
        """
        environment = {**os.environ, "EQX_EXPLAIN_RETRACE": value}
        ran = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert ran.stderr.count("is traced again") == count

    def test_a_report_that_cannot_be_called_is_refused(self):
        with pytest.raises(TypeError, match="takes a function as `report`; 3 cannot be called"):
            explain_retrace(report=3)

    def test_of_anything_else_is_refused(self):
        with pytest.raises(TypeError, match=r"explains functions of `filter_jit`; `.*Model` is a"):
            explain_retrace(Model)


def test_another_sharding_is_explained():
    code = """
        import jax, jax.numpy as jnp, numpy as np
        from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
        import eqx_filter
        from eqx_filter.debug import explain_retrace

        mesh = Mesh(np.array(jax.devices()), "d")
        x = jnp.arange(4.0)
        step = eqx_filter.filter_jit(lambda x: x + 1)
        with explain_retrace(report=print):
            step(jax.device_put(x, NamedSharding(mesh, P("d"))))
            step(jax.device_put(x, NamedSharding(mesh, P("d"))))
            step(jax.device_put(x, NamedSharding(mesh, P())))
    """
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=4"
    environment = {**os.environ, "XLA_FLAGS": flags}
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**environment, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.count("`<lambda>` is compiled again") == 1
    assert "`x` has sharding NamedSharding(" in ran.stdout
    assert "`jax.device_put`" in ran.stdout
