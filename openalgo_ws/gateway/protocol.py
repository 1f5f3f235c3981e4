"""The WebSocket side of a client: Autobahn's protocol, with one writer for everything it sends."""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any

import txaio
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.compress import PerMessageDeflateOffer, PerMessageDeflateOfferAccept
from autobahn.websocket.types import ConnectionRequest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress
from twisted.logger import Logger, LogLevel

from openalgo_ws.gateway.context import Context
from openalgo_ws.gateway.doorway import Doorway
from openalgo_ws.gateway.formats import BINARY, FLAT
from openalgo_ws.gateway.origins import origin_patterns
from openalgo_ws.gateway.session import Session
from openalgo_ws.gateway.tally import Tally
from openalgo_ws.gateway.writer import ClientWriter
from openalgo_ws.log import RateLimitedLog

__all__ = ["SUBPROTOCOLS", "ClientFactory", "ClientProtocol", "client_address"]

#: WebSocket subprotocol → the format it stands for.
SUBPROTOCOLS = {"openalgo.flat": FLAT, "openalgo.binary.v1": BINARY}

#: TCP connections that may be in the middle of their handshake beyond the connection cap.
_HANDSHAKES = 256
#: Seconds that a connection has for its handshake, waiting for its turn included.
_HANDSHAKE_TIME = 10
#: Longest request for a WebSocket, with its headers (bytes).
_LONGEST_REQUEST = 16 * 1024

#: Close codes that somebody will ask about: blocked, too slow, too many.
_NOTABLE = frozenset({4403, 4408, 4429})

#: Autobahn logs whole requests, with the keys in them, when its level is turned up.
_SILENT = txaio.make_logger(level="none")  # type: ignore[attr-defined]

#: Autobahn copies its options from the factory and formats a list of them for a log that nobody reads: two
#: thirds of what it takes to accept a connection. `ClientProtocol` copies them itself.
_NONE_TO_COPY: list[str] = []


