"""Every check that a person or a build server runs; what must see built wheels runs here.

First-party packages are installed by path, never by name: on an index the name `equinox` is
another distribution. What each session needs besides is in the root pyproject's dependency
groups, and which first-party packages belong together is read from what each one declares.
"""

import hashlib
import os
import re
import shlex
import shutil
from collections.abc import Iterable
from pathlib import Path

import nox
from packaging.requirements import Requirement
from packaging.version import Version

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["tests", "lint"]

os.environ["PYTHONDONTWRITEBYTECODE"] = ""  # were it set, each import of JAX would take 2 s more

ROOT = Path(__file__).resolve().parent
DIST = ROOT / "dist"
WORKSPACE = nox.project.load_toml(ROOT / "pyproject.toml")
PROJECTS = {
    pyproject["project"]["name"]: pyproject
    for path in sorted(ROOT.glob("packages/*/pyproject.toml"))
    for pyproject in [nox.project.load_toml(path)]
}
REQUIREMENTS = {
    name: [Requirement(line) for line in pyproject["project"]["dependencies"]]
    for name, pyproject in PROJECTS.items()
}
DEPENDENCIES = {name: [it.name for it in declared] for name, declared in REQUIREMENTS.items()}
OLDEST_PYTHON, *NEWER_PYTHONS = nox.project.python_versions(PROJECTS["equinox"])

PEER = "equinox==0.13.8"  # never beside ours: both are imported as `equinox`

BEHAVIOUR = ["pytree", "filter", "nn", "equinox", "laws", "parity", "soak", "torture"]
BEHAVIOUR += ["distributed"]
"""Folders of tests that ask what installed packages do; the others look at the sources too."""

DOWNSTREAM = "downstream-"
GROUPS = [name for name in WORKSPACE["dependency-groups"] if name.startswith(DOWNSTREAM)]
ENVIRONMENTS = [name.removeprefix(DOWNSTREAM) for name in GROUPS]
"""Of downstream packages that go together; each is a dependency group."""

README = (ROOT / "README.md").read_text(encoding="utf-8")
INSTALLS = re.findall(r"(?m)^    (python -m pip install \./packages/.*)$", README)
"""The lines that tell how to install some of the packages."""

PYTEST = ("pytest", "-n", "2", "--dist", "worksteal")
"""With whole folders for each process, which then shares what it compiled."""

QUICK_TO_COMPILE = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
QUICK_TO_COMPILE += " --xla_cpu_parallel_codegen_split_count=1"
"""What makes XLA compile in less than half the time; the programs run for microseconds."""

WITHOUT_FUSION = "--xla_cpu_use_fusion_emitters=false"
"""What halves that again, where XLA knows it; it stops at a flag that it does not know."""

COMPILED = {
    "JAX_COMPILATION_CACHE_DIR": str(ROOT / ".nox" / "programs"),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    "TF_CPP_MIN_LOG_LEVEL": "3",  # else XLA tells at each program which instructions it left out
}
"""What makes JAX keep each program: no process, and no later session, compiles it again."""

ROOMS = "batching compiled control_flow derivatives inspecting loops primitives rules training"
NUMERICAL = ["nn", "parity", "laws", "equinox", *(f"filter/{it}" for it in ROOMS.split())]
"""Folders of tests that compare numbers which a processor rounds."""

INSTRUCTIONS = ["SSE4_2", "AVX2", "AVX512"]
"""What XLA may be told that a processor has; SSE4_2 has neither multiply-and-add nor float16."""

REFUSE_IMPORTABLE = """
import importlib.util, sys
found = [name for name in sys.argv[1:] if importlib.util.find_spec(name)]
if found:
    sys.exit(f"These packages are not declared, so they must not be importable here: {found}")
"""

TELL_VERSIONS = """
import importlib.metadata, sys
for name in sys.argv[1:]:
    print(f"{name}=={importlib.metadata.version(name)}")
"""

TELL_KNOWN_FLAGS = """
import os, subprocess, sys
for flag in sys.argv[1:]:
    command, environment = [sys.executable, "-c", "import jax; jax.devices()"], {"XLA_FLAGS": flag}
    tried = subprocess.run(command, env={**os.environ, **environment}, capture_output=True)
    if tried.returncode == 0:
        print(flag)
"""

