"""Fields of a Module: `field`, converters and static fields. Knows nothing of PyTrees."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

STATIC = "static"
CONVERTER = "converter"
TRAINABLE = "trainable"


def field(
    *,
    converter: Callable[[Any], Any] | None = None,
    static: bool = False,
    trainable: bool = True,
    **kwargs: Any,
) -> Any:
    """Describe one field of a `Module`, as `dataclasses.field` does.

    **Arguments:**

    - `converter`: called with the field's value after `__init__` (or `__post_init__`) and before
        `__check_init__`; what it returns is stored. Defaults are converted too.
    - `static`: whether the field is part of the tree's structure instead of a child. A static
        value is compared by type and value, and a change of it compiles anew.
    - `trainable`: False for a buffer: arrays that are no parameters, such as tables and running
        means. It is told in the field's metadata, for whoever chooses what is trained.
    - `kwargs`: passed on to `dataclasses.field`: `default`, `default_factory`, `init`, `repr`,
        `metadata`, `kw_only`, ...

    **Raises:** `ValueError` if `metadata` already holds `converter`, `static` or `trainable`, and
    that is passed too; `TypeError` for a keyword that `dataclasses.field` does not know.
    """
    metadata = dict(kwargs.pop("metadata", None) or {})
    told = {CONVERTER: converter is not None, STATIC: static, TRAINABLE: not trainable}
    for name, given in told.items():
        if given and name in metadata:
            message = (
                f"Cannot use metadata with `{name}` already set. "
                f"Pass `{name}=` to `field`, or set it in `metadata`, not both."
            )
            raise ValueError(message)
    if converter is not None:
        metadata[CONVERTER] = converter
    if static:
        metadata[STATIC] = True
    if not trainable:
        metadata[TRAINABLE] = False
    return dataclasses.field(metadata=metadata, **kwargs)


def static_field(**kwargs: Any) -> Any:
    """Spell `field(static=True, ...)` the old way; deprecated, and kept for code written so."""
    message = "`static_field` is deprecated in favour of `field(static=True)`."
    from ._warning import warn_user

    warn_user(message)
    return field(static=True, **kwargs)


def is_static(spec: "dataclasses.Field[Any]") -> bool:
    """Whether a dataclass field is marked static."""
    return bool(spec.metadata.get(STATIC, False))


def converters(cls: type) -> dict[str, Callable[[Any], Any]]:
    """The converters of a dataclass, by field name in field order."""
    return {
        spec.name: spec.metadata[CONVERTER]
        for spec in dataclasses.fields(cls)
        if spec.metadata.get(CONVERTER) is not None
    }


def annotate_constructor(
    init: Callable[..., None], by_name: Mapping[str, Callable[[Any], Any]]
) -> None:
    """Give each parameter of a generated `__init__` what its converter accepts."""
    for name, converter in by_name.items():
        if name in init.__annotations__:
            init.__annotations__[name] = _accepted(converter)


def _accepted(converter: Callable[[Any], Any]) -> Any:
    try:
        parameters = list(inspect.signature(converter).parameters.values())
    except (TypeError, ValueError):
        return Any
    if not parameters or parameters[0].annotation is inspect.Parameter.empty:
        return Any
    return parameters[0].annotation
