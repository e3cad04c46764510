"""What stands at the private paths that published packages import, and what it does there."""

import importlib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import equinox as eqx
import equinox.internal as eqxi
from equinox._private import TABLE


def served(path, name):
    return getattr(importlib.import_module(f"equinox.{path}"), name)


class TestConstruction:
    """What quax does in the place of the metaclass's `__call__`."""

    def test_fields_can_be_assigned_between_add_and_remove(self):
        constructing = served("_module._module", "_currently_initialising")

        class Direct(served("_module._module", "_ModuleMeta")):
            def __call__(cls, *args):  # noqa: N805
                instance = object.__new__(cls)
                constructing.add(instance)
                try:
                    assert instance in constructing
                    cls.__init__(instance, *args)
                finally:
                    constructing.remove(instance)
                return instance

        class Pair(eqx.Module, metaclass=Direct):
            x: jax.Array
            y: str = eqx.field(static=True)

            def __init__(self, x):
                self.x = x
                self.y = "y"

        pair = Pair(jnp.ones(2))
        assert pair not in constructing
        assert [leaf.shape for leaf in jax.tree.leaves(pair)] == [(2,)]
        assert jax.jit(lambda it: it)(pair).y == "y"
        with pytest.raises(AttributeError, match="frozen"):
            pair.x = 1
        with pytest.raises(KeyError):
            constructing.remove(pair)

    def test_abstract_modules(self):
        is_abstract_module = served("_module._module", "is_abstract_module")

        class Open(eqx.Module):
            x: eqx.AbstractVar[int]

        class Closed(Open):
            x: int

        class Forced(eqx.Module, strict=eqx.StrictConfig(force_abstact=True)):
            pass

        asked = (Open, Closed, Forced, eqx.Module)
        assert [is_abstract_module(it) for it in asked] == [True, False, True, False]
        with pytest.raises(TypeError, match="is not a subclass of `Module`"):
            is_abstract_module(int)

    def test_the_metaclasses(self):
        assert served("_module._module", "_ModuleMeta") is type(eqx.Module)
        assert served("internal._omega", "_Metaω") is type(eqxi.ω)

    def test_a_method_can_be_wrapped_anew(self):
        class Scale(eqx.Module):
            by: jax.Array

            def scaled(self, x):
                return self.by * x

        method = Scale(jnp.array(3.0)).scaled
        bound_method = served("_module._prebuilt", "BoundMethod")
        anew = bound_method(jax.jit(method.__func__), method.__self__)
        assert isinstance(method, bound_method)
        assert isinstance(anew, bound_method)
        assert anew(2.0) == jax.jit(lambda f, x: f(x))(anew, 2.0) == 6
        assert anew.__name__ == "scaled"

    def test_missing(self):
        missing = served("_module._flatten", "MISSING")
        assert repr(missing) == "Missing"
        assert not missing
        assert jax.tree.leaves([missing, 1]) == [1]
        assert jax.tree.map(lambda x: x, [missing])[0] is missing


class TestTypes:
    """What is asked for by `isinstance`, or is a key of a dictionary."""

    def test_jitted(self):
        wrapper = served("_jit", "_JitWrapper")
        assert isinstance(eqx.filter_jit(lambda x: x), wrapper)
        assert not isinstance(eqx.filter_grad(lambda x: x), wrapper)
        assert {wrapper: 1}[type(eqx.filter_jit(jnp.sin))] == 1

    def test_compiled(self):
        compiled = eqx.filter_jit(lambda x: 2 * x).lower(jnp.ones(2)).compile()
        assert type(compiled) is served("_compile_utils", "Compiled")

    def test_closures(self):
        array = jnp.ones(2)
        plain = eqx.filter_closure_convert(lambda x: x, 1.0)
        closed = eqx.filter_closure_convert(lambda x: x * array, 1.0)

        def kept():
            return array

        assert type(plain) is served("_ad", "_TrivialClosureConvert")
        assert type(eqx.filter_closure_convert(kept)) is served("_ad", "_ClosureConvert")
        assert type(closed) in (served("_ad", name) for name in TABLE["_ad"])

    def test_items(self):
        class Result(eqx.Enumeration):
            good = ""
            bad = "It is bad."

        item = served("_enum", "EnumerationItem")
        assert type(Result.bad) is item
        assert item(jnp.array(1), Result) == Result.bad

    def test_shared_nodes(self):
        pair = jnp.ones(2), jnp.ones(2)
        shared = eqx.nn.Shared(pair, lambda it: it[0], lambda it: it[1])
        node = served("nn._shared", "SharedNode")
        assert [type(leaf) is node for leaf in jax.tree.leaves(shared)[:2]] == [True, False]

    def test_buffers(self):
        seen = []

        def body(carry):
            i, buffer = carry
            seen.append(type(buffer))
            return i + 1, buffer.at[i].set(1.0)

        loop = served("internal._loop.checkpointed", "checkpointed_while_loop")
        state = (0, jnp.zeros(4))
        _, out = loop(lambda c: c[0] < 3, body, state, max_steps=4, buffers=lambda c: c[1])
        assert out.tolist() == [1, 1, 1, 0]
        assert set(seen) == {served("internal._loop.common", "_Buffer")}

    def test_errors(self, tmp_path):
        with pytest.raises(served("_errors", "_EquinoxRuntimeError"), match="message"):
            eqx.filter_jit(eqx.error_if)(jnp.ones(2), jnp.array(True), "message")
        eqx.tree_serialise_leaves(tmp_path / "one", jnp.ones(2))
        with pytest.raises(served("_serialisation", "TreePathError"), match="shape"):
            eqx.tree_deserialise_leaves(tmp_path / "one", jnp.ones(3))