TELL_NAMES = """
import importlib.metadata
for distribution in importlib.metadata.distributions():
    print(distribution.name)
"""

TELL_WHAT_JAX_ASKS_OF_NUMPY = """
import importlib.metadata
from packaging.requirements import Requirement
for requirement in map(Requirement, importlib.metadata.requires("jax")):
    if requirement.name == "numpy" and (not requirement.marker or requirement.marker.evaluate()):
        print(requirement.name, requirement.specifier)
"""


def module_name(package: str) -> str:
    return package.replace("-", "_")


def named(line: str) -> list[str]:
    """Give the first-party packages that a line installs, by path or as a wheel."""
    found = re.findall(r"\./(?:packages|dist)/([a-z]+(?:[-_][a-z]+)?)", line)
    return [name.replace("_", "-") for name in found]


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


def wheel(package: str, folder: Path = DIST) -> str:
    """Give the path of the one wheel of the package, by default the one that `dist` built."""
    [path] = folder.glob(f"{module_name(package)}-*.whl")
    return str(path)


def bound(requirement: Requirement, operator: str) -> str:
    """Give the version that a requirement names with `>=`, or with `<`."""
    [version] = [it.version for it in requirement.specifier if it.operator == operator]
    return version


def third_party() -> dict[str, Requirement]:
    """Give what the packages declare besides one another; for each name the highest floor."""
    declared = [it for requirements in REQUIREMENTS.values() for it in requirements]
    others = [it for it in declared if it.name not in PROJECTS]
    ascending = sorted(others, key=lambda it: Version(bound(it, ">=")))
    return {it.name: it for it in ascending}


def short_form(session: nox.Session) -> tuple[bool, list[str]]:
    """Say whether `--short` is among the session's arguments, and give pytest's."""
    return "--short" in session.posargs, [it for it in session.posargs if it != "--short"]


def xla_flags(*flags: str) -> dict[str, str]:
    """Give the environment that has these flags, and after them those that the caller has set."""
    return {"XLA_FLAGS": " ".join([*flags, os.environ.get("XLA_FLAGS", "")]).strip()}


def folders(*names: str) -> list[str]:
    return [str(ROOT / "tests" / name) for name in names]


def quick(session: nox.Session) -> dict[str, str]:
    """Give the environment in which programs are compiled without optimising, and kept."""
    known = ask(session, TELL_KNOWN_FLAGS, WITHOUT_FUSION).split()
    return {**COMPILED, **xla_flags(QUICK_TO_COMPILE, *known)}


def run_own_tests(session: nox.Session, package: str, *arguments: str) -> None:
    """Run the tests of one package on what is installed, away from the sources."""
    session.chdir(session.create_tmp())
    own = folders(package.removeprefix("eqx-"))
    session.run(*PYTEST, *own, *arguments, env=quick(session))


def ask(session: nox.Session, script: str, *arguments: str) -> str:
    """Give what a script prints in the session's environment."""
    told = session.run("python", "-c", script, *arguments, silent=True, log=False)
    return str(told).strip()


def versions(session: nox.Session, names: Iterable[str]) -> list[str]:
    """Give what is installed, as `name==version`."""
    told = ask(session, TELL_VERSIONS, *names).split()
    session.log(f"installed: {', '.join(told)}")
    return told


