"""`warn_user`: the line that is blamed is the user's."""

import contextlib
import sys

import pytest

from eqx_pytree import Module, warn_user


def in_package(name: str, source: str):
    """Run the source of a function `call` as if it stood in the module of this name."""
    namespace = {"__name__": name, "warn_user": warn_user, "Module": Module}
    exec(compile(source, f"{name}.py", "exec"), namespace)
    return namespace["call"]


WARN = "def call():\n    warn_user('told')"


@pytest.mark.parametrize("name", ["eqx_pytree._some", "eqx_nn", "jax.numpy", "jaxtyping"])
def test_frames_of_these_packages_are_passed_over(name):
    with pytest.warns(UserWarning, match="told") as caught:
        in_package(name, WARN)()
    assert (caught[0].filename, caught[0].lineno) == (__file__, sys._getframe().f_lineno - 1)


def test_frames_of_python_between_are_passed_over():
    @contextlib.contextmanager
    def nothing():
        yield

    with pytest.warns(UserWarning, match="told") as caught:
        nothing()(in_package("eqx_nn", WARN))()
    assert caught[0].filename == __file__


def test_the_generated_init_of_a_dataclass_is_passed_over():
    class Told(Module):
        weight: int

        def __post_init__(self):
            in_package("eqx_nn", WARN)()

    with pytest.warns(UserWarning, match="told") as caught:
        Told(1)
    assert caught[0].lineno == Told.__post_init__.__code__.co_firstlineno + 1


def test_the_category_is_the_one_given():
    with pytest.warns(DeprecationWarning, match="told"):
        warn_user("told", DeprecationWarning)
