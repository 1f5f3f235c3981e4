"""The two carriers of a simulated broker's frames: Autobahn's WebSocket, and a bare stream."""

from __future__ import annotations

from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.types import ConnectionRequest
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from openalgo_ws.adapter import Close
from openalgo_ws.simulator.connection import ServedConnection

__all__ = ["StreamLink", "WebSocketLink", "websocket_factory"]

#: The largest message either way: a first packet of 50,000 instruments with a deep book.
_LARGEST_MESSAGE = 256 * 1024 * 1024
#: Close codes that never travel: they mean that no close frame came.
_UNSENT = (1005, 1006, 1015)


def websocket_factory(reactor: Any) -> WebSocketServerFactory:
    """Makes nothing itself: it holds the options that every `WebSocketLink` shares.

    Autobahn's own timers are all off, since they run on the global clock; the server's loop does
    their work.
    """
    factory = WebSocketServerFactory(reactor=reactor)
    factory.setProtocolOptions(
        openHandshakeTimeout=0,
        closeHandshakeTimeout=0,
        autoPingInterval=0,
        failByDrop=False,
        tcpNoDelay=True,
        maxMessagePayloadSize=_LARGEST_MESSAGE,
        maxFramePayloadSize=_LARGEST_MESSAGE,
    )
    return factory


class WebSocketLink(WebSocketServerProtocol):
    """An upgraded connection. The decision to upgrade has been made already."""

    transport: Any

    def __init__(self, served: ServedConnection, subprotocol: str | None) -> None:
        super().__init__()
        self._served = served
        self._subprotocol = subprotocol

    def onConnect(self, request: ConnectionRequest) -> str | None:
        """Autobahn checks the handshake; only the subprotocol is ours (if the client offered it)."""
        return self._subprotocol if self._subprotocol in request.protocols else None

    def onOpen(self) -> None:
        """The 101 has been sent."""
        self._served.open(self, self.transport)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """A whole message; the text is valid UTF-8."""
        self._served.received(payload if isBinary else payload.decode("utf-8"))

    def onPing(self, payload: bytes) -> None:
        """Autobahn would always answer."""
        if self._served.pinged():
            self.sendPong(payload)  # type: ignore[no-untyped-call]

    def onPong(self, payload: bytes) -> None:
        """Any pong is a sign of life."""
        self._served.ponged()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The TCP connection is gone, however."""
        super().connectionLost(reason)
        self._served.lost()

    def deliver(self, frame: str | bytes) -> None:
        """One text or binary message; none once the close has begun, by either side."""
        if self.state != self.STATE_OPEN:
            return
        if isinstance(frame, str):
            self.sendMessage(frame.encode("utf-8"), False)  # type: ignore[no-untyped-call]
        else:
            self.sendMessage(frame, True)  # type: ignore[no-untyped-call]

    def finish(self, close: Close) -> None:
        """A close frame with any code, also those that only brokers' servers use; then the client's turn."""
        if close.code in _UNSENT:
            self.transport.unregisterProducer()
            self.transport.loseConnection()
        else:
            reason = close.reason.encode("utf-8")[:123].decode("utf-8", "ignore").encode("utf-8")
            self.sendCloseFrame(code=close.code, reasonUtf8=reason)

    def ping(self) -> None:
        """A ping without payload."""
        self.sendPing()

    def tear(self, noise: bytes) -> None:
        """The header of a binary frame of 4096 bytes, and a few of them."""
        self.transport.write(b"\x82\x7e\x10\x00" + noise)

    def abort(self) -> None:
        """RST."""
        self.transport.abortConnection()


class StreamLink(Protocol):
    """A bare stream: message borders mean nothing, and a text frame is its UTF-8."""

    transport: Any

    def __init__(self, served: ServedConnection) -> None:
        self._served = served

    def connectionMade(self) -> None:
        """The first bytes have shown that it isn't HTTP."""
        self._served.open(self, self.transport)

    def dataReceived(self, data: bytes) -> None:
        """Whatever has arrived."""
        self._served.received(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The TCP connection is gone, however."""
        self._served.lost()

    def deliver(self, frame: str | bytes) -> None:
        """Into the stream it goes."""
        self.transport.write(frame.encode("utf-8") if isinstance(frame, str) else frame)

    def finish(self, close: Close) -> None:
        """A stream has no close codes: it just ends."""
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def ping(self) -> None:
        """A stream has no pings; the protocol on it may have its own."""

    def tear(self, noise: bytes) -> None:
        """An MQTT PUBLISH of 4096 bytes that stops early (nonsense in any other protocol)."""
        self.deliver(b"\x30\x80\x20" + noise)

    def abort(self) -> None:
        """RST."""
        self.transport.abortConnection()
