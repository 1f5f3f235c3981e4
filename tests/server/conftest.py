"""Servers in processes of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from openalgo_ws.accounts.crypto import Vault
from openalgo_ws.accounts.database import Database
from openalgo_ws.accounts.store import add_user
from tests.support.process import PEPPER, ServerProcess

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


@pytest.fixture
def alice(tmp_path: Path) -> str:
    """A user in the servers' database; her API key."""
    database = Database(f"sqlite:///{tmp_path}/server.db")
    database.prepare()
    vault = Vault(PEPPER)
    try:
        return database.call(lambda connection: add_user(connection, vault, "alice", "zerodha"))
    finally:
        database.stop()
