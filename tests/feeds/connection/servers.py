"""Real servers on loopback that behave, or misbehave, as a test says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.types import ConnectionDeny
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol, connectionDone

__all__ = ["Gate", "RawServer", "WebSocketServer"]


class Gate:
    """Lets a test wait until something that servers or listeners report has happened."""

    def __init__(self, reactor: Any, limit: float = 5.0) -> None:
        self._reactor = reactor
        self._limit = limit
        self._waiting: list[tuple[Callable[[], Any], Deferred[Any]]] = []

    def stir(self) -> None:
        """Something happened: look which conditions have come true."""
        for entry in list(self._waiting):
            condition, deferred = entry
            if condition():
                self._waiting.remove(entry)
                deferred.callback(None)

    def until(self, condition: Callable[[], Any]) -> Deferred[Any]:
        """Fires when ``condition`` is true at a `stir`; fails after 5 s, when the test hangs."""
        deferred: Deferred[Any] = Deferred()
        if condition():
            deferred.callback(None)
        else:
            self._waiting.append((condition, deferred))
            deferred.addTimeout(self._limit, self._reactor)
        return deferred


class _Peer(WebSocketServerProtocol):
    owner: WebSocketServer

    def onConnect(self, request: Any) -> Any:
        self.request = request
        self.owner.requests.append(request)
        if self.owner.deny is not None:
            status = self.owner.deny(request)
            if status:
                self.owner.gate.stir()
                raise ConnectionDeny(status, "no")
        return request.protocols[0] if request.protocols else None

    def onOpen(self) -> None:
        self.owner.peers.append(self)
        if self.owner.on_open is not None:
            self.owner.on_open(self)
        self.owner.gate.stir()

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.owner.messages.append(payload if isBinary else payload.decode())
        if self.owner.on_message is not None:
            self.owner.on_message(self, payload)
        self.owner.gate.stir()

    def onPing(self, payload: bytes) -> None:
        self.owner.pings += 1
        if self.owner.answers_pings:
            self.sendPong(payload)
        self.owner.gate.stir()

    def onClose(self, wasClean: bool, code: Any, reason: Any) -> None:
        self.owner.closes.append((wasClean, code))
        self.owner.gate.stir()

    def say(self, text: str) -> None:
        self.sendMessage(text.encode(), False)


class WebSocketServer:
    """A WebSocket server whose behaviour is set by its attributes."""

    def __init__(self, reactor: Any, gate: Gate, context: Any = None) -> None:
        self.gate = gate
        self.requests: list[Any] = []
        self.peers: list[_Peer] = []
        self.messages: list[str | bytes] = []
        self.closes: list[tuple[bool, Any]] = []
        self.pings = 0
        self.answers_pings = True
        self.deny: Callable[[Any], int] | None = None
        self.on_open: Callable[[_Peer], None] | None = None
        self.on_message: Callable[[_Peer, bytes], None] | None = None
        factory = WebSocketServerFactory(reactor=reactor)
        # Closing timers of Autobahn's own would outlive the test.
        factory.setProtocolOptions(openHandshakeTimeout=0, closeHandshakeTimeout=0)
        factory.protocol = type("Peer", (_Peer,), {"owner": self})
        if context is None:
            self.port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        else:
            self.port = reactor.listenSSL(0, factory, context, interface="127.0.0.1")
        self.secure = context is not None

    @property
    def number(self) -> int:
        return int(self.port.getHost().port)

    @property
    def base(self) -> str:
        return f"{'wss' if self.secure else 'ws'}://127.0.0.1:{self.number}"

    def close(self) -> Any:
        for peer in self.peers:
            if peer.state != WebSocketServerProtocol.STATE_CLOSED:
                peer.transport.abortConnection()
        return self.port.stopListening()


class _Raw(Protocol):
    server: RawServer
    transport: Any
    gone = False

    def connectionMade(self) -> None:
        self.data = b""
        self.server.connections.append(self)
        if self.server.on_connect is not None:
            self.server.on_connect(self)
        self.server.gate.stir()

    def dataReceived(self, data: bytes) -> None:
        self.data += data
        if self.server.on_data is not None:
            self.server.on_data(self)
        self.server.gate.stir()

    def connectionLost(self, reason: Any = connectionDone) -> None:
        self.server.lost += 1
        self.gone = True
        self.server.gate.stir()


class RawServer:
    """A TCP or TLS server that says what ``on_connect`` and ``on_data`` make it say."""

    def __init__(self, reactor: Any, gate: Gate, context: Any = None) -> None:
        self.gate = gate
        self.connections: list[_Raw] = []
        self.lost = 0
        self.on_connect: Callable[[_Raw], None] | None = None
        self.on_data: Callable[[_Raw], None] | None = None
        factory = Factory.forProtocol(type("Raw", (_Raw,), {"server": self}))
        if context is None:
            self.port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        else:
            self.port = reactor.listenSSL(0, factory, context, interface="127.0.0.1")

    @property
    def number(self) -> int:
        return int(self.port.getHost().port)

    def close(self) -> Any:
        for connection in self.connections:
            if not connection.gone:
                connection.transport.abortConnection()
        return self.port.stopListening()
