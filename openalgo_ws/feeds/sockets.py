"""Sockets to brokers: WebSocket and bare stream, over TCP or TLS."""

from __future__ import annotations

import base64
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHandshakeListener, IProtocol, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from openalgo_ws.adapter import Dial, Environment, Transport
from openalgo_ws.feeds.address import resolve
from openalgo_ws.feeds.link import Closed, Ending, FeedReactor, Link, LinkListener, Unreachable
from openalgo_ws.feeds.reasons import reason_of
from openalgo_ws.feeds.timers import Timers
from openalgo_ws.feeds.trust import Trust
from openalgo_ws.feeds.upgrade import request_head
from openalgo_ws.feeds.websocket import WebSocketClient, websocket_factory

__all__ = ["SocketDialler"]

#: How long a peer may take to hang up after its own close frame, in seconds.
_GONE_TIMEOUT = 0.25


class SocketDialler:
    """Opens the sockets of a broker. ``base_url`` is the operator's override, ``close_timeout`` how
    many seconds a peer may take to answer a close, or to finish the body of a refusal.
    """

    def __init__(
        self,
        reactor: FeedReactor,
        environment: Environment,
        *,
        trust: Trust,
        base_url: str | None = None,
        max_message: int = 8 * 1024 * 1024,
        close_timeout: float = 1.0,
    ) -> None:
        self._close_timeout = close_timeout
        self._reactor = reactor
        self._environment = environment
        self._trust = trust
        self._base_url = base_url
        self._max_message = max_message

    def dial(self, dial: Dial, listener: LinkListener) -> Link:
        """Begin to open a socket; `BadAddress` if the URL or a header can't be used."""
        address = resolve(dial.url, self._base_url)
        link: _SocketLink
        if dial.transport is Transport.STREAM:
            link = _StreamLink(self._reactor, listener, self._close_timeout, address.secure)
        else:
            key = base64.b64encode(self._environment.random(16)).decode("ascii")
            head = request_head(dial, address, key)
            client = _WebSocketLink(self._reactor, listener, self._close_timeout, head, key)
            client.limit(dial.subprotocols, self._max_message)
            link = client
        link.connect(self._trust.endpoint(self._reactor, address))
        return link


class _SocketLink(ABC):
    """What both kinds of socket have in common: dialling, timers, an end that is told once."""

    def __init__(self, reactor: FeedReactor, listener: LinkListener, close_timeout: float) -> None:
        self._close_timeout = close_timeout
        self._timers = Timers(reactor)
        self._listener = listener
        self._connecting: Deferred[IProtocol] | None = None
        self._open = False
        self._ended = False

    @abstractmethod
    def _factory(self) -> Factory:
        """What makes the protocol of this link."""

    @abstractmethod
    def send(self, data: str | bytes) -> None: ...

    @abstractmethod
    def ping(self, payload: bytes) -> None: ...

    @abstractmethod
    def close(self, code: int = 1000, reason: str = "") -> None: ...

    @abstractmethod
    def _drop(self) -> None:
        """Drop the socket, which is connected."""

    def connect(self, endpoint: IStreamClientEndpoint) -> None:
        """Dial, after the caller has got hold of this link."""

        def connect() -> None:
            self._connecting = endpoint.connect(self._factory())
            self._connecting.addCallbacks(self._connected, self._unconnected)

        self._timers.set("connect", 0.0, connect)

    def abort(self) -> None:
        """Drop the socket now."""
        if self._ended:
            return
        if self._connecting is not None:
            self._connecting.cancel()
        elif self._timers.running("connect"):
            self.ended(Unreachable("given up"))
        else:
            self._drop()

    def opened(self) -> None:
        """From the protocol: the socket can be used."""
        self._open = True
        self._listener.opened()

    def heard(self, size: int) -> None:
        """From the protocol: bytes came."""
        self._listener.heard(size)

    def received(self, data: str | bytes) -> None:
        """From the protocol: a message or a piece came."""
        self._listener.received(data)

    def ended(self, ending: Ending) -> None:
        """From the protocol: the socket is gone."""
        if not self._ended:
            self._ended = True
            self._open = False
            self._timers.clear()
            self._listener.ended(ending)

    def _connected(self, protocol: IProtocol) -> None:
        self._connecting = None

    def _unconnected(self, failure: Failure) -> None:
        self._connecting = None
        self.ended(Unreachable(reason_of(failure)))


