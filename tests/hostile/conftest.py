"""The gateway's own protocol class, as an echo: what the Autobahn|Testsuite asks of a server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import pytest_twisted

from openalgo_ws.gateway.protocol import ClientProtocol
from tests.gateway.conftest import Server

#: Longest message of the echo server (bytes).
LONGEST = 1024 * 1024


class Echo(ClientProtocol):
    """Sends back what it gets."""

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.sendMessage(payload, isBinary)


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Start an echo server; stopped at the end."""
    servers: list[Server] = []

    def start(**changes: Any) -> Server:
        servers.append(Server(**{"message_bytes": LONGEST, **changes}))
        factory = servers[-1].gateway.factory
        factory.protocol = Echo
        # Autobahn's timers outlive the connection; the shorter they are, the sooner a test is over.
        factory.setProtocolOptions(closeHandshakeTimeout=0.05)
        return servers[-1]

    yield start
    for server in servers:
        pytest_twisted.blockon(server.gateway.stopService())


@pytest.fixture
def port(serve: Callable[..., Server]) -> int:
    """The port of an echo server."""
    return serve().port
