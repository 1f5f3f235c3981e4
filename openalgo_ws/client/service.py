"""The client on Twisted: one connection at a time, made again when it is lost."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import msgspec
from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.application.internet import ClientService, backoffPolicy
from twisted.application.service import MultiService
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates
from twisted.python.failure import Failure
from zope.interface import implementer

from openalgo_ws.client.core import AuthenticationFailed, ClientCore, Event
from openalgo_ws.config import Secret, masked_url

__all__ = ["Client", "Connected", "Disconnected"]

#: Seconds between pings, and for their answer: a dead server is noticed within the sum of both.
PING_INTERVAL = 15.0
PING_TIMEOUT = 10.0

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


class Connected(msgspec.Struct, frozen=True):
    """The socket is open and the upgrade done."""


class Disconnected(msgspec.Struct, frozen=True):
    """There is no connection: it was lost, or could not be made. ``reason`` is for people."""

    reason: str


Handler = Callable[[Event | Connected | Disconnected], None]


class Client(MultiService):
    """Keeps one connection to a gateway, and what is subscribed on it.

    ``url`` is ``ws://…`` or ``wss://…``. ``trust_roots`` is PEM text of the authorities to trust
    instead of the platform's. ``retry`` gives the seconds to wait before the n-th attempt in a row
    (default: 1.5 s, growing to 30 s, with jitter). ``binary`` and ``batches`` are `ClientCore`'s.
    ``handler`` is called with every event, on the reactor thread. After `AuthenticationFailed` no new
    connection is made. ValueError for a URL of another kind.
    """

    def __init__(
        self,
        reactor: Any,
        url: str,
        api_key: Secret,
        handler: Handler,
        *,
        trust_roots: str | None = None,
        retry: Callable[[int], float] | None = None,
        binary: bool = False,
        batches: bool = False,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.core = ClientCore(api_key, binary=binary, batches=batches)
        self.url = url
        self._handler = handler
        self._protocol: _Protocol | None = None
        self._closing: list[Deferred[None]] = []
        endpoint = _endpoint(reactor, url, trust_roots)
        factory = _Factory(self, url, reactor=reactor)
        factory.setProtocolOptions(  # type: ignore[no-untyped-call]
            failByDrop=False,
            openHandshakeTimeout=10,
            autoPingInterval=PING_INTERVAL,
            autoPingTimeout=PING_TIMEOUT,
            tcpNoDelay=True,
        )
        self._connector = ClientService(
            _Reported(endpoint, self),
            factory,
            retryPolicy=retry or backoffPolicy(1.0, 30.0, 1.5, random.random),
            clock=reactor,
        )
        self._connector.setServiceParent(self)

    def stopService(self) -> Deferred[Any]:
        """Close the connection (1000) and make no other; fires when it is closed."""
        return self._closed().addCallback(lambda _: maybeDeferred(super(Client, self).stopService))

    def _closed(self) -> Deferred[None]:
        """Say goodbye, and wait for the server's answer: the connector alone would cut the line before
        it comes, and the server would see a client that vanished (1006). Autobahn bounds the wait."""
        done: Deferred[None] = Deferred()
        if self._protocol is None:
            done.callback(None)
        else:
            self._closing.append(done)
            self._protocol.sendClose(1000)
        return done

    def flush(self) -> None:
        """Send what `core` has been told outside of the handler."""
        if self._protocol is not None:
            for frame in self.core.to_send():
                self._protocol.sendMessage(frame.encode())  # type: ignore[no-untyped-call]

    def opened(self, protocol: _Protocol) -> None:
        """The connection says that its upgrade is done."""
        self._protocol = protocol
        self._handler(Connected())
        self.core.opened()
        self.flush()

    def received(self, payload: bytes, binary: bool) -> None:
        """The connection hands over a message."""
        read = self.core.received_binary if binary else self.core.received
        for event in read(payload):
            if isinstance(event, AuthenticationFailed):
                self._closed().addCallback(lambda _: self._connector.stopService())
            self._handler(event)
        self.flush()

    def closed(self, reason: str) -> None:
        """The connection is gone, or could not be made."""
        self._protocol = None
        self.core.closed()
        closing, self._closing = self._closing, []
        for done in closing:
            done.callback(None)
        self._handler(Disconnected(reason))


class _Factory(WebSocketClientFactory):
    def __init__(self, client: Client, url: str, *, reactor: Any) -> None:
        super().__init__(url, reactor=reactor)  # type: ignore[no-untyped-call]
        self._client = client

    def buildProtocol(self, addr: Any) -> _Protocol:
        protocol = _Protocol(self._client)
        protocol.factory = self
        return protocol


class _Protocol(WebSocketClientProtocol):
    """Hands everything to the client."""

    def __init__(self, client: Client) -> None:
        super().__init__()
        self._client = client

    def onOpen(self) -> None:
        self._client.opened(self)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self._client.received(payload, isBinary)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self._client.closed(f"{reason or 'the server closed the connection'} (code {code})")


@implementer(IStreamClientEndpoint)
class _Reported:
    """An endpoint whose failures the client hears of: its `ClientService` keeps them to itself."""

    def __init__(self, endpoint: Any, client: Client) -> None:
        self._endpoint = endpoint
        self._client = client

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        def failed(failure: Failure) -> Failure:
            if failure.check(CancelledError, ConnectingCancelledError) is None:
                self._client.closed(failure.getErrorMessage())
            return failure

        connecting: Deferred[Any] = self._endpoint.connect(protocolFactory)
        return connecting.addErrback(failed)


def _endpoint(reactor: Any, url: str, trust_roots: str | None) -> Any:
    parts = urlsplit(url)
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise ValueError(f"{masked_url(url)} is not a WebSocket URL such as ws://127.0.0.1:8765")
    port = parts.port or (443 if parts.scheme == "wss" else 80)
    endpoint = HostnameEndpoint(reactor, parts.hostname, port)
    if parts.scheme == "ws":
        return endpoint
    roots = None if trust_roots is None else trustRootFromCertificates(_certificates(trust_roots))
    return wrapClientTLS(optionsForClientTLS(parts.hostname, trustRoot=roots), endpoint)


def _certificates(pem: str) -> list[Certificate]:
    """The certificates of a PEM file; ValueError if there is none in it."""
    blocks = [block.partition(_END)[0] for block in pem.split(_BEGIN)[1:]]
    if not blocks:
        raise ValueError("there is no certificate in the file")
    return [Certificate.loadPEM(f"{_BEGIN}{block}{_END}\n".encode()) for block in blocks]
