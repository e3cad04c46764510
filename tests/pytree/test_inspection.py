"""Tools that read classes see a Module's methods as they see those of a plain class."""

import doctest
import functools
import inspect
import pickle
import pydoc
import re
import sys

import pytest

from eqx_pytree import BoundMethod, Module


def logged(function):
    @functools.wraps(function)
    def call(*args, **kwargs):
        return function(*args, **kwargs)

    return call


def shown(thing):
    """What `help` prints, without the kind of the thing."""
    text = pydoc.plain(pydoc.render_doc(thing)).partition("\n\n")[2]
    return re.sub(r" method of \S+ instance", "", text)


def body(base):
    class Thing(base):
        """Has methods."""

        def plain(self, x: int, y=2) -> int:
            """Add.

            >>> 1 + 1
            2
            """
            return x + y

        plain.tag = "tagged"

        def silent(self):
            return self

        @logged
        def decorated(self, x):
            """Decorate.

            >>> 2
            2
            """

        @classmethod
        def made(cls):
            """Make."""

    return Thing


class Base:
    pass


Ours, Plain = body(Module), body(Base)
NAMES = ["plain", "silent", "decorated"]
QUESTIONS = {
    "source": inspect.getsource,
    "file": inspect.getsourcefile,
    "signature": inspect.signature,
    "doc": inspect.getdoc,
    "module": inspect.getmodule,
    "routine": inspect.isroutine,
    "annotations": inspect.get_annotations,
    "names": lambda it: (it.__module__, it.__qualname__, it.__name__, it.__doc__),
    "tag": lambda it: getattr(it, "tag", None),
    "code of what is inside": lambda it: inspect.unwrap(it).__name__,
    "help": shown,
}
LOOKUPS = {
    "on the class": getattr,
    "in its dictionary": inspect.getattr_static,
    "on an instance": lambda cls, name: getattr(cls(), name),
}
ONLY_FUNCTIONS = {("file", "in its dictionary"), ("file", "on an instance")}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("lookup", LOOKUPS)
@pytest.mark.parametrize("question", QUESTIONS)
def test_answers_as_for_a_plain_class(name, lookup, question):
    ask, look = QUESTIONS[question], LOOKUPS[lookup]
    ours, plain = look(Ours, name), look(Plain, name)
    if (question, lookup) in ONLY_FUNCTIONS:  # asked of what is inside, as `getsource` does
        ours, plain = inspect.unwrap(ours), inspect.unwrap(plain)
    told = ask(ours)
    if question == "help":
        assert told.split("\n")[0].startswith(f"{name}(")
    assert told == ask(plain)


def test_doctests_are_found():
    finder = doctest.DocTestFinder(exclude_empty=False)
    ours, plain = (
        {
            test.name.partition(".")[2]: [it.source for it in test.examples]
            for test in finder.find(cls, cls.__name__, module=sys.modules[__name__])
        }
        for cls in (Ours, Plain)
    )
    assert ours.pop("__init__") == []  # it is generated
    assert ours == plain
    assert ours["plain"] == ["1 + 1\n"]


def test_what_is_in_the_dictionary_can_be_called():
    assert vars(Ours)["plain"](Ours(), 1) == vars(Plain)["plain"](Plain(), 1) == 3


def test_a_doc_that_changes_later_is_seen():
    cls = body(Module)
    cls.plain.__doc__ = "Changed."
    assert vars(cls)["plain"].__doc__ == cls().plain.__doc__ == "Changed."


def test_the_class_of_bound_methods_keeps_its_own_home():
    assert pickle.loads(pickle.dumps(BoundMethod)) is BoundMethod
    assert repr(BoundMethod) == f"<class '{BoundMethod.__module__}.BoundMethod'>"
    assert Ours().plain.__module__ == __name__ != BoundMethod.__module__
