"""What counts as a difference, how it is told, and that the catalogue is fit to be compared."""

import json
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import equinox as eqx


class Point(eqx.Module):
    x: Any
    y: Any = eqx.field(static=True, default="y")

    def method(self):
        return self.x


def outcome_of(case, **kwargs):
    from outcome import outcome

    return json.loads(json.dumps(outcome(case, **kwargs)))


def differences_of(ours, peer, **kwargs):
    from compare import differences

    return differences(outcome_of(ours, **kwargs), outcome_of(peer, **kwargs))


def fails(error):
    def case():
        raise error

    return case


def warns(message, category=UserWarning):
    return lambda: warnings.warn(message, category, stacklevel=2)


EQUAL = {
    "int": 1,
    "nan": float("nan"),
    "arrays": [jnp.ones(2), np.ones(2), np.float32(1)],
    "bfloat16": jnp.ones(2, jnp.bfloat16),
    "complex": jnp.array([1j, jnp.nan]),
    "key": jax.random.key(0),
    "module": Point(jnp.ones(2)),
    "method": Point(1).method,
    "treedef": jax.tree.structure(Point((1, None))),
    "dict": {"a": 1, 2: None},
    "class": Point,
    "function": len,
    "object": object(),
}


@pytest.mark.parametrize("name", EQUAL)
def test_a_value_does_not_differ_from_itself(name):
    assert differences_of(lambda: EQUAL[name], lambda: EQUAL[name]) == []


DIFFERENT = {
    "types": (1, 1.0),
    "bool": (1, True),
    "zeros": (0.0, -0.0),
    "kinds": (jnp.ones(2), np.ones(2, np.float32)),
    "dtypes": (jnp.ones(2), jnp.ones(2, jnp.int32)),
    "shapes": (jnp.ones(2), jnp.ones((2, 1))),
    "weak types": (jnp.asarray(1.0), jnp.asarray(1.0, jnp.float32)),
    "values": (jnp.ones(2), jnp.ones(2) + 1e-7),
    "containers": ([1], (1,)),
    "lengths": ([1], [1, 2]),
    "keys": ({"a": 1}, {"b": 1}),
    "order": ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    "fields": (Point(1), Point(2)),
    "static fields": (Point(1), Point(1, "z")),
    "None": (None, 0),
    "strings": ("a", "b"),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_values_differ(name):
    ours, peer = DIFFERENT[name]
    assert differences_of(lambda: ours, lambda: peer)
    assert differences_of(lambda: peer, lambda: ours)


def test_an_instance_of_ours_may_have_more_fields_after_those_of_the_peer():
    class Wider(eqx.Module):
        x: Any
        y: Any = eqx.field(static=True, default="y")
        z: Any = eqx.field(static=True, default="z")

    Wider.__qualname__, Wider.__module__ = Point.__qualname__, Point.__module__
    assert differences_of(lambda: Wider(1), lambda: Point(1)) == []
    assert len(differences_of(lambda: Wider(2), lambda: Point(1))) == 1
    assert len(differences_of(lambda: Point(1), lambda: Wider(1))) == 1


def test_the_place_of_a_difference_is_told():
    [difference] = differences_of(lambda: [1, {"a": 2}], lambda: [1, {"a": 3}])
    assert difference == ("value.list[1].dict[0][1]", 2, 3)


def test_rounding_is_allowed_where_the_case_says_so():
    ours, peer = (lambda: [jnp.ones(2), 1.0]), (lambda: [jnp.ones(2) + 1e-6, 1.0 + 1e-15])
    assert len(differences_of(ours, peer)) == 2 + 1
    assert differences_of(ours, peer, rounded=True) == []


def test_rounding_depends_on_the_dtype():
    ours, peer = (lambda: jnp.ones(1)), (lambda: jnp.ones(1) + 1e-3)
    assert len(differences_of(ours, peer, rounded=True)) == 1
    half = jnp.float16
    assert (
        differences_of(lambda: ours().astype(half), lambda: peer().astype(half), rounded=True) == []
    )


def test_an_error_is_an_outcome():
    assert differences_of(fails(ValueError("a")), fails(ValueError("b"))) == []
    assert len(differences_of(fails(ValueError("a")), fails(TypeError("a")))) == 1
    assert len(differences_of(lambda: None, fails(TypeError("a")))) == 1
    assert len(differences_of(fails(TypeError("a")), lambda: None)) == 1


def test_ours_may_raise_a_kind_of_the_error():
    class OursError(ValueError):
        pass

    assert differences_of(fails(OursError("a")), fails(ValueError("a"))) == []
    assert len(differences_of(fails(ValueError("a")), fails(OursError("a")))) == 1


def test_a_listed_phrase_must_be_in_ours():
    peer = fails(TypeError("has abstract attributes x"))
    assert differences_of(fails(TypeError("x: abstract attributes, said longer")), peer) == []
    assert len(differences_of(fails(TypeError("something else")), peer)) == 1


def test_warnings_are_compared_by_category_and_phrase():
    assert differences_of(warns("a"), warns("b")) == []
    assert len(differences_of(warns("a"), lambda: None)) == 1
    assert len(differences_of(lambda: None, warns("a"))) == 1
    assert len(differences_of(warns("a"), warns("a", DeprecationWarning))) == 1
    assert len(differences_of(warns("a"), warns("it is deprecated"))) == 1


def test_addresses_and_homes_are_dropped():
    from outcome import clean

    assert clean("<f at 0x7fcc302c9d00>") == "<f at 0x...>"
    assert clean("eqx_pytree._module.Module") == clean("equinox._a._b.Module") == "equinox.Module"


def report_of(monkeypatch, known, found):
    import compare

    monkeypatch.setattr(compare, "KNOWN", known)
    return compare.report(found, ["a", "b"])


def test_the_report_is_fine_if_every_difference_is_known(monkeypatch):
    from compare import Difference

    found = {"a": [Difference("value", 1, 2)]}
    text, fine = report_of(monkeypatch, {"a": ("static", "Why.")}, found)
    assert fine
    assert "2 cases: 1 agree, 1 differ as known, 0 differ otherwise." in text
    assert "known: Why." in text


def test_the_report_is_not_fine_if_a_difference_is_unknown(monkeypatch):
    from compare import Difference

    text, fine = report_of(monkeypatch, {}, {"a": [Difference("value", 1, 2)]})
    assert not fine
    assert "- **a**\n  - value\n    - ours: `1`\n    - peer: `2`" in text


def test_the_report_is_not_fine_if_a_known_difference_is_gone(monkeypatch):
    text, fine = report_of(monkeypatch, {"b": ("static", "Why.")}, {})
    assert not fine
    assert "no difference any more\n\n- b" in text


def test_both_sides_must_have_run_the_same_cases():
    from compare import compare

    with pytest.raises(ValueError, match="do not hold the same cases"):
        compare({"a": {}}, {})


def test_known_differences_are_cases_and_name_an_entry():
    from entries import ENTRIES
    from known import KNOWN
    from run import cases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tables of the catalogue hold what warns
        names = [name for name, _, _ in cases()]
    assert len(names) == len(set(names)) >= 300
    assert set(KNOWN) <= set(names)
    assert {entry for entry, _ in KNOWN.values()} <= set(ENTRIES)
