"""What tests need from npm, installed once under ``build``, and folders in which Node finds it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "clients" / "js"
#: Seconds that npm or the compiler may take.
PATIENCE = 120

TYPESCRIPT = ("typescript@5.9.3",)
#: By version: React, and what its tests need.
REACT = {
    react: (f"react@{react}", f"react-dom@{react}", *types, "jsdom@26.1.0")
    for react, *types in (
        ("18.3.1", "@types/react@18.3.12", "@types/react-dom@18.3.6"),
        ("19.2.0", "@types/react@19.2.6", "@types/react-dom@19.2.2"),
    )
}


def run(*command: str, cwd: Path, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """A command that asks nothing and is not waited for without end."""
    return subprocess.run(
        command,
        cwd=cwd,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def npm() -> str:
    """The program; the test is skipped without it."""
    return shutil.which("npm") or pytest.skip("there is no npm")


def installed(*packages: str) -> Path:
    """The folder ``node_modules`` that holds these packages; the test is skipped if npm can't."""
    program = npm()
    folder = ROOT / "build" / packages[0].replace("@", "-")
    modules = folder / "node_modules"
    stamp = folder / "installed"
    if not stamp.exists() or stamp.read_text() != " ".join(packages):
        folder.mkdir(parents=True, exist_ok=True)
        options = ("--no-save", "--no-audit", "--no-fund", "--prefix", str(folder))
        try:
            done = run(program, "install", *options, *packages, cwd=folder)
        except subprocess.TimeoutExpired:
            pytest.skip(f"npm did not install {packages} within {PATIENCE} s")
        if done.returncode:
            pytest.skip(f"npm can't install {packages}: {done.stderr[:300]}")
        stamp.write_text(" ".join(packages))
    return modules


def workspace(folder: Path, *installations: Path) -> Path:
    """Make ``folder`` one in which Node and the compiler find what is installed, and the client as a
    package beside it, as it would be after ``npm install openalgo-ws-client``."""
    modules = folder / "node_modules"
    modules.mkdir(parents=True)
    for each in installations:
        for found in each.iterdir():
            if not found.name.startswith("."):
                (modules / found.name).symlink_to(found)
    # A copy: what is a link is looked up from where it leads to.
    shutil.copytree(PACKAGE, modules / "openalgo-ws-client")
    return folder
