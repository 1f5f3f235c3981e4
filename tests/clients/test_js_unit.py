"""The JavaScript client's own unit tests, run by Node."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.clients.nodejs import CLIENT, node
from tests.clients.npm import PACKAGE, REACT, installed, run, workspace

HERE = Path(__file__).parent / "js"


def passes(file: Path) -> None:
    """Run the tests of a file."""
    command, environ = node(CLIENT)
    done = run(*command, "--test", "--test-reporter=tap", str(file), cwd=file.parent, environ=environ)
    assert done.returncode == 0, done.stdout
    assert "# fail 0" in done.stdout
    assert "# pass 0" not in done.stdout


@pytest.mark.parametrize("file", sorted(HERE.glob("*.test.mjs")), ids=lambda file: file.name)
def test_it_passes_on_node(file: Path) -> None:
    passes(file)


@pytest.mark.slow
@pytest.mark.parametrize("version", REACT)
def test_the_hooks_pass_on_node(version: str, tmp_path: Path) -> None:
    # The same tree as here, as the tests name the client by its place.
    workspace(tmp_path, installed(*REACT[version]))
    shutil.copytree(PACKAGE, tmp_path / "clients" / "js")
    shutil.copytree(HERE, tmp_path / "tests" / "clients" / "js")
    passes(tmp_path / "tests" / "clients" / "js" / "react" / "hooks.test.mjs")
