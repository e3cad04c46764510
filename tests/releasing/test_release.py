"""Releases, in a checkout of two small packages: versions, news, and what is refused."""

import datetime
import importlib.util
import subprocess
from pathlib import Path

import pytest
from packaging.version import Version

pytest.importorskip("griffe")
pytest.importorskip("towncrier")

FILES = Path(__file__).resolve().parents[2] / "releasing"
DATE = datetime.date(2026, 1, 2)
PYPROJECT = '[project]\nname = "{name}"\nversion = "0.1.0"\ndependencies = {needs}\n'


def load():
    spec = importlib.util.spec_from_file_location("release", FILES / "release.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


release = load()


def git(root, *arguments):
    who = ["-c", "user.name=A", "-c", "user.email=a@b.c"]
    subprocess.run(["git", "-C", str(root), *who, *arguments], check=True, capture_output=True)


def write(root, path, text):
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


@pytest.fixture
def checkout(tmp_path):
    """Two packages, of which the second stands on the first, and the first release of both."""
    for name, needs in (("base", "[]"), ("top", '["base>=0.1,<0.2"]')):
        write(tmp_path, f"packages/{name}/pyproject.toml", PYPROJECT.format(name=name, needs=needs))
        write(tmp_path, f"packages/{name}/CHANGELOG.md", "# Changes\n\n<!-- newest first -->\n")
    code = '__all__ = ["double", "half"]\ndef double(x): ...\ndef half(x): ...\n'
    write(tmp_path, "packages/base/src/base/__init__.py", code)
    write(tmp_path, "packages/top/src/top/__init__.py", "__all__ = []\n")
    write(tmp_path, "releasing/towncrier.toml", (FILES / "towncrier.toml").read_text("utf-8"))
    git(tmp_path, "init")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-m", "first")
    git(tmp_path, "tag", "base-v0.1.0")
    return tmp_path


@pytest.fixture
def base(checkout):
    return release.Package("base", checkout)


def change(package, old, new):
    path = package.folder / "src" / "base" / "__init__.py"
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def tell(package, kind, text="Something."):
    write(package.folder, f"changes/+thing.{kind}.md", text)


@pytest.mark.parametrize(
    ("version", "level", "expected"),
    [
        ("0.1.0", "fixed", "0.1.1"),
        ("0.1.0", "new", "0.1.1"),
        ("0.1.3", "broken", "0.2.0"),
        ("1.2.3", "fixed", "1.2.4"),
        ("1.2.3", "new", "1.3.0"),
        ("1.2.3", "broken", "2.0.0"),
    ],
)
def test_what_a_release_holds_raises_its_version(version, level, expected):
    assert release.raised(Version(version), level) == Version(expected)


def test_a_fix_is_a_patch_and_its_news_are_collected(base, capsys):
    tell(base, "fixed", "`double` doubles.")
    assert release.prepare(base, None, DATE) == base.version == Version("0.1.1")
    news = (base.folder / "CHANGELOG.md").read_text("utf-8")
    assert "## 0.1.1 (2026-01-02)" in news
    assert "- `double` doubles." in news
    assert not list((base.folder / "changes").glob("*.md"))
    assert "at least 0.1.1, since fixed since 0.1.0" in capsys.readouterr().out


def test_a_function_that_is_gone_breaks_whatever_the_news_say(base, capsys):
    change(base, "def half(x): ...\n", "")
    change(base, ', "half"', "")
    tell(base, "fixed")
    with pytest.raises(release.ReleaseError, match=r"0\.1\.1 is too low: at least 0\.2\.0.*half"):
        release.prepare(base, Version("0.1.1"), DATE)
    assert base.version == Version("0.1.0")
    assert release.prepare(base, None, DATE) == Version("0.2.0")
    assert "top asks for base<0.2,>=0.1, which leaves 0.2.0 out" in capsys.readouterr().out


def test_an_argument_that_is_gone_breaks(base):
    change(base, "def double(x)", "def double(y)")
    tell(base, "fixed")
    assert release.least(base)[0] == Version("0.2.0")


def test_a_new_name_is_told(base):
    change(base, '"half"]', '"half", "third"]\ndef third(x): ...')
    tell(base, "added")
    lowest, reason = release.least(base)
    assert lowest == Version("0.1.1")
    assert "new: third" in reason


def test_a_higher_version_may_be_asked_for(base):
    tell(base, "fixed")
    assert release.prepare(base, Version("0.3.0"), DATE) == Version("0.3.0")


def test_nothing_is_released_without_news(base):
    with pytest.raises(release.ReleaseError, match=r"News of base 0\.1\.1 .* neither is there"):
        release.prepare(base, None, DATE)
    assert base.version == Version("0.1.0")


def test_a_fragment_of_no_kind_is_refused(base):
    tell(base, "novel")
    with pytest.raises(release.ReleaseError, match=r"changes/\+thing\.novel\.md` is none of NAME"):
        release.prepare(base, None, DATE)


def test_the_first_release_dates_the_section_that_is_there(checkout):
    top = release.Package("top", checkout)
    write(top.folder, "CHANGELOG.md", "# Changes\n\n## 0.1.0 (unreleased)\n\n- All.\n")
    assert release.prepare(top, None, DATE) == Version("0.1.0")
    assert "## 0.1.0 (2026-01-02)" in (top.folder / "CHANGELOG.md").read_text("utf-8")
