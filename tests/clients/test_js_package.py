"""The JavaScript client as a package of npm: what it holds, and what its declarations promise."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.clients.npm import PACKAGE, REACT, ROOT, TYPESCRIPT, installed, npm, run, workspace

HERE = Path(__file__).parent


def test_what_would_be_published() -> None:
    done = run(npm(), "pack", "--dry-run", "--json", cwd=PACKAGE)
    assert done.returncode == 0, done.stderr
    (package,) = json.loads(done.stdout)
    assert {file["path"] for file in package["files"]} == {
        "LICENSE",
        "README.md",
        "binary.mjs",
        "openalgo-ws.d.mts",
        "openalgo-ws.mjs",
        "package.json",
        "react.d.mts",
        "react.mjs",
        "store.mjs",
        "symbols.mjs",
    }


def test_the_licence_is_the_project_s() -> None:
    assert (PACKAGE / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


def compiled(folder: Path, *files: str) -> None:
    """What the strict compiler says about files in a workspace: nothing."""
    program = installed(*TYPESCRIPT) / ".bin" / "tsc"
    options = ("--noEmit", "--strict", "--module", "nodenext", "--target", "es2022", "--lib", "es2022,dom")
    done = run(str(program), *options, *files, cwd=folder)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_the_declarations_hold_for_a_strict_compiler(tmp_path: Path) -> None:
    workspace(tmp_path)
    shutil.copy(HERE / "js_types.mts", tmp_path)
    compiled(tmp_path, "js_types.mts")


@pytest.mark.slow
@pytest.mark.parametrize("version", REACT)
def test_the_declarations_of_the_hooks_hold(version: str, tmp_path: Path) -> None:
    workspace(tmp_path, installed(*REACT[version]))
    shutil.copy(HERE / "js_react_types.mts", tmp_path)
    compiled(tmp_path, "js_react_types.mts")