class TestFunctions:
    @pytest.mark.parametrize(("bits", "dtype"), [(False, jnp.float32), (True, jnp.float64)])
    def test_default_floating_dtype(self, bits, dtype):
        before = jax.config.jax_enable_x64
        jax.config.update("jax_enable_x64", bits)
        try:
            assert served("_misc", "default_floating_dtype")() is dtype
        finally:
            jax.config.update("jax_enable_x64", before)

    @pytest.mark.parametrize(
        ("given", "expected"),
        [(3, (3, 3)), ([1, 2], (1, 2)), ("ab", ("a", "b")), (None, (None, None))],
        ids=repr,
    )
    def test_ntuple(self, given, expected):
        assert served("nn._conv", "_ntuple")(2)(given) == expected

    def test_ntuple_of_another_length(self):
        with pytest.raises(ValueError, match=r"\(length = 3\) is not equal to 2"):
            served("nn._conv", "_ntuple")(2)((1, 2, 3))

    def test_named_scope(self):
        text = (
            jax.jit(served("nn._misc", "named_scope")("here")(jnp.sin))
            .lower(1.0)
            .as_text(debug_info=True)
        )
        assert "here" in text

    def test_default_init(self):
        values = served("nn._misc", "default_init")(jax.random.key(0), (3,), jnp.float16, 0.5)
        assert values.dtype == jnp.float16
        assert jnp.all(abs(values) <= 0.5)

    def test_attention(self):
        query, key, value = jax.random.normal(jax.random.key(0), (3, 4, 2))
        weights = served("nn._attention", "dot_product_attention_weights")(query, key)
        assert np.allclose(weights, jax.nn.softmax(query @ key.T / np.sqrt(2)), atol=1e-6)
        out = served("nn._attention", "dot_product_attention")(query, key, value)
        assert np.allclose(out, weights @ value, atol=1e-6)

    @pytest.mark.parametrize(
        ("array", "value"),
        [
            (jnp.ones((2, 3)), np.nan),
            (np.ones(2, np.int8), 127),
            (jnp.ones((), bool), True),
            (jnp.ones(1, jnp.bfloat16), np.nan),
        ],
        ids=lambda it: str(getattr(it, "dtype", "")),
    )
    def test_nan_like(self, array, value):
        out = served("_errors", "_nan_like")(array)
        assert (out.shape, out.dtype) == (array.shape, array.dtype)
        assert np.array_equal(out.astype(np.float32), np.full(array.shape, value, np.float32), True)

    def test_error(self):
        error = served("_errors", "_error")
        arguments = {"msgs": ["one", "two"], "stack": b""}
        x = jnp.ones(2)
        assert jnp.all(error(x, jnp.array(False), jnp.array(1), on_error="raise", **arguments) == x)
        assert jnp.isnan(error(x, jnp.array(True), jnp.array(1), on_error="nan", **arguments)).all()
        with pytest.raises(RuntimeError, match="two"):
            error(x, jnp.array(True), jnp.array(1), on_error="raise", **arguments)

    @pytest.mark.parametrize(
        ("given", "expected"),
        [("a", "a.eqx"), ("a.b", "a.b"), (Path("x/y"), "x/y.eqx"), ("a.eqx", "a.eqx")],
        ids=str,
    )
    def test_with_suffix(self, given, expected):
        assert served("_serialisation", "_with_suffix")(given) == Path(expected)

    def test_deprecated(self):
        deprecated = served("_deprecate", "deprecated_0_10")
        assert deprecated({"other": 1}, "name") is None
        with pytest.raises(ValueError, match=r"name is deprecated as of Equinox version 0\.10\.0"):
            deprecated({"name": None}, "name")

    def test_sentinel_is_what_tree_at_takes_for_nothing(self):
        sentinel = served("_custom_types", "sentinel")
        out = eqx.tree_at(lambda it: it[0], [1, 2], replace=sentinel, replace_fn=lambda x: x + 4)
        assert out == [5, 2]

    def test_config_is_that_of_now(self, monkeypatch):
        for name in TABLE["_config"]:
            monkeypatch.delenv(name, raising=False)
        assert [served("_config", name) for name in TABLE["_config"]] == [None, "raise", 1]
        monkeypatch.setenv("EQX_GETKEY_SEED", "5")
        monkeypatch.setenv("EQX_ON_ERROR", "nan")
        monkeypatch.setenv("EQX_ON_ERROR_BREAKPOINT_FRAMES", "3")
        assert [served("_config", name) for name in TABLE["_config"]] == [5, "nan", 3]


class TestLoops:
    @pytest.mark.parametrize(
        ("path", "name", "options"),
        [
            ("checkpointed", "checkpointed_while_loop", {"max_steps": 16}),
            ("checkpointed", "checkpointed_while_loop", {"checkpoints": 3}),
            ("bounded", "bounded_while_loop", {"max_steps": 16}),
            ("bounded", "bounded_while_loop", {"max_steps": 16, "base": 2}),
        ],
        ids=str,
    )
    def test_value_and_gradient(self, path, name, options):
        loop = served(f"internal._loop.{path}", name)

        def power(x):
            return loop(lambda c: c[1] < 5, lambda c: (c[0] * x, c[1] + 1), (x, 0), **options)[0]

        value, gradient = jax.value_and_grad(power)(1.5)
        assert np.allclose([value, gradient], [1.5**6, 6 * 1.5**5])

    def test_what_each_needs(self):
        state = (lambda x: x < 1, lambda x: x + 1, 0)
        with pytest.raises(ValueError, match="max_steps"):
            served("internal._loop.checkpointed", "checkpointed_while_loop")(*state)
        with pytest.raises(TypeError, match="max_steps"):
            served("internal._loop.bounded", "bounded_while_loop")(*state)
