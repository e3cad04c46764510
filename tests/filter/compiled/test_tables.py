"""Tables of programs: bounded, and as quick with many variants as with one."""

from typing import Any

import jax.numpy as jnp
import jax.tree_util as jtu
import pytest

import eqx_filter as ef
from eqx_filter.compiled import _tables
from eqx_pytree import Module, field


class Counted:
    """A static value that counts its comparisons."""

    compared = 0

    def __init__(self, value):
        self.value = value

    def __eq__(self, other):
        Counted.compared += 1
        return self.value == other.value

    def __hash__(self):
        return hash(self.value)


class Variant(Module):
    weight: Any
    static: Any = field(static=True)


def variant(value):
    return Variant(jnp.ones(1), Counted(value))


class TestManyVariants:
    def test_a_call_is_compared_with_few(self):
        function = ef.filter_jit(lambda model: model.weight)
        for value in range(100):
            function(variant(value))
        Counted.compared = 0
        for value in range(100):
            function(variant(value))
        assert Counted.compared < 1000

    def test_each_has_its_own_program_and_is_compiled_once(self):
        traced = []

        @ef.filter_jit
        def function(model):
            traced.append(model.static.value)
            return model.weight * model.static.value

        for _ in range(2):
            for value in range(20):
                assert function(variant(value)) == value
        assert traced == list(range(20))

    def test_other_kinds_of_structures_too(self):
        function = ef.filter_jit(lambda tree: jtu.tree_leaves(tree)[0])
        trees = [
            {"a": [jnp.ones(1)] * n, "b": (Variant(jnp.ones(1), [n, {n: float("nan")}]), None)}
            for n in range(1, 15)
        ]
        for tree in trees * 2:
            assert function(tree) == 1


class TestTable:
    def test_the_oldest_entry_goes(self, monkeypatch):
        monkeypatch.setattr(_tables, "_MOST", 3)
        table = _tables.Table()
        for i in range(5):
            table.keep(i, str(i))
        assert table == {2: "2", 3: "3", 4: "4"}

    @pytest.mark.parametrize("count", [1, 8, 9, 50])
    def test_by_structure_holds_what_was_kept(self, count):
        table = _tables.TableByStructure()
        keys = [(jtu.tree_structure(variant(i)), "kind") for i in range(count)]
        for i, key in enumerate(keys):
            assert table.get(key) is None
            table.keep(key, i)
        again = [(jtu.tree_structure(variant(i)), "kind") for i in range(count)]
        assert [table.get(key) for key in again] == list(range(count))
        assert table.get((jtu.tree_structure(variant(0)), "other")) is None

    def test_by_structure_is_bounded_too(self, monkeypatch):
        monkeypatch.setattr(_tables, "_MOST", 10)
        table = _tables.TableByStructure()
        keys = [(jtu.tree_structure(variant(i)),) for i in range(30)]
        for key in keys:
            table.keep(key, key)
        assert [key for key in keys if table.get(key) is not None] == keys[20:]
