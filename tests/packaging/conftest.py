"""What the packaging tests look at: the four projects and the text of their sources."""

import ast
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Project:
    """One package: its folder and the `[project]` table of its pyproject."""

    folder: Path
    table: dict[str, Any]

    @property
    def name(self) -> str:
        return self.table["name"]

    @property
    def module(self) -> str:
        return self.name.replace("-", "_")


@dataclass(frozen=True)
class Source:
    """One Python file and what it says."""

    path: Path
    text: str
    tree: ast.Module

    @property
    def label(self) -> str:
        return label(self.path)

    @property
    def package(self) -> str:
        """The import name of the package that a file under packages/*/src belongs to."""
        return self.path.relative_to(ROOT).parts[3]

    @property
    def folder_module(self) -> str:
        """The import name of the folder that a file under packages/*/src stands in."""
        return ".".join(self.path.relative_to(ROOT).parent.parts[3:])


def label(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def read_project(pyproject: Path) -> Project:
    table = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    return Project(pyproject.parent, table)


def read_source(path: Path) -> Source:
    text = path.read_text(encoding="utf-8")
    return Source(path, text, ast.parse(text, filename=str(path)))


PROJECTS = [read_project(path) for path in sorted(ROOT.glob("packages/*/pyproject.toml"))]
PACKAGE_FILES = sorted(ROOT.glob("packages/*/src/**/*.py"))
OTHER_FILES = [
    ROOT / "noxfile.py",
    *(
        path
        for folder in ("tests", "examples", "benchmarks")
        for path in ROOT.glob(f"{folder}/**/*.py")
    ),
]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def projects() -> dict[str, Project]:
    """The four packages by distribution name."""
    return {project.name: project for project in PROJECTS}


@pytest.fixture(params=PROJECTS, ids=lambda project: project.name)
def project(request: pytest.FixtureRequest) -> Project:
    """Each package in turn."""
    return request.param


@pytest.fixture(scope="session")
def sources() -> list[Source]:
    """The files under packages/*/src, which a test goes through: one test for each takes longer."""
    return [read_source(path) for path in PACKAGE_FILES]


@pytest.fixture(params=[path for path in PACKAGE_FILES if path.name == "__init__.py"], ids=label)
def face(request: pytest.FixtureRequest) -> Source:
    """Each package's `__init__.py`, and each topic folder's, in turn."""
    return read_source(request.param)


@pytest.fixture(scope="session")
def any_files(sources: list[Source]) -> list[Source]:
    """The Python files of the workspace."""
    return [*sources, *map(read_source, OTHER_FILES)]
