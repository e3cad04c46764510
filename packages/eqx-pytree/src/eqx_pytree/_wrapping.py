"""`Partial` and `module_update_wrapper`: Modules that stand for another callable."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from ._checks import stands_for_another
from ._module import Module
from ._registration import WRAPPER_ATTRIBUTES

_Return = TypeVar("_Return")
_M = TypeVar("_M", bound=Module)


class Partial(Module, Generic[_Return]):
    """`functools.partial` as a PyTree: function, arguments and keywords are children.

    Called with more arguments, it calls `func(*args, *more, **kwargs, **keywords)`.

    **Raises:** `TypeError` if a keyword is given both at construction and at the call.
    """

    func: Callable[..., _Return]
    args: tuple[Any, ...]
    keywords: dict[str, Any]

    def __init__(self, func: Callable[..., _Return], /, *args: Any, **kwargs: Any) -> None:
        self.func = func
        self.args = args
        self.keywords = kwargs

    def __call__(self, *args: Any, **kwargs: Any) -> _Return:
        """Call the function with the arguments that are held, and then with these."""
        return self.func(*self.args, *args, **kwargs, **self.keywords)


def module_update_wrapper(wrapper: _M, wrapped: Any = None) -> _M:
    """Copy name, docstring, annotations and module of a callable onto the Module that wraps it.

    **Arguments:**

    - `wrapper`: a Module whose class has a property `__wrapped__`.
    - `wrapped`: the callable; by default `wrapper.__wrapped__`.

    **Returns:** a copy of `wrapper` with the attributes of `functools.update_wrapper`. They are
    part of its structure, and stay through flattening.

    **Raises:** `ValueError` if the class has no property `__wrapped__`.
    """
    cls = type(wrapper)
    if not stands_for_another(cls):
        message = (
            f"Wrapper module must supply `__wrapped__` as a property, and `{cls.__qualname__}` "
            "does not. Add `@property def __wrapped__(self): return self.<the field>`."
        )
        raise ValueError(message)
    if wrapped is None:
        wrapped = wrapper.__wrapped__  # type: ignore[attr-defined]
    wrapped = getattr(wrapped, "__func__", wrapped)
    copy = object.__new__(cls)
    vars(copy).update(vars(wrapper))
    for name in WRAPPER_ATTRIBUTES:
        if hasattr(wrapped, name):
            vars(copy)[name] = getattr(wrapped, name)
    return copy
