"""Servers with two workers, in processes of their own."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from openalgo_ws.accounts.database import Database
from openalgo_ws.accounts.store import add_user
from tests.scale.clients import Publisher
from tests.support.process import ServerProcess, free_port
from tests.support.vault import cheap_vault

Start = Callable[..., ServerProcess]


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, str]:
    """Users in the server's database, with their keys."""
    database = Database(f"sqlite:///{tmp_path}/server.db")
    database.prepare()
    vault = cheap_vault()
    try:
        return {
            name: database.call(lambda connection, name=name: add_user(connection, vault, name, "zerodha"))
            for name in ("alice", "bob")
        }
    finally:
        database.stop()


@pytest.fixture
def private() -> Iterator[Path]:
    """Where a server's temporary files go. Not in pytest's folder: its paths may be too long for sockets."""
    with tempfile.TemporaryDirectory(prefix="ow-") as folder:
        yield Path(folder)


@pytest.fixture
def workers(tmp_path: Path, private: Path) -> Iterator[Start]:
    """Start a server with two workers and a status port; it is killed at the end if it still runs."""
    made: list[ServerProcess] = []

    def start(*options: str, **environ: str) -> ServerProcess:
        more = {"STATUS_PORT": str(free_port()), "TMPDIR": str(private), **environ}
        made.append(ServerProcess(tmp_path, "--workers", "2", *options, **more))
        return made[-1].start()

    yield start
    for server in made:
        server.kill()


@pytest.fixture
def publisher() -> Iterator[Callable[[ServerProcess], Publisher]]:
    """A publisher of ticks to a server."""
    made: list[Publisher] = []

    def make(server: ServerProcess) -> Publisher:
        made.append(Publisher(server.zmq_port))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def process_of(tmp_path: Path) -> Iterator[Start]:
    """A server that is not expected to start."""
    made: list[ServerProcess] = []

    def make(*options: str, **environ: str) -> ServerProcess:
        made.append(ServerProcess(tmp_path, *options, **environ))
        made[-1].spawn()
        return made[-1]

    yield make
    for server in made:
        server.kill()
