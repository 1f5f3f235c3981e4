"""The wheel, installed outside the checkout, offers the plug-in and every adapter."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from openalgo_ws.registry import Registry

ROOT = Path(__file__).parents[2]


def run(*command: str | Path, cwd: Path) -> str:
    ran = subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=120, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_a_wheel_in_an_empty_environment(tmp_path: Path) -> None:
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, ROOT, cwd=tmp_path)
    (wheel,) = tmp_path.glob("openalgo_ws-*.whl")
    home = tmp_path / "env"
    venv.create(home, with_pip=False)
    python = home / "bin" / "python"
    (site,) = home.glob("lib/python*/site-packages")
    run(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", site, wheel, cwd=tmp_path)
    # The dependencies come from the environment that runs the tests, after our own; the editable
    # install in there is a .pth file, which is not read from a directory that is only on the path.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")

    where = run(python, "-c", "import openalgo_ws; print(openalgo_ws.__file__)", cwd=tmp_path)
    assert where.startswith(str(site))
    names = run(
        python,
        "-c",
        "from openalgo_ws.registry import Registry\n"
        "adapters, broken = Registry().all()\n"
        "assert not broken, broken\n"
        "print(*adapters)",
        cwd=tmp_path,
    )
    assert names.split() == Registry().names()
    assert "openalgo-ws" in run(python, "-m", "twisted", "--help", cwd=tmp_path) + run(
        python, "-c", "from twisted.scripts.twistd import run; run()", "--help", cwd=tmp_path
    )
    twistd = "from twisted.scripts.twistd import run; run()"
    shown = run(python, "-c", twistd, "openalgo-ws", "--help", cwd=tmp_path)
    assert "--listen" in shown
