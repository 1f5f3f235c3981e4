"""The documentation as a site: every link and anchor leads somewhere, every page is in its menu."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]

pytest.importorskip("mkdocs")


def build(source: Path, target: Path) -> subprocess.CompletedProcess[str]:
    """`make docs`, with another place to write to."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(target)]
    return subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """What the site is built from, to be changed."""
    source = tmp_path / "source"
    shutil.copytree(ROOT / "docs", source / "docs")
    for name in ("mkdocs.yml", "SECURITY.md", "CHANGELOG.md"):
        shutil.copyfile(ROOT / name, source / name)
    for name in ("clients", "examples", "deploy", "ops"):
        (source / name).symlink_to(ROOT / name)
    return source


def test_it_builds_without_a_warning(tmp_path: Path) -> None:
    built = build(ROOT, tmp_path)

    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr
    for page in ("index", "settings", "commands", "security", "changelog"):
        assert (tmp_path / f"{page}.html").is_file(), page
    # Nothing is fetched from elsewhere when it is read.
    assert not any("://" in line and ("<script" in line or "<link" in line) for line in _lines(tmp_path))


def _lines(site: Path) -> list[str]:
    return [line for page in site.glob("*.html") for line in page.read_text().splitlines()]


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("docs/tutorial.md", "[a page](no-such-page.md)"),
        ("docs/tutorial.md", "[an anchor](settings.md#no-such-anchor)"),
        ("docs/orphan.md", "# In no menu"),
        ("SECURITY.md", "[a page](docs/no-such-page.md)"),
    ],
)
def test_a_link_that_leads_nowhere_fails_it(copy: Path, tmp_path: Path, page: str, text: str) -> None:
    assert build(copy, tmp_path / "good").returncode == 0
    with (copy / page).open("a") as file:
        file.write(f"\n{text}\n")

    assert build(copy, tmp_path / "bad").returncode == 1


def test_the_reference_of_commands_is_current() -> None:
    """To make it anew: python docs/commands_reference.py > docs/commands.md"""
    made = subprocess.run(
        [sys.executable, "docs/commands_reference.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout

    assert (ROOT / "docs/commands.md").read_text() == made
