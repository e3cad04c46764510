"""What each package declares, against what its sources import and what its siblings are."""

import ast
import graphlib
import sys
import tomllib
from collections.abc import Iterator

from packaging.requirements import Requirement

# An import may point only to the left.
ORDER = ["jax", "eqx_pytree", "eqx_filter", "eqx_nn", "equinox"]
FIRST_PARTY = set(ORDER[1:])
# JAX requires these, and its arrays and dtypes are theirs.
COME_WITH_JAX = {"jaxlib", "numpy"}
# What a distribution is imported as, where that is not its name.
IMPORTED_AS = {"orbax_checkpoint": "orbax"}


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


def dotted(node: ast.AST, aliases: dict[str, str]) -> str:
    """Give `a.b.c` for the expression `a.b.c`, and nothing for any other."""
    if isinstance(node, ast.Name):
        return aliases.get(node.id, node.id)
    if isinstance(node, ast.Attribute) and (left := dotted(node.value, aliases)):
        return f"{left}.{node.attr}"
    return ""


def aliases_in(tree: ast.AST) -> dict[str, str]:
    """Give the dotted name of everything that is imported under another name."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update({it.asname: it.name for it in node.names if it.asname})
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.update({it.asname or it.name: f"{node.module}.{it.name}" for it in node.names})
    return found


def used(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Give what is imported and every attribute chain, which may reach through a module."""
    yield from imported(tree)
    aliases = aliases_in(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield dotted(node, aliases), node.lineno


def has_private_part(name: str) -> bool:
    return any(part.startswith("_") and not part.endswith("__") for part in name.split("."))


def bases_and_annotations(tree: ast.AST) -> Iterator[ast.AST]:
    """Give every node of what classes inherit from, and of annotations."""
    for node in ast.walk(tree):
        inside = [
            *getattr(node, "bases", ()),
            getattr(node, "annotation", None),
            getattr(node, "returns", None),
        ]
        for root in inside:
            if root is not None:
                yield from ast.walk(root)


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


def test_siblings_form_no_cycle(projects):
    graph = {name: set(siblings(project)) for name, project in projects.items()}
    graphlib.TopologicalSorter(graph).prepare()


def test_imports_are_declared(sources, projects):
    for source in sources:
        project = projects[source.package.replace("_", "-")]
        extras = project.table.get("optional-dependencies", {}).values()
        optional = [Requirement(line).name for lines in extras for line in lines]
        names = [name.replace("-", "_") for name in (*requirements(project), *optional)]
        declared = {IMPORTED_AS.get(name, name) for name in names}
        allowed = declared | COME_WITH_JAX | {project.module} | sys.stdlib_module_names
        for name, line in imported(source.tree):
            top = name.partition(".")[0]
            assert top in allowed, f"{source.label}:{line} imports `{top}`, which is not declared"


def test_imports_point_left(sources):
    for source in sources:
        place = ORDER.index(source.package)
        for name, line in imported(source.tree):
            top = name.partition(".")[0]
            allowed = top not in ORDER[place + 1 :]
            assert allowed, f"{source.label}:{line}: `{source.package}` may not import `{top}`"


def test_no_private_room_of_a_sibling_is_used(sources):
    for source in sources:
        for name, line in used(source.tree):
            top = name.partition(".")[0]
            if top in FIRST_PARTY - {source.package}:
                private = has_private_part(name)
                assert not private, (
                    f"{source.label}:{line} uses `{name}`, a private room of `{top}`"
                )


def test_private_jax_is_named_in_its_one_room(sources):
    for source in sources:
        if source.path.name == "_jax.py":
            continue
        for name, line in used(source.tree):
            private = name.partition(".")[0] in {"jax", "jaxlib"} and has_private_part(name)
            assert not private, f"{source.label}:{line} uses `{name}`; only a `_jax.py` may"


def test_eqx_filter_has_no_special_case_for_modules(sources):
    """It inherits from `Module`, as anyone may, and never asks whether something is one."""
    for source in sources:
        if source.package != "eqx_filter":
            continue
        aliases = aliases_in(source.tree)
        allowed = set(bases_and_annotations(source.tree))
        for node in ast.walk(source.tree):
            is_module = dotted(node, aliases) in {"eqx_pytree.Module", "eqx_pytree._module.Module"}
            assert not is_module or node in allowed, (
                f"{source.label}:{node.lineno} uses `Module` other than as a base; eqx-filter "
                "works on PyTrees of any kind"
            )


def test_hatch_environments_list_each_closure(root, projects):
    table = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    for name in projects:
        members = table["tool"]["hatch"]["envs"][name.removeprefix("eqx-")]["workspace"]["members"]
        expected = {f"packages/{needed}" for needed in closure(projects, name)}
        assert set(members) == expected, f"the Hatch environment of `{name}` lists {members}"
