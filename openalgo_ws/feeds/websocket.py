"""Autobahn's WebSocket client as our links need it."""

from __future__ import annotations

from typing import Any, Protocol

import txaio
from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, connectionDone
from twisted.python.failure import Failure

from openalgo_ws.feeds.link import Closed, Ending, Unreachable
from openalgo_ws.feeds.reasons import is_tls_failure, reason_of
from openalgo_ws.feeds.upgrade import BadResponse, RefusalReader, split_head

__all__ = ["WebSocketClient", "WebSocketOwner", "websocket_factory"]

#: Autobahn logs whole requests, with the tokens in them, when its level is turned up.
_SILENT = txaio.make_logger(level="none")  # type: ignore[attr-defined]


class WebSocketOwner(Protocol):
    """Who hears of the socket."""

    def opened(self) -> None: ...
    def heard(self, size: int) -> None: ...
    def received(self, data: str | bytes) -> None: ...
    def ponged(self, payload: bytes) -> None: ...
    def closing(self) -> None: ...
    def upgrade_refused(self) -> None: ...
    def ended(self, ending: Ending) -> None: ...


class WebSocketClient(WebSocketClientProtocol):
    """Autobahn's protocol with a handshake of our own.

    The request goes out exactly as given (Autobahn would put the dialled host and port in it), and
    a refusal is kept with status, headers and body (Autobahn drops the socket at the status).
    """

    log = _SILENT
    transport: Any

    def __init__(self, owner: WebSocketOwner, head: bytes, key: str) -> None:
        super().__init__()
        self._owner = owner
        self._head = head
        self._key = key
        self._refusal: RefusalReader | None = None
        self._broken = ""
        self._was_open = False
        self._close_code: int | None = None

    def send(self, data: str | bytes) -> None:
        """Send one message."""
        if isinstance(data, str):
            self.sendMessage(data.encode("utf-8"), False)  # type: ignore[no-untyped-call]
        else:
            self.sendMessage(data, True)  # type: ignore[no-untyped-call]

    def drop(self) -> None:
        """Drop the TCP connection."""
        self.transport.abortConnection()

    def connectionMade(self) -> None:
        super().connectionMade()
        # Autobahn means to do this, before it knows its own options, and swallows the error.
        self.transport.setTcpNoDelay(True)
        self.transport.setTcpKeepAlive(True)

    def startHandshake(self) -> None:
        self.websocket_key = self._key.encode("ascii")
        self.sendData(self._head)

    def dataReceived(self, data: bytes) -> None:
        self._owner.heard(len(data))
        if self._refusal is not None:
            self._more_of_refusal(self._refusal, data)
        else:
            self._dataReceived(data)

    def processHandshake(self) -> Any:
        try:
            head = split_head(self.data)
        except BadResponse as bad:
            self._broken = str(bad)
            self.drop()
            return None
        if head is None:
            return None
        status, headers, rest = head
        if status == 101:
            return super().processHandshake()  # type: ignore[no-untyped-call]
        self.data = b""
        self._refusal = RefusalReader(status, headers)
        self._owner.upgrade_refused()
        self._more_of_refusal(self._refusal, rest)
        return None

    def onOpen(self) -> None:
        self._was_open = True
        self._owner.opened()

    def onMessageEnd(self) -> None:
        # Autobahn would also fire an event nobody listens to: a third of the cost of a frame.
        if not self.failedByMe:
            self.onMessage(b"".join(self.message_data), self.message_is_binary)
        self.message_data = []

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        # Autobahn has checked that text is UTF-8.
        self._owner.received(payload if isBinary else payload.decode("utf-8"))

    def onPong(self, payload: bytes) -> None:
        self._owner.ponged(payload)

    def onCloseFrame(self, code: int, reasonRaw: bytes) -> bool | None:
        ours_first = self.closedByMe
        # Kept also where RFC 6455 doesn't allow it: brokers use codes of their own.
        self._close_code = code
        handled = super().onCloseFrame(code, reasonRaw)
        if not ours_first:
            self._owner.closing()
        self.transport.loseConnection()
        return handled

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._connectionLost(reason)  # type: ignore[no-untyped-call]
        self._owner.ended(self._ending(reason))

    def _ending(self, reason: Failure) -> Ending:
        if self._refusal is not None:
            return self._refusal.result()
        if self._was_open:
            text = self.remoteCloseReason or self.wasNotCleanReason or reason_of(reason)
            return Closed(self._close_code, text)
        if self._broken or is_tls_failure(reason):
            return Unreachable(self._broken or reason_of(reason))
        return Unreachable(f"the upgrade failed: {self.wasNotCleanReason or reason_of(reason)}")

    def _more_of_refusal(self, refusal: RefusalReader, data: bytes) -> None:
        refusal.feed(data)
        if refusal.done:
            self.drop()


class _OneProtocol(WebSocketClientFactory):
    """A factory that makes the one protocol it is given."""

    log = _SILENT
    client: WebSocketClient

    def buildProtocol(self, addr: IAddress | None) -> WebSocketClient:
        self.client.factory = self
        return self.client


def websocket_factory(
    reactor: object, client: WebSocketClient, subprotocols: list[str], max_message: int
) -> Factory:
    """An Autobahn factory for ``client``, with no timers and no extensions of its own."""
    factory = _OneProtocol(url="ws://broker.invalid", protocols=subprotocols, reactor=reactor)  # type: ignore[no-untyped-call]
    factory.client = client
    factory.setProtocolOptions(  # type: ignore[no-untyped-call]
        maxFramePayloadSize=max_message,
        maxMessagePayloadSize=max_message,
        failByDrop=True,
        openHandshakeTimeout=0,
        closeHandshakeTimeout=0,
        serverConnectionDropTimeout=0,
        tcpNoDelay=True,
        autoPingInterval=0,
    )
    return factory
