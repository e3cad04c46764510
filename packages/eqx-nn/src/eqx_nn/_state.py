"""The mark of layers that carry state from call to call."""

import abc
from typing import Any

from eqx_pytree import Module


class StatefulLayer(Module):
    """Base class of layers that are called as `layer(x, state, *, key=None)`.

    Such a layer returns `(y, state)`. [`Sequential`][] hands the state from one to the next.
    """

    @abc.abstractmethod
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return the output and the new state."""

    def is_stateful(self) -> bool:
        """Whether this instance takes and returns a state; a subclass may look at its fields."""
        return True
