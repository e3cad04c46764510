"""The pages of the API reference, as `reference.toml` arranges them.

Names and docstrings are read from the sources, without importing them. A name is told of once,
where it is defined; for `equinox` there is a list of where that is. Knows nothing of MkDocs.
"""

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import griffe

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {
    "eqx_pytree": "eqx-pytree",
    "eqx_filter": "eqx-filter",
    "eqx_nn": "eqx-nn",
    "equinox": "equinox",
}
"""Import names and distributions, each after those that it stands on."""

PUBLIC = ["eqx_pytree", "eqx_filter", "eqx_filter.loops", "eqx_filter.primitives"]
PUBLIC += [
    "eqx_filter.debug",
    "eqx_filter.migrations",
    "eqx_filter.orbax",
    "eqx_nn",
    "eqx_nn.testing",
]
"""Where names are imported from; of two such places the first is told."""

FACES = ["equinox", "equinox.nn", "equinox.internal", "equinox.debug", "equinox.migrations"]
FACES += ["equinox.orbax"]
"""Where they are imported from as well."""


@dataclass(frozen=True)
class Name:
    """A public name: where it is imported from, and what it stands for."""

    path: str
    thing: griffe.Object

    @property
    def name(self) -> str:
        """Give the last part of the path."""
        return self.path.rpartition(".")[2]

    @property
    def faces(self) -> list[str]:
        """Give the paths that it has in `equinox`."""
        return _faces().get(self.thing.path, [])

    @property
    def home(self) -> str:
        """Give the file or folder of its package that defines it, as `reference.toml` does."""
        return self.thing.module.path.split(".")[1]


@dataclass(frozen=True)
class Page:
    """A page of the reference."""

    package: str
    title: str
    names: list[Name]

    @property
    def path(self) -> str:
        """Give where the page is, from the folder of all pages."""
        words = re.sub(r"\W+", "-", self.title.lower())
        return f"reference/{self.package.replace('_', '-')}/{words}.md"


@cache
def sources() -> griffe.GriffeLoader:
    """Read the packages, and follow what each imports of the others."""
    paths = [ROOT / "packages" / name / "src" for name in PACKAGES.values()]
    loader = griffe.GriffeLoader(search_paths=paths)
    for name in PACKAGES:
        loader.load(name)
    loader.resolve_aliases(implicit=False, external=False)
    return loader


@cache
def arranged() -> dict[str, dict[str, Any]]:
    """Give what `reference.toml` says."""
    return tomllib.loads((ROOT / "website" / "reference.toml").read_text(encoding="utf-8"))


def exported(module: str) -> list[Name]:
    """Give the public names of a module, but for modules inside of it."""
    found = sources().modules_collection[module]
    names = [Name(f"{module}.{it}", _target(found[str(it)])) for it in found.exports or []]
    return [it for it in names if not it.thing.is_module]


def _target(member: griffe.Object | griffe.Alias) -> griffe.Object:
    return member.final_target if member.is_alias else member


def public_names() -> dict[str, Name]:
    """Give all that packages other than `equinox` export, by the path of what it stands for."""
    found: dict[str, Name] = {}
    for module in PUBLIC:
        for name in exported(module):
            found.setdefault(name.thing.path, name)
    return found


def pages() -> list[Page]:
    """Give all pages, in order; each public name is on one.

    Raises `ValueError` for names whose home is in no page or in two, and for a home without names.
    """
    by_home: dict[tuple[str, str], list[Name]] = {}
    for name in public_names().values():
        package = name.path.partition(".")[0]
        by_home.setdefault((package, name.home), []).append(name)
    found = []
    for package in PACKAGES:
        for title, homes in arranged().get(package, {}).items():
            names = [name for home in homes for name in _taken(by_home, package, home)]
            found.append(Page(package, title, names))
    if by_home:
        lost = {
            f"{package}.{home}": [it.name for it in its] for (package, home), its in by_home.items()
        }
        message = f"website/reference.toml has no page for {lost}."
        raise ValueError(message)
    return found


def _taken(by_home: dict[tuple[str, str], list[Name]], package: str, home: str) -> list[Name]:
    names = by_home.pop((package, home), None)
    if names is None:
        message = f"website/reference.toml: `{package}.{home}` has no public name, or has a page."
        raise ValueError(message)
    return names


def undocumented() -> list[str]:
    """Give the paths of public names, and of public methods of classes, without a docstring."""
    found = []
    for name in public_names().values():
        if not name.thing.has_docstring and name.path not in arranged()["told"]:
            found.append(name.path)
        if name.thing.is_class:
            found += [
                f"{name.path}.{it.name}" for it in _methods(name.thing) if not it.has_docstring
            ]
    return found


def _methods(cls: griffe.Object) -> list[griffe.Object]:
    functions = [it for it in cls.members.values() if not it.is_alias and it.is_function]
    return [it for it in functions if it.name == "__call__" or not it.name.startswith("_")]


def markdown(page: Page) -> str:
    """Write a page: each name, and where else it is imported from."""
    parts = [f"# {page.title}\n"]
    for name in page.names:
        also = ", ".join(f"`{path}`" for path in name.faces)
        parts.append(f"::: {name.path}\n")
        parts.append(arranged()["told"].get(name.path, ""))
        parts.append(f"In `{name.path.rpartition('.')[0]}`{also and ', and as '}{also}.\n")
    return "\n".join(parts)


def index() -> str:
    """Write the page that lists all names of `equinox`, and where each is told of."""
    parts = ["# All names\n"]
    names = public_names()
    for module in FACES:
        parts.append(f"## `{module}`\n")
        paths = sorted((names[it.thing.path] for it in exported(module)), key=lambda it: it.name)
        parts += [f"- [`{it.name}`][{it.path}]" for it in paths]
        parts.append("")
    return "\n".join(parts)


@cache
def _faces() -> dict[str, list[str]]:
    """Give the paths under which `equinox` gives a thing, by the path of the thing."""
    found: dict[str, list[str]] = {}
    for module in FACES:
        for it in exported(module):
            found.setdefault(it.thing.path, []).append(it.path)
    return found
