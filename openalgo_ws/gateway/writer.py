"""One client's way out: bytes leave in order, at once if the socket takes them.

A Twisted transport never sends in `write`: it asks the reactor to tell when the socket is
writable and sends then, which costs two `epoll_ctl` and a turn (10 µs a client). A plain TCP
socket nearly always takes the bytes, so while the transport has nothing buffered they are sent
through its handle; what the socket does not take, and everything over TLS, goes through the
transport. The writer is the transport's only writer (Autobahn's own frames pass through it too),
so the order holds.

Back-pressure comes as a push producer's pause and resume. On plain TCP the transport is made to
pause at the first byte it has to keep, so that *paused* means «something is unsent» and *resumed*
means «all is sent»; over TLS it pauses at its own mark of 64 KiB.
"""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

__all__ = ["ClientWriter", "WriterOwner"]


class WriterOwner(Protocol):
    """Whoever wants to know how the client keeps up."""

    def overflowed(self, writer: ClientWriter) -> None:
        """More than the high-water mark waits for this client. Told once until it has drained."""

    def drained(self, writer: ClientWriter) -> None:
        """All is sent that waited, whether it was too much or not: whoever still has something for this
        client may go on."""

    def stalled(self, writer: ClientWriter) -> None:
        """The client has taken too little for too long."""


@implementer(IPushProducer)
class ClientWriter:
    """Writes to one client.

    ``high_water`` is the number of bytes that may wait for the client before it counts as slow,
    ``patience`` the seconds for which something may wait before the client counts as stalled.
    """

    __slots__ = (
        "_closed",
        "_high_water",
        "_overflowed",
        "_owner",
        "_patience",
        "_reactor",
        "_send",
        "_stall",
        "_transport",
        "_waiting",
        "bytes_sent",
        "paused",
    )

    def __init__(
        self,
        transport: Any,
        reactor: IReactorTime,
        owner: WriterOwner,
        *,
        high_water: int,
        patience: float,
    ) -> None:
        self._transport = transport
        self._reactor = reactor
        self._owner = owner
        self._high_water = high_water
        self._patience = patience
        self._stall: IDelayedCall | None = None
        self._waiting = 0
        self._overflowed = False
        self._closed = False
        self.paused = False
        self.bytes_sent = 0
        self._send = None
        if not isinstance(transport, TLSMemoryBIOProtocol) and hasattr(transport, "getHandle"):
            self._send = transport.getHandle().send
        transport.registerProducer(self, True)

    @property
    def waiting(self) -> int:
        """Bytes handed to the transport since the client last had everything; an upper bound of
        what is unsent."""
        return self._waiting

    def write(self, data: bytes) -> None:
        """Send, or queue behind what is unsent. Silently nothing once the client is gone."""
        if self._closed:
            return
        size = len(data)
        self.bytes_sent += size
        if not self.paused and self._send is not None:
            try:
                sent = self._send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                # The peer is gone; the reactor is about to find out and tell everybody.
                return
            if sent == size:
                return
            data = data[sent:]
            size -= sent
        if self._send is not None and not self.paused:
            # `bufferSize` is the mark at which the transport pauses its producer; it is the size of
            # a read too, so it is lowered for this one call only.
            mark = self._transport.bufferSize
            self._transport.bufferSize = 0
            self._transport.write(data)
            self._transport.bufferSize = mark
        else:
            self._transport.write(data)
        if self.paused:
            self._waiting += size
            if self._waiting > self._high_water and not self._overflowed:
                self._overflowed = True
                self._owner.overflowed(self)

    def release(self) -> None:
        """Stop steering the transport, so that it can close when its buffer is empty. What is
        written after this goes straight to the transport, in order."""
        if not self._closed:
            self._transport.unregisterProducer()
        self._send = None
        self.paused = False
        self._calm()

    def close(self) -> None:
        """The connection is lost: forget everything, end the timer."""
        self._closed = True
        self._send = None
        self._calm()

    def pauseProducing(self) -> None:
        """From the transport: it holds unsent bytes."""
        self.paused = True
        if self._stall is None and not self._closed:
            self._stall = self._reactor.callLater(self._patience, self._has_stalled)

    def resumeProducing(self) -> None:
        """From the transport: all is sent."""
        self.paused = False
        self._waiting = 0
        self._calm()
        self._overflowed = False
        # Also where little waited: what was kept goes out in portions that are no overflow themselves,
        # and a portion that the socket took in part must be followed by the next.
        self._owner.drained(self)

    def stopProducing(self) -> None:
        """From the transport: the connection is going away."""
        self.close()

    def _has_stalled(self) -> None:
        self._stall = None
        self._owner.stalled(self)

    def _calm(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
