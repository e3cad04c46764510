"""`AbstractVar` and `AbstractClassVar`: attributes that a class asks its subclasses for.

They are annotations. Which of them a class still leaves open is read from its bases once, when the
class is made. This room knows annotations and nothing of dataclasses or PyTrees.
"""

import re
import typing
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Generic, Literal, TypeVar

_T = TypeVar("_T")

if typing.TYPE_CHECKING:
    from typing import ClassVar as AbstractClassVar

    AbstractVar: typing.TypeAlias = typing.Annotated[_T, "AbstractVar"]
else:

    class AbstractVar(Generic[_T]):
        """Annotates an attribute that every concrete subclass must have: `x: AbstractVar[int]`.

        It is no field. A subclass gives it as a field, a property or an attribute of the class;
        until one does, making an instance is a `TypeError`. So is, when the class is made, to give
        it a value where it is declared, or to leave the brackets out.
        """

    class AbstractClassVar(Generic[_T]):
        """Annotates a class attribute that every concrete subclass must have.

        As `AbstractVar`, for `x: ClassVar[int] = ...`.
        """


_AS_TEXT = re.compile(r"(?:\w+\.)*(AbstractVar|AbstractClassVar)\b\s*(\[?)")
"""An annotation that is a string, as in a file with `from __future__ import annotations`."""


def StrictConfig(  # noqa: N802
    force_abstact: bool = False, **kwargs: object
) -> Literal[False] | None:
    """Say what `class A(Module, strict=...)` is to be strict about.

    **Arguments:**

    - `force_abstact`: whether the class cannot have instances, though nothing in it is abstract.
        Its subclasses can. (The spelling is that of Equinox.)
    - `kwargs`: accepted and without effect.

    **Returns:** what `strict` takes.
    """
    return None if force_abstact else False


def abstract_annotations(cls: type) -> dict[str, type]:
    """Give what the body of `cls` declares abstract: each name with the kind of its annotation.

    **Raises:** `TypeError` for an annotation without brackets, or a name that is given a value.
    """
    found: dict[str, type] = {}
    for name, annotation in _annotations(cls).items():
        kind, subscripted = _kind(annotation)
        if kind is None:
            continue
        where = f"`{cls.__qualname__}.{name}`"
        if not subscripted:
            message = (
                "Cannot use unsubscripted `AbstractVar` or `AbstractClassVar`: annotate "
                f"{where} with the type in brackets, as `{name}: {kind.__name__}[int]`."
            )
            raise TypeError(message)
        if name in vars(cls):
            message = (
                f"{_TITLES[kind].capitalize()} {name} cannot have value: {where} is declared "
                f"`{kind.__name__}`, for subclasses to give. Give it there, or annotate it plainly."
            )
            raise TypeError(message)
        found[name] = kind
    return found


def open_attributes(cls: type) -> tuple[frozenset[str], frozenset[str]]:
    """Give the names that `cls` leaves abstract, of `AbstractVar` and of `AbstractClassVar`.

    The first class of the method resolution order that has a name, in whatever way, decides.
    """
    declared = {
        name
        for base in cls.__mro__
        for name, annotation in _annotations(base).items()
        if _kind(annotation)[0] is not None
    }
    kinds = {name: _deciding_kind(cls, name) for name in declared}
    variables = frozenset(name for name in declared if kinds[name] is AbstractVar)
    return variables, frozenset(n for n in declared if kinds[n] is AbstractClassVar)


def _deciding_kind(cls: type, name: str) -> type | None:
    only_for_class = False
    for base in cls.__mro__:
        annotation = _annotations(base).get(name)
        kind, _ = _kind(annotation)
        if kind is not None:
            return None if only_for_class and kind is AbstractClassVar else kind
        if name not in vars(base) and _is_class_variable(annotation):
            only_for_class = True  # so annotated, an instance attribute is still not there
        elif annotation is not None or name in vars(base):
            return None
    return None


def why_abstract(cls: Any, *, forced: bool) -> str | None:
    """Say why `cls` cannot have instances; None if neither attributes nor `forced` forbid them."""
    name = cls.__qualname__
    if forced:
        return (
            f"Cannot instantiate abstract `equinox.Module`: `{name}` was made with "
            "`strict=StrictConfig(force_abstact=True)`. Make an instance of a subclass."
        )
    missing = list(_missing(cls))
    if not (cls.__abstractvars__ or cls.__abstractclassvars__):
        return None
    return (
        f"Can't instantiate abstract class {name} with {' and '.join(missing)}. Make an instance "
        "of a subclass that gives them: an attribute as a field, a property or in the class body."
    )


def _missing(cls: Any) -> Iterator[str]:
    if cls.__abstractmethods__:
        names = ", ".join(sorted(cls.__abstractmethods__))
        yield f"abstract method{'s' * (len(cls.__abstractmethods__) > 1)} {names}"
    for kind, names in (
        (AbstractClassVar, cls.__abstractclassvars__),
        (AbstractVar, cls.__abstractvars__),
    ):
        if names:
            listed = ", ".join(map(repr, sorted(names)))
            yield f"{_TITLES[kind]}s {{{listed}}}"


_TITLES: dict[Any, str] = {
    AbstractVar: "abstract attribute",
    AbstractClassVar: "abstract class attribute",
}


def _annotations(cls: type) -> Mapping[str, Any]:
    return vars(cls).get("__annotations__", {})


def _kind(annotation: Any) -> tuple[Any, bool]:
    """Which of the two an annotation is, or None, and whether it has brackets."""
    if isinstance(annotation, str):
        match = _AS_TEXT.match(annotation)
        if match is None:
            return None, False
        return (AbstractVar if match[1] == "AbstractVar" else AbstractClassVar), match[2] == "["
    if annotation is AbstractVar or annotation is AbstractClassVar:
        return annotation, False
    origin = getattr(annotation, "__origin__", None)
    return (origin, True) if origin is AbstractVar or origin is AbstractClassVar else (None, False)


def _is_class_variable(annotation: Any) -> bool:
    return annotation is ClassVar or typing.get_origin(annotation) is ClassVar
