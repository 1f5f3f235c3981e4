"""The wheel, installed outside the checkout, offers the plug-in, the command and every adapter."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import wheel

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

Run = Callable[..., str]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``site-packages`` of a new environment that has the wheel, and the dependencies of this one."""
    return wheel.installed(ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture
def installed(site: Path, tmp_path: Path) -> Run:
    """Run a program of the new environment, in an empty folder."""

    def program(name: str, *arguments: str) -> str:
        return wheel.run(site.parents[2] / "bin" / name, *arguments, cwd=tmp_path)

    return program


def test_it_is_the_wheel_that_is_imported(site: Path, installed: Run) -> None:
    script = (
        "import openalgo_ws, openalgo_adapters.zerodha as adapter\n"
        "from importlib.metadata import distribution\n"
        "print(openalgo_ws.__file__, adapter.__file__, distribution('openalgo-ws').locate_file('.'))"
    )

    found = installed("python", "-c", script).split()

    assert len(found) == 3
    assert all(Path(one).is_relative_to(site) for one in found), found


def test_every_adapter_is_found_by_its_entry_point(installed: Run) -> None:
    script = (
        "from openalgo_ws.registry import Registry\n"
        "adapters, broken = Registry().all()\n"
        "assert not broken, broken\n"
        "print(*adapters)"
    )

    declared = PROJECT["entry-points"]["openalgo_ws.adapters"]

    assert installed("python", "-c", script).split() == sorted(declared)


def test_twistd_offers_the_server(site: Path, installed: Run) -> None:
    # twistd itself is a dependency's script; a wheel installs only its own.
    twistd = ("python", "-c", "from twisted.scripts.twistd import run; run()")

    commands = installed(*twistd, "--help")
    options = installed(*twistd, "openalgo-ws", "--help")

    assert any(line.split()[:1] == ["openalgo-ws"] for line in commands.splitlines()), commands
    assert "--listen" in options
    for plugin in ("openalgo_ws_plugin.py", "openalgo_ws_reactor.py"):
        assert (site / "twisted" / "plugins" / plugin).is_file()


def test_the_command_is_there(installed: Run) -> None:
    version = installed("openalgo-ws", "--version")

    assert version.startswith("openalgo-ws, version ")
    assert "Zerodha" in installed("openalgo-ws", "adapters")


def test_what_is_not_code_comes_along(site: Path) -> None:
    package = site / "openalgo_ws"

    for file in ("py.typed", "feeds/sessions.toml", "simulator/data"):
        assert (package / file).exists(), file
    assert (site / "openalgo_adapters" / "py.typed").is_file()
    assert not (site / "tests").exists()
