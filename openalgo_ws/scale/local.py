"""The demand protocol over a Unix stream socket: each message after its length in four bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.application.internet import ClientService
from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocol,
    IProtocolFactory,
    IPushProducer,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory
from twisted.protocols.basic import Int32StringReceiver
from zope.interface import implementer

from openalgo_ws.scale.messages import MESSAGE_BYTES
from openalgo_ws.scale.remote import RemoteDemand
from openalgo_ws.scale.server import DemandServer, ServerChannel

__all__ = ["Frames", "LocalDemandClient", "LocalDemandServer"]

#: What may wait for a peer that does not read (bytes); with more it is cut off.
_UNREAD = 64 * MESSAGE_BYTES


@implementer(IPushProducer)
class Frames(Int32StringReceiver):
    """Messages over a stream. What waits for the peer is bounded: one that does not read is cut off."""

    MAX_LENGTH = MESSAGE_BYTES
    transport: Any
    _paused = False
    _waiting = 0

    def connectionMade(self) -> None:
        self.transport.registerProducer(self, True)

    def send(self, message: bytes) -> None:
        """Send a message of at most `MESSAGE_BYTES`."""
        if self._paused:
            self._waiting += len(message)
            if self._waiting > _UNREAD:
                self.transport.abortConnection()
                return
        self.sendString(message)  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """End the connection."""
        self.transport.abortConnection()

    def pauseProducing(self) -> None:
        """From the transport: its buffer is full."""
        self._paused = True

    def resumeProducing(self) -> None:
        """From the transport: everything has been sent."""
        self._paused = False
        self._waiting = 0

    def stopProducing(self) -> None:
        """From the transport: it has ended."""


class _ServerProtocol(Frames):
    def __init__(self, server: DemandServer) -> None:
        self._server = server
        self._channel: ServerChannel | None = None

    def connectionMade(self) -> None:
        super().connectionMade()
        self._channel = self._server.connected(self.send, self.close)
        if self._channel is None:
            self.close()

    def stringReceived(self, string: bytes) -> None:
        if self._channel is not None:
            self._channel.received(string)

    def connectionLost(self, reason: Any = None) -> None:
        if self._channel is not None:
            self._channel.lost()


class _ServerFactory(Factory):
    noisy = False

    def __init__(self, server: DemandServer) -> None:
        self._server = server

    def buildProtocol(self, addr: Any) -> _ServerProtocol:
        return _ServerProtocol(self._server)


class LocalDemandServer(Service):
    """Serves a `DemandServer` at a Unix socket, which only this user can connect to."""

    name = "demand"

    def __init__(self, reactor: Any, path: Path, server: DemandServer) -> None:
        self._reactor = reactor
        self._path = path
        self._server = server
        self._port: IListeningPort | None = None

    def privilegedStartService(self) -> None:
        """Open the socket; CannotListenError if that can't be done."""
        self._port = self._reactor.listenUNIX(str(self._path), _ServerFactory(self._server), mode=0o600)

    def startService(self) -> None:
        """Begin."""
        if self._port is None:
            self.privilegedStartService()
        super().startService()  # type: ignore[no-untyped-call]
        self._server.start()

    def stopService(self) -> Deferred[Any]:
        """Close the socket and every channel, and give back what gateways held."""
        super().stopService()  # type: ignore[no-untyped-call]
        self._server.stop()
        port, self._port = self._port, None
        return maybeDeferred(lambda: None if port is None else port.stopListening())


class _ClientProtocol(Frames):
    def __init__(self, demand: RemoteDemand) -> None:
        self._demand = demand

    def connectionMade(self) -> None:
        super().connectionMade()
        self._demand.connected(self.send, self.close)

    def stringReceived(self, string: bytes) -> None:
        self._demand.received(string)

    def connectionLost(self, reason: Any = None) -> None:
        self._demand.lost()


class _ClientFactory(Factory):
    noisy = False

    def __init__(self, demand: RemoteDemand) -> None:
        self._demand = demand

    def buildProtocol(self, addr: Any) -> _ClientProtocol:
        return _ClientProtocol(self._demand)


@implementer(IStreamClientEndpoint)
class _Endpoint:
    """A Unix socket whose path is asked for each time."""

    def __init__(self, reactor: Any, path: Callable[[], Path]) -> None:
        self._reactor = reactor
        self._path = path

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        endpoint = UNIXClientEndpoint(self._reactor, str(self._path()))
        connecting: Deferred[IProtocol] = endpoint.connect(protocolFactory)
        return connecting


class LocalDemandClient(ClientService):
    """Keeps a `RemoteDemand` connected to the Unix socket of the feed process. A ``path`` that may become
    another one is called before each attempt."""

    _demand: RemoteDemand

    def __init__(self, reactor: Any, path: Path | Callable[[], Path], demand: RemoteDemand) -> None:
        super().__init__(
            UNIXClientEndpoint(reactor, str(path)) if isinstance(path, Path) else _Endpoint(reactor, path),
            _ClientFactory(demand),
            # On one machine there is no crowd to be spread out: soon, then twice a second.
            retryPolicy=lambda attempt: min(0.05 * 2**attempt, 0.5),
            clock=reactor,
        )
        self._demand = demand

    def stopService(self) -> Deferred[None]:
        """End the connection."""
        self._demand.leave()
        return super().stopService()
