"""`filter_checkpoint`: a function whose intermediate values are computed again when needed."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, overload

import jax

from eqx_pytree import field

from ._cache import as_tree, holder_of
from ._packed import Packed, pack
from ._steps import kept_with
from ._wrapper import Wrapper, wrap

_P = ParamSpec("_P")
_T = TypeVar("_T")


class CheckpointWrapper(Wrapper):
    """A callable that keeps no intermediate values for its derivative."""

    prevent_cse: bool = field(static=True)
    policy: Callable[..., bool] | None = field(static=True)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        packed = pack((self.fun, args, kwargs))
        key = "checkpoint", self.prevent_cse, self.policy
        run = kept_with(holder_of(self.fun), key, (packed,), self._make)
        return run(packed).unpack()

    def _make(self) -> Callable[[Packed], Packed]:
        def of_arrays(packed: Packed) -> Packed:
            fun, args, kwargs = packed.unpack()
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

    **Raises:** `TypeError` if `fun` cannot be called.
    """
    return wrap(
        "filter_checkpoint",
        lambda fun: CheckpointWrapper(as_tree(fun), prevent_cse, policy),
        fun,
    )
