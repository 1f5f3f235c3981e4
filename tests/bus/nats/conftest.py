"""A NATS server of each test's own. These tests run on asyncio's reactor: see tests/bus/test_nats.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.protocols.portforward import ProxyFactory, ProxyServer

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


class Gate(ProxyFactory):
    """A way to the server that can be shut, for one machine alone."""

    noisy = False

    def __init__(self, server: NatsServer) -> None:
        super().__init__("127.0.0.1", server.port)
        self._through: list[ProxyServer] = []
        self._port = reactor.listenTCP(0, self, interface="127.0.0.1")
        self._number = self._port.getHost().port
        self.url = f"nats://127.0.0.1:{self._number}"

    def buildProtocol(self, address: object) -> ProxyServer:
        protocol = super().buildProtocol(address)
        self._through.append(protocol)
        return protocol

    async def shut(self) -> None:
        """Break what goes through, and let nothing through."""
        await maybeDeferred(self._port.stopListening)
        through, self._through = self._through, []
        for protocol in through:
            protocol.transport.abortConnection()
            if protocol.peer is not None:
                protocol.peer.transport.abortConnection()

    def open(self) -> None:
        """Let everything through again."""
        self._port = reactor.listenTCP(self._number, self, interface="127.0.0.1")


class Links:
    """Connections to it, each as if it were another machine's."""

    def __init__(self, server: NatsServer) -> None:
        self._server = server
        self.made: list[NatsLink] = []
        self.gates: list[Gate] = []

    def __call__(self) -> NatsLink:
        return self._make(self._server.url)

    def behind_a_gate(self) -> tuple[NatsLink, Gate]:
        """A connection that can be broken."""
        gate = Gate(self._server)
        self.gates.append(gate)
        return self._make(gate.url), gate

    def _make(self, url: str) -> NatsLink:
        link = NatsLink(reactor, [url])
        self.made.append(link)
        return link


@pytest.fixture
def links(server: NatsServer) -> Iterator[Links]:
    """What makes connections."""
    links = Links(server)
    yield links
    for link in links.made:
        pytest_twisted.blockon(link.stop())
    for gate in links.gates:
        pytest_twisted.blockon(Deferred.fromCoroutine(gate.shut()))
