"""`doc_repr` and `doc_remove_args`, in a documentation build and at any other time."""

import inspect
import typing

import pytest

from eqx_pytree import Module, doc_remove_args, doc_repr


def function(a, b, *, c=3):
    """Documented."""


@pytest.fixture
def build(monkeypatch):
    monkeypatch.setattr(typing, "GENERATING_DOCUMENTATION", True, raising=False)


def test_an_object_is_itself():
    value = object()
    assert doc_repr(value, "text") is value


@pytest.mark.usefixtures("build")
def test_an_object_is_shown_as_the_text():
    assert repr(doc_repr(object(), "<jax.nn.relu>")) == "<jax.nn.relu>"


def test_a_function_is_itself():
    before = dict(vars(function))
    assert doc_remove_args("a")(function) is function
    assert vars(function) == before


@pytest.mark.usefixtures("build")
def test_arguments_are_left_out_of_the_signature():
    def shown(a, b, *, c=3):
        """Documented."""

    assert doc_remove_args("a", "unknown")(shown) is shown
    assert str(inspect.signature(shown)) == "(b, *, c=3)"


def test_a_doc_of_a_generated_init_is_that_of_the_bases():
    class Base(Module):
        x: int

    class Other(Module):
        y: int

    assert Base.__init__.__doc__ == object.__init__.__doc__
    Base.__init__.__doc__ = "Take `x`."

    class Same(Base):
        pass

    class More(Same):
        z: int

    class First(Other, Base):
        pass

    assert Same.__init__.__doc__ == More.__init__.__doc__ == "Take `x`."
    assert First.__init__.__doc__ == Other.__init__.__doc__
