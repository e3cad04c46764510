"""What each package declares, against what its sources import and what its siblings are."""

import ast
import sys
import tomllib
from collections.abc import Iterator

from packaging.requirements import Requirement

# An import may point only to the left.
ORDER = ["jax", "eqx_pytree", "eqx_filter", "eqx_nn", "equinox"]
FIRST_PARTY = set(ORDER[1:])
# JAX requires these, and its arrays and dtypes are theirs.
COME_WITH_JAX = {"jaxlib", "numpy"}


def requirements(project) -> dict[str, Requirement]:
    parsed = [Requirement(line) for line in project.table["dependencies"]]
    return {requirement.name: requirement for requirement in parsed}


def siblings(project) -> dict[str, Requirement]:
    declared = requirements(project)
    return {name: it for name, it in declared.items() if name.replace("-", "_") in FIRST_PARTY}


def closure(projects, name: str) -> set[str]:
    needed = [closure(projects, sibling) for sibling in siblings(projects[name])]
    return {name}.union(*needed)


def imported(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Give the dotted name and the line of everything imported, `from a import b` as `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def dotted(node: ast.AST) -> str:
    """Give `a.b.c` for the expression `a.b.c`, and nothing for any other."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (left := dotted(node.value)):
        return f"{left}.{node.attr}"
    return ""


def used(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Give what is imported and every attribute chain, which may reach through a module."""
    yield from imported(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield dotted(node), node.lineno


def test_all_four_packages_are_there(projects):
    assert {project.module for project in projects.values()} == FIRST_PARTY


def test_sibling_ranges_have_floor_and_ceiling(project):
    for name, requirement in siblings(project).items():
        operators = {specifier.operator for specifier in requirement.specifier}
        assert ">=" in operators, (
            f"`{project.name}` declares `{requirement}`: no floor for `{name}`"
        )
        assert "<" in operators, (
            f"`{project.name}` declares `{requirement}`: no ceiling for `{name}`"
        )


def test_sibling_ranges_admit_the_present_version(project, projects):
    for name, requirement in siblings(project).items():
        version = projects[name].table["version"]
        admitted = requirement.specifier.contains(version, prereleases=True)
        assert admitted, f"`{project.name}` declares `{requirement}`, but `{name}` is {version}"


def test_every_dependency_has_a_floor(project):
    for requirement in requirements(project).values():
        operators = {specifier.operator for specifier in requirement.specifier}
        assert ">=" in operators, f"`{project.name}` declares `{requirement}` without a floor"
        assert requirement.url is None, f"`{project.name}` declares `{requirement}` by address"


def test_all_packages_ask_for_the_same_jax_and_python(projects):
    ranges = {str(requirements(project)["jax"]) for project in projects.values()}
    pythons = {project.table["requires-python"] for project in projects.values()}
    assert len(ranges) == 1, f"the packages ask for different JAX: {ranges}"
    assert len(pythons) == 1, f"the packages ask for different Python: {pythons}"


def test_declared_siblings_stand_to_the_left(project):
    place = ORDER.index(project.module)
    for name in siblings(project):
        left = ORDER.index(name.replace("-", "_")) < place
        assert left, f"`{project.name}` declares `{name}`, which stands above it"


def test_imports_are_declared(source, projects):
    project = projects[source.package.replace("_", "-")]
    declared = {name.replace("-", "_") for name in requirements(project)}
    allowed = declared | COME_WITH_JAX | {project.module} | sys.stdlib_module_names
    for name, line in imported(source.tree):
        top = name.partition(".")[0]
        assert top in allowed, f"{source.label}:{line} imports `{top}`, which is not declared"


def test_imports_point_left(source):
    place = ORDER.index(source.package)
    for name, line in imported(source.tree):
        top = name.partition(".")[0]
        allowed = top not in ORDER[place + 1 :]
        assert allowed, f"{source.label}:{line}: `{source.package}` may not import `{top}`"


def test_no_private_room_of_a_sibling_is_used(source):
    for name, line in used(source.tree):
        top, *rest = name.split(".")
        if top in FIRST_PARTY - {source.package}:
            private = [part for part in rest if part.startswith("_") and not part.endswith("__")]
            assert not private, f"{source.label}:{line} uses `{name}`, a private room of `{top}`"


def test_private_jax_is_named_in_its_one_room(source):
    if source.path.name == "_jax.py":
        return
    for name, line in used(source.tree):
        private = name == "jax._src" or name.startswith("jax._src.")
        assert not private, f"{source.label}:{line} uses `{name}`; only a `_jax.py` may"


def test_eqx_filter_never_asks_for_a_module(source):
    if source.package != "eqx_filter":
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and dotted(node.func) in {"isinstance", "issubclass"}:
            parts = [part for argument in node.args[1:] for part in ast.walk(argument)]
            names = {dotted(part).rpartition(".")[2] for part in parts}
            assert "Module" not in names, (
                f"{source.label}:{node.lineno} special-cases `Module`; eqx-filter works on PyTrees "
                "of any kind"
            )


def test_hatch_environments_list_each_closure(root, projects):
    table = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    for name in projects:
        members = table["tool"]["hatch"]["envs"][name.removeprefix("eqx-")]["workspace"]["members"]
        expected = {f"packages/{needed}" for needed in closure(projects, name)}
        assert set(members) == expected, f"the Hatch environment of `{name}` lists {members}"
