"""The READMEs: their commands stand word for word, their code runs, their links lead somewhere."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

QUICKSTART = "python -m pip install nox && python -m nox -s quickstart"
TESTS = "python -m pip install nox && python -m nox -s tests"
CHECKS = "python -m nox -s lint docs isolated sdist install"
OTHER_VERSIONS = (
    "python -m nox --error-on-missing-interpreters -s newest-3.13 pins processors -- --short"
)

ROOT = Path(__file__).resolve().parents[2]
CODE = re.compile(r"^```python\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
READMES = ["README.md", *(f"packages/{path.name}/README.md" for path in ROOT.glob("packages/*"))]
INSTALLERS = [*READMES, *(path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/**/*.md"))]


def read(root: Path, name: str) -> str:
    return (root / name).read_text(encoding="utf-8")


def run_ci(root: Path, folder: Path, failing: str) -> tuple[int, list[str]]:
    """Run .ci/run with a `python` that only notes its arguments, and fails at `failing`."""
    log = folder / "log"
    fake = folder / "python"
    fake.write_text(f'#!/bin/sh\necho "python $*" >> "{log}"\n[ "$*" != "{failing}" ]\n')
    fake.chmod(0o755)
    (folder / "chromium").symlink_to(fake)  # so that it is not sought
    environment = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    result = subprocess.run([root / ".ci" / "run"], env=environment, cwd=folder, check=False)
    return result.returncode, log.read_text().splitlines()


@pytest.mark.parametrize("command", [QUICKSTART, TESTS])
def test_readme_holds_the_command(root, command):
    lines = [line.strip() for line in read(root, "README.md").splitlines()]
    assert command in lines, f"README.md has no line that is just `{command}`"


def test_ci_calls_the_second_command(root):
    lines = [line.strip() for line in read(root, ".ci/run").splitlines()]
    for command in (TESTS, CHECKS, OTHER_VERSIONS):
        assert command in lines, f".ci/run has no line that is just `{command}`"
    assert os.access(root / ".ci" / "run", os.X_OK), ".ci/run is not executable"


@pytest.mark.skipif(shutil.which("bash") is None, reason=".ci/run is a bash script")
def test_ci_runs_its_steps_in_order(root, tmp_path):
    status, calls = run_ci(root, tmp_path, failing="")
    assert status == 0
    assert calls == [*TESTS.split(" && "), CHECKS, OTHER_VERSIONS]


@pytest.mark.skipif(shutil.which("bash") is None, reason=".ci/run is a bash script")
@pytest.mark.parametrize(
    "failing", ["-m pip install nox", "-m nox -s tests", CHECKS.removeprefix("python ")]
)
def test_ci_stops_at_the_first_failure(root, tmp_path, failing):
    status, calls = run_ci(root, tmp_path, failing)
    assert status != 0, f".ci/run passed although `python {failing}` failed"
    assert calls[-1] == f"python {failing}", f".ci/run went on after a failure: {calls}"


@pytest.mark.parametrize("name", INSTALLERS)
def test_each_line_that_installs_names_all_that_is_needed(root, projects, name):
    """What they do in a fresh environment is asked by `nox -s install`."""
    lines = re.findall(r"pip install (.*(?:eqx|equinox).*?)(?:`|$)", read(root, name), re.MULTILINE)
    for line in lines:
        given = [
            re.fullmatch(r"\./packages/([\w-]+)(?:\[\w+\])?|\./dist/(\w+?)-[\d.]+-.*\.whl", part)
            for part in shlex.split(line)
        ]
        assert all(given), f"{name} installs something by name: {line}"
        asked = {match[1] or match[2].replace("_", "-") for match in given}
        needed = {
            re.match(r"[\w-]+", declared)[0]
            for each in asked
            for declared in projects[each].table["dependencies"]
        }
        assert needed & projects.keys() <= asked, f"{name} leaves out a package: {line}"
        for each in asked & {match[2] and match[2].replace("_", "-") for match in given}:
            version = projects[each].table["version"]
            assert f"{each.replace('-', '_')}-{version}-" in line, f"{name} names an old wheel"


def test_readme_tells_three_ways_to_install(root):
    text = read(root, "README.md")
    for named in ("eqx-filter\n", "equinox\n", "eqx_nn-0.1.0-py3-none-any.whl\n"):
        assert re.search(rf"(?m)^    python -m pip install .*{re.escape(named)}", text)


@pytest.mark.parametrize("name", READMES)
def test_code_runs(root, name, tmp_path):
    blocks = CODE.findall(read(root, name))
    assert blocks, f"{name} shows no code"
    script = tmp_path / "readme.py"
    script.write_text("\n".join(blocks), encoding="utf-8")
    result = subprocess.run(
        [sys.executable, "-W", "error", script], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, f"the code of {name} fails:\n{result.stderr}"


@pytest.mark.parametrize("name", [*READMES, "CONTRIBUTING.md"])
def test_links_lead_somewhere(root, name):
    folder = (root / name).parent
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", CODE.sub("", read(root, name)))
    dead = [link for link in links if "://" not in link and not (folder / link).exists()]
    assert not dead, f"{name} links to what is not there: {dead}"