class _WebSocketLink(_SocketLink):
    """A WebSocket: the other side of `WebSocketClient`."""

    def __init__(
        self, reactor: FeedReactor, listener: LinkListener, close_timeout: float, head: bytes, key: str
    ) -> None:
        super().__init__(reactor, listener, close_timeout)
        self._reactor = reactor
        self._protocol = WebSocketClient(self, head, key)
        self._subprotocols: list[str] = []
        self._max_message = 0

    def limit(self, subprotocols: Sequence[str], max_message: int) -> None:
        """What may be agreed on, and the longest message taken, in bytes."""
        self._subprotocols = list(subprotocols)
        self._max_message = max_message

    def _factory(self) -> Factory:
        return websocket_factory(self._reactor, self._protocol, self._subprotocols, self._max_message)

    def send(self, data: str | bytes) -> None:
        if self._open:
            self._protocol.send(data)

    def ping(self, payload: bytes) -> None:
        if self._open:
            self._protocol.sendPing(payload)

    def close(self, code: int = 1000, reason: str = "") -> None:
        if not self._open:
            self.abort()
            return
        self._open = False
        self._protocol.sendClose(code if code == 1000 or 3000 <= code <= 4999 else 1000, reason or None)
        self._timers.set("close", self._close_timeout, self.abort)

    def ponged(self, payload: bytes) -> None:
        """From the protocol: a pong came."""
        self._listener.ponged(payload)

    def closing(self) -> None:
        """From the protocol: the peer closes; what follows is for TCP to tell."""
        self._open = False
        self._timers.set("close", _GONE_TIMEOUT, self.abort)

    def upgrade_refused(self) -> None:
        """From the protocol: the upgrade is refused; its body may take no longer than this."""
        self._timers.set("body", self._close_timeout, self.abort)

    def _drop(self) -> None:
        self._protocol.drop()


class _StreamLink(_SocketLink):
    """A bare stream: the other side of `_StreamClient`."""

    def __init__(
        self, reactor: FeedReactor, listener: LinkListener, close_timeout: float, secure: bool
    ) -> None:
        super().__init__(reactor, listener, close_timeout)
        self._protocol = _StreamClient(self, secure)

    def _factory(self) -> Factory:
        return Factory.forProtocol(lambda: self._protocol)

    def send(self, data: str | bytes) -> None:
        if self._open:
            self._protocol.write(data.encode("utf-8") if isinstance(data, str) else data)

    def ping(self, payload: bytes) -> None:
        """A stream has no pings of its own."""

    def close(self, code: int = 1000, reason: str = "") -> None:
        if not self._open:
            self.abort()
            return
        self._open = False
        self._protocol.lose()
        self._timers.set("close", self._close_timeout, self.abort)

    def _drop(self) -> None:
        self._protocol.drop()


@implementer(IHandshakeListener)
class _StreamClient(Protocol):
    """The protocol of a bare stream, which is open when TLS (where there is any) is through."""

    transport: Any

    def __init__(self, link: _StreamLink, secure: bool) -> None:
        self._link = link
        self._secure = secure
        self._was_open = False

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)
        self.transport.setTcpKeepAlive(True)
        if not self._secure:
            self.handshakeCompleted()

    def handshakeCompleted(self) -> None:
        self._was_open = True
        self._link.opened()

    def dataReceived(self, data: bytes) -> None:
        self._link.heard(len(data))
        self._link.received(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        text = reason_of(reason)
        self._link.ended(Closed(None, text) if self._was_open else Unreachable(text))

    def write(self, data: bytes) -> None:
        self.transport.write(data)

    def lose(self) -> None:
        self.transport.loseConnection()

    def drop(self) -> None:
        self.transport.abortConnection()
