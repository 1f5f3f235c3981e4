"""A NATS server of each test's own. These tests run on asyncio's reactor: see tests/bus/test_nats.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.asyncioreactor import AsyncioSelectorReactor

from openalgo_ws.bus.nats_link import NatsLink
from tests.support.nats_server import NATS_SERVER, NatsServer

if NATS_SERVER is None or not isinstance(reactor, AsyncioSelectorReactor):
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    """A NATS server."""
    server = NatsServer(tmp_path)
    yield server
    server.kill()


class Links:
    """Connections to it, each as if it were another machine's."""

    def __init__(self, server: NatsServer) -> None:
        self._server = server
        self.made: list[NatsLink] = []

    def __call__(self) -> NatsLink:
        link = NatsLink(reactor, [self._server.url])
        self.made.append(link)
        return link


@pytest.fixture
def links(server: NatsServer) -> Iterator[Links]:
    """What makes connections."""
    links = Links(server)
    yield links
    for link in links.made:
        pytest_twisted.blockon(link.stop())
