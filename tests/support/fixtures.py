"""Fixtures of several folders: each folder's conftest names those that it has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.chromium import Chromium, find_chromium
from tests.support.process import ServerProcess

__all__ = ["Start", "browser", "demo", "process"]

Start = Callable[..., ServerProcess]


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Start]:
    """Make a server process; it is killed at the end if it still runs."""
    made: list[ServerProcess] = []

    def make(*options: str, **environ: str) -> ServerProcess:
        made.append(ServerProcess(tmp_path, *options, **environ))
        return made[-1]

    yield make
    for server in made:
        if hasattr(server, "_process"):
            server.kill()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with the demo, for all tests of a module."""
    server = ServerProcess(tmp_path_factory.mktemp("demo"), "--demo")
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """A browser for all tests of a module, which are skipped where none is installed."""
    binary = find_chromium()
    assert binary is not None
    chromium = Chromium(binary, tmp_path_factory.mktemp("chromium"))
    yield chromium
    chromium.stop()
