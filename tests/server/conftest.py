"""Servers in processes of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from openalgo_ws.accounts.database import Database
from openalgo_ws.accounts.store import add_user
from tests.support.fixtures import process
from tests.support.vault import cheap_vault

__all__ = ["process"]


@pytest.fixture
def alice(tmp_path: Path) -> str:
    """A user in the servers' database; her API key."""
    database = Database(f"sqlite:///{tmp_path}/server.db")
    database.prepare()
    vault = cheap_vault()
    try:
        return database.call(lambda connection: add_user(connection, vault, "alice", "zerodha"))
    finally:
        database.stop()
