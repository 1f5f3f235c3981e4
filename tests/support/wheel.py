"""The project's wheel, installed outside the checkout."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

__all__ = ["installed", "run"]


def run(*command: str | Path, cwd: Path) -> str:
    """The output of a command, which must succeed. No network is needed, so none is waited for."""
    ran = subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=120, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def installed(source: Path, folder: Path) -> Path:
    """``site-packages`` of a new environment in ``folder`` that has the wheel built from ``source``, and
    the dependencies of this one."""
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, source, cwd=folder)
    (wheel,) = folder.glob("openalgo_ws-*.whl")
    venv.create(folder / "env", with_pip=False)
    python = folder / "env" / "bin" / "python"
    (packages,) = (folder / "env").glob("lib/python*/site-packages")
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet")
    run(*pip, "--no-deps", "--no-index", "--disable-pip-version-check", wheel, cwd=folder)
    # The dependencies come from the environment that runs the tests, after our own; the editable
    # install in there is a .pth file, which is not read from a directory that is only on the path.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return packages
