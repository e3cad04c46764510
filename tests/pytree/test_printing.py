"""`tree_pformat`, `tree_pprint`, and the `repr` of Modules."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import wadler_lindig as wl

from eqx_pytree import Module, TreeWLCustom, field, tree_pformat, tree_pprint


class Affine(Module):
    weight: Any
    bias: Any = None
    hidden: Any = field(repr=False, default=0)


class TestRepr:
    def test_shows_class_and_fields(self):
        assert repr(Affine(1, "a")) == "Affine(weight=1, bias='a')"

    def test_leaves_out_defaults_and_fields_without_repr(self):
        assert repr(Affine(1, None, 5)) == "Affine(weight=1)"

    def test_shows_arrays_as_dtype_and_shape(self):
        assert repr(Affine(jnp.ones((3, 4)), np.ones(2))) == (
            "Affine(weight=f32[3,4], bias=f64[2](numpy))"
        )

    def test_of_an_instance_with_fields_absent(self):
        assert repr(object.__new__(Affine)).startswith("Affine(weight=")

    def test_of_an_instance_that_holds_tracers(self):
        shown = []
        jax.jit(lambda affine: shown.append(repr(affine)))(Affine(jnp.ones(2)))
        assert shown == ["Affine(weight=f32[2])"]

    def test_of_a_bound_magic_method_that_is_in_a_field_of_its_own_instance(self):
        class Calls(Module):
            function: Any

            def __init__(self):
                self.function = self.__call__

            def __call__(self):
                pass

        assert repr(Calls()).splitlines()[1].strip().endswith("Calls.__call__ of <recursive>>")

    def test_str_is_repr(self):
        assert str(Affine(1)) == repr(Affine(1))


class TestFormat:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (jnp.ones(2, bool), "bool[2]"),
            (jnp.ones((), jnp.bfloat16), "bf16[]"),
            (jnp.asarray(1.0), "weak_f32[]"),
            (jax.random.key(0), "key<fry>[]"),
            (np.ones(2, np.int8), "i8[2](numpy)"),
            ([1, (2.5,), {"a": None}], "[1, (2.5,), {'a': None}]"),
            ((), "()"),
            (None, "None"),
            (len, "<built-in function len>"),
        ],
        ids=str,
    )
    def test_of_values(self, value, text):
        assert tree_pformat(value) == text

    def test_long_trees_are_broken_into_lines_within_the_width(self):
        text = tree_pformat({"a": Affine(jnp.ones(2), [1, 2, 3]), "b": list(range(9))}, width=24)
        assert max(map(len, text.splitlines())) <= 24
        assert text.count("\n") > 3

    def test_indent(self):
        lines = tree_pformat([Affine(1, 2)], width=8, indent=6).splitlines()
        assert lines[1].startswith(" " * 6 + "Affine")

    def test_values_of_arrays(self):
        assert "1." in tree_pformat(jnp.ones(2), short_arrays=False)

    def test_structs_as_arrays(self):
        struct = jax.ShapeDtypeStruct((2,), jnp.float32)
        assert tree_pformat(struct, struct_as_array=True) == "f32[2]"
        assert tree_pformat(struct).startswith("ShapeDtypeStruct(")
        long = tree_pformat(struct, struct_as_array=True, short_arrays=False)
        assert long.startswith("ShapeDtypeStruct(")

    def test_truncated_nodes(self):
        tree = [1, Affine(2)]
        shown = tree_pformat(tree, truncate_leaf=lambda node: isinstance(node, Affine))
        assert shown == "[1, Affine(...)]"


class TestCustomOfWadlerLindig:
    def test_shows_what_tree_pformat_shows(self):
        tree = [Affine(jnp.ones(2)), jax.ShapeDtypeStruct((2,), jnp.float32)]
        for short, struct in [(True, True), (True, False), (False, True)]:
            custom = TreeWLCustom(lambda node: False, short, struct)
            expected = tree_pformat(tree, short_arrays=short, struct_as_array=struct)
            assert wl.pformat(tree, custom=custom, short_arrays=short) == expected

    def test_leaves_other_objects_as_they_are(self):
        custom = TreeWLCustom(lambda node: node == 2, short_arrays=True, struct_as_array=True)
        assert custom(1) is None
        assert wl.pformat([1, 2], custom=custom) == "[1, int(...)]"

    def test_inside_a_partial_too(self):
        partial = jax.tree_util.Partial(max, 1, jnp.ones(1))
        text = tree_pformat(
            partial, truncate_leaf=lambda node: type(node) is int, short_arrays=False
        )
        assert "args=(int(...), Array([1.]" in text.replace("\n", " ")


def test_pprint_prints_the_text_and_a_newline(capsys):
    tree = {"a": Affine(jnp.ones(2))}
    tree_pprint(tree, width=10, indent=4)
    assert capsys.readouterr().out == tree_pformat(tree, width=10, indent=4) + "\n"


class TestFunctionsOfJax:
    def test_a_function_with_a_custom_rule_is_shown_as_the_function(self):
        def square(x):
            return x**2

        for rule in (jax.custom_jvp, jax.custom_vjp):
            assert "<function " in tree_pformat(rule(square))
            assert "square" in tree_pformat(rule(square))

    def test_a_partial_of_jax_shows_its_parts(self):
        partial = jax.tree_util.Partial(max, jnp.ones(2), key=1)
        text = "Partial(func=<built-in function max>, args=(f32[2](jax),), keywords={'key': 1})"
        assert tree_pformat(partial) == text
