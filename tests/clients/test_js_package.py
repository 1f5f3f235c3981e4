"""The JavaScript client as a package of npm: what it holds, and what its declarations promise."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PACKAGE = ROOT / "clients" / "js"
TYPESCRIPT = "5.9.3"
#: Seconds that npm or the compiler may take.
PATIENCE = 120


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A command that asks nothing and is not waited for without end."""
    return subprocess.run(
        command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE
    )


@pytest.fixture
def npm() -> str:
    """The program."""
    return shutil.which("npm") or pytest.skip("there is no npm")


@pytest.fixture
def compiler(npm: str) -> Path:
    """TypeScript's compiler, installed once under ``build``."""
    folder = ROOT / "build" / f"typescript-{TYPESCRIPT}"
    found = folder / "node_modules" / ".bin" / "tsc"
    if not found.exists():
        folder.mkdir(parents=True, exist_ok=True)
        options = ("--no-save", "--no-audit", "--no-fund", "--prefix", str(folder))
        try:
            done = run(npm, "install", *options, f"typescript@{TYPESCRIPT}", cwd=folder)
        except subprocess.TimeoutExpired:
            pytest.skip(f"npm did not install TypeScript within {PATIENCE} s")
        if done.returncode:
            pytest.skip(f"npm can't install TypeScript: {done.stderr[:300]}")
    return found


def test_what_would_be_published(npm: str) -> None:
    done = run(npm, "pack", "--dry-run", "--json", cwd=PACKAGE)
    assert done.returncode == 0, done.stderr
    (package,) = json.loads(done.stdout)
    assert {file["path"] for file in package["files"]} == {
        "LICENSE",
        "README.md",
        "binary.mjs",
        "openalgo-ws.d.mts",
        "openalgo-ws.mjs",
        "package.json",
        "symbols.mjs",
    }


def test_the_licence_is_the_project_s() -> None:
    assert (PACKAGE / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


@pytest.mark.slow
def test_the_declarations_hold_for_a_strict_compiler(compiler: Path, tmp_path: Path) -> None:
    shutil.copy(HERE / "js_types.mts", tmp_path)
    modules = tmp_path / "node_modules"
    modules.mkdir()
    os.symlink(PACKAGE, modules / "openalgo-ws-client")
    options = ("--noEmit", "--strict", "--module", "nodenext", "--target", "es2022", "--lib", "es2022,dom")
    done = run(str(compiler), *options, "js_types.mts", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
