"""Modules whose names are loaded when they are first used (PEP 562)."""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def load_on_use(
    module: str,
    homes: Mapping[str, str],
    *,
    distribution: str | None = None,
    otherwise: Callable[[str], Any] | None = None,
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Make the hooks of a module whose names lie in other modules, loaded when they are asked for.

    Names that the module already has are found without them; one that was loaded is kept there.
    Where the module's own code calls this, it need not stay in `sys.modules`.

    **Arguments:**

    - `module`: its `__name__`.
    - `homes`: from other modules, as `importlib.import_module` takes them, `".folder"` being one
        beside it, to the names that are found there, with spaces between; `here=there` is one that
        is called otherwise there. The name of a folder can be asked for too.
    - `distribution`: what has the version that `__version__` is.
    - `otherwise`: called with any other name; it must raise `AttributeError` itself.

    **Returns:** `__getattr__` and `__dir__`. Without `otherwise`, the former raises
    `AttributeError` for other names.
    """
    namespace = _namespace(module, sys._getframe(1).f_globals)
    where = {}
    for home, names in homes.items():
        for told in names.split():
            name, _, original = told.partition("=")
            where[name] = home, original or name
    folders = {home[1:] for home in homes if home.startswith(".")}

    def load(name: str) -> Any:
        if name in folders:
            found = _loaded(f".{name}", module)
        elif name in where:
            home, original = where[name]
            found = getattr(_loaded(home, module), original)
        elif name == "__version__" and distribution is not None:
            from importlib.metadata import version

            found = version(distribution)
        elif otherwise is not None:
            return otherwise(name)
        else:
            message = f"module `{module}` has no attribute `{name}`"
            raise AttributeError(message)
        namespace[name] = found
        return found

    def all_names() -> list[str]:
        return sorted({*namespace, *where, *folders})

    return load, all_names


def _namespace(module: str, of_caller: dict[str, Any]) -> dict[str, Any]:
    """What the module holds: the globals of the caller, if that is the module itself."""
    return of_caller if of_caller.get("__name__") == module else vars(sys.modules[module])


def _loaded(home: str, module: str) -> Any:
    """Import a module; an `AttributeError` in it must not pass for that of a missing name."""
    try:
        return import_module(home, module)
    except AttributeError as error:
        message = f"`{home}` of `{module}` could not be imported: {error}"
        raise ImportError(message) from error
