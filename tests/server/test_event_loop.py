"""The reactor on uvloop's event loop, as a user chooses it: ``twistd --reactor=uvloop``."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.scale.clients import entered, status
from tests.support.process import ServerProcess, free_port

pytestmark = pytest.mark.slow

#: What stands on the path before an installed uvloop.
STAND_IN = """
import asyncio
class Loop(asyncio.SelectorEventLoop): pass
new_event_loop = Loop
"""
MISSING = "raise ModuleNotFoundError(name='uvloop')"


@pytest.fixture
def start(tmp_path: Path):
    servers = []

    def start(reactor: str | None, uvloop: str | None = None) -> ServerProcess:
        server = ServerProcess(tmp_path, "--demo", STATUS_PORT=str(free_port()))
        if reactor is not None:
            server.command.append(f"--reactor={reactor}")
        if uvloop is not None:
            (tmp_path / "uvloop.py").write_text(uvloop)
            server.environ["PYTHONPATH"] = f"{tmp_path}:{server.environ.get('PYTHONPATH', '')}"
        servers.append(server)
        return server.start()

    yield start
    for server in servers:
        server.kill()


def serves(server: ServerProcess, loop: str) -> None:
    """It runs on this loop, says so, serves a client and ends in order."""
    assert f"the event loop is {loop}\n" in server.output()
    assert status(server)["event_loop"] == loop
    entered(server, "openalgo-ws-demo-key").close()
    assert server.stop() == 0


@pytest.mark.parametrize(
    ("uvloop", "loop"),
    [
        (STAND_IN, "uvloop"),
        (MISSING, "asyncio"),
        pytest.param(
            None,
            "uvloop",
            marks=pytest.mark.skipif(find_spec("uvloop") is None, reason="uvloop is not installed"),
        ),
    ],
)
def test_uvloop_if_it_is_installed(start, uvloop: str | None, loop: str) -> None:
    serves(start("uvloop", uvloop), loop)


@pytest.mark.parametrize("reactor", ["asyncio", "epoll"])
def test_other_reactors_are_what_they_are(start, reactor: str) -> None:
    serves(start(reactor), reactor)


def test_a_broken_uvloop_is_no_missing_one(tmp_path: Path) -> None:
    (tmp_path / "uvloop.py").write_text("import a_module_that_it_needs")
    server = ServerProcess(tmp_path, "--demo")
    server.command.append("--reactor=uvloop")
    server.environ["PYTHONPATH"] = f"{tmp_path}:{server.environ.get('PYTHONPATH', '')}"
    server.spawn()
    try:
        assert server.end() == 1
    finally:
        server.kill()
    assert "a_module_that_it_needs" in server.output()
    assert "Traceback" not in server.output()
