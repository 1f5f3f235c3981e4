"""The first bytes of a connection decide what it is: an upgrade, a plain HTTP call, or a stream."""

from __future__ import annotations

from typing import Protocol as Interface

from twisted.internet.interfaces import IAddress, IProtocol, ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from openalgo_ws.adapter import Refused
from openalgo_ws.simulator.faults import Faults
from openalgo_ws.simulator.http import BadHead, Head, refusal
from openalgo_ws.simulator.journal import Attempt, Outcome

__all__ = ["Desk", "Front"]

#: The largest head of a request.
_LARGEST_HEAD = 65_536
#: Seconds from connecting to a whole head, and from a refusal to the end.
_PATIENCE = 30.0

_ENDLESS = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-Patience: "


class Desk(Interface):
    """What a front asks the server."""

    faults: Faults
    #: Whether a connection that doesn't speak HTTP is a stream of this broker.
    takes_streams: bool

    def arrived(self, front: Front) -> Attempt:
        """A client has connected."""

    def left(self, front: Front) -> None:
        """A client is gone."""

    def decide(self, attempt: Attempt, outcome: Outcome, path: str = "", status: int | None = None) -> None:
        """It is known what this connection is."""

    def upgrade(self, head: Head, address: IAddress | None) -> IProtocol | Refused:
        """Who speaks with a client that wants a WebSocket."""

    def stream(self) -> IProtocol | Refused:
        """Who speaks with a client of the bare stream."""

    def calls(self, address: IAddress | None) -> IProtocol:
        """Who answers plain HTTP calls."""

    def seconds(self) -> float:
        """The server's clock."""


class Front(Protocol):
    """One TCP connection from the accept to the end; behind it, whoever speaks the protocol."""

    def __init__(self, desk: Desk, address: IAddress | None) -> None:
        self._desk = desk
        self._address = address
        self._behind: IProtocol | None = None
        self._head = b""
        self._is_mute = False
        self._is_stalled = False
        self._drips = 0
        self._next_drip: float | None = None
        self._since = 0.0

    def connectionMade(self) -> None:
        """Accepted. Say nothing: the client speaks first."""
        # Ticks are small and must not wait for the client's acknowledgement of those before.
        # (Autobahn's own `tcpNoDelay` comes before the transport is there, and does nothing.)
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
        self._since = self._desk.seconds()
        self._attempt = self._desk.arrived(self)
        if self._desk.faults.half_open:
            self._mute(Outcome.STALLED)

    def dataReceived(self, data: bytes) -> None:
        """Collect the head; once decided, hand everything on."""
        if self._behind is not None:
            self._behind.dataReceived(data)
            return
        if self._is_mute:
            return
        self._head += data
        if not self._head[:1].isupper():
            self._begin_stream()
            return
        end = self._head.find(b"\r\n\r\n")
        if end < 0:
            if len(self._head) > _LARGEST_HEAD:
                self._refuse(Refused(431), Outcome.VANISHED)
            return
        try:
            head = Head.parse(self._head[:end])
        except BadHead:
            self._refuse(Refused(400), Outcome.VANISHED)
            return
        if head.is_upgrade:
            self._upgrade(head, self._head[end + 4 :])
        else:
            self._desk.decide(self._attempt, Outcome.HTTP, head.upgrade().path)
            self._hand_over(self._desk.calls(self._address), self._head)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Gone."""
        if self._behind is not None:
            self._behind.connectionLost(reason)
        elif not self._is_mute:
            self._desk.decide(self._attempt, Outcome.VANISHED)
        self._attempt.ended = self._desk.seconds()
        self._desk.left(self)

    def tend(self, now: float) -> None:
        """Drip the next byte of a slow handshake; drop who never says what it wants."""
        if self._behind is not None:
            return
        if self._next_drip is not None:
            if now >= self._next_drip and self._desk.faults.slow_handshake is not None:
                self._next_drip += self._desk.faults.slow_handshake
                self._write(_ENDLESS[self._drips : self._drips + 1] or b"a")
                self._drips += 1
        elif now - self._since >= _PATIENCE and not self._is_stalled:
            self.abort()

    def abort(self) -> None:
        """Reset the connection."""
        if self.transport is not None:
            self.transport.abortConnection()  # type: ignore[attr-defined]

    def _upgrade(self, head: Head, rest: bytes) -> None:
        desk, path = self._desk, head.upgrade().path
        if desk.faults.slow_handshake is not None:
            self._mute(Outcome.STALLED, path)
            self._next_drip = desk.seconds()
            return
        answer = desk.upgrade(head, self._address)
        if isinstance(answer, Refused):
            self._refuse(answer, Outcome.REFUSED, path)
        else:
            desk.decide(self._attempt, Outcome.ACCEPTED, path)
            self._hand_over(answer, head.without_secrets() + rest)

    def _begin_stream(self) -> None:
        answer = self._desk.stream() if self._desk.takes_streams else Refused(400)
        if isinstance(answer, Refused):
            # There is nothing to say in a protocol that isn't known.
            self._mute(Outcome.REFUSED, status=answer.status)
            self.abort()
        else:
            self._desk.decide(self._attempt, Outcome.ACCEPTED)
            self._hand_over(answer, self._head)

    def _hand_over(self, behind: IProtocol, data: bytes) -> None:
        self._behind, self._head = behind, b""
        assert self.transport is not None
        behind.makeConnection(self.transport)
        behind.dataReceived(data)

    def _refuse(self, refused: Refused, outcome: Outcome, path: str = "") -> None:
        self._mute(outcome, path, refused.status)
        self._since = self._desk.seconds()
        self._write(refusal(refused))
        assert self.transport is not None
        self.transport.loseConnection()

    def _mute(self, outcome: Outcome, path: str = "", status: int | None = None) -> None:
        self._is_mute, self._head = True, b""
        self._is_stalled = outcome is Outcome.STALLED
        self._desk.decide(self._attempt, outcome, path, status)

    def _write(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)
