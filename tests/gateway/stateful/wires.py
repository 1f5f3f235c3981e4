"""A reactor that is told the time, and clients' sockets that take as much as they are told.

The transport is Twisted's own `FileDescriptor`: how it keeps what the socket does not take, pauses and
resumes its producer and closes is what the server has under it in production.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet import main
from twisted.internet.abstract import FileDescriptor
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted
from twisted.internet.task import Clock
from twisted.python.failure import Failure

__all__ = ["PlainWire", "Reactor", "Wire"]


class Reactor(Clock):
    """A clock whose calls are made a turn at a time. ``drag`` is how long (seconds) each look at it takes:
    with it, work that looks at the clock is divided among turns."""

    def __init__(self) -> None:
        super().__init__()
        self.drag = 0.0
        #: Seconds that went by in that way.
        self.dragged = 0.0
        self.readers: dict[Wire, None] = {}
        self.writers: dict[Wire, None] = {}

    def seconds(self) -> float:
        self.dragged += self.drag
        self.rightNow += self.drag
        return self.rightNow

    def due(self) -> bool:
        """Whether anything is to be done now."""
        return (
            any(call.getTime() <= self.rightNow for call in self.calls)
            or any(wire.writable for wire in self.writers)
            or any(wire.broken for wire in self.readers)
        )

    def turn(self) -> None:
        """What is due, once."""
        now = self.rightNow
        for call in [call for call in self.calls if call.getTime() <= now]:
            if call in self.calls:
                self.calls.remove(call)
                call.called = 1
                call.func(*call.args, **call.kw)
        for wire in {**self.readers, **self.writers}:
            wire.refill()
        for wire in list(self.readers):
            wire.read()
        for wire in list(self.writers):
            if wire.writable:
                wire.flush()

    def settle(self, turns: int = 10_000) -> None:
        """Turns until nothing is due any more."""
        while self.due() and turns:
            self.turn()
            turns -= 1
        assert turns, "it never comes to rest"

    def pass_time(self, seconds: float) -> None:
        """So much time is gone, as if the process had done something else."""
        self.rightNow += seconds

    def addReader(self, wire: Wire) -> None:
        self.readers[wire] = None

    def addWriter(self, wire: Wire) -> None:
        self.writers[wire] = None

    def removeReader(self, wire: Wire) -> None:
        self.readers.pop(wire, None)

    def removeWriter(self, wire: Wire) -> None:
        self.writers.pop(wire, None)


class Wire(FileDescriptor):
    """A transport that asks no socket by itself, as TLS: the server can but write to it. ``room`` is how many
    bytes the socket under it still takes, None for as many as come, and ``rate`` what it has room for anew in
    each turn; ``told`` hears what the server wrote."""

    bufferSize = 1500

    def __init__(self, reactor: Reactor, protocol: Any, told: Callable[[bytes], None]) -> None:
        super().__init__(reactor)  # type: ignore[arg-type]
        self.room: int | None = None
        self.rate = 0
        self.broken = False
        #: What the peer has, and what the server wrote.
        self.taken = bytearray()
        self.written = bytearray()
        #: Since when the server's producer is paused.
        self.paused_since: float | None = None
        self._incoming: list[bytes] = []
        self._told = told
        self._clock = reactor
        self.protocol = protocol
        self.connected = 1
        self.startReading()
        protocol.makeConnection(self)

    # The peer's side.

    def receive(self, data: bytes) -> None:
        """The peer sends."""
        self._incoming.append(data)
        self.read()

    def read(self) -> None:
        """What has come is read, unless the server has paused that."""
        if self.broken and self in self._clock.readers:
            self.lose()
        while self._incoming and self in self._clock.readers:
            self.protocol.dataReceived(self._incoming.pop(0))

    def give(self, size: int | None) -> None:
        """The socket has room for so much more; None: for all that comes."""
        self.rate = 0
        self.room = None if size is None or self.room is None else self.room + size

    def stall(self) -> None:
        """The socket takes nothing more."""
        self.rate = self.room = 0

    def trickle(self, rate: int) -> None:
        """The socket takes so much a turn."""
        self.rate = self.room = rate

    def refill(self) -> None:
        """A new turn."""
        if self.rate:
            self.room = self.rate

    def lose(self) -> None:
        """The connection is gone."""
        if not self.disconnected:
            self.connectionLost(Failure(main.CONNECTION_LOST))

    @property
    def unsent(self) -> int:
        """Bytes that the transport keeps."""
        return len(self.written) - len(self.taken)

    @property
    def writable(self) -> bool:
        return self.broken or self.room is None or self.room > 0 or self.rate > 0

    # The socket.

    def send(self, data: bytes) -> int:
        """What a socket does: take what there is room for."""
        if self.broken:
            raise BrokenPipeError
        if self.room == 0 and data:
            raise BlockingIOError
        some = bytes(data if self.room is None else data[: self.room])
        if self.room is not None:
            self.room -= len(some)
        self.taken += some
        return len(some)

    # The transport's.

    def flush(self) -> None:
        """The socket is writable."""
        failed = self.doWrite()
        if not self.producerPaused:
            self.paused_since = None
        if failed:
            self.removed()
            if not self.disconnected:
                self.connectionLost(Failure(failed))

    def removed(self) -> None:
        self.stopReading()
        self.stopWriting()

    def writeSomeData(self, data: bytes) -> int | BaseException:
        try:
            return self.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            return main.CONNECTION_LOST

    def write(self, data: bytes) -> None:
        if self.connected:
            self.written += data
        super().write(data)
        if self.producerPaused and self.paused_since is None:
            self.paused_since = self._clock.rightNow
        if self.connected:
            self._told(data)

    def note(self, data: bytes) -> None:
        """Something went out by the socket itself."""
        self.written += data
        self._told(data)

    def connectionLost(self, reason: Failure) -> None:
        super().connectionLost(reason)
        self.paused_since = None
        self.protocol.connectionLost(reason)

    def abortConnection(self) -> None:
        if not self.disconnected:
            self.disconnecting = 1
            self.removed()
            self._clock.callLater(0, self._aborted)

    def _aborted(self) -> None:
        if not self.disconnected:
            self.connectionLost(Failure(ConnectionAborted()))

    def getPeer(self) -> IPv4Address:
        return IPv4Address("TCP", "127.0.0.1", 1)

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", "127.0.0.1", 2)

    def setTcpNoDelay(self, enabled: bool) -> None:
        pass


class PlainWire(Wire):
    """The transport of a plain TCP connection, with a socket that can be written to as well."""

    def getHandle(self) -> Any:
        return _Socket(self)


class _Socket:
    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def send(self, data: bytes) -> int:
        assert not self._wire.unsent, "it would overtake what the transport keeps"
        sent = self._wire.send(data)
        self._wire.note(bytes(data[:sent]))
        return sent
