"""`summary`: what is counted where, on abstract models and real ones, and how it is shown."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import eqx_filter as eqf
from eqx_filter import Summary, summary
from eqx_pytree import Module, field

from .models import Layers, Linear, Noise, layers, linear

X = jnp.ones(2)
KEY = jax.random.key(0)
MLP = layers(2, 4, 4, 1)


def by_path(table, name):
    return {row.path: getattr(row, name) for row in table.rows}


def xlas_flops(fn, *args):
    return eqf.filter_jit(fn).lower(*args).cost_analysis()["flops"]


def test_the_table_of_a_model():
    table = summary(MLP, X, cost=True)
    assert isinstance(table, Summary)
    assert by_path(table, "type") == {
        "": "Layers",
        "layers.0": "Linear",
        "layers.1": "Linear",
        "layers.2": "Linear",
    }
    assert by_path(table, "parameters") == {"": 0, "layers.0": 12, "layers.1": 20, "layers.2": 5}
    assert by_path(table, "bytes")["layers.1"] == 80
    first = table.rows[1]
    assert [(it.shape, it.dtype) for it in first.inputs] == [((2,), jnp.float32)]
    assert [it.shape for it in first.outputs] == [(4,)]
    assert table.rows[0].outputs[0].shape == (1,)
    assert set(by_path(table, "calls").values()) == {1}


def test_sums_are_those_of_the_leaves_and_of_xla():
    table = summary(MLP, X, cost=True)
    leaves = jax.tree.leaves(eqf.filter(MLP, eqf.is_array))
    assert table.parameters == sum(leaf.size for leaf in leaves)
    assert table.bytes == sum(leaf.nbytes for leaf in leaves)
    assert table.trainable == table.parameters
    assert table.flops == sum(by_path(table, "flops").values()) == xlas_flops(MLP, X)
    layer = MLP.layers[1]
    assert by_path(table, "flops")["layers.1"] == xlas_flops(layer, jnp.ones(4))


@pytest.mark.parametrize("depth", [0, 1, 2, None])
def test_what_is_deeper_is_counted_above(depth):
    model = Layers((MLP, linear(1, 3)), jnp.sin)
    table = summary(model, X, depth=depth, cost=True)
    assert len(table.rows) == {0: 1, 1: 3}.get(depth, 6)
    whole = summary(model, X, cost=True)
    for name in ("parameters", "trainable", "bytes", "flops"):
        assert getattr(table, name) == getattr(whole, name)


def test_what_stands_twice_is_counted_once():
    first = linear(4, 4)
    tied = eqf.tree_at(lambda layer: layer.bias, first, first.bias + 1)
    table = summary(Layers((first, first, tied), jnp.sin), jnp.ones(4), cost=True)
    assert by_path(table, "parameters") == {"": 0, "layers.0": 20, "layers.1": 0, "layers.2": 4}
    assert by_path(table, "shared") == {
        "": {},
        "layers.0": {},
        "layers.1": {"layers.1": "layers.0"},
        "layers.2": {"layers.2.weight": "layers.0.weight"},
    }
    assert by_path(table, "flops")["layers.1"] == by_path(table, "flops")["layers.0"] > 0
    assert "the same as layers.0" in str(table)
    assert "layers.2.weight is layers.0.weight" in table._repr_html_()
    assert summary([X, X, {"x": X}]).rows[0].shared == {"1": "0"}


class Buffered(Module):
    """A class with a field that is no parameter."""

    weight: jax.Array
    table: jax.Array = field(trainable=False)
    inner: Linear = field(trainable=False)
    count: jax.Array

    def __call__(self, x, state, *, key):
        return self.inner(self.weight * x + self.table[:2]), state


def test_what_is_not_trained():
    model = Buffered(X, jnp.ones(3), linear(2, 2), jnp.arange(5))
    table = summary(model, X, {"n": X}, key=KEY)
    assert by_path(table, "parameters") == {"": 5, "inner": 6}
    assert by_path(table, "trainable") == {"": 2, "inner": 0}
    assert table.bytes == 4 * 16
    assert "11 parameters, 2 of them trainable" in str(table)
    assert [row.split()[3] for row in str(table).splitlines()[2:4]] == ["2", "no"]


def test_trees_of_any_kind():
    @jax.tree_util.register_dataclass
    @dataclasses.dataclass
    class Point:
        x: jax.Array

    tree = {"a": {"w": np.ones((2, 3)), "n": 3}, "b": [Point(X), Point(X + 1)], "c": (), "d": None}
    table = summary(tree)
    assert by_path(table, "type") == {"": "dict", "a": "dict", "b.0": "Point", "b.1": "Point"}
    assert by_path(table, "parameters") == {"": 0, "a": 6, "b.0": 2, "b.1": 2}
    assert (table.flops, table.rows[0].inputs) == (None, ())
    assert summary(X).parameters == 2
    assert summary(()).as_dict()["rows"][""]["bytes"] == 0
    assert summary(jnp.sin, X).rows[0].outputs[0].shape == (2,)


def test_dtypes_and_keys():
    tree = [jnp.ones(3, jnp.bfloat16), jnp.ones(2, jnp.complex64), jnp.arange(2), KEY]
    table = summary(tree)
    assert table.parameters == 5
    assert table.bytes == 6 + 16 + 8 + KEY.dtype.itemsize
    noisy = summary(Noise(0.5), X, {"n": jnp.array(0)}, key=KEY)
    assert sorted(it.shape for it in noisy.rows[0].inputs) == [(), (), (2,)]
    assert [it.shape for it in noisy.rows[0].outputs] == [(2,), ()]
    assert "key<fry>[]" in str(noisy)


class InLoop(Module):
    """Calls a layer in a scan, in a loop of any number of steps, or in a branch."""

    layer: Linear
    how: str = field(static=True)

    def __call__(self, x):
        if self.how == "scan":
            return jax.lax.scan(lambda x, _: (self.layer(x), None), x, None, length=5)[0]
        if self.how == "while":
            return jax.lax.while_loop(lambda x: x[0] < 9, lambda x: 1 + self.layer(x), x)
        if self.how == "cond":
            return jax.lax.cond(x[0] < 9, lambda x: 1 + self.layer(x), lambda x: x, x)
        if self.how == "alike":
            return jax.lax.cond(x[0] < 9, lambda x: x + 1, lambda x: x - 1, self.layer(x))
        return jnp.linalg.qr(self.layer(x)[:, None])[0][:, 0]


LAYER = linear(4, 4)


def test_flops_of_a_scan_are_those_of_all_steps():
    x = jnp.ones(4)
    table = summary(InLoop(LAYER, "scan"), x, cost=True)
    assert by_path(table, "flops")["layer"] == 5 * xlas_flops(LAYER, x)
    assert table.rows[1].calls == 1
    assert by_path(summary(InLoop(LAYER, "alike"), x, cost=True), "flops")[""] > 0


@pytest.mark.parametrize(("how", "opaque"), [("while", 2), ("cond", 2), ("kernel", 1)])
def test_flops_that_cannot_be_told_are_none_and_said(how, opaque):
    table = summary(InLoop(LAYER, how), jnp.ones(4), cost=True)
    assert [row.flops for row in table.rows].count(None) == opaque
    assert table.flops is None
    assert "?" in str(table)
    assert "XLA cannot tell the FLOPs of (all)" in str(table)
    assert table.as_dict()["flops"] is None


def test_transformations_inside():
    class Batched(Module):
        mlp: Layers

        @eqf.filter_jit
        def __call__(self, xs):
            grads = jax.grad(lambda xs: jnp.sum(eqf.filter_checkpoint(self.mlp)(xs)))(xs[0])
            return jax.vmap(self.mlp)(xs), grads

    table = summary(Batched(MLP), jnp.ones((3, 2)), cost=True)
    assert by_path(table, "calls")["mlp"] >= 2
    assert table.flops > 0


def test_ten_billion_parameters_take_no_memory():
    def make(key):
        keys = jax.random.split(key, 25)
        every = [jax.random.normal(k, (20_001, 20_000)) for k in keys]
        return Layers(tuple(Linear(it[1:], it[0]) for it in every), jnp.tanh)

    model = eqf.filter_eval_shape(make, KEY)
    table = summary(model, jax.ShapeDtypeStruct((20_000,), jnp.float32), cost=True)
    assert table.parameters == 25 * (20_000**2 + 20_000) > 1e10
    assert table.flops > 2e10
    assert "40.0 GB" in str(table)


def test_tracers():
    tables = []

    @eqf.filter_jit
    def traced(model, x):
        tables.append(summary(model, x))
        return x

    traced(MLP, X)
    assert str(tables[0]) == str(summary(MLP, X))


class A_layer_whose_name_is_longer_than_a_column_should_ever_be(Module):  # noqa: N801
    weight_of_this_layer: jax.Array

    def __call__(self, *xs):
        return xs


def test_text_is_at_most_a_hundred_columns():
    long = A_layer_whose_name_is_longer_than_a_column_should_ever_be
    deep = {"a long name of a part": {"a long name of a part of it": [{"x" * 60: long(X)}]}}
    wide = long({"a " * 50: jnp.ones((10_000, 1), jnp.bfloat16)})
    tables = [
        summary(deep),
        summary(long(deep), *[jnp.ones((1000, 1000, 1))] * 9, cost=True),
        summary(wide, wide),
        summary([X, *[X] * 3, {"y" * 200: X}]),
    ]
    for table in tables:
        assert max(map(len, str(table).splitlines())) <= 100
        assert repr(table) == str(table)
    assert "…" in str(tables[1])


class Told(Module):
    weight: jax.Array

    def __call__(self, *xs):
        return xs

    @property
    def __summary_type__(self):
        return "Told, of a dtype, with an error of 0.35%"


def test_what_a_type_tells_stands_below_the_row_where_it_is_cut():
    model = Told(X)
    plain, wide = str(summary(model)), str(summary(model, *[jnp.ones((1000, 1000, 1))] * 9))
    note = "    Told, of a dtype, with an error of 0.35%"
    assert f"(all)  {note.strip()} " in plain
    assert note not in plain.splitlines()
    lines = wide.splitlines()
    assert lines[3] == note
    assert "Told, of a dtype, with… " in lines[2]


def test_html_holds_all_and_is_escaped():
    table = summary({"<b>": {"x" * 200: X}, "c": X})
    page = table._repr_html_()
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert page.count("<tr>") == len(table.rows) + 1
    assert ">2</td>" in page


def test_the_dict_is_plain():
    told = json.loads(json.dumps(summary(MLP, X, cost=True).as_dict()))
    assert told["parameters"] == 37
    assert told["rows"]["layers.0"]["outputs"] == [{"shape": [4], "dtype": "float32"}]
    assert told["rows"]["layers.0"]["type"] == "Linear"


def test_what_is_called_several_times_is_told_so():
    table = summary(Layers((LAYER, LAYER), jnp.sin), jnp.ones(4))
    assert by_path(table, "calls")["layers.0"] == 1

    class Twice(Module):
        layer: Linear

        def __call__(self, x):
            return self.layer(self.layer(x))

    twice = summary(Twice(LAYER), jnp.ones(4))
    assert twice.rows[1].calls == 2
    assert "f32[4] x2" in str(twice)


def test_bad_arguments():
    with pytest.raises(TypeError, match=r"and a `dict` cannot be called. Leave the arguments out"):
        summary({"w": X}, X)
    with pytest.raises(ValueError, match="`cost` of `summary` is that of a call: pass what"):
        summary(MLP, cost=True)
    with pytest.raises(ValueError, match=r"`depth` of `summary` is a number of levels.* got -1"):
        summary(MLP, depth=-1)
    with pytest.raises(TypeError, match="contracting"):
        summary(MLP, jnp.ones(3))
