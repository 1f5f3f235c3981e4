"""What needs asyncio's reactor and a NATS server: run by tests/scale/test_on_asyncio.py."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.asyncioreactor import AsyncioSelectorReactor

from tests.bus.nats.conftest import Links, links, server
from tests.support.nats_server import NATS_SERVER

__all__ = ["Links", "links", "server"]

if NATS_SERVER is None or not isinstance(reactor, AsyncioSelectorReactor):
    collect_ignore_glob = ["test_*.py"]
