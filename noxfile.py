"""Every check that a person or a build server runs; what must see built wheels runs here.

First-party packages are installed by path, never by name: on an index the name `equinox` is
another distribution. What each session needs besides is in the root pyproject's dependency
groups, and which first-party packages belong together is read from what each one declares.
"""

import shutil
from pathlib import Path

import nox
from packaging.requirements import Requirement

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["tests", "lint"]

ROOT = Path(__file__).resolve().parent
DIST = ROOT / "dist"
WORKSPACE = nox.project.load_toml(ROOT / "pyproject.toml")
DEPENDENCIES = {
    project["name"]: [Requirement(line).name for line in project["dependencies"]]
    for path in sorted(ROOT.glob("packages/*/pyproject.toml"))
    for project in [nox.project.load_toml(path)["project"]]
}

PEER = "equinox==0.13.8"  # never beside ours: both are imported as `equinox`

REFUSE_IMPORTABLE = """
import importlib.util, sys
found = [name for name in sys.argv[1:] if importlib.util.find_spec(name)]
if found:
    sys.exit(f"These packages are not declared, so they must not be importable here: {found}")
"""


def module_name(package: str) -> str:
    return package.replace("-", "_")


def closure(package: str) -> list[str]:
    """Give the package and every first-party package that it needs, itself last."""
    needed: dict[str, None] = {}
    for name in DEPENDENCIES[package]:
        if name in DEPENDENCIES:
            needed.update(dict.fromkeys(closure(name)))
    return [*needed, package]


def group(*names: str) -> tuple[str, ...]:
    return nox.project.dependency_groups(WORKSPACE, *names)


def package_paths(*, editable: bool) -> list[str]:
    paths = [f"./packages/{name}" for name in DEPENDENCIES]
    return [part for path in paths for part in (["-e", path] if editable else [path])]


def wheel(package: str) -> str:
    """Give the path of the one wheel that `dist` built for the package."""
    [path] = DIST.glob(f"{module_name(package)}-*.whl")
    return str(path)


@nox.session
def quickstart(session: nox.Session) -> None:
    """Train a model on handwritten digits and show what it learned."""
    session.install(*package_paths(editable=False), *group("examples"))
    session.run("python", "examples/train_digits.py", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run every test against the sources."""
    session.install(*package_paths(editable=True), *group("test", "examples"))
    session.run("pytest", "-n", "2", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, layout and types."""
    session.install(*package_paths(editable=True), *group("lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("pyright")


@nox.session
def dist(session: nox.Session) -> None:
    """Build the wheels of all packages into dist/, which is emptied first."""
    session.install(*group("dist"))
    shutil.rmtree(DIST, ignore_errors=True)
    for name in DEPENDENCIES:
        session.run("python", "-m", "build", "--wheel", "--outdir", str(DIST), f"packages/{name}")


@nox.session(requires=["dist"])
@nox.parametrize("package", list(DEPENDENCIES), ids=list(DEPENDENCIES))
def isolated(session: nox.Session, package: str) -> None:
    """Run one package's own tests from its wheels, alone with what it declares."""
    allowed = closure(package)
    undeclared = [module_name(name) for name in DEPENDENCIES if name not in allowed]
    session.install(*map(wheel, allowed), *group("test"))
    session.chdir(session.create_tmp())
    session.run("python", "-I", "-c", REFUSE_IMPORTABLE, *undeclared)
    folder = ROOT / "tests" / package.removeprefix("eqx-")
    session.run("pytest", "-n", "2", str(folder), *session.posargs)


def peer_python(session: nox.Session, *requirements: str) -> str:
    """Make an environment that holds the peer, with the session's JAX; give its interpreter."""
    version = str(session.run("python", "-c", "import jax; print(jax.__version__)", silent=True))
    folder = Path(session.create_tmp()).resolve() / "peer"
    session.run("python", "-m", "venv", str(folder))
    [python] = map(str, [*folder.glob("bin/python"), *folder.glob("Scripts/python.exe")])
    wanted = [PEER, f"jax=={version.strip()}", *requirements]
    session.run(python, "-m", "pip", "install", "-q", *wanted, external=True)
    return python


@nox.session
def peer(session: nox.Session) -> None:
    """Run the catalogue of cases under ours and under the peer, and report every difference."""
    session.install(*package_paths(editable=False))
    python = peer_python(session)
    tmp = Path(session.create_tmp()).resolve()
    ours, theirs = str(tmp / "ours.json"), str(tmp / "peer.json")
    session.run("python", "tests/peer/run.py", ours, *session.posargs)
    session.run(python, "tests/peer/run.py", theirs, *session.posargs, external=True)
    session.run("python", "tests/peer/compare.py", ours, theirs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure plain JAX, ours and the peer in turn; the peer has an environment of its own."""
    session.install(*package_paths(editable=False), *group("bench"))
    python = peer_python(session, "optax")
    session.run("python", "benchmarks/speed.py", "--peer", python, *session.posargs)
