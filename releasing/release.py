"""Make a release of one package, in the checkout: version, news, wheel and sdist; commit nothing.

    python releasing/release.py eqx-nn [VERSION]

The version must fit what changed in the API since the last tag of the package, which griffe
compares, and what kinds of news there are. While the major version is 0, what breaks users raises
the minor version, and all else the patch; from 1 on, what breaks raises the major version and what
is new the minor one. `nox -s release` calls this, and tests what it builds.
"""

import argparse
import datetime
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import griffe
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
LEVELS = ["fixed", "new", "broken"]
"""What a release may hold, each with what is before it."""

KINDS = {"removed": "broken", "changed": "broken", "added": "new", "fixed": "fixed"}
"""What a news fragment of each kind says of a release."""


class ReleaseError(Exception):
    """A release that cannot be made, and why."""


@dataclass(frozen=True)
class Package:
    """One of the packages, in a checkout."""

    name: str
    root: Path = ROOT

    @property
    def folder(self) -> Path:
        """Give where it lies."""
        return self.root / "packages" / self.name

    @property
    def module(self) -> str:
        """Give the name that it is imported by."""
        return self.name.replace("-", "_")

    @property
    def project(self) -> dict[str, object]:
        """Give the table `project` of its pyproject.toml."""
        text = (self.folder / "pyproject.toml").read_text(encoding="utf-8")
        return tomllib.loads(text)["project"]

    @property
    def version(self) -> Version:
        """Give the version that its files say."""
        return Version(str(self.project["version"]))

    def released(self) -> list[Version]:
        """Give the versions that have a tag, ascending."""
        prefix = f"{self.name}-v"
        tags = git(self.root, "tag", "--list", f"{prefix}*").split()
        return sorted(Version(tag.removeprefix(prefix)) for tag in tags)

    def fragments(self) -> dict[Path, str]:
        """Give the news fragments, and the kind of each."""
        found = {}
        for path in sorted((self.folder / "changes").glob("*.md")):
            kind = path.stem.rpartition(".")[2]
            if kind not in KINDS:
                message = f"`{path.relative_to(self.root)}` is none of NAME.KIND.md: {list(KINDS)}."
                raise ReleaseError(message)
            found[path] = kind
        return found


def git(root: Path, *arguments: str) -> str:
    """Give what git prints."""
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def changes(package: Package, last: Version) -> dict[str, list[str]]:
    """Compare the API with that of a release; give what broke and what is new, in words."""
    source = Path("packages") / package.name / "src"
    old = griffe.load_git(
        package.module,
        ref=f"{package.name}-v{last}",
        repo=package.root,
        search_paths=[source],
        resolve_aliases=True,
    )
    new = griffe.load(package.module, search_paths=[package.root / source], resolve_aliases=True)
    style = griffe.ExplanationStyle.ONE_LINE
    broken = [breakage.explain(style) for breakage in griffe.find_breaking_changes(old, new)]
    added = sorted(set(map(str, new.exports or [])) - set(map(str, old.exports or [])))
    return {"broken": broken, "new": added}


def least(package: Package) -> tuple[Version, str]:
    """Give the lowest version that the next release may have, and why."""
    released = package.released()
    if not released:
        return package.version, "it is the first"
    kinds = set(package.fragments().values())
    found = changes(package, released[-1])
    level = max(
        ["fixed", *(KINDS[kind] for kind in kinds), *(it for it in found if found[it])],
        key=LEVELS.index,
    )
    told = "; ".join([*found["broken"], *(f"new: {name}" for name in found["new"])])
    reason = f"{level} since {released[-1]} ({told or 'by its news'})"
    return raised(released[-1], level), reason


def raised(version: Version, level: str) -> Version:
    """Give the next version for what a release holds."""
    major, minor, patch = version.release
    if level == "broken" and major:
        return Version(f"{major + 1}.0.0")
    if level == "broken" or (level == "new" and major):
        return Version(f"{major}.{minor + 1}.0")
    return Version(f"{major}.{minor}.{patch + 1}")


def left_out(package: Package, version: Version) -> dict[str, str]:
    """Give the packages whose range of this one does not have the version, and the range."""
    found = {}
    for folder in sorted((package.root / "packages").iterdir()):
        other = Package(folder.name, package.root)
        for line in other.project["dependencies"]:
            asked = Requirement(line)
            if asked.name == package.name and version not in asked.specifier:
                found[other.name] = str(asked.specifier)
    return found


def set_version(package: Package, version: Version) -> None:
    """Write the version into the package's pyproject.toml."""
    path = package.folder / "pyproject.toml"
    text = path.read_text(encoding="utf-8")
    text, count = re.subn(r'(?m)^version = ".*"$', f'version = "{version}"', text)
    if count != 1:
        message = f"{path} says `version = ` {count} times."
        raise ReleaseError(message)
    path.write_text(text, encoding="utf-8")


def collect_news(package: Package, version: Version, date: datetime.date) -> None:
    """Make a section of the news fragments; of the first release it is there, and gets the date."""
    path = package.folder / "CHANGELOG.md"
    text = path.read_text(encoding="utf-8")
    heading, fragments = f"## {version} (unreleased)", package.fragments()
    if (heading in text) == bool(fragments):
        there = "both" if fragments else "neither"
        message = f"News of {package.name} {version} are fragments or a section; {there} is there."
        raise ReleaseError(message)
    if not fragments:
        path.write_text(text.replace(heading, f"## {version} ({date})"), encoding="utf-8")
        return
    command = [sys.executable, "-m", "towncrier", "build", "--yes", "--name", package.name]
    command += ["--config", str(package.root / "releasing" / "towncrier.toml")]
    command += ["--dir", str(package.folder), "--version", str(version), "--date", str(date)]
    subprocess.run(command, check=True, cwd=package.root)


def prepare(package: Package, asked: Version | None, date: datetime.date) -> Version:
    """Check the version, or take the lowest that fits; write it and the news; tell what is left."""
    lowest, reason = least(package)
    version = asked or lowest
    print(f"{package.name} is {version}; at least {lowest}, since {reason}.")
    if version < lowest:
        message = f"{package.name} {version} is too low: at least {lowest}, since {reason}."
        raise ReleaseError(message)
    collect_news(package, version, date)
    set_version(package, version)
    for name, specifier in left_out(package, version).items():
        print(f"{name} asks for {package.name}{specifier}, which leaves {version} out: widen it.")
    return version


def main(arguments: Iterable[str] | None = None) -> None:
    """Read the command line, and prepare the release."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("package", choices=sorted(it.name for it in (ROOT / "packages").iterdir()))
    parser.add_argument("version", nargs="?", type=Version, help="by default the lowest that fits")
    asked = parser.parse_args(arguments)
    try:
        prepare(Package(asked.package), asked.version, datetime.datetime.now(datetime.UTC).date())
    except ReleaseError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
