"""What is raised of a leaf: by a filter spec without its path, which is then added."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax.tree_util as jtu


class TreePathError(RuntimeError):
    """A leaf could not be saved or loaded; the message names its path."""


class LeafError(RuntimeError):
    """A leaf that the default filter specs refuse; the message says why."""


class ChangedError(LeafError):
    """A leaf that is not in the data what it is in `like`."""

    def __init__(self, what: str, in_like: Any, on_disk: Any, advice: str) -> None:
        self.change = f"has changed {what} from {in_like} in `like` to {on_disk} on disk."
        self.advice = advice
        super().__init__(f"Deserialised leaf {self.change} {advice}")


@contextmanager
def naming(tree: str, path: tuple[Any, ...], act: str) -> Iterator[None]:
    """Name the leaf at `path` of the argument called `tree` in what is raised.

    `act` says what cannot be done with it: "saved", or "read from `model.eqx`".
    """
    try:
        yield
    except ChangedError as error:
        message = (
            f"Deserialised leaf at path {path} {error.change} {_place(tree, path)} cannot be "
            f"{act}. {error.advice}"
        )
        raise TreePathError(message) from None
    except LeafError as error:
        message = f"Error at leaf with path {path}: {_place(tree, path)} cannot be {act}: {error}"
        raise TreePathError(message) from None
    except Exception as error:
        message = (
            f"Error at leaf with path {path}: {_place(tree, path)} cannot be {act}: "
            f"{type(error).__name__}: {error}"
        )
        raise TreePathError(message) from error


@contextmanager
def naming_saved(name: str) -> Iterator[None]:
    """Name the leaf of a PyTree by its dotted path in what is raised as it is saved."""
    try:
        yield
    except Exception as error:
        raise not_saved(name, error) from error


def not_saved(name: str, error: Exception) -> TreePathError:
    """Give the error that names a leaf by its dotted path."""
    why = f"{error}" if isinstance(error, LeafError) else f"{type(error).__name__}: {error}"
    printable = name.encode("utf-8", "backslashreplace").decode()
    place = f"tree.{printable}" if name else "tree"
    return TreePathError(f"`{place}` cannot be saved: {why.removesuffix('.')}.")


def _place(tree: str, path: tuple[Any, ...]) -> str:
    return f"`{tree}{jtu.keystr(path)}`"