class ClientProtocol(WebSocketServerProtocol):
    """One client's connection. Its session begins when the handshake is through."""

    log = _SILENT

    CONFIG_ATTRS = _NONE_TO_COPY

    factory: ClientFactory
    _writer: ClientWriter | None = None
    _session: Session | None = None
    _address = ""
    _format = ""
    _counted = False
    _refusal = ""

    def connectionMade(self) -> None:
        context = self.factory.context
        for option in WebSocketServerProtocol.CONFIG_ATTRS:
            setattr(self, option, getattr(self.factory, option))
        self._writer = ClientWriter(
            self.transport,
            context.reactor,
            self,
            high_water=context.settings.high_water,
            patience=context.settings.slow_patience,
        )
        super().connectionMade()
        self.factory.doorway.enter(self.transport)

    def dataReceived(self, data: bytes) -> None:
        """From the transport. A request that does not end would be kept for as long as it is sent."""
        super().dataReceived(data)
        if self.state == self.STATE_CONNECTING and len(self.data) > _LONGEST_REQUEST:
            self.failHandshake("The request is too long", 431)

    def failHandshake(self, reason: str, code: int = 400, responseHeaders: Any = None) -> None:
        """What came is no request for a WebSocket, or it may not have one. ``reason`` may repeat
        what the client sent: it is told to the client alone."""
        self.factory.refusals.info(
            "a request for a WebSocket from {address} was refused ({code})",
            address=_host(self.transport),
            code=code,
        )
        super().failHandshake(reason, code, responseHeaders)

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:
        """Autobahn's only way to the wire: it goes through the writer like everything else."""
        if self._writer is not None:
            self._writer.write(data)

    def onConnect(self, request: ConnectionRequest) -> str | None:
        """The handshake's request: choose the format, count the connection."""
        context = self.factory.context
        self._address = client_address(
            _host(self.transport),
            request.headers.get("x-forwarded-for", ""),
            context.settings.trusted_proxies,
        )
        self._format = context.settings.default_format
        chosen = None
        for name in request.protocols:
            if name in SUBPROTOCOLS:
                chosen, self._format = name, SUBPROTOCOLS[name]
                break
        if self.factory.full():
            self._refusal = "too many connections"
        elif not _is_loopback(self._address):
            # Programs of this machine, and proxies that don't name their clients, are not counted.
            self._counted = context.by_address.take(self._address)
            if not self._counted:
                self._refusal = "too many connections from this address"
        return chosen

    def onOpen(self) -> None:
        """The handshake is through."""
        if self._refusal:
            self.factory.tally.refused[self._refusal] += 1
            self.close(4429, self._refusal)
            return
        assert self._writer is not None
        context = self.factory.context
        self.factory.tally.opened += 1
        context.router.delivery.attach(self._writer)
        self.factory.clients.add(self)
        deflate = self.websocket_extensions_in_use != []
        self._session = self.make_session(self._writer, deflate)

    def make_session(self, writer: ClientWriter, deflate: bool) -> Session:
        """The conversation that begins now."""
        return Session(self.factory.context, self, writer, self._address, self._format, deflate)

    @property
    def session(self) -> Session | None:
        """The conversation, while there is one."""
        return self._session

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """A whole message; requests are text."""
        if isBinary:
            self.close(1003, "requests are text frames")
        elif self._session is not None:
            self._session.received(payload)

    def close(self, code: int, reason: str) -> None:
        """Send a close frame; the connection is dropped a second later if the peer does not."""
        self.factory.tally.closed[code] += 1
        session = self._session
        self.factory.journal.emit(
            LogLevel.warn if code in _NOTABLE else LogLevel.info,
            "closed with {code}: {reason}",
            code=code,
            reason=reason,
            address=self._address,
            client=session and session.number,
            user=session and session.user,
        )
        self.sendCloseFrame(code, reason.encode()[:123])

    def sendCloseFrame(
        self, code: int | None = None, reasonUtf8: bytes | None = None, isReply: bool = False
    ) -> None:
        """Nothing may follow a close frame, so the session ends before one is sent."""
        self._end_session()
        super().sendCloseFrame(code, reasonUtf8, isReply)

    def dropConnection(self, abort: bool = False) -> None:
        """Let the transport close by itself once its buffer is empty."""
        self._end_session()
        if self._writer is not None:
            self._writer.release()
        super().dropConnection(abort)

    def connectionLost(self, reason: Any = None) -> None:
        """The connection is gone."""
        self._end_session()
        if self._writer is not None:
            self._writer.close()
            self.factory.tally.bytes_of_gone += self._writer.bytes_sent
        if self._counted:
            self._counted = False
            self.factory.context.by_address.give(self._address)
        super().connectionLost(reason)
        self.factory.gone(self)

    def overflowed(self, writer: ClientWriter) -> None:
        """From the writer: too much waits for this client."""
        if self._session is not None:
            self.factory.tally.overflows += 1
            self.factory.context.router.delivery.overflowed(writer)

    def drained(self, writer: ClientWriter) -> None:
        """From the writer: the client has caught up."""
        if self._session is not None:
            self.factory.context.router.delivery.drained(writer)

    def stalled(self, writer: ClientWriter) -> None:
        """From the writer: the client takes nothing."""
        if self._session is not None:
            self.close(4408, "too slow")
        else:
            self.dropConnection(abort=True)

    def _end_session(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.lost()
            self.factory.context.router.delivery.detach(session.writer)


class ClientFactory(WebSocketServerFactory):
    """Makes client connections, and knows them all."""

    protocol: Any = ClientProtocol
    log = _SILENT
    noisy = False

    def __init__(
        self, context: Context, *, origins: tuple[str, ...] = ("*",), tally: Tally | None = None
    ) -> None:
        """``tally`` counts these clients, if not the gateway's."""
        super().__init__(protocols=list(SUBPROTOCOLS), reactor=context.reactor)  # type: ignore[no-untyped-call]
        self.context = context
        self.tally = tally or context.tally
        self.clients: set[ClientProtocol] = set()
        self.journal = Logger()
        self.refusals = RateLimitedLog(self.journal, context.reactor)
        self.doorway = Doorway(context.reactor)
        self._waiting: list[Deferred[None]] = []
        settings = context.settings
        self.setProtocolOptions(  # type: ignore[no-untyped-call]
            maxMessagePayloadSize=context.limits.message_bytes,
            maxFramePayloadSize=context.limits.message_bytes,
            utf8validateIncoming=True,
            failByDrop=False,
            echoCloseCodeReason=True,
            tcpNoDelay=True,
            openHandshakeTimeout=_HANDSHAKE_TIME,
            closeHandshakeTimeout=1,
            autoPingInterval=settings.ping_interval,
            autoPingTimeout=settings.ping_timeout,
            allowedOrigins=origin_patterns(origins),
            allowNullOrigin="*" in origins,
            webStatus=False,
            perMessageCompressionAccept=_accept_compression if settings.compression else None,
        )

    def full(self) -> bool:
        """Whether the gateway has as many clients as it may."""
        return len(self.clients) + self.context.elsewhere >= self.context.limits.connections

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Turn TCP connections away outright when a flood of them waits for its handshake."""
        if self.countConnections >= self.context.limits.connections + _HANDSHAKES:
            return None
        return super().buildProtocol(addr)

    def gone(self, client: ClientProtocol) -> None:
        """A connection is lost."""
        self.clients.discard(client)
        if not self.clients:
            waiting, self._waiting = self._waiting, []
            for done in waiting:
                done.callback(None)

    def close_all(self, code: int, reason: str) -> Deferred[None]:
        """Close every client; fires when all are gone."""
        for client in list(self.clients):
            client.close(code, reason)
        if not self.clients:
            return succeed(None)
        done: Deferred[None] = Deferred()
        self._waiting.append(done)
        return done


def _accept_compression(offers: list[Any]) -> PerMessageDeflateOfferAccept | None:
    """Accept permessage-deflate where the client does not ask for a window of its own size: our
    messages are compressed once for all who take them."""
    for offer in offers:
        if isinstance(offer, PerMessageDeflateOffer) and not offer.request_max_window_bits:
            return PerMessageDeflateOfferAccept(
                offer, request_no_context_takeover=bool(offer.accept_no_context_takeover)
            )
    return None


def client_address(peer: str, forwarded: str, proxies: Collection[IPv4Network | IPv6Network]) -> str:
    """Where a client is: the last address of ``X-Forwarded-For`` that is not a trusted proxy's.

    The header counts only if the peer is a trusted proxy: anybody else can write into it at will.
    """
    address = peer
    for hop in reversed(forwarded.split(",")):
        try:
            known = ip_address(address)
            following = str(ip_address(hop.strip()))
        except ValueError:
            break
        if not any(known in network for network in proxies):
            break
        address = following
    return address


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        # A UNIX socket's client.
        return True


def _host(transport: Any) -> str:
    """The client's address without its port; UNIX sockets count as one address."""
    return str(getattr(transport.getPeer(), "host", "local"))