@nox.session
def quickstart(session: nox.Session) -> None:
    """Train a model on handwritten digits and show what it learned."""
    session.install(*package_paths(editable=False), *group("examples"))
    session.run("python", "examples/train_digits.py", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests against the sources; `processors` and `newest` compile as users do, and all."""
    session.install(*package_paths(editable=True), *group("test", "examples", "release"))
    session.run(*PYTEST, "-m", "not again", *session.posargs, env=quick(session))


@nox.session
def processors(session: nox.Session) -> None:
    """Run every test as on other processors: all of INSTRUCTIONS, or those named.

    With `-- --short`, only the tests that compare numbers, and as on the oldest.
    """
    is_short, arguments = short_form(session)
    named = [it for it in arguments if it in INSTRUCTIONS]
    arguments = [it for it in arguments if it not in INSTRUCTIONS]
    session.install(*package_paths(editable=True), *group("test", "examples"))
    for name in named or INSTRUCTIONS[: 1 if is_short else None]:
        chosen = folders(*NUMERICAL) if is_short else []
        session.run(*PYTEST, *chosen, *arguments, env=xla_flags(f"--xla_cpu_max_isa={name}"))


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, layout and types, and tell how long files and functions are."""
    session.install(*package_paths(editable=True), *group("lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("pyright")
    session.run("mypy")
    session.run("python", "tests/packaging/lengths.py")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site into outputs/site, strictly, and look at it in Chromium where there is one.

    With `-- --serve`, show it, and again after each change. With `-- --publish VERSION`, commit it
    to the branch `gh-pages` as this version and as `latest`, where the site's root leads, and push
    nothing.
    """
    session.install(*group("docs"))
    environment = {"NO_MKDOCS_2_WARNING": "1"}
    if "--serve" in session.posargs:
        session.run("mkdocs", "serve", env=environment)
    elif "--publish" in session.posargs:
        [version] = [it for it in session.posargs if it != "--publish"]
        session.run("mike", "deploy", "--update-aliases", version, "latest", env=environment)
        session.run("mike", "set-default", "latest", env=environment)
    else:
        session.run("mkdocs", "build", "--strict", env=environment)
        [tests] = folders("site")
        session.run("pytest", "--confcutdir", tests, tests, *session.posargs)  # they need no JAX


@nox.session(python=OLDEST_PYTHON, venv_backend="venv")
def coming_from(session: nox.Session) -> None:
    """Run the pages that have one model here and in NNX, Haiku, PyTorch and Keras."""
    session.install(*package_paths(editable=False), *group("test", "examples", "coming-from"))
    inside_keras = ["-W", "ignore:__array__ implementation:DeprecationWarning"]
    session.run("pytest", *folders("docs"), "-k", "coming_from", *inside_keras, *session.posargs)


@nox.session
def dist(session: nox.Session) -> None:
    """Build the wheels of all packages into dist/, which is emptied first."""
    session.install(*group("dist"))
    shutil.rmtree(DIST, ignore_errors=True)
    for name in DEPENDENCIES:
        session.run("python", "-m", "build", "--wheel", "--outdir", str(DIST), f"packages/{name}")


def built(session: nox.Session, package: str) -> dict[str, Path]:
    """Build source and wheel, the wheel from the source, twice; give them, by suffix.

    The two must be the same to the byte.
    """
    digests, folder = [], Path(session.create_tmp()).resolve() / package
    for name in ("first", "second"):
        shutil.rmtree(folder / name, ignore_errors=True)
        command = ["python", "-m", "build", "--no-isolation", "--outdir", str(folder / name)]
        session.run(*command, f"packages/{package}", silent=True)
        files = sorted((folder / name).iterdir())
        digests.append({it.name: hashlib.sha256(it.read_bytes()).hexdigest() for it in files})
    if digests[0] != digests[1]:
        session.error(f"Two builds of {package} differ: {digests}.")
    return {path.suffix: path for path in files}


@nox.session
@nox.parametrize("package", list(DEPENDENCIES), ids=list(DEPENDENCIES))
def sdist(session: nox.Session, package: str) -> None:
    """Build a package from its source distribution, twice and alike, and install that with pip."""
    session.install(*group("dist"))
    sources = [str(built(session, name)[".gz"]) for name in closure(package)]
    session.install(*sources)
    session.run("python", "-c", f"import {module_name(package)}")


@nox.session
def release(session: nox.Session) -> None:
    """Make a release of a package: `-- eqx-nn`, or with its version `-- eqx-nn 0.2.0`.

    It writes the version and the news, checks that the version fits what changed, builds and tests;
    CONTRIBUTING.md tells what to do with it.
    """
    [package, *_] = session.posargs
    session.install(*group("release"))
    session.run("python", "releasing/release.py", *session.posargs)
    wheels = [str(built(session, name)[".whl"]) for name in closure(package)]
    session.install(*wheels, *group("test"))
    [version] = versions(session, [package])
    run_own_tests(session, package)
    shutil.copytree(Path(wheels[-1]).parent, DIST, dirs_exist_ok=True)
    session.log(f"Commit, then: git tag {version.replace('==', '-v')}")


def floors_of(package: str) -> dict[str, str]:
    """Give the lowest version that a package takes of each of its siblings, and of theirs."""
    return {
        it.name: bound(it, ">=")
        for name in closure(package)
        for it in REQUIREMENTS[name]
        if it.name in PROJECTS
    }


@nox.session(requires=["dist"])
@nox.parametrize("package", list(DEPENDENCIES), ids=list(DEPENDENCIES))
def floors(session: nox.Session, package: str) -> None:
    """Run a package's own tests with the lowest of its siblings that it declares.

    They are built from their tags; one that is not released yet is the one that is here.
    """
    session.install(*group("dist"))
    lowest = [released(session, name, version) for name, version in floors_of(package).items()]
    session.install(wheel(package), *lowest, *group("test"))
    run_own_tests(session, package, *session.posargs)


def released(session: nox.Session, package: str, version: str) -> str:
    """Build a wheel of a released version; give its path."""
    full = ".".join([*version.split("."), "0", "0"][:3])
    tag = f"{package}-v{full}"
    if not session.run("git", "tag", "--list", tag, external=True, silent=True):
        if PROJECTS[package]["project"]["version"] != full:
            session.error(f"There is no tag {tag}, and the version here is another one.")
        return wheel(package)
    folder = Path(session.create_tmp()).resolve() / tag
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    archive = str(folder / "source.tar")
    session.run("git", "archive", "-o", archive, tag, f"packages/{package}", external=True)
    shutil.unpack_archive(archive, folder)
    source = str(folder / "packages" / package)
    session.run("python", "-m", "build", "--wheel", "--outdir", str(folder), source, silent=True)
    return wheel(package, folder)


@nox.session(requires=["dist"])
@nox.parametrize("package", list(DEPENDENCIES), ids=list(DEPENDENCIES))
def isolated(session: nox.Session, package: str) -> None:
    """Run one package's own tests from its wheels, alone with what it declares."""
    allowed = closure(package)
    undeclared = [module_name(name) for name in DEPENDENCIES if name not in allowed]
    session.install(*map(wheel, allowed), *group("test"))
    session.run("python", "-I", "-c", REFUSE_IMPORTABLE, *undeclared)
    run_own_tests(session, package, *session.posargs)


@nox.session(venv_backend="venv", requires=["dist"])
@nox.parametrize("line", INSTALLS, ids=[" ".join(named(line)) for line in INSTALLS])
def install(session: nox.Session, line: str) -> None:
    """Run a line that the README gives to install with, in a fresh environment; import the rest."""
    asked = [module_name(name) for name in named(line)]
    others = [module_name(name) for name in DEPENDENCIES if module_name(name) not in asked]
    session.run(*shlex.split(line))
    session.chdir(session.create_tmp())
    session.run("python", "-I", "-c", f"import {', '.join(asked)}")
    session.run("python", "-I", "-c", REFUSE_IMPORTABLE, *others)


@nox.session(python=OLDEST_PYTHON, requires=["dist"])
def minimums(session: nox.Session) -> None:
    """Run the tests with the lowest of all that the packages declare, on the oldest Python.

    NumPy, which they import and leave to JAX to ask for, is at the lowest that this JAX takes.
    """
    wanted = [*map(wheel, DEPENDENCIES), *group("test")]
    wanted += [f"{name}=={bound(it, '>=')}" for name, it in third_party().items()]
    session.install(*wanted)
    asked = Requirement(ask(session, TELL_WHAT_JAX_ASKS_OF_NUMPY))
    session.install(*wanted, f"numpy=={bound(asked, '>=')}")
    versions(session, [*third_party(), "numpy"])
    session.chdir(session.create_tmp())
    session.run(*PYTEST, *folders(*BEHAVIOUR), *session.posargs)


@nox.session(python=NEWER_PYTHONS[::-1], requires=["dist"])
def newest(session: nox.Session) -> None:
    """Run the tests with the newest of all that the packages need.

    With `-- --short`, only the tests of the three packages that have code.
    """
    is_short, arguments = short_form(session)
    names = [*third_party(), "numpy"]
    session.install(*map(wheel, DEPENDENCIES))
    found = versions(session, names)
    session.install(*group("test", "examples"))
    if versions(session, names) != found:
        session.error("A test tool holds back what the packages could have: see the versions.")
    chosen = ["pytree", "filter", "nn"] if is_short else [*BEHAVIOUR, "examples"]
    session.chdir(session.create_tmp())
    session.run(*PYTEST, *folders(*chosen), *arguments)


def run_in_full(session: nox.Session, variable: str, number: str, *command: str) -> None:
    """Run tests of which the suite has a short form, with more rounds: as many as are asked for."""
    session.install(*package_paths(editable=True), *group("test"))
    environment = {variable: os.environ.get(variable, number)}
    session.run(*command, *session.posargs, env=environment)


@nox.session
def laws(session: nox.Session) -> None:
    """Try the laws on many random trees, other ones each time; how many: EQX_LAWS_EXAMPLES."""
    run_in_full(session, "EQX_LAWS_EXAMPLES", "500", *PYTEST, *folders("laws"))


@nox.session
def soak(session: nox.Session) -> None:
    """Look for leaks and races in many rounds; how many: EQX_SOAK_ROUNDS."""
    run_in_full(session, "EQX_SOAK_ROUNDS", "1000", *PYTEST, *folders("soak"))


@nox.session(python=OLDEST_PYTHON)
def parity(session: nox.Session) -> None:
    """Hold every layer that PyTorch has too against PyTorch, forward and gradients."""
    session.install(*package_paths(editable=False), *group("test", "parity"))
    session.run(*PYTEST, *folders("parity"), *session.posargs)


@nox.session
def torture(session: nox.Session) -> None:
    """Kill processes that save, damage what they saved, fill disks; how often: EQX_TORTURE_ROUNDS.

    For each way of saving so many are killed, and for each kind of file ten times as many damaged,
    other ones each time.
    """
    run_in_full(session, "EQX_TORTURE_ROUNDS", "200", "pytest", *folders("torture"))


@nox.session
def many(session: nox.Session) -> None:
    """Train, save and fail in several processes, and kill some; how many: EQX_MANY_PROCESSES."""
    chosen = folders("distributed", "examples/test_train_many.py")
    run_in_full(session, "EQX_MANY_PROCESSES", "4", "pytest", *chosen)


def next_patch(package: str) -> str:
    now = Version(PROJECTS[package]["project"]["version"])
    return f"{now.major}.{now.minor}.{now.micro + 1}"


def rebuilt(session: nox.Session, package: str, version: str) -> str:
    """Build the package as if it were of another version; give the wheel's path."""
    copy = Path(session.create_tmp()).resolve() / f"{package}-{version}"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(ROOT / "packages" / package, copy)
    text = (copy / "pyproject.toml").read_text(encoding="utf-8")
    text, count = re.subn(r'(?m)^version = ".*"$', f'version = "{version}"', text)
    if count != 1:
        session.error(f"{package}/pyproject.toml says `version = ` {count} times.")
    (copy / "pyproject.toml").write_text(text, encoding="utf-8")
    folder = str(copy / "dist")
    session.run("python", "-m", "build", "--wheel", "--outdir", folder, str(copy), silent=True)
    return wheel(package, copy / "dist")


def expect_refusal(session: nox.Session, dependent: str, asked: Requirement, path: str) -> None:
    """Check that the resolver refuses a wheel of `asked.name` beside `dependent`, for its range.

    Everything else is installed, and no index is looked at, so nothing else can fail.
    """
    is_uv = session.venv_backend == "uv"
    pip = ["uv", "pip"] if is_uv else ["python", "-m", "pip"]
    command = [*pip, "install", "--dry-run", "--no-index", wheel(dependent), path]
    told = str(session.run(*command, silent=True, success_codes=[1], external=is_uv))
    blamed = re.search(rf"{dependent}\S* ?\S* depends on {asked.name}([^\n]*)", told)
    if blamed is None or any(str(part) not in blamed[1] for part in asked.specifier):
        session.error(f"`{asked}` of {dependent} is not why {path} is refused:\n{told}")


@nox.session(requires=["dist"])
@nox.parametrize("moved", [("eqx-pytree", "eqx-filter"), ("eqx-nn",)], ids=["siblings", "nn"])
def pins(session: nox.Session, moved: tuple[str, ...]) -> None:
    """Move some packages to other versions while the rest is held.

    Inside the ranges that the rest declares, eqx-nn's tests pass; outside, the resolver refuses.
    With `-- --short`, without the longest of those tests.
    """
    is_short, arguments = short_form(session)
    held = {name: wheel(name) for name in DEPENDENCIES if name not in moved}
    session.install(*group("dist"))
    newer = {name: rebuilt(session, name, next_patch(name)) for name in moved}
    session.install(*held.values(), *newer.values(), *group("test"))
    meant = [f"{name}=={PROJECTS[name]['project']['version']}" for name in held]
    meant += [f"{name}=={next_patch(name)}" for name in newer]
    if set(versions(session, DEPENDENCIES)) != set(meant):
        session.error(f"Not what was meant to be installed: {meant}.")
    for dependent, requirements in REQUIREMENTS.items():
        for asked in requirements:
            if asked.name in moved:
                for version in (bound(asked, "<"), f"{bound(asked, '>=')}rc1"):
                    path = rebuilt(session, asked.name, version)
                    expect_refusal(session, dependent, asked, path)
    session.chdir(session.create_tmp())
    ignored = ["test_version.py"] if "eqx-nn" in moved else []  # it knows the version in the files
    ignored += ["test_annotations.py", "test_golden.py"] if is_short else []
    options = [f"--ignore={ROOT / 'tests' / 'nn' / name}" for name in ignored]
    session.run(*PYTEST, *options, *folders("nn"), *arguments, env=quick(session))


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
    """Run the catalogue of cases under ours and under the peer, and report every difference.

    Before it, what each public name takes.
    """
    session.install(*package_paths(editable=False))
    python = peer_python(session)
    tmp = Path(session.create_tmp()).resolve()
    ours, theirs = str(tmp / "ours.json"), str(tmp / "peer.json")
    session.run("python", "tests/peer/api.py", ours)
    session.run(python, "tests/peer/api.py", theirs, external=True)
    session.run("python", "tests/peer/compare_api.py", ours, theirs)
    session.run("python", "tests/peer/run.py", ours, *session.posargs)
    session.run(python, "tests/peer/run.py", theirs, *session.posargs, external=True)
    session.run("python", "tests/peer/compare.py", ours, theirs)


@nox.session(requires=["dist"])
@nox.parametrize("environment", ENVIRONMENTS, ids=ENVIRONMENTS)
def downstream(session: nox.Session, environment: str) -> None:
    """Run programs on downstream packages with our wheels and with the peer, and compare them.

    Then run them with ours once more, with annotations checked and leaks looked for.
    Only those of the packages, or only the programs, that are named: `-- diffrax lineax.lu`.
    """
    needed = group(f"{DOWNSTREAM}{environment}")
    packages = [Requirement(line).name for line in needed]
    chosen = [it for it in session.posargs or packages if it.split(".")[0] in packages]
    if not chosen:
        session.skip(f"It holds {packages}, and nothing of that was asked for.")
    session.install(*map(wheel, DEPENDENCIES), *needed)
    ours = {f"{name}=={pyproject['project']['version']}" for name, pyproject in PROJECTS.items()}
    if not ours <= set(versions(session, DEPENDENCIES)):
        session.error("Something else than our wheels is installed: see the versions.")
    tools = {*PROJECTS, "pip", "setuptools", "wheel"}
    others = sorted(set(ask(session, TELL_NAMES).split()) - tools)
    python = peer_python(session, *versions(session, others))
    tmp = Path(session.create_tmp()).resolve()
    mine, theirs = str(tmp / "ours.json"), str(tmp / "peer.json")
    for interpreter, path in (("python", mine), (python, theirs)):
        command = [interpreter, "tests/downstream/run.py", path, *chosen]
        session.run(*command, env=xla_flags(QUICK_TO_COMPILE), external=interpreter == python)
    session.run("python", "tests/downstream/compare.py", mine, theirs)
    strict = ["python", "tests/downstream/strict.py", *chosen]
    session.run(*strict, env=xla_flags(QUICK_TO_COMPILE))


@nox.session
def bench(session: nox.Session) -> None:
    """Measure ours, plain JAX, the peer, NNX and Haiku; `-- --core`, `-- --quick` measure less."""
    session.install(*package_paths(editable=False), *group("bench"))
    python = peer_python(session, "optax")
    session.run("python", "benchmarks/speed.py", "--peer", python, *session.posargs)
