"""`filter_checkpoint`: a function whose intermediate values are computed again when needed."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, overload

import jax

from eqx_pytree import field

from ..compiled._cache import holder_of
from ..compiled._steps import kept_with
from ..shared._naming import refuse_uncallable
from ..shared._packed import Packed, pack
from ..shared._wrapper import Wrapper, as_tree, wrap

_P = ParamSpec("_P")
_T = TypeVar("_T")


class CheckpointWrapper(Wrapper):
    """A callable that keeps no intermediate values for its derivative."""

    prevent_cse: bool = field(static=True)
    policy: Callable[..., bool] | None = field(static=True)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        holder = holder_of(self.fun)
        # A function that holds what was made of it is not passed to it too, or JAX, which keeps
        # what is passed, would keep both.
        callables = () if holder is self.fun else (self.fun,)
        packed = pack((callables, args, kwargs))
        key = "checkpoint", self.prevent_cse, self.policy
        return kept_with(holder, key, (packed,), self._make)(packed).unpack()

    def _make(self) -> Callable[[Packed], Packed]:
        own = (self.fun,) if holder_of(self.fun) is self.fun else ()

        def of_arrays(packed: Packed) -> Packed:
            callables, args, kwargs = packed.unpack()
            [fun] = own or callables
            return pack(fun(*args, **kwargs))

        return jax.checkpoint(of_arrays, prevent_cse=self.prevent_cse, policy=self.policy)


@overload
def filter_checkpoint(
    fun: Callable[_P, _T],
    *,
    prevent_cse: bool = True,
    policy: Callable[..., bool] | None = None,
) -> Callable[_P, _T]: ...


@overload
def filter_checkpoint(
    *, prevent_cse: bool = True, policy: Callable[..., bool] | None = None
) -> Callable[[Callable[_P, _T]], Callable[_P, _T]]: ...


def filter_checkpoint(
    fun: Callable[..., Any] | None = None,
    *,
    prevent_cse: bool = True,
    policy: Callable[..., bool] | None = None,
) -> Any:
    """Make a function save less memory for its derivative, and compute more: rematerialisation.

    Reverse-mode differentiation keeps a function's intermediate values. With this it keeps the
    inputs, and computes the rest again on the way back.

    **Arguments:**

    - `fun`: a pure function; its arguments and its result are any PyTrees. Without it, a decorator
        is returned.
    - `prevent_cse`: whether the compiler is kept from finding the second computation superfluous.
        Under `jax.lax.scan` that is not needed, and False is faster.
    - `policy`: which intermediate values are kept all the same, from `jax.checkpoint_policies`.

    **Returns:** a callable with the signature of `fun`, which computes the same.

    **Raises:** `TypeError` if `fun` or `policy` cannot be called.
    """
    if policy is not None:
        refuse_uncallable("filter_checkpoint", policy=policy)
    return wrap(
        "filter_checkpoint",
        lambda fun: CheckpointWrapper(as_tree(fun), prevent_cse, policy),
        fun,
    )
